// The egress pipeline: a copy goes back to find its own way; a packet that was steered leaves rewritten [21].
#ifndef REWRITING_P4
#define REWRITING_P4

control Rewriting(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    counter(1, CounterType.packets) sent;
    counter(1, CounterType.packets) to_host;

    action leave_ipv4() {
        sent.count(0);
        headers.ipv4.ttl = headers.ipv4.ttl - 1;
    }

    action leave_ipv6() {
        sent.count(0);
        headers.ipv6.ttl = headers.ipv6.ttl - 1;
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
        if (meta.mtu != 0) {
            // What stands behind the IP packet is cut off.
            if (standard.packet_length != meta.found.frame_length) {
                if (meta.found.out_vlan != 0) { meta.found.frame_length = meta.found.frame_length + 4; }
                truncate(meta.found.frame_length);
            }
            if (headers.ipv4.isValid()) { leave_ipv4(); } else { leave_ipv6(); }
            if (meta.found.out_vlan != 0 || headers.vlan.isValid()) {
                if (meta.found.out_vlan == 0) {
                    untag();
                } else if (headers.ipv4.isValid()) {
                    tag(TYPE_IPV4);
                } else {
                    tag(TYPE_IPV6);
                }
            }
        } else if (standard.instance_type == REPLICATED) {
            meta.copy = standard.egress_rid;
            recirculate_preserving_field_list(AGAIN);
        } else if (headers.packet_in.isValid()) {
            to_host.count(0);
        }
    }
}

#endif
