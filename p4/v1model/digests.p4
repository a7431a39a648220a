// What the switch tells its controller of its own accord.
#ifndef DIGESTS_P4
#define DIGESTS_P4

// A peer to be learnt [20]; the controller writes the row.
struct learn_t {
    bit<1> ipv6;
    address_t local_address;
    socket_port_t local_port;
    address_t remote_address;
    socket_port_t remote_port;
    port_t port;
    vlan_t vlan;
    mac_t source_mac;
    mac_t destination_mac;
    bit<1> artp;
}

// A packet of no session, on a link whose policy is to ask [14].
struct request_t {
    bit<1> ipv6;
    address_t source_address;
    socket_port_t source_port;
    address_t destination_address;
    socket_port_t destination_port;
    port_t port;
    vlan_t vlan;
}

// A destination of an ARTP packet whose next hop is not known [14f]; the controller finds it.
struct next_hop_t {
    bit<1> ipv6;
    address_t address;
}

#endif
