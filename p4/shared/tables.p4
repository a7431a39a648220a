// The tables, and what their rows do: the same on every target. This stands in the body of each target's ingress control,
// which has `headers`, `meta`, the direct counter `channel_counter`, and names its ports INGRESS_PORT and OUT_PORT,
// and the places of what is written: NEW_SOURCE_MAC, NEW_DESTINATION_MAC, NEW_DESTINATION, NEW_DESTINATION6,
// NEW_DESTINATION_PORT (and KEEP_DESTINATION), NEW_SOURCE, NEW_SOURCE6, NEW_SOURCE_PORT (and WRITE_SOURCE). NO_FORK is for a
// target that looks no further than at `meta.fork` when a row for a single source has followed one for all.
// COMPARE_SOURCE and COMPARE_SOURCE6 begin the comparison of the source with `permitted_source` under `permitted_mask`.
// Tables that hold addresses are two, one for each family, so that no IPv4 address takes the room of an IPv6 one.

// [3]
action set_link(bit<8> kind, mac_t mac, bit<8> unmatched) {
    meta.link_kind = kind;
    meta.found.link_mac = mac;
    meta.found.unmatched = unmatched;
}

table link {
    key = {
        INGRESS_PORT: exact @name("port");
        meta.vlan: exact @name("vlan");
    }
    actions = { set_link; @defaultonly NoAction; }
    size = LINK_SIZE;
}

// [14, 15, 5a] The row without a source is looked up first, since most flows have no other; its `sources` tells whether
// there are rows for single sources, which go before it.
action to_channel(bit<32> channel, bit<8> links, bit<32> permitted_source, bit<32> permitted_mask, bit<8> sources) {
    meta.channel = channel;
    NO_FORK
    meta.found.links = links;
    COMPARE_SOURCE
    meta.sources = sources;
}

action to_fork(bit<32> fork, bit<8> links, bit<32> permitted_source, bit<32> permitted_mask, bit<8> sources) {
    meta.fork = fork;
    meta.found.links = links;
    COMPARE_SOURCE
    meta.sources = sources;
}

action to_artp(bit<32> artp, bit<8> links, bit<32> permitted_source, bit<32> permitted_mask, bit<8> sources) {
    meta.artp = artp;
    meta.found.links = links;
    COMPARE_SOURCE
    meta.sources = sources;
}

action to_channel6(bit<32> channel, bit<8> links, bit<128> permitted_source, bit<128> permitted_mask, bit<8> sources) {
    meta.channel = channel;
    NO_FORK
    meta.found.links = links;
    COMPARE_SOURCE6
    meta.sources = sources;
}

action to_fork6(bit<32> fork, bit<8> links, bit<128> permitted_source, bit<128> permitted_mask, bit<8> sources) {
    meta.fork = fork;
    meta.found.links = links;
    COMPARE_SOURCE6
    meta.sources = sources;
}

action to_artp6(bit<32> artp, bit<8> links, bit<128> permitted_source, bit<128> permitted_mask, bit<8> sources) {
    meta.artp = artp;
    meta.found.links = links;
    COMPARE_SOURCE6
    meta.sources = sources;
}

table flow_wild {
    key = {
        headers.ipv4.destination: exact @name("destination");
        headers.udp.destination: exact @name("destination_port");
    }
    actions = { to_channel; to_fork; to_artp; @defaultonly NoAction; }
    size = FLOW_SIZE;
}

table flow {
    key = {
        headers.ipv4.destination: exact @name("destination");
        headers.udp.destination: exact @name("destination_port");
        headers.ipv4.source: exact @name("source");
        headers.udp.source: exact @name("source_port");
    }
    actions = { to_channel; to_fork; to_artp; @defaultonly NoAction; }
    size = FLOW_SIZE;
}

table flow6_wild {
    key = {
        headers.ipv6.destination: exact @name("destination");
        headers.udp.destination: exact @name("destination_port");
    }
    actions = { to_channel6; to_fork6; to_artp6; @defaultonly NoAction; }
    size = FLOW6_SIZE;
}

table flow6 {
    key = {
        headers.ipv6.destination: exact @name("destination");
        headers.udp.destination: exact @name("destination_port");
        headers.ipv6.source: exact @name("source");
        headers.udp.source: exact @name("source_port");
    }
    actions = { to_channel6; to_fork6; to_artp6; @defaultonly NoAction; }
    size = FLOW6_SIZE;
}

// [22] The destination is kept.
action answer(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<16> mtu, bit<1> artp) {
    OUT_PORT = port;
    meta.found.out_ipv6 = 0;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    KEEP_DESTINATION
    meta.mtu = mtu;
    meta.answered = 1;
    meta.artp = (bit<32>)artp;
}

action answer_as(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<32> source,
                 socket_port_t source_port, bit<16> mtu, bit<1> artp) {
    OUT_PORT = port;
    meta.found.out_ipv6 = 0;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    KEEP_DESTINATION
    WRITE_SOURCE
    NEW_SOURCE = source;
    NEW_SOURCE_PORT = source_port;
    meta.mtu = mtu;
    meta.answered = 1;
    meta.artp = (bit<32>)artp;
}

action answer6(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<16> mtu, bit<1> artp) {
    OUT_PORT = port;
    meta.found.out_ipv6 = 1;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    KEEP_DESTINATION
    meta.mtu = mtu;
    meta.answered = 1;
    meta.artp = (bit<32>)artp;
}

