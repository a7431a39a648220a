// SPDX-License-Identifier: Apache-2.0
// 802.1Q: pushes VLAN 42 on the way to the trunk, pops it on the way back.
#include <core.p4>
#include <v1model.p4>

#ifndef INSIDE
#define INSIDE 1
#define OUTSIDE 2
#endif

const bit<32> TAG = 0x8100002a;

header addresses_t {
    bit<96> both;
}

header tag_t {
    bit<32> tag;
}

const bit<32> NO_PUT = 1;
const bit<32> RANGE_ERROR = 3;

struct headers {
    addresses_t addresses;
    tag_t tag;
}

struct metadata {}

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.addresses);
        transition select(sm.ingress_port) {
            OUTSIDE: tagged;
            default: accept;
        }
    }

    state tagged {
        packet.extract(hdr.tag);
        transition accept;
    }
}

control Steer(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    counter(4, CounterType.packets) drops;

    action drop(bit<32> why) {
        drops.count(why);
        mark_to_drop(sm);
    }

    action push() {
        hdr.tag.setValid();
        hdr.tag.tag = TAG;
        sm.egress_spec = OUTSIDE;
    }

    action pop() {
        hdr.tag.setInvalid();
        sm.egress_spec = INSIDE;
    }

    apply {
        if (sm.ingress_port == INSIDE) {
            if (hdr.addresses.isValid()) {
                push();
            } else {
                drop(RANGE_ERROR);
            }
        } else if (!hdr.tag.isValid()) {
            drop(RANGE_ERROR);
        } else if (hdr.tag.tag == TAG) {
            pop();
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
    apply {
        packet.emit(hdr.addresses);
        packet.emit(hdr.tag);
    }
}

V1Switch(Cut(), Checksum(), Steer(), Leave(), Checksum(), Join()) main;
