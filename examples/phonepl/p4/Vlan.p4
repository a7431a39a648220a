/* Vlan, compiled from vlan.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_12_t {
    bit<96> bytes;
}
header front_16_t {
    bit<128> bytes;
}
header head_0_12_t {
    bit<96> b0;
}
header head_0_12_16_t {
    bit<96> b0;
    bit<32> b12;
}
struct headers {
    front_16_t front0_16; // what a packet is given in front
    front_12_t front0_12; // what a packet is given in front
    head_0_12_t head_0_12;
    head_0_12_16_t head_0_12_16;
}
struct metadata {
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition select(sm.ingress_port) {
            1: head0;
            2: head1;
            default: accept;
        }
    }
    state head0 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_12);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_12_16);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_16);
        packet.emit(hdr.front0_12);
        packet.emit(hdr.head_0_12);
        packet.emit(hdr.head_0_12_16);
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
            if ((sm.packet_length < 32w12)) {
                drop(RANGE_ERROR);
            }
            hdr.front0_16.setValid();
            hdr.front0_16.bytes = (hdr.head_0_12.b0 ++ 32w0x8100002a);
            hdr.head_0_12.setInvalid();
            sm.egress_spec = 2;
        } else if (sm.ingress_port == 2) {
            bit<32> on_Trunk_t_0;
            if ((sm.packet_length < 32w16)) {
                drop(RANGE_ERROR);
            }
            on_Trunk_t_0 = hdr.head_0_12_16.b12;
            if ((on_Trunk_t_0 == 32w2164260906)) {
                hdr.front0_12.setValid();
                hdr.front0_12.bytes = hdr.head_0_12_16.b0;
                hdr.head_0_12_16.setInvalid();
                sm.egress_spec = 1;
            } else {
                drop(NO_PUT);
            }
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
 *   1 Access
 *   2 Trunk
 */