action answer_as6(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<128> source,
                  socket_port_t source_port, bit<16> mtu, bit<1> artp) {
    OUT_PORT = port;
    meta.found.out_ipv6 = 1;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    KEEP_DESTINATION
    WRITE_SOURCE
    NEW_SOURCE6 = source;
    NEW_SOURCE_PORT = source_port;
    meta.mtu = mtu;
    meta.answered = 1;
    meta.artp = (bit<32>)artp;
}

table peer {
    key = {
        headers.ipv4.source: exact @name("local");
        headers.udp.source: exact @name("local_port");
        headers.ipv4.destination: exact @name("remote");
        headers.udp.destination: exact @name("remote_port");
    }
    actions = { answer; answer_as; @defaultonly NoAction; }
    size = PEER_SIZE;
}

table peer6 {
    key = {
        headers.ipv6.source: exact @name("local");
        headers.udp.source: exact @name("local_port");
        headers.ipv6.destination: exact @name("remote");
        headers.udp.destination: exact @name("remote_port");
    }
    actions = { answer6; answer_as6; @defaultonly NoAction; }
    size = PEER6_SIZE;
}

// [15] `copies`: of the whole fork, as far as there is no gap; meaningful in the row of copy 0
action branch(bit<32> channel, bit<32> copies) {
    meta.channel = channel;
    meta.found.copies = copies;
}

table fork {
    key = {
        meta.fork: exact @name("fork");
        meta.copy: exact @name("copy");
    }
    actions = { branch; @defaultonly NoAction; }
    size = FORK_SIZE;
}

// [16] The session is the controller's own note. `member`: the instance of a control group that it leads to, or 0.
action set_channel(bit<8> select_by, bit<32> mask, bit<32> group, bit<32> session, bit<32> member) {
    channel_counter.count();
    meta.found.selector = select_by;
    meta.found.mask = mask;
    meta.found.member = member;
    meta.group = group;
}

// A channel that needs no choice and is no member's has the slot of its group's only index in its own row.
action lead(bit<32> endpoint, bit<32> backup, bit<32> mask, bit<32> group, bit<32> session) {
    channel_counter.count();
    meta.endpoint = endpoint;
    meta.backup = backup;
}

table channel {
    key = { meta.channel: exact @name("channel"); }
    actions = { set_channel; lead; @defaultonly NoAction; }
    counters = channel_counter;
    size = CHANNEL_SIZE;
}

// [18] `backup` 0: none
action set_slot(bit<32> endpoint, bit<32> backup) {
    meta.endpoint = endpoint;
    meta.backup = backup;
}

table slot {
    key = {
        meta.group: exact @name("group");
        meta.index: exact @name("index");
    }
    actions = { set_slot; @defaultonly NoAction; }
    size = SLOT_SIZE;
}

action set_endpoint(bit<8> kind, port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac,
                    bit<32> destination, socket_port_t destination_port, bit<16> mtu, bit<32> unit) {
    meta.found.endpoint_kind = kind;
    OUT_PORT = port;
    meta.found.out_ipv6 = 0;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    NEW_DESTINATION = destination;
    NEW_DESTINATION_PORT = destination_port;
    meta.mtu = mtu;
    meta.unit = unit;
}

action set_endpoint_as(bit<8> kind, port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac,
                       bit<32> destination, socket_port_t destination_port, bit<32> source,
                       socket_port_t source_port, bit<16> mtu, bit<32> unit) {
    meta.found.endpoint_kind = kind;
    OUT_PORT = port;
    meta.found.out_ipv6 = 0;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    NEW_DESTINATION = destination;
    NEW_DESTINATION_PORT = destination_port;
    WRITE_SOURCE
    NEW_SOURCE = source;
    NEW_SOURCE_PORT = source_port;
    meta.mtu = mtu;
    meta.unit = unit;
}

action set_endpoint6(bit<8> kind, port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac,
                     bit<128> destination, socket_port_t destination_port, bit<16> mtu, bit<32> unit) {
    meta.found.endpoint_kind = kind;
    OUT_PORT = port;
    meta.found.out_ipv6 = 1;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    NEW_DESTINATION6 = destination;
    NEW_DESTINATION_PORT = destination_port;
    meta.mtu = mtu;
    meta.unit = unit;
}

action set_endpoint_as6(bit<8> kind, port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac,
                        bit<128> destination, socket_port_t destination_port, bit<128> source,
                        socket_port_t source_port, bit<16> mtu, bit<32> unit) {
    meta.found.endpoint_kind = kind;
    OUT_PORT = port;
    meta.found.out_ipv6 = 1;
    meta.found.out_vlan = vlan;
    NEW_SOURCE_MAC = source_mac;
    NEW_DESTINATION_MAC = destination_mac;
    NEW_DESTINATION6 = destination;
    NEW_DESTINATION_PORT = destination_port;
    WRITE_SOURCE
    NEW_SOURCE6 = source;
    NEW_SOURCE_PORT = source_port;
    meta.mtu = mtu;
    meta.unit = unit;
}

table endpoint {
    key = { meta.endpoint: exact @name("endpoint"); }
    actions = { set_endpoint; set_endpoint_as; set_endpoint6; set_endpoint_as6; @defaultonly NoAction; }
    size = ENDPOINT_SIZE;
}

// A row for each living unit: one write is the whole fail-over. Unit 0 always lives.
action alive() {}
action dead() {}

table unit {
    key = { meta.unit: exact @name("unit"); }
    actions = { alive; dead; }
    default_action = dead();
    size = UNIT_SIZE;
}
