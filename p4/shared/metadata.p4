// What is known of a packet beside its headers. SURVIVES marks what a packet keeps when it passes the pipeline again, as
// a copy or for its backup; what that takes is the target's affair, as are FOUND and OWN_METADATA.
#ifndef METADATA_P4
#define METADATA_P4

// What rows gave, and what was worked out of it: never read before it is
// written, and neither looked up nor summed.
FOUND found_t {
    bit<8> unmatched;
    bit<32> length; // of the IP packet
    bit<8> links;
    bit<32> network; // of the source, as wide as the permitted one
    bit<32> permitted;
    bit<128> network6;
    bit<128> permitted6;
    bit<16> copies;
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
    bit<96> prefix; // of the destination

    bit<1> out_ipv6;
    bit<1> write_source;
    bit<2> padding;
    vlan_t out_vlan;
    mac_t out_source_mac;
    mac_t out_destination_mac;
}

// This begins as 0.
struct metadata_t {
    SURVIVES port_t port;
    SURVIVES mac_t link_mac;
    SURVIVES bit<8> link_kind;
    SURVIVES bit<8> sources; // of the flow that was found; 0: none was
    SURVIVES bit<32> five_tuple; // its CRC-32
    SURVIVES bit<32> fork;
    SURVIVES bit<16> copy;
    SURVIVES bit<32> endpoint; // 0: not chosen yet
    SURVIVES bit<32> backup;   // 0: none
    SURVIVES bit<32> artp;     // row of a flow that speaks ARTP; 0: it does not; 1 also if a peer's answer does
    SURVIVES bit<1> overriding; // goes to the destinations that it names

    // by the parser
    vlan_t vlan;
    bit<8> tag_bytes;
    bit<1> double_tagged;
    bit<1> ipv6_extension;
    bit<1> ipv4_error;

    bit<1> answered;
    bit<32> channel;
    bit<32> group;
    bit<32> index;
    bit<32> unit;
    bit<16> mtu; // 0: the packet is not steered

    // What is written, and complements of what it replaces: the UDP checksum changes by their sum. 0 is what is kept.
    bit<32> new_destination;
    bit<128> new_destination6;
    socket_port_t new_destination_port;
    bit<32> new_source;
    bit<128> new_source6;
    socket_port_t new_source_port;
    bit<16> not_checksum;
    bit<32> not_destination;
    bit<128> not_destination6;
    socket_port_t not_destination_port;
    bit<32> not_source;
    bit<128> not_source6;
    socket_port_t not_source_port;

    found_t found;
    OWN_METADATA
}

#endif
