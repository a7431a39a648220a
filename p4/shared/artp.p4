// Where ARTP packets go [5a of docs/steering.md]. Like tables.p4 this stands in the body of an ingress control.

// Each is a channel or, where the top bit is set, a fork; 0: none.
action set_artp(bit<32> target, bit<32> control_target, bit<32> everyone, bit<32> named) {
    meta.found.target = target;
    meta.found.control_target = control_target;
    meta.found.everyone = everyone;
    meta.found.named = named;
}

table artp {
    key = { meta.artp: exact @name("artp"); }
    actions = { set_artp; @defaultonly NoAction; }
    size = ARTP_SIZE;
}

// [14f] `family`: of the permitted prefix, 4 or 6; 0: nothing is permitted. IPv4 stands here as IPv4-mapped. `counted_by`:
// the channel.
action set_override(bit<8> family, bit<128> prefix, bit<128> mask, bit<32> counted_by, bit<1> write_source,
                    bit<128> source, socket_port_t source_port) {
    meta.found.family = family;
    meta.found.override_prefix = prefix;
    meta.found.override_mask = mask;
    meta.channel = counted_by;
    meta.found.write_source = write_source;
    meta.found.override_source = source;
    meta.found.override_source_port = source_port;
}

table override {
    key = { meta.artp: exact @name("artp"); }
    actions = { set_override; @defaultonly NoAction; }
    size = ARTP_SIZE;
}

action set_next_hop(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<16> mtu) {
    OUT_PORT = port;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    meta.mtu = mtu;
}

table next_hop {
    key = { NEW_DESTINATION: exact @name("address"); }
    actions = { set_next_hop; @defaultonly NoAction; }
    size = NEXT_HOP_SIZE;
}

table next_hop6 {
    key = { NEW_DESTINATION6: exact @name("address"); }
    actions = { set_next_hop; @defaultonly NoAction; }
    size = NEXT_HOP_SIZE;
}
