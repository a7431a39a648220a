/* AddRemMAC, compiled from add_rem_mac.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_14_t {
    bit<112> bytes;
}
header head_0_14_t {
    bit<112> b0;
}
struct headers {
    front_14_t front0_14; // what a packet is given in front
    head_0_14_t head_0_14;
}
struct metadata {
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition head0;
    }
    state head0 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_14);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_14);
        packet.emit(hdr.head_0_14);
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
            if ((sm.packet_length < 32w14)) {
                drop(RANGE_ERROR);
            }
            hdr.front0_14.setValid();
            hdr.front0_14.bytes = hdr.head_0_14.b0;
            sm.egress_spec = 2;
        } else if (sm.ingress_port == 2) {
            if ((sm.packet_length < 32w14)) {
                drop(RANGE_ERROR);
            }
            if (sm.packet_length == 32w14) {
                drop(EMPTY_PACKET);
            }
            hdr.head_0_14.setInvalid();
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
