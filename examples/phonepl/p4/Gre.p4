/* Gre, compiled from gre.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_38_t {
    bit<304> bytes;
}
header head_0_14_15_23_24_34_38_t {
    bit<112> b0;
    bit<8> b14;
    bit<64> b15;
    bit<8> b23;
    bit<80> b24;
    bit<32> b34;
}
struct headers {
    front_38_t front0_38; // what a packet is given in front
    head_0_14_15_23_24_34_38_t head_0_14_15_23_24_34_38;
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
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_14_15_23_24_34_38);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_38);
        packet.emit(hdr.head_0_14_15_23_24_34_38);
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
    register<bit<32>>(1) array_identification;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bit<32> on_Local_value_0;
            bit<8> on_Local_b_1;
            bit<8> on_Local_b_2;
            bit<32> on_Local_old_3;
            bit<32> on_Local_new_4;
            bit<8> on_Local_b_5;
            bit<8> on_Local_b_6;
            bit<32> on_Local_t_10_7;
            bit<32> on_Local_t_11_8;
            bit<32> on_Local_sum_9;
            bit<32> on_Local_t_10_10;
            bit<32> on_Local_t_11_11;
            bit<32> on_Local_sum_12;
            bit<32> on_Local_t_10_13;
            bit<32> on_Local_t_11_14;
            bit<32> on_Local_sum_15;
            bit<32> on_Local_t_10_16;
            bit<32> on_Local_t_11_17;
            bit<32> on_Local_sum_18;
            bit<32> on_Local_t_10_19;
            bit<32> on_Local_t_11_20;
            bit<32> on_Local_sum_21;
            bit<32> on_Local_t_10_22;
            bit<32> on_Local_t_11_23;
            bit<32> on_Local_sum_24;
            bit<32> on_Local_t_10_25;
            bit<32> on_Local_t_11_26;
            bit<32> on_Local_sum_27;
            bit<32> on_Local_t_10_28;
            bit<32> on_Local_t_11_29;
            bit<32> on_Local_sum_30;
            bit<32> on_Local_t_10_31;
            bit<32> on_Local_t_11_32;
            bit<32> on_Local_sum_33;
            bit<32> on_Local_t_10_34;
            bit<32> on_Local_t_11_35;
            bit<32> on_Local_sum_36;
            bit<32> on_Local_sum_37;
            bit<32> on_Local_checksum_result_38;
            bit<8> on_Local_b_39;
            bit<8> on_Local_b_40;
            if ((sm.packet_length <= 32w1462)) {
                on_Local_value_0 = (32w24 + sm.packet_length);
                on_Local_b_1 = (bit<8>)(on_Local_value_0 >> 8w8);
                on_Local_b_2 = (bit<8>)on_Local_value_0;
                array_identification.read(on_Local_old_3, 32w0);
                on_Local_new_4 = (on_Local_old_3 + 32w1);
                array_identification.write(32w0, on_Local_new_4);
                on_Local_b_5 = (bit<8>)((bit<32>)((int<32>)on_Local_old_3 >> 8w8));
                on_Local_b_6 = (bit<8>)on_Local_old_3;
                on_Local_t_10_7 = ((bit<32>)8w0x45);
                on_Local_t_11_8 = ((bit<32>)8w0x00);
                on_Local_sum_9 = ((on_Local_t_10_7 << 8w8) | on_Local_t_11_8);
                on_Local_t_10_10 = ((bit<32>)on_Local_b_1);
                on_Local_t_11_11 = ((bit<32>)on_Local_b_2);
                on_Local_sum_12 = (on_Local_sum_9 + ((on_Local_t_10_10 << 8w8) | on_Local_t_11_11));
                on_Local_t_10_13 = ((bit<32>)on_Local_b_5);
                on_Local_t_11_14 = ((bit<32>)on_Local_b_6);
                on_Local_sum_15 = (on_Local_sum_12 + ((on_Local_t_10_13 << 8w8) | on_Local_t_11_14));
                on_Local_t_10_16 = ((bit<32>)8w0x40);
                on_Local_t_11_17 = ((bit<32>)8w0x00);
                on_Local_sum_18 = (on_Local_sum_15 + ((on_Local_t_10_16 << 8w8) | on_Local_t_11_17));
                on_Local_t_10_19 = ((bit<32>)8w0x40);
                on_Local_t_11_20 = ((bit<32>)8w0x2f);
                on_Local_sum_21 = (on_Local_sum_18 + ((on_Local_t_10_19 << 8w8) | on_Local_t_11_20));
                on_Local_t_10_22 = ((bit<32>)8w0x00);
                on_Local_t_11_23 = ((bit<32>)8w0x00);
                on_Local_sum_24 = (on_Local_sum_21 + ((on_Local_t_10_22 << 8w8) | on_Local_t_11_23));
                on_Local_t_10_25 = ((bit<32>)8w0xc0);
                on_Local_t_11_26 = ((bit<32>)8w0x00);
                on_Local_sum_27 = (on_Local_sum_24 + ((on_Local_t_10_25 << 8w8) | on_Local_t_11_26));
                on_Local_t_10_28 = ((bit<32>)8w0x02);
                on_Local_t_11_29 = ((bit<32>)8w0x01);
                on_Local_sum_30 = (on_Local_sum_27 + ((on_Local_t_10_28 << 8w8) | on_Local_t_11_29));
                on_Local_t_10_31 = ((bit<32>)8w0xc6);
                on_Local_t_11_32 = ((bit<32>)8w0x33);
                on_Local_sum_33 = (on_Local_sum_30 + ((on_Local_t_10_31 << 8w8) | on_Local_t_11_32));
                on_Local_t_10_34 = ((bit<32>)8w0x64);
                on_Local_t_11_35 = ((bit<32>)8w0x01);
                on_Local_sum_36 = (on_Local_sum_33 + ((on_Local_t_10_34 << 8w8) | on_Local_t_11_35));
                on_Local_sum_37 = ((on_Local_sum_36 & 32w65535) + (on_Local_sum_36 >> 8w16));
                on_Local_checksum_result_38 = ((~((on_Local_sum_37 & 32w65535) + (on_Local_sum_37 >> 8w16))) & 32w65535);
                on_Local_b_39 = (bit<8>)(on_Local_checksum_result_38 >> 8w8);
                on_Local_b_40 = (bit<8>)on_Local_checksum_result_38;
                hdr.front0_38.setValid();
                hdr.front0_38.bytes = (128w0x02000000000202000000000108004500 ++ on_Local_b_1 ++ on_Local_b_2 ++ on_Local_b_5 ++ on_Local_b_6 ++ 32w0x4000402f ++ on_Local_b_39 ++ on_Local_b_40 ++ 96w0xc0000201c633640100006558);
                sm.egress_spec = 2;
            } else {
                drop(NO_PUT);
            }
        } else if (sm.ingress_port == 2) {
            bit<32> on_Tunnel_t_0;
            bit<32> on_Tunnel_t_2_1;
            bool on_Tunnel_same_2;
            bit<32> on_Tunnel_t_6_3;
            bit<32> on_Tunnel_t_7_4;
            bit<32> on_Tunnel_sum_5;
            bit<32> on_Tunnel_t_6_6;
            bit<32> on_Tunnel_t_7_7;
            bit<32> on_Tunnel_sum_8;
            bit<32> on_Tunnel_t_6_9;
            bit<32> on_Tunnel_t_7_10;
            bit<32> on_Tunnel_sum_11;
            bit<32> on_Tunnel_t_6_12;
            bit<32> on_Tunnel_t_7_13;
            bit<32> on_Tunnel_sum_14;
            bit<32> on_Tunnel_t_6_15;
            bit<32> on_Tunnel_t_7_16;
            bit<32> on_Tunnel_sum_17;
            bit<32> on_Tunnel_t_6_18;
            bit<32> on_Tunnel_t_7_19;
            bit<32> on_Tunnel_sum_20;
            bit<32> on_Tunnel_t_6_21;
            bit<32> on_Tunnel_t_7_22;
            bit<32> on_Tunnel_sum_23;
            bit<32> on_Tunnel_t_6_24;
            bit<32> on_Tunnel_t_7_25;
            bit<32> on_Tunnel_sum_26;
            bit<32> on_Tunnel_t_6_27;
            bit<32> on_Tunnel_t_7_28;
            bit<32> on_Tunnel_sum_29;
            bit<32> on_Tunnel_t_6_30;
            bit<32> on_Tunnel_t_7_31;
            bit<32> on_Tunnel_sum_32;
            bit<32> on_Tunnel_sum_33;
            bit<32> on_Tunnel_checksum_result_34;
            if ((sm.packet_length >= 32w52)) {
                on_Tunnel_t_0 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b14);
                if ((on_Tunnel_t_0 == 32w69)) {
                    on_Tunnel_t_2_1 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b23);
                    if ((on_Tunnel_t_2_1 == 32w47)) {
                        on_Tunnel_same_2 = (hdr.head_0_14_15_23_24_34_38.b34 == 32w0x00006558);
                        if (on_Tunnel_same_2) {
                            on_Tunnel_t_6_3 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b14);
                            on_Tunnel_t_7_4 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[63:56]);
                            on_Tunnel_sum_5 = ((on_Tunnel_t_6_3 << 8w8) | on_Tunnel_t_7_4);
                            on_Tunnel_t_6_6 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[55:48]);
                            on_Tunnel_t_7_7 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[47:40]);
                            on_Tunnel_sum_8 = (on_Tunnel_sum_5 + ((on_Tunnel_t_6_6 << 8w8) | on_Tunnel_t_7_7));
                            on_Tunnel_t_6_9 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[39:32]);
                            on_Tunnel_t_7_10 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[31:24]);
                            on_Tunnel_sum_11 = (on_Tunnel_sum_8 + ((on_Tunnel_t_6_9 << 8w8) | on_Tunnel_t_7_10));
                            on_Tunnel_t_6_12 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[23:16]);
                            on_Tunnel_t_7_13 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[15:8]);
                            on_Tunnel_sum_14 = (on_Tunnel_sum_11 + ((on_Tunnel_t_6_12 << 8w8) | on_Tunnel_t_7_13));
                            on_Tunnel_t_6_15 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b15[7:0]);
                            on_Tunnel_t_7_16 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b23);
                            on_Tunnel_sum_17 = (on_Tunnel_sum_14 + ((on_Tunnel_t_6_15 << 8w8) | on_Tunnel_t_7_16));
                            on_Tunnel_t_6_18 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[79:72]);
                            on_Tunnel_t_7_19 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[71:64]);
                            on_Tunnel_sum_20 = (on_Tunnel_sum_17 + ((on_Tunnel_t_6_18 << 8w8) | on_Tunnel_t_7_19));
                            on_Tunnel_t_6_21 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[63:56]);
                            on_Tunnel_t_7_22 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[55:48]);
                            on_Tunnel_sum_23 = (on_Tunnel_sum_20 + ((on_Tunnel_t_6_21 << 8w8) | on_Tunnel_t_7_22));
                            on_Tunnel_t_6_24 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[47:40]);
                            on_Tunnel_t_7_25 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[39:32]);
                            on_Tunnel_sum_26 = (on_Tunnel_sum_23 + ((on_Tunnel_t_6_24 << 8w8) | on_Tunnel_t_7_25));
                            on_Tunnel_t_6_27 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[31:24]);
                            on_Tunnel_t_7_28 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[23:16]);
                            on_Tunnel_sum_29 = (on_Tunnel_sum_26 + ((on_Tunnel_t_6_27 << 8w8) | on_Tunnel_t_7_28));
                            on_Tunnel_t_6_30 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[15:8]);
                            on_Tunnel_t_7_31 = ((bit<32>)hdr.head_0_14_15_23_24_34_38.b24[7:0]);
                            on_Tunnel_sum_32 = (on_Tunnel_sum_29 + ((on_Tunnel_t_6_30 << 8w8) | on_Tunnel_t_7_31));
                            on_Tunnel_sum_33 = ((on_Tunnel_sum_32 & 32w65535) + (on_Tunnel_sum_32 >> 8w16));
                            on_Tunnel_checksum_result_34 = ((~((on_Tunnel_sum_33 & 32w65535) + (on_Tunnel_sum_33 >> 8w16))) & 32w65535);
                            if ((on_Tunnel_checksum_result_34 == 32w0)) {
                                if (sm.packet_length == 32w38) {
                                    drop(EMPTY_PACKET);
                                }
                                hdr.head_0_14_15_23_24_34_38.setInvalid();
                                sm.egress_spec = 1;
                            } else {
                                drop(NO_PUT);
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
 *   1 Local
 *   2 Tunnel
 */
