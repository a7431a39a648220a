// SPDX-License-Identifier: Apache-2.0
// A MAC header is duplicated from inside to outside, and removed on the way back.
#include <core.p4>
#include <v1model.p4>

#ifndef INSIDE
#define INSIDE 1
#define OUTSIDE 2
#endif

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> type;
}

const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;

struct headers {
    ethernet_t added;
    ethernet_t ethernet;
}

struct metadata {}

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.ethernet);
        transition accept;
    }
}

control Steer(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    counter(4, CounterType.packets) drops;

    action drop(bit<32> why) {
        drops.count(why);
        mark_to_drop(sm);
    }

    action add() {
        hdr.added = hdr.ethernet;
        sm.egress_spec = OUTSIDE;
    }

    action remove() {
        hdr.ethernet.setInvalid();
        sm.egress_spec = INSIDE;
    }

    apply {
        if (!hdr.ethernet.isValid()) {
            drop(RANGE_ERROR);
        } else if (sm.ingress_port == INSIDE) {
            add();
        } else if (sm.ingress_port == OUTSIDE) {
            if (sm.packet_length > 14) {
                remove();
            } else {
                drop(EMPTY_PACKET);
            }
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
        packet.emit(hdr.added);
        packet.emit(hdr.ethernet);
    }
}

V1Switch(Cut(), Checksum(), Steer(), Leave(), Checksum(), Join()) main;
