/* PassThrough, compiled from pass_through.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

struct headers {
}
struct metadata {
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition head0;
    }
    state head0 { // what a packet is too short for stays payload
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
    }
}
control Verify(inout headers hdr, inout metadata meta) {
    apply { }
}
control Update(inout headers hdr, inout metadata meta) {
    apply { }
}

/* ═══ packet processors, each with the output of what it put ═══ */

control Process(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    counter(6, CounterType.packets) drops;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            sm.egress_spec = 2;
        } else if (sm.ingress_port == 2) {
            sm.egress_spec = 1;
        } else {
            drop(NO_PUT); // no method takes what comes in there
        }
    }
}

/* ═══ output of several puts ═══ */

control Output(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    apply {
    }
}
V1Switch(Cut(), Verify(), Process(), Output(), Update(), Join()) main;

/* ═══ initialiser ═══ */

/* main() runs once, in the controller. Registers are 0 or empty at first. Streams, by port:
 *   1 NetStream1
 *   2 NetStream2
 */
