// The egress pipeline: a copy goes back to find its own way; a packet that was steered leaves rewritten [21].
#ifndef REWRITING_P4
#define REWRITING_P4

control Rewriting(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    counter(1, CounterType.packets) sent;
    counter(1, CounterType.packets) to_host;

    action leave() {
        sent.count(0);
        meta.not_checksum = ~headers.udp.checksum;
        meta.not_destination_port = ~headers.udp.destination;
        headers.ethernet.destination = meta.found.out_destination_mac;
        headers.ethernet.source = meta.found.out_source_mac;
        headers.udp.destination = meta.new_destination_port;
    }

    action rewrite_ipv4() {
        leave();
        meta.not_destination = ~headers.ipv4.destination;
        headers.ipv4.destination = meta.new_destination;
        headers.ipv4.ttl = headers.ipv4.ttl - 1;
    }

    action rewrite_ipv6() {
        leave();
        meta.not_destination6 = ~headers.ipv6.destination;
        headers.ipv6.destination = meta.new_destination6;
        headers.ipv6.ttl = headers.ipv6.ttl - 1;
    }

    action write_source_ipv4() {
        meta.not_source = ~headers.ipv4.source;
        meta.not_source_port = ~headers.udp.source;
        headers.ipv4.source = meta.new_source;
        headers.udp.source = meta.new_source_port;
    }

    action write_source_ipv6() {
        meta.not_source6 = ~headers.ipv6.source;
        meta.not_source_port = ~headers.udp.source;
        headers.ipv6.source = meta.new_source6;
        headers.udp.source = meta.new_source_port;
    }

    action tag(bit<16> type) {
        headers.vlan.setValid();
        headers.vlan.priority = 0;
        headers.vlan.drop_eligible = 0;
        headers.vlan.id = meta.found.out_vlan;
        headers.vlan.type = type;
        headers.ethernet.type = TYPE_VLAN;
    }

    action untag() {
        headers.ethernet.type = headers.vlan.type;
        headers.vlan.setInvalid();
    }

    apply {
        if (standard.instance_type == REPLICATED) {
            meta.copy = standard.egress_rid;
            recirculate_preserving_field_list(AGAIN);
        } else if (meta.mtu != 0) {
            // What stands behind the IP packet is cut off.
            if (standard.packet_length != 14 + (bit<32>)meta.tag_bytes + meta.found.length) {
                truncate(meta.found.length + (meta.found.out_vlan == 0 ? 32w14 : 32w18));
            }
            if (headers.ipv4.isValid()) {
                rewrite_ipv4();
                if (meta.found.write_source == 1) { write_source_ipv4(); }
                if (meta.found.out_vlan != 0) { tag(TYPE_IPV4); }
            } else {
                rewrite_ipv6();
                if (meta.found.write_source == 1) { write_source_ipv6(); }
                if (meta.found.out_vlan != 0) { tag(TYPE_IPV6); }
            }
            if (meta.found.out_vlan == 0 && headers.vlan.isValid()) { untag(); }
        } else if (headers.packet_in.isValid()) {
            to_host.count(0);
        }
    }
}

#endif
