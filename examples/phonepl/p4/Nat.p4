/* Nat, compiled from nat.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_42_t {
    bit<336> bytes;
}
header head_0_12_13_14_15_23_24_26_30_t {
    bit<96> b0;
    bit<8> b12;
    bit<8> b13;
    bit<8> b14;
    bit<64> b15;
    bit<8> b23;
    bit<16> b24;
    bit<32> b26;
}
header head_0_12_13_14_15_23_24_26_30_34_t {
    bit<96> b0;
    bit<8> b12;
    bit<8> b13;
    bit<8> b14;
    bit<64> b15;
    bit<8> b23;
    bit<16> b24;
    bit<32> b26;
    bit<32> b30;
}
header head_30_34_36_t {
    bit<32> b30;
    bit<16> b34;
}
header head_34_36_38_t {
    bit<16> b34;
    bit<16> b36;
}
header head_36_40_t {
    bit<32> b36;
}
header head_38_40_t {
    bit<16> b38;
}
header head_40_42_t {
    bit<16> b40;
}
struct headers {
    front_42_t front0_42; // what a packet is given in front
    head_0_12_13_14_15_23_24_26_30_t head_0_12_13_14_15_23_24_26_30;
    head_0_12_13_14_15_23_24_26_30_34_t head_0_12_13_14_15_23_24_26_30_34;
    head_30_34_36_t head_30_34_36;
    head_34_36_38_t head_34_36_38;
    head_36_40_t head_36_40;
    head_38_40_t head_38_40;
    head_40_42_t head_40_42;
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
        packet.extract(hdr.head_0_12_13_14_15_23_24_26_30);
        packet.extract(hdr.head_30_34_36);
        packet.extract(hdr.head_36_40);
        packet.extract(hdr.head_40_42);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_12_13_14_15_23_24_26_30_34);
        packet.extract(hdr.head_34_36_38);
        packet.extract(hdr.head_38_40);
        packet.extract(hdr.head_40_42);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_42);
        packet.emit(hdr.head_0_12_13_14_15_23_24_26_30);
        packet.emit(hdr.head_0_12_13_14_15_23_24_26_30_34);
        packet.emit(hdr.head_30_34_36);
        packet.emit(hdr.head_34_36_38);
        packet.emit(hdr.head_36_40);
        packet.emit(hdr.head_38_40);
        packet.emit(hdr.head_40_42);
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
    register<bit<520>>(64) array_owner;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bit<32> on_Inside_t_2_0;
            bit<32> on_Inside_t_3_1;
            bit<32> on_Inside_t_4_2;
            bit<32> on_Inside_t_5_3;
            bool on_Inside_t_4;
            bool on_Inside_t_5;
            bool on_Inside_t_6;
            bool on_Inside_t_7;
            bool on_Inside_t_8;
            bit<32> on_Inside_t_9_9;
            bit<32> on_Inside_t_10_10;
            bit<32> on_Inside_t_11_11;
            bit<32> on_Inside_slot_12;
            bit<520> on_Inside_element_13;
            bit<512> on_Inside_s_14;
            bit<32> on_Inside_n_15;
            bit<520> on_Inside_element_16;
            bit<512> on_Inside_s_17;
            bit<32> on_Inside_n_18;
            bool on_Inside_same_19;
            bit<32> on_Inside_t_19_20;
            bit<32> on_Inside_t_20_21;
            bit<32> on_Inside_word_result_22;
            bit<32> on_Inside_t_19_23;
            bit<32> on_Inside_t_20_24;
            bit<32> on_Inside_word_result_25;
            bit<32> on_Inside_sum_26;
            bit<32> on_Inside_t_19_27;
            bit<32> on_Inside_t_20_28;
            bit<32> on_Inside_word_result_29;
            bit<32> on_Inside_sum_30;
            bit<32> on_Inside_t_19_31;
            bit<32> on_Inside_t_20_32;
            bit<32> on_Inside_word_result_33;
            bit<32> on_Inside_sum_34;
            bit<32> on_Inside_t_19_35;
            bit<32> on_Inside_t_20_36;
            bit<32> on_Inside_word_result_37;
            bit<32> on_Inside_sum_38;
            bit<32> on_Inside_t_19_39;
            bit<32> on_Inside_t_20_40;
            bit<32> on_Inside_word_result_41;
            bit<32> on_Inside_sum_42;
            bit<32> on_Inside_t_19_43;
            bit<32> on_Inside_t_20_44;
            bit<32> on_Inside_word_result_45;
            bit<32> on_Inside_sum_46;
            bit<32> on_Inside_t_19_47;
            bit<32> on_Inside_t_20_48;
            bit<32> on_Inside_word_result_49;
            bit<32> on_Inside_sum_50;
            bit<32> on_Inside_t_19_51;
            bit<32> on_Inside_t_20_52;
            bit<32> on_Inside_word_result_53;
            bit<32> on_Inside_sum_54;
            bit<32> on_Inside_t_19_55;
            bit<32> on_Inside_t_20_56;
            bit<32> on_Inside_word_result_57;
            bit<32> on_Inside_sum_58;
            bit<32> on_Inside_sum_59;
            bit<32> on_Inside_sum_60;
            bit<8> on_Inside_b_61;
            bit<8> on_Inside_b_62;
            bit<32> on_Inside_value_2_63;
            bit<8> on_Inside_b_64;
            if ((sm.packet_length >= 32w42)) {
                on_Inside_t_2_0 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b12);
                if ((on_Inside_t_2_0 == 32w8)) {
                    on_Inside_t_3_1 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b13);
                    if ((on_Inside_t_3_1 == 32w0)) {
                        on_Inside_t_4_2 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b14);
                        if ((on_Inside_t_4_2 == 32w69)) {
                            on_Inside_t_5_3 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b23);
                            on_Inside_t_4 = (on_Inside_t_5_3 == 32w17);
                            on_Inside_t_5 = on_Inside_t_4;
                        } else {
                            on_Inside_t_5 = false;
                        }
                        on_Inside_t_6 = on_Inside_t_5;
                    } else {
                        on_Inside_t_6 = false;
                    }
                    on_Inside_t_7 = on_Inside_t_6;
                } else {
                    on_Inside_t_7 = false;
                }
                on_Inside_t_8 = on_Inside_t_7;
            } else {
                on_Inside_t_8 = false;
            }
            if (on_Inside_t_8) {
                if ((sm.packet_length < 32w30)) {
                    drop(RANGE_ERROR);
                }
                if ((sm.packet_length < 32w36)) {
                    drop(RANGE_ERROR);
                }
                on_Inside_t_9_9 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b26[7:0]);
                on_Inside_t_10_10 = ((bit<32>)hdr.head_30_34_36.b34[15:8]);
                on_Inside_t_11_11 = ((bit<32>)hdr.head_30_34_36.b34[7:0]);
                on_Inside_slot_12 = ((((on_Inside_t_9_9 * 32w31) + (on_Inside_t_10_10 * 32w7)) + on_Inside_t_11_11) & 32w63);
                array_owner.read(on_Inside_element_13, on_Inside_slot_12);
                on_Inside_s_14 = on_Inside_element_13[519:8];
                on_Inside_n_15 = (bit<32>)on_Inside_element_13[7:0];
                if ((on_Inside_n_15 == 32w0)) {
                    array_owner.write(on_Inside_slot_12, (hdr.head_0_12_13_14_15_23_24_26_30.b26 ++ hdr.head_30_34_36.b34 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000) ++ (bit<8>)32w6);
                }
                array_owner.read(on_Inside_element_16, on_Inside_slot_12);
                on_Inside_s_17 = on_Inside_element_16[519:8];
                on_Inside_n_18 = (bit<32>)on_Inside_element_16[7:0];
                on_Inside_same_19 = ((on_Inside_n_18 == 32w6) && on_Inside_s_17 == (hdr.head_0_12_13_14_15_23_24_26_30.b26 ++ hdr.head_30_34_36.b34 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                if (on_Inside_same_19) {
                    on_Inside_t_19_20 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b14);
                    on_Inside_t_20_21 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[63:56]);
                    on_Inside_word_result_22 = ((on_Inside_t_19_20 << 8w8) | on_Inside_t_20_21);
                    on_Inside_t_19_23 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[55:48]);
                    on_Inside_t_20_24 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[47:40]);
                    on_Inside_word_result_25 = ((on_Inside_t_19_23 << 8w8) | on_Inside_t_20_24);
                    on_Inside_sum_26 = (on_Inside_word_result_22 + on_Inside_word_result_25);
                    on_Inside_t_19_27 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[39:32]);
                    on_Inside_t_20_28 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[31:24]);
                    on_Inside_word_result_29 = ((on_Inside_t_19_27 << 8w8) | on_Inside_t_20_28);
                    on_Inside_sum_30 = (on_Inside_sum_26 + on_Inside_word_result_29);
                    on_Inside_t_19_31 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[23:16]);
                    on_Inside_t_20_32 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[15:8]);
                    on_Inside_word_result_33 = ((on_Inside_t_19_31 << 8w8) | on_Inside_t_20_32);
                    on_Inside_sum_34 = (on_Inside_sum_30 + on_Inside_word_result_33);
                    on_Inside_t_19_35 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b15[7:0]);
                    on_Inside_t_20_36 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30.b23);
                    on_Inside_word_result_37 = ((on_Inside_t_19_35 << 8w8) | on_Inside_t_20_36);
                    on_Inside_sum_38 = (on_Inside_sum_34 + on_Inside_word_result_37);
                    on_Inside_t_19_39 = ((bit<32>)8w0x00);
                    on_Inside_t_20_40 = ((bit<32>)8w0x00);
                    on_Inside_word_result_41 = ((on_Inside_t_19_39 << 8w8) | on_Inside_t_20_40);
                    on_Inside_sum_42 = (on_Inside_sum_38 + on_Inside_word_result_41);
                    on_Inside_t_19_43 = ((bit<32>)8w0xc6);
                    on_Inside_t_20_44 = ((bit<32>)8w0x33);
                    on_Inside_word_result_45 = ((on_Inside_t_19_43 << 8w8) | on_Inside_t_20_44);
                    on_Inside_sum_46 = (on_Inside_sum_42 + on_Inside_word_result_45);
                    on_Inside_t_19_47 = ((bit<32>)8w0x64);
                    on_Inside_t_20_48 = ((bit<32>)8w0x01);
                    on_Inside_word_result_49 = ((on_Inside_t_19_47 << 8w8) | on_Inside_t_20_48);
                    on_Inside_sum_50 = (on_Inside_sum_46 + on_Inside_word_result_49);
                    on_Inside_t_19_51 = ((bit<32>)hdr.head_30_34_36.b30[31:24]);
                    on_Inside_t_20_52 = ((bit<32>)hdr.head_30_34_36.b30[23:16]);
                    on_Inside_word_result_53 = ((on_Inside_t_19_51 << 8w8) | on_Inside_t_20_52);
                    on_Inside_sum_54 = (on_Inside_sum_50 + on_Inside_word_result_53);
                    on_Inside_t_19_55 = ((bit<32>)hdr.head_30_34_36.b30[15:8]);
                    on_Inside_t_20_56 = ((bit<32>)hdr.head_30_34_36.b30[7:0]);
                    on_Inside_word_result_57 = ((on_Inside_t_19_55 << 8w8) | on_Inside_t_20_56);
                    on_Inside_sum_58 = (on_Inside_sum_54 + on_Inside_word_result_57);
                    on_Inside_sum_59 = ((on_Inside_sum_58 & 32w65535) + (on_Inside_sum_58 >> 8w16));
                    on_Inside_sum_60 = (~((on_Inside_sum_59 & 32w65535) + (on_Inside_sum_59 >> 8w16)));
                    on_Inside_b_61 = (bit<8>)((bit<32>)((int<32>)on_Inside_sum_60 >> 8w8));
                    on_Inside_b_62 = (bit<8>)on_Inside_sum_60;
                    on_Inside_value_2_63 = (32w40000 + on_Inside_slot_12);
                    on_Inside_b_64 = (bit<8>)on_Inside_value_2_63;
                    if ((sm.packet_length < 32w40)) {
                        drop(RANGE_ERROR);
                    }
                    if ((sm.packet_length < 32w42)) {
                        drop(RANGE_ERROR);
                    }
                    hdr.front0_42.setValid();
                    hdr.front0_42.bytes = (hdr.head_0_12_13_14_15_23_24_26_30.b0 ++ hdr.head_0_12_13_14_15_23_24_26_30.b12 ++ hdr.head_0_12_13_14_15_23_24_26_30.b13 ++ hdr.head_0_12_13_14_15_23_24_26_30.b14 ++ hdr.head_0_12_13_14_15_23_24_26_30.b15 ++ hdr.head_0_12_13_14_15_23_24_26_30.b23 ++ on_Inside_b_61 ++ on_Inside_b_62 ++ 32w0xc6336401 ++ hdr.head_30_34_36.b30 ++ 8w0x9c ++ on_Inside_b_64 ++ hdr.head_36_40.b36 ++ 16w0x0000);
                    hdr.head_0_12_13_14_15_23_24_26_30.setInvalid();
                    hdr.head_30_34_36.setInvalid();
                    hdr.head_36_40.setInvalid();
                    hdr.head_40_42.setInvalid();
                    sm.egress_spec = 2;
                } else {
                    drop(NO_PUT);
                }
            } else {
                drop(NO_PUT);
            }
        } else if (sm.ingress_port == 2) {
            bit<32> on_Outside_t_2_0;
            bit<32> on_Outside_t_3_1;
            bit<32> on_Outside_t_4_2;
            bit<32> on_Outside_t_5_3;
            bool on_Outside_t_4;
            bool on_Outside_t_5;
            bool on_Outside_t_6;
            bool on_Outside_t_7;
            bool on_Outside_t_8;
            bool on_Outside_same_9;
            bool on_Outside_left_else_10;
            bool on_Outside_left_else_11;
            bool on_Outside_left_end_12;
            bit<32> on_Outside_t_9_13;
            bit<32> on_Outside_t_10_14;
            bit<32> on_Outside_word_result_15;
            bit<32> on_Outside_slot_16;
            bit<520> on_Outside_element_17;
            bit<512> on_Outside_s_18;
            bit<32> on_Outside_n_19;
            bit<32> on_Outside_t_17_20;
            bit<32> on_Outside_t_18_21;
            bit<32> on_Outside_word_result_2_22;
            bit<32> on_Outside_t_17_23;
            bit<32> on_Outside_t_18_24;
            bit<32> on_Outside_word_result_2_25;
            bit<32> on_Outside_sum_26;
            bit<32> on_Outside_t_17_27;
            bit<32> on_Outside_t_18_28;
            bit<32> on_Outside_word_result_2_29;
            bit<32> on_Outside_sum_30;
            bit<32> on_Outside_t_17_31;
            bit<32> on_Outside_t_18_32;
            bit<32> on_Outside_word_result_2_33;
            bit<32> on_Outside_sum_34;
            bit<32> on_Outside_t_17_35;
            bit<32> on_Outside_t_18_36;
            bit<32> on_Outside_word_result_2_37;
            bit<32> on_Outside_sum_38;
            bit<32> on_Outside_t_17_39;
            bit<32> on_Outside_t_18_40;
            bit<32> on_Outside_word_result_2_41;
            bit<32> on_Outside_sum_42;
            bit<32> on_Outside_t_17_43;
            bit<32> on_Outside_t_18_44;
            bit<32> on_Outside_word_result_2_45;
            bit<32> on_Outside_sum_46;
            bit<32> on_Outside_t_17_47;
            bit<32> on_Outside_t_18_48;
            bit<32> on_Outside_word_result_2_49;
            bit<32> on_Outside_sum_50;
            bit<32> on_Outside_t_17_51;
            bit<32> on_Outside_t_18_52;
            bit<32> on_Outside_word_result_2_53;
            bit<32> on_Outside_sum_54;
            bit<32> on_Outside_t_17_55;
            bit<32> on_Outside_t_18_56;
            bit<32> on_Outside_word_result_2_57;
            bit<32> on_Outside_sum_58;
            bit<32> on_Outside_sum_59;
            bit<32> on_Outside_sum_60;
            bit<8> on_Outside_b_61;
            bit<8> on_Outside_b_62;
            if ((sm.packet_length >= 32w42)) {
                on_Outside_t_2_0 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b12);
                if ((on_Outside_t_2_0 == 32w8)) {
                    on_Outside_t_3_1 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b13);
                    if ((on_Outside_t_3_1 == 32w0)) {
                        on_Outside_t_4_2 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b14);
                        if ((on_Outside_t_4_2 == 32w69)) {
                            on_Outside_t_5_3 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b23);
                            on_Outside_t_4 = (on_Outside_t_5_3 == 32w17);
                            on_Outside_t_5 = on_Outside_t_4;
                        } else {
                            on_Outside_t_5 = false;
                        }
                        on_Outside_t_6 = on_Outside_t_5;
                    } else {
                        on_Outside_t_6 = false;
                    }
                    on_Outside_t_7 = on_Outside_t_6;
                } else {
                    on_Outside_t_7 = false;
                }
                on_Outside_t_8 = on_Outside_t_7;
            } else {
                on_Outside_t_8 = false;
            }
            if (on_Outside_t_8) {
                if ((sm.packet_length < 32w34)) {
                    drop(RANGE_ERROR);
                }
                on_Outside_same_9 = (hdr.head_0_12_13_14_15_23_24_26_30_34.b30 == 32w0xc6336401);
                if (on_Outside_same_9) {
                    on_Outside_left_else_10 = true;
                } else {
                    on_Outside_left_else_10 = false;
                }
                on_Outside_left_else_11 = on_Outside_left_else_10;
            } else {
                on_Outside_left_else_11 = false;
            }
            if ((!on_Outside_left_else_11)) {
                on_Outside_left_end_12 = true;
            } else {
                on_Outside_left_end_12 = false;
            }
            if ((!on_Outside_left_end_12)) {
                if ((sm.packet_length < 32w38)) {
                    drop(RANGE_ERROR);
                }
                on_Outside_t_9_13 = ((bit<32>)hdr.head_34_36_38.b36[15:8]);
                on_Outside_t_10_14 = ((bit<32>)hdr.head_34_36_38.b36[7:0]);
                on_Outside_word_result_15 = ((on_Outside_t_9_13 << 8w8) | on_Outside_t_10_14);
                on_Outside_slot_16 = (on_Outside_word_result_15 - 32w40000);
                if ((((int<32>)on_Outside_slot_16 < (int<32>)32w0) || (on_Outside_slot_16 >= 32w64))) {
                    drop(NO_PUT);
                } else {
                    array_owner.read(on_Outside_element_17, on_Outside_slot_16);
                    on_Outside_s_18 = on_Outside_element_17[519:8];
                    on_Outside_n_19 = (bit<32>)on_Outside_element_17[7:0];
                    if ((on_Outside_n_19 != 32w6)) {
                        drop(NO_PUT);
                    } else {
                        on_Outside_t_17_20 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b14);
                        on_Outside_t_18_21 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[63:56]);
                        on_Outside_word_result_2_22 = ((on_Outside_t_17_20 << 8w8) | on_Outside_t_18_21);
                        on_Outside_t_17_23 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[55:48]);
                        on_Outside_t_18_24 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[47:40]);
                        on_Outside_word_result_2_25 = ((on_Outside_t_17_23 << 8w8) | on_Outside_t_18_24);
                        on_Outside_sum_26 = (on_Outside_word_result_2_22 + on_Outside_word_result_2_25);
                        on_Outside_t_17_27 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[39:32]);
                        on_Outside_t_18_28 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[31:24]);
                        on_Outside_word_result_2_29 = ((on_Outside_t_17_27 << 8w8) | on_Outside_t_18_28);
                        on_Outside_sum_30 = (on_Outside_sum_26 + on_Outside_word_result_2_29);
                        on_Outside_t_17_31 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[23:16]);
                        on_Outside_t_18_32 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[15:8]);
                        on_Outside_word_result_2_33 = ((on_Outside_t_17_31 << 8w8) | on_Outside_t_18_32);
                        on_Outside_sum_34 = (on_Outside_sum_30 + on_Outside_word_result_2_33);
                        on_Outside_t_17_35 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b15[7:0]);
                        on_Outside_t_18_36 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b23);
                        on_Outside_word_result_2_37 = ((on_Outside_t_17_35 << 8w8) | on_Outside_t_18_36);
                        on_Outside_sum_38 = (on_Outside_sum_34 + on_Outside_word_result_2_37);
                        on_Outside_t_17_39 = ((bit<32>)8w0x00);
                        on_Outside_t_18_40 = ((bit<32>)8w0x00);
                        on_Outside_word_result_2_41 = ((on_Outside_t_17_39 << 8w8) | on_Outside_t_18_40);
                        on_Outside_sum_42 = (on_Outside_sum_38 + on_Outside_word_result_2_41);
                        on_Outside_t_17_43 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b26[31:24]);
                        on_Outside_t_18_44 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b26[23:16]);
                        on_Outside_word_result_2_45 = ((on_Outside_t_17_43 << 8w8) | on_Outside_t_18_44);
                        on_Outside_sum_46 = (on_Outside_sum_42 + on_Outside_word_result_2_45);
                        on_Outside_t_17_47 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b26[15:8]);
                        on_Outside_t_18_48 = ((bit<32>)hdr.head_0_12_13_14_15_23_24_26_30_34.b26[7:0]);
                        on_Outside_word_result_2_49 = ((on_Outside_t_17_47 << 8w8) | on_Outside_t_18_48);
                        on_Outside_sum_50 = (on_Outside_sum_46 + on_Outside_word_result_2_49);
                        on_Outside_t_17_51 = ((bit<32>)on_Outside_s_18[511:504]);
                        on_Outside_t_18_52 = ((bit<32>)on_Outside_s_18[503:496]);
                        on_Outside_word_result_2_53 = ((on_Outside_t_17_51 << 8w8) | on_Outside_t_18_52);
                        on_Outside_sum_54 = (on_Outside_sum_50 + on_Outside_word_result_2_53);
                        on_Outside_t_17_55 = ((bit<32>)on_Outside_s_18[495:488]);
                        on_Outside_t_18_56 = ((bit<32>)on_Outside_s_18[487:480]);
                        on_Outside_word_result_2_57 = ((on_Outside_t_17_55 << 8w8) | on_Outside_t_18_56);
                        on_Outside_sum_58 = (on_Outside_sum_54 + on_Outside_word_result_2_57);
                        on_Outside_sum_59 = ((on_Outside_sum_58 & 32w65535) + (on_Outside_sum_58 >> 8w16));
                        on_Outside_sum_60 = (~((on_Outside_sum_59 & 32w65535) + (on_Outside_sum_59 >> 8w16)));
                        on_Outside_b_61 = (bit<8>)((bit<32>)((int<32>)on_Outside_sum_60 >> 8w8));
                        on_Outside_b_62 = (bit<8>)on_Outside_sum_60;
                        if ((sm.packet_length < 32w40)) {
                            drop(RANGE_ERROR);
                        }
                        if ((sm.packet_length < 32w42)) {
                            drop(RANGE_ERROR);
                        }
                        hdr.front0_42.setValid();
                        hdr.front0_42.bytes = (hdr.head_0_12_13_14_15_23_24_26_30_34.b0 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b12 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b13 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b14 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b15 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b23 ++ on_Outside_b_61 ++ on_Outside_b_62 ++ hdr.head_0_12_13_14_15_23_24_26_30_34.b26 ++ on_Outside_s_18[511:480] ++ hdr.head_34_36_38.b34 ++ on_Outside_s_18[479:464] ++ hdr.head_38_40.b38 ++ 16w0x0000);
                        hdr.head_0_12_13_14_15_23_24_26_30_34.setInvalid();
                        hdr.head_34_36_38.setInvalid();
                        hdr.head_38_40.setInvalid();
                        hdr.head_40_42.setInvalid();
                        sm.egress_spec = 1;
                    }
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
 *   1 Inside
 *   2 Outside
 */
