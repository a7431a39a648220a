/* Labels, compiled from labels.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_3_t {
    bit<24> bytes;
}
header head_0_1_t {
    bit<8> b0;
}
header head_1_2_t {
    bit<8> b1;
}
header head_2_3_t {
    bit<8> b2;
}
header head_3_4_t {
    bit<8> b3;
}
struct headers {
    front_3_t front0_3; // what a packet is given in front
    head_0_1_t head_0_1;
    head_1_2_t head_1_2;
    head_2_3_t head_2_3;
    head_3_4_t head_3_4;
}
struct metadata {
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition select(sm.ingress_port) {
            1: head0;
            3: head1;
            default: accept;
        }
    }
    state head0 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_1);
        packet.extract(hdr.head_1_2);
        packet.extract(hdr.head_2_3);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_1);
        packet.extract(hdr.head_1_2);
        packet.extract(hdr.head_2_3);
        packet.extract(hdr.head_3_4);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_3);
        packet.emit(hdr.head_0_1);
        packet.emit(hdr.head_1_2);
        packet.emit(hdr.head_2_3);
        packet.emit(hdr.head_3_4);
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
    register<bit<32>>(256) array_next;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bit<32> on_In_t_0;
            bit<32> on_In_t_2_1;
            bit<32> on_In_label_result_2;
            bit<32> on_In_t_3_3;
            bit<32> on_In_t_4_4;
            bit<8> on_In_b_5;
            bit<8> on_In_b_6;
            bit<8> on_In_b_7;
            on_In_t_0 = ((bit<32>)hdr.head_0_1.b0);
            if ((sm.packet_length < 32w2)) {
                drop(RANGE_ERROR);
            }
            on_In_t_2_1 = ((bit<32>)hdr.head_1_2.b1);
            on_In_label_result_2 = ((on_In_t_0 << 8w8) | on_In_t_2_1);
            array_next.read(on_In_t_3_3, (on_In_label_result_2 & 32w255));
            if ((sm.packet_length < 32w3)) {
                drop(RANGE_ERROR);
            }
            on_In_t_4_4 = ((bit<32>)hdr.head_2_3.b2);
            if ((!((on_In_t_3_3 == 32w0) || (on_In_t_4_4 == 32w0)))) {
                on_In_b_5 = (bit<8>)((bit<32>)((int<32>)on_In_t_3_3 >> 8w8));
                on_In_b_6 = (bit<8>)on_In_t_3_3;
                on_In_b_7 = (bit<8>)(on_In_t_4_4 - 32w1);
                hdr.front0_3.setValid();
                hdr.front0_3.bytes = (on_In_b_5 ++ on_In_b_6 ++ on_In_b_7);
                hdr.head_0_1.setInvalid();
                hdr.head_1_2.setInvalid();
                hdr.head_2_3.setInvalid();
                sm.egress_spec = 2;
            } else {
                drop(NO_PUT);
            }
        } else if (sm.ingress_port == 3) {
            bit<32> on_Control_t_0;
            bit<32> on_Control_t_2_1;
            bit<32> on_Control_label_result_2;
            bit<32> on_Control_t_3_3;
            bit<32> on_Control_t_4_4;
            bit<32> on_Control_label_result_2_5;
            on_Control_t_0 = ((bit<32>)hdr.head_0_1.b0);
            if ((sm.packet_length < 32w2)) {
                drop(RANGE_ERROR);
            }
            on_Control_t_2_1 = ((bit<32>)hdr.head_1_2.b1);
            on_Control_label_result_2 = ((on_Control_t_0 << 8w8) | on_Control_t_2_1);
            if ((sm.packet_length < 32w3)) {
                drop(RANGE_ERROR);
            }
            on_Control_t_3_3 = ((bit<32>)hdr.head_2_3.b2);
            if ((sm.packet_length < 32w4)) {
                drop(RANGE_ERROR);
            }
            on_Control_t_4_4 = ((bit<32>)hdr.head_3_4.b3);
            on_Control_label_result_2_5 = ((on_Control_t_3_3 << 8w8) | on_Control_t_4_4);
            array_next.write((on_Control_label_result_2 & 32w255), on_Control_label_result_2_5);
            drop(NO_PUT);
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
 *   1 In
 *   2 Out
 *   3 Control
 */
