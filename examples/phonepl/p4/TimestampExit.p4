/* TimestampExit, compiled from timestamp_exit.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_46_t {
    bit<368> bytes;
}
header head_0_12_14_22_t {
    bit<96> b0;
    bit<16> b12;
    bit<64> b14;
}
header head_0_14_t {
    bit<112> b0;
}
struct headers {
    front_46_t front0_46; // what a packet is given in front
    head_0_12_14_22_t head_0_12_14_22;
    head_0_14_t head_0_14;
}
struct metadata {
    bit<64> now;
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
        packet.extract(hdr.head_0_12_14_22);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_14);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_46);
        packet.emit(hdr.head_0_12_14_22);
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
    register<bit<64>>(4) array_delay;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    action running(bit<64> start) { // nanoseconds since the epoch when the switch was started
        meta.now = start + (bit<64>)sm.ingress_global_timestamp * 1000;
    }
    action standing(bit<64> now) {
        meta.now = now;
    }
    table clock {
        actions = { running; standing; }
        default_action = running(0);
    }
    apply {
        clock.apply();
        if (sm.ingress_port == 1) {
            bool on_Network_same_0;
            bit<64> on_Network_t_4_1;
            bit<64> on_Network_passed_2;
            bit<64> on_Network_old_3;
            bit<64> on_Network_new_4;
            bit<64> on_Network_t_5_5;
            bit<64> on_Network_t_7_6;
            bit<64> on_Network_old_7;
            bit<64> on_Network_new_8;
            bit<64> on_Network_t_6_9;
            bit<64> on_Network_t_7_10;
            bit<64> on_Network_old_11;
            bit<64> on_Network_new_12;
            bit<64> on_Network_t_7_13;
            bit<64> on_Network_old_14;
            bit<64> on_Network_new_15;
            if ((sm.packet_length >= 32w36)) {
                on_Network_same_0 = (hdr.head_0_12_14_22.b12 == 16w0x88b5);
                if (on_Network_same_0) {
                    on_Network_t_4_1 = hdr.head_0_12_14_22.b14;
                    on_Network_passed_2 = (meta.now - on_Network_t_4_1);
                    if (((int<64>)on_Network_passed_2 >= (int<64>)64w0)) {
                        array_delay.read(on_Network_old_3, 32w1);
                        on_Network_new_4 = (on_Network_old_3 + on_Network_passed_2);
                        array_delay.write(32w1, on_Network_new_4);
                        array_delay.read(on_Network_t_5_5, 32w0);
                        if ((on_Network_t_5_5 == 64w0)) {
                            array_delay.write(32w2, on_Network_passed_2);
                            array_delay.read(on_Network_t_7_6, 32w3);
                            if (((int<64>)on_Network_passed_2 > (int<64>)on_Network_t_7_6)) {
                                array_delay.write(32w3, on_Network_passed_2);
                            }
                            array_delay.read(on_Network_old_7, 32w0);
                            on_Network_new_8 = (on_Network_old_7 + 64w1);
                            array_delay.write(32w0, on_Network_new_8);
                            if (sm.packet_length == 32w22) {
                                drop(EMPTY_PACKET);
                            }
                            hdr.head_0_12_14_22.setInvalid();
                            sm.egress_spec = 2;
                        } else {
                            array_delay.read(on_Network_t_6_9, 32w2);
                            if (((int<64>)on_Network_passed_2 >= (int<64>)on_Network_t_6_9)) {
                                array_delay.read(on_Network_t_7_10, 32w3);
                                if (((int<64>)on_Network_passed_2 > (int<64>)on_Network_t_7_10)) {
                                    array_delay.write(32w3, on_Network_passed_2);
                                }
                                array_delay.read(on_Network_old_11, 32w0);
                                on_Network_new_12 = (on_Network_old_11 + 64w1);
                                array_delay.write(32w0, on_Network_new_12);
                                if (sm.packet_length == 32w22) {
                                    drop(EMPTY_PACKET);
                                }
                                hdr.head_0_12_14_22.setInvalid();
                                sm.egress_spec = 2;
                            } else {
                                array_delay.write(32w2, on_Network_passed_2);
                                array_delay.read(on_Network_t_7_13, 32w3);
                                if (((int<64>)on_Network_passed_2 > (int<64>)on_Network_t_7_13)) {
                                    array_delay.write(32w3, on_Network_passed_2);
                                }
                                array_delay.read(on_Network_old_14, 32w0);
                                on_Network_new_15 = (on_Network_old_14 + 64w1);
                                array_delay.write(32w0, on_Network_new_15);
                                if (sm.packet_length == 32w22) {
                                    drop(EMPTY_PACKET);
                                }
                                hdr.head_0_12_14_22.setInvalid();
                                sm.egress_spec = 2;
                            }
                        }
                    } else {
                        drop(NO_PUT);
                    }
                } else {
                    drop(NO_PUT);
                }
            } else {
                drop(NO_PUT);
            }
        } else if (sm.ingress_port == 3) {
            bit<64> on_Control_t_0;
            bit<64> on_Control_b_1;
            bit<64> on_Control_t_3_2;
            bit<64> on_Control_b_3;
            bit<64> on_Control_t_5_4;
            bit<64> on_Control_b_5;
            bit<64> on_Control_t_7_6;
            bit<64> on_Control_b_7;
            array_delay.read(on_Control_t_0, 32w0);
            on_Control_b_1 = on_Control_t_0;
            array_delay.read(on_Control_t_3_2, 32w1);
            on_Control_b_3 = on_Control_t_3_2;
            array_delay.read(on_Control_t_5_4, 32w2);
            on_Control_b_5 = on_Control_t_5_4;
            array_delay.read(on_Control_t_7_6, 32w3);
            on_Control_b_7 = on_Control_t_7_6;
            if ((sm.packet_length < 32w14)) {
                drop(RANGE_ERROR);
            }
            hdr.front0_46.setValid();
            hdr.front0_46.bytes = (hdr.head_0_14.b0 ++ on_Control_b_1 ++ on_Control_b_3 ++ on_Control_b_5 ++ on_Control_b_7);
            truncate(32w46);
            sm.egress_spec = 3;
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
 *   1 Network
 *   2 Terminal
 *   3 Control
 * The default action of `clock` is running(nanoseconds since the epoch at its start).
 */
