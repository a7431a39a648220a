// What is known of a packet beside its headers. SURVIVES marks what a packet keeps when it passes the pipeline again, as
// a copy or for its backup; what that takes is the target's affair, as are FOUND, OWN_FOUND and OWN_METADATA.
#ifndef METADATA_P4
#define METADATA_P4

#ifndef OWN_FOUND
#define OWN_FOUND
#endif

// What rows gave, and what was worked out of it: never read before it is
// written, and neither looked up nor summed.
FOUND found_t {
    OWN_FOUND
    mac_t link_mac;
    bit<8> unmatched;
    bit<32> length; // of the IP packet
    bit<8> links;
    // What the source's network, as wide as the permitted one, has that the latter has not, or the reverse.
    bit<32> strange;
    bit<128> strange6;
    bit<32> copies;
    bit<8> selector;
    bit<32> mask;
    bit<32> member;
    bit<8> endpoint_kind;

    // Of an artp row, and the one that applies: see `set_artp`.
    bit<32> target;
    bit<32> control_target;
    bit<32> everyone;
    bit<32> named;
    bit<32> applies;
    // Of an override
    bit<8> family;
    bit<128> override_prefix;
    bit<128> override_mask;
    bit<128> override_source;
    socket_port_t override_source_port;
    bit<96> prefix; // of the destination

    bit<1> out_ipv6;
    bit<1> write_source;
    bit<2> padding;
    vlan_t out_vlan;
    mac_t out_source_mac;
}

// This begins as 0.
struct metadata_t {
    SURVIVES port_t port;
    SURVIVES bit<8> link_kind;
    SURVIVES bit<8> sources; // of the flow that was found; 0: none was
    SURVIVES bit<32> fork;
    SURVIVES bit<16> copy;
    SURVIVES bit<32> endpoint; // 0: not chosen yet
    SURVIVES bit<32> backup;   // 0: none
    SURVIVES bit<32> artp;     // row of a flow that speaks ARTP; 0: it does not; 1 also if a peer's answer does
    SURVIVES bit<1> overriding; // goes to the destinations that it names

    vlan_t vlan;
    bit<1> answered;
    bit<32> channel;
    bit<32> group;
    bit<32> index;
    bit<32> unit;
    bit<16> mtu; // 0: the packet is not steered

    found_t found;
    OWN_METADATA
}

#endif
