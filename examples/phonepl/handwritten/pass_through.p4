// SPDX-License-Identifier: Apache-2.0
// Every packet leaves by the other port, as it came.
#include <core.p4>
#include <v1model.p4>

#ifndef INSIDE
#define INSIDE 1
#define OUTSIDE 2
#endif

const bit<32> NO_PUT = 1;

struct headers {}
struct metadata {}

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition accept;
    }
}

control Steer(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    counter(2, CounterType.packets) drops;

    action drop(bit<32> why) {
        drops.count(why);
        mark_to_drop(sm);
    }

    apply {
        if (sm.ingress_port == INSIDE) {
            sm.egress_spec = OUTSIDE;
        } else if (sm.ingress_port == OUTSIDE) {
            sm.egress_spec = INSIDE;
        } else {
            drop(NO_PUT);
        }
    }
}

control Leave(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    apply {}
}

control Checksum(inout headers hdr, inout metadata meta) {
    apply {}
}

control Join(packet_out packet, in headers hdr) {
    apply {}
}

V1Switch(Cut(), Checksum(), Steer(), Leave(), Checksum(), Join()) main;
