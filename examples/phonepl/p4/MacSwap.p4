/* MacSwap, compiled from mac_swap.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_1_t {
    bit<8> bytes;
}
header front_2_t {
    bit<16> bytes;
}
header front_4_t {
    bit<32> bytes;
}
header front_6_t {
    bit<48> bytes;
}
header front_8_t {
    bit<64> bytes;
}
header front_16_t {
    bit<128> bytes;
}
header front_32_t {
    bit<256> bytes;
}
header front_64_t {
    bit<512> bytes;
}
header head_0_6_t {
    bit<48> b0;
}
header head_0_6_12_t {
    bit<48> b0;
    bit<48> b6;
}
header head_0_6_12_13_t {
    bit<48> b0;
    bit<48> b6;
    bit<8> b12;
}
struct headers {
    front_64_t front0_64; // what a packet is given in front
    front_32_t front0_32; // what a packet is given in front
    front_16_t front0_16; // what a packet is given in front
    front_8_t front0_8; // what a packet is given in front
    front_6_t front0_6; // what a packet is given in front
    front_4_t front0_4; // what a packet is given in front
    front_2_t front0_2; // what a packet is given in front
    front_1_t front0_1; // what a packet is given in front
    front_64_t front1_64; // what a packet is given in front
    front_32_t front1_32; // what a packet is given in front
    front_16_t front1_16; // what a packet is given in front
    front_8_t front1_8; // what a packet is given in front
    front_4_t front1_4; // what a packet is given in front
    front_2_t front1_2; // what a packet is given in front
    front_1_t front1_1; // what a packet is given in front
    head_0_6_t head_0_6;
    head_0_6_12_t head_0_6_12;
    head_0_6_12_13_t head_0_6_12_13;
}
struct metadata {
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition select(sm.ingress_port) {
            1: head0;
            2: head1;
            3: head2;
            default: accept;
        }
    }
    state head0 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_6_12);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_6);
        transition accept;
    }
    state head2 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_6_12_13);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_64);
        packet.emit(hdr.front0_32);
        packet.emit(hdr.front0_16);
        packet.emit(hdr.front0_8);
        packet.emit(hdr.front0_6);
        packet.emit(hdr.front0_4);
        packet.emit(hdr.front0_2);
        packet.emit(hdr.front0_1);
        packet.emit(hdr.front1_64);
        packet.emit(hdr.front1_32);
        packet.emit(hdr.front1_16);
        packet.emit(hdr.front1_8);
        packet.emit(hdr.front1_4);
        packet.emit(hdr.front1_2);
        packet.emit(hdr.front1_1);
        packet.emit(hdr.head_0_6);
        packet.emit(hdr.head_0_6_12);
        packet.emit(hdr.head_0_6_12_13);
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
    register<bit<520>>(8) array_internal;
    register<bit<520>>(8) array_external;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bit<520> on_Inside_element_0;
            bit<512> on_Inside_s_1;
            bit<32> on_Inside_n_2;
            bool on_Inside_same_3;
            bit<520> on_Inside_element_4;
            bit<512> on_Inside_s_5;
            bit<32> on_Inside_n_6;
            bit<512> on_Inside_rest_7;
            bit<520> on_Inside_element_8;
            bit<512> on_Inside_s_9;
            bit<32> on_Inside_n_10;
            bool on_Inside_same_11;
            bit<520> on_Inside_element_12;
            bit<512> on_Inside_s_13;
            bit<32> on_Inside_n_14;
            bit<512> on_Inside_rest_15;
            bit<520> on_Inside_element_16;
            bit<512> on_Inside_s_17;
            bit<32> on_Inside_n_18;
            bool on_Inside_same_19;
            bit<520> on_Inside_element_20;
            bit<512> on_Inside_s_21;
            bit<32> on_Inside_n_22;
            bit<512> on_Inside_rest_23;
            bit<520> on_Inside_element_24;
            bit<512> on_Inside_s_25;
            bit<32> on_Inside_n_26;
            bool on_Inside_same_27;
            bit<520> on_Inside_element_28;
            bit<512> on_Inside_s_29;
            bit<32> on_Inside_n_30;
            bit<512> on_Inside_rest_31;
            bit<520> on_Inside_element_32;
            bit<512> on_Inside_s_33;
            bit<32> on_Inside_n_34;
            bool on_Inside_same_35;
            bit<520> on_Inside_element_36;
            bit<512> on_Inside_s_37;
            bit<32> on_Inside_n_38;
            bit<512> on_Inside_rest_39;
            bit<520> on_Inside_element_40;
            bit<512> on_Inside_s_41;
            bit<32> on_Inside_n_42;
            bool on_Inside_same_43;
            bit<520> on_Inside_element_44;
            bit<512> on_Inside_s_45;
            bit<32> on_Inside_n_46;
            bit<512> on_Inside_rest_47;
            bit<520> on_Inside_element_48;
            bit<512> on_Inside_s_49;
            bit<32> on_Inside_n_50;
            bool on_Inside_same_51;
            bit<520> on_Inside_element_52;
            bit<512> on_Inside_s_53;
            bit<32> on_Inside_n_54;
            bit<512> on_Inside_rest_55;
            bit<520> on_Inside_element_56;
            bit<512> on_Inside_s_57;
            bit<32> on_Inside_n_58;
            bool on_Inside_same_59;
            bit<520> on_Inside_element_60;
            bit<512> on_Inside_s_61;
            bit<32> on_Inside_n_62;
            bit<512> on_Inside_rest_63;
            if ((sm.packet_length < 32w12)) {
                drop(RANGE_ERROR);
            }
            array_internal.read(on_Inside_element_0, 32w0);
            on_Inside_s_1 = on_Inside_element_0[519:8];
            on_Inside_n_2 = (bit<32>)on_Inside_element_0[7:0];
            on_Inside_same_3 = ((on_Inside_n_2 == 32w6) && on_Inside_s_1 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
            if (on_Inside_same_3) {
                array_external.read(on_Inside_element_4, 32w0);
                on_Inside_s_5 = on_Inside_element_4[519:8];
                on_Inside_n_6 = (bit<32>)on_Inside_element_4[7:0];
                hdr.front0_6.setValid();
                hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                on_Inside_rest_7 = on_Inside_s_5;
                if ((on_Inside_n_6 & 32w64) != 0) {
                    hdr.front1_64.setValid();
                    hdr.front1_64.bytes = on_Inside_rest_7;
                }
                if ((on_Inside_n_6 & 32w32) != 0) {
                    hdr.front1_32.setValid();
                    hdr.front1_32.bytes = on_Inside_rest_7[511:256];
                    on_Inside_rest_7 = on_Inside_rest_7[255:0] ++ 256w0;
                }
                if ((on_Inside_n_6 & 32w16) != 0) {
                    hdr.front1_16.setValid();
                    hdr.front1_16.bytes = on_Inside_rest_7[511:384];
                    on_Inside_rest_7 = on_Inside_rest_7[383:0] ++ 128w0;
                }
                if ((on_Inside_n_6 & 32w8) != 0) {
                    hdr.front1_8.setValid();
                    hdr.front1_8.bytes = on_Inside_rest_7[511:448];
                    on_Inside_rest_7 = on_Inside_rest_7[447:0] ++ 64w0;
                }
                if ((on_Inside_n_6 & 32w4) != 0) {
                    hdr.front1_4.setValid();
                    hdr.front1_4.bytes = on_Inside_rest_7[511:480];
                    on_Inside_rest_7 = on_Inside_rest_7[479:0] ++ 32w0;
                }
                if ((on_Inside_n_6 & 32w2) != 0) {
                    hdr.front1_2.setValid();
                    hdr.front1_2.bytes = on_Inside_rest_7[511:496];
                    on_Inside_rest_7 = on_Inside_rest_7[495:0] ++ 16w0;
                }
                if ((on_Inside_n_6 & 32w1) != 0) {
                    hdr.front1_1.setValid();
                    hdr.front1_1.bytes = on_Inside_rest_7[511:504];
                    on_Inside_rest_7 = on_Inside_rest_7[503:0] ++ 8w0;
                }
                hdr.head_0_6_12.setInvalid();
                sm.egress_spec = 2;
            } else {
                array_internal.read(on_Inside_element_8, 32w1);
                on_Inside_s_9 = on_Inside_element_8[519:8];
                on_Inside_n_10 = (bit<32>)on_Inside_element_8[7:0];
                on_Inside_same_11 = ((on_Inside_n_10 == 32w6) && on_Inside_s_9 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                if (on_Inside_same_11) {
                    array_external.read(on_Inside_element_12, 32w1);
                    on_Inside_s_13 = on_Inside_element_12[519:8];
                    on_Inside_n_14 = (bit<32>)on_Inside_element_12[7:0];
                    hdr.front0_6.setValid();
                    hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                    on_Inside_rest_15 = on_Inside_s_13;
                    if ((on_Inside_n_14 & 32w64) != 0) {
                        hdr.front1_64.setValid();
                        hdr.front1_64.bytes = on_Inside_rest_15;
                    }
                    if ((on_Inside_n_14 & 32w32) != 0) {
                        hdr.front1_32.setValid();
                        hdr.front1_32.bytes = on_Inside_rest_15[511:256];
                        on_Inside_rest_15 = on_Inside_rest_15[255:0] ++ 256w0;
                    }
                    if ((on_Inside_n_14 & 32w16) != 0) {
                        hdr.front1_16.setValid();
                        hdr.front1_16.bytes = on_Inside_rest_15[511:384];
                        on_Inside_rest_15 = on_Inside_rest_15[383:0] ++ 128w0;
                    }
                    if ((on_Inside_n_14 & 32w8) != 0) {
                        hdr.front1_8.setValid();
                        hdr.front1_8.bytes = on_Inside_rest_15[511:448];
                        on_Inside_rest_15 = on_Inside_rest_15[447:0] ++ 64w0;
                    }
                    if ((on_Inside_n_14 & 32w4) != 0) {
                        hdr.front1_4.setValid();
                        hdr.front1_4.bytes = on_Inside_rest_15[511:480];
                        on_Inside_rest_15 = on_Inside_rest_15[479:0] ++ 32w0;
                    }
                    if ((on_Inside_n_14 & 32w2) != 0) {
                        hdr.front1_2.setValid();
                        hdr.front1_2.bytes = on_Inside_rest_15[511:496];
                        on_Inside_rest_15 = on_Inside_rest_15[495:0] ++ 16w0;
                    }
                    if ((on_Inside_n_14 & 32w1) != 0) {
                        hdr.front1_1.setValid();
                        hdr.front1_1.bytes = on_Inside_rest_15[511:504];
                        on_Inside_rest_15 = on_Inside_rest_15[503:0] ++ 8w0;
                    }
                    hdr.head_0_6_12.setInvalid();
                    sm.egress_spec = 2;
                } else {
                    array_internal.read(on_Inside_element_16, 32w2);
                    on_Inside_s_17 = on_Inside_element_16[519:8];
                    on_Inside_n_18 = (bit<32>)on_Inside_element_16[7:0];
                    on_Inside_same_19 = ((on_Inside_n_18 == 32w6) && on_Inside_s_17 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                    if (on_Inside_same_19) {
                        array_external.read(on_Inside_element_20, 32w2);
                        on_Inside_s_21 = on_Inside_element_20[519:8];
                        on_Inside_n_22 = (bit<32>)on_Inside_element_20[7:0];
                        hdr.front0_6.setValid();
                        hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                        on_Inside_rest_23 = on_Inside_s_21;
                        if ((on_Inside_n_22 & 32w64) != 0) {
                            hdr.front1_64.setValid();
                            hdr.front1_64.bytes = on_Inside_rest_23;
                        }
                        if ((on_Inside_n_22 & 32w32) != 0) {
                            hdr.front1_32.setValid();
                            hdr.front1_32.bytes = on_Inside_rest_23[511:256];
                            on_Inside_rest_23 = on_Inside_rest_23[255:0] ++ 256w0;
                        }
                        if ((on_Inside_n_22 & 32w16) != 0) {
                            hdr.front1_16.setValid();
                            hdr.front1_16.bytes = on_Inside_rest_23[511:384];
                            on_Inside_rest_23 = on_Inside_rest_23[383:0] ++ 128w0;
                        }
                        if ((on_Inside_n_22 & 32w8) != 0) {
                            hdr.front1_8.setValid();
                            hdr.front1_8.bytes = on_Inside_rest_23[511:448];
                            on_Inside_rest_23 = on_Inside_rest_23[447:0] ++ 64w0;
                        }
                        if ((on_Inside_n_22 & 32w4) != 0) {
                            hdr.front1_4.setValid();
                            hdr.front1_4.bytes = on_Inside_rest_23[511:480];
                            on_Inside_rest_23 = on_Inside_rest_23[479:0] ++ 32w0;
                        }
                        if ((on_Inside_n_22 & 32w2) != 0) {
                            hdr.front1_2.setValid();
                            hdr.front1_2.bytes = on_Inside_rest_23[511:496];
                            on_Inside_rest_23 = on_Inside_rest_23[495:0] ++ 16w0;
                        }
                        if ((on_Inside_n_22 & 32w1) != 0) {
                            hdr.front1_1.setValid();
                            hdr.front1_1.bytes = on_Inside_rest_23[511:504];
                            on_Inside_rest_23 = on_Inside_rest_23[503:0] ++ 8w0;
                        }
                        hdr.head_0_6_12.setInvalid();
                        sm.egress_spec = 2;
                    } else {
                        array_internal.read(on_Inside_element_24, 32w3);
                        on_Inside_s_25 = on_Inside_element_24[519:8];
                        on_Inside_n_26 = (bit<32>)on_Inside_element_24[7:0];
                        on_Inside_same_27 = ((on_Inside_n_26 == 32w6) && on_Inside_s_25 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                        if (on_Inside_same_27) {
                            array_external.read(on_Inside_element_28, 32w3);
                            on_Inside_s_29 = on_Inside_element_28[519:8];
                            on_Inside_n_30 = (bit<32>)on_Inside_element_28[7:0];
                            hdr.front0_6.setValid();
                            hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                            on_Inside_rest_31 = on_Inside_s_29;
                            if ((on_Inside_n_30 & 32w64) != 0) {
                                hdr.front1_64.setValid();
                                hdr.front1_64.bytes = on_Inside_rest_31;
                            }
                            if ((on_Inside_n_30 & 32w32) != 0) {
                                hdr.front1_32.setValid();
                                hdr.front1_32.bytes = on_Inside_rest_31[511:256];
                                on_Inside_rest_31 = on_Inside_rest_31[255:0] ++ 256w0;
                            }
                            if ((on_Inside_n_30 & 32w16) != 0) {
                                hdr.front1_16.setValid();
                                hdr.front1_16.bytes = on_Inside_rest_31[511:384];
                                on_Inside_rest_31 = on_Inside_rest_31[383:0] ++ 128w0;
                            }
                            if ((on_Inside_n_30 & 32w8) != 0) {
                                hdr.front1_8.setValid();
                                hdr.front1_8.bytes = on_Inside_rest_31[511:448];
                                on_Inside_rest_31 = on_Inside_rest_31[447:0] ++ 64w0;
                            }
                            if ((on_Inside_n_30 & 32w4) != 0) {
                                hdr.front1_4.setValid();
                                hdr.front1_4.bytes = on_Inside_rest_31[511:480];
                                on_Inside_rest_31 = on_Inside_rest_31[479:0] ++ 32w0;
                            }
                            if ((on_Inside_n_30 & 32w2) != 0) {
                                hdr.front1_2.setValid();
                                hdr.front1_2.bytes = on_Inside_rest_31[511:496];
                                on_Inside_rest_31 = on_Inside_rest_31[495:0] ++ 16w0;
                            }
                            if ((on_Inside_n_30 & 32w1) != 0) {
                                hdr.front1_1.setValid();
                                hdr.front1_1.bytes = on_Inside_rest_31[511:504];
                                on_Inside_rest_31 = on_Inside_rest_31[503:0] ++ 8w0;
                            }
                            hdr.head_0_6_12.setInvalid();
                            sm.egress_spec = 2;
                        } else {
                            array_internal.read(on_Inside_element_32, 32w4);
                            on_Inside_s_33 = on_Inside_element_32[519:8];
                            on_Inside_n_34 = (bit<32>)on_Inside_element_32[7:0];
                            on_Inside_same_35 = ((on_Inside_n_34 == 32w6) && on_Inside_s_33 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                            if (on_Inside_same_35) {
                                array_external.read(on_Inside_element_36, 32w4);
                                on_Inside_s_37 = on_Inside_element_36[519:8];
                                on_Inside_n_38 = (bit<32>)on_Inside_element_36[7:0];
                                hdr.front0_6.setValid();
                                hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                                on_Inside_rest_39 = on_Inside_s_37;
                                if ((on_Inside_n_38 & 32w64) != 0) {
                                    hdr.front1_64.setValid();
                                    hdr.front1_64.bytes = on_Inside_rest_39;
                                }
                                if ((on_Inside_n_38 & 32w32) != 0) {
                                    hdr.front1_32.setValid();
                                    hdr.front1_32.bytes = on_Inside_rest_39[511:256];
                                    on_Inside_rest_39 = on_Inside_rest_39[255:0] ++ 256w0;
                                }
                                if ((on_Inside_n_38 & 32w16) != 0) {
                                    hdr.front1_16.setValid();
                                    hdr.front1_16.bytes = on_Inside_rest_39[511:384];
                                    on_Inside_rest_39 = on_Inside_rest_39[383:0] ++ 128w0;
                                }
                                if ((on_Inside_n_38 & 32w8) != 0) {
                                    hdr.front1_8.setValid();
                                    hdr.front1_8.bytes = on_Inside_rest_39[511:448];
                                    on_Inside_rest_39 = on_Inside_rest_39[447:0] ++ 64w0;
                                }
                                if ((on_Inside_n_38 & 32w4) != 0) {
                                    hdr.front1_4.setValid();
                                    hdr.front1_4.bytes = on_Inside_rest_39[511:480];
                                    on_Inside_rest_39 = on_Inside_rest_39[479:0] ++ 32w0;
                                }
                                if ((on_Inside_n_38 & 32w2) != 0) {
                                    hdr.front1_2.setValid();
                                    hdr.front1_2.bytes = on_Inside_rest_39[511:496];
                                    on_Inside_rest_39 = on_Inside_rest_39[495:0] ++ 16w0;
                                }
                                if ((on_Inside_n_38 & 32w1) != 0) {
                                    hdr.front1_1.setValid();
                                    hdr.front1_1.bytes = on_Inside_rest_39[511:504];
                                    on_Inside_rest_39 = on_Inside_rest_39[503:0] ++ 8w0;
                                }
                                hdr.head_0_6_12.setInvalid();
                                sm.egress_spec = 2;
                            } else {
                                array_internal.read(on_Inside_element_40, 32w5);
                                on_Inside_s_41 = on_Inside_element_40[519:8];
                                on_Inside_n_42 = (bit<32>)on_Inside_element_40[7:0];
                                on_Inside_same_43 = ((on_Inside_n_42 == 32w6) && on_Inside_s_41 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                if (on_Inside_same_43) {
                                    array_external.read(on_Inside_element_44, 32w5);
                                    on_Inside_s_45 = on_Inside_element_44[519:8];
                                    on_Inside_n_46 = (bit<32>)on_Inside_element_44[7:0];
                                    hdr.front0_6.setValid();
                                    hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                                    on_Inside_rest_47 = on_Inside_s_45;
                                    if ((on_Inside_n_46 & 32w64) != 0) {
                                        hdr.front1_64.setValid();
                                        hdr.front1_64.bytes = on_Inside_rest_47;
                                    }
                                    if ((on_Inside_n_46 & 32w32) != 0) {
                                        hdr.front1_32.setValid();
                                        hdr.front1_32.bytes = on_Inside_rest_47[511:256];
                                        on_Inside_rest_47 = on_Inside_rest_47[255:0] ++ 256w0;
                                    }
                                    if ((on_Inside_n_46 & 32w16) != 0) {
                                        hdr.front1_16.setValid();
                                        hdr.front1_16.bytes = on_Inside_rest_47[511:384];
                                        on_Inside_rest_47 = on_Inside_rest_47[383:0] ++ 128w0;
                                    }
                                    if ((on_Inside_n_46 & 32w8) != 0) {
                                        hdr.front1_8.setValid();
                                        hdr.front1_8.bytes = on_Inside_rest_47[511:448];
                                        on_Inside_rest_47 = on_Inside_rest_47[447:0] ++ 64w0;
                                    }
                                    if ((on_Inside_n_46 & 32w4) != 0) {
                                        hdr.front1_4.setValid();
                                        hdr.front1_4.bytes = on_Inside_rest_47[511:480];
                                        on_Inside_rest_47 = on_Inside_rest_47[479:0] ++ 32w0;
                                    }
                                    if ((on_Inside_n_46 & 32w2) != 0) {
                                        hdr.front1_2.setValid();
                                        hdr.front1_2.bytes = on_Inside_rest_47[511:496];
                                        on_Inside_rest_47 = on_Inside_rest_47[495:0] ++ 16w0;
                                    }
                                    if ((on_Inside_n_46 & 32w1) != 0) {
                                        hdr.front1_1.setValid();
                                        hdr.front1_1.bytes = on_Inside_rest_47[511:504];
                                        on_Inside_rest_47 = on_Inside_rest_47[503:0] ++ 8w0;
                                    }
                                    hdr.head_0_6_12.setInvalid();
                                    sm.egress_spec = 2;
                                } else {
                                    array_internal.read(on_Inside_element_48, 32w6);
                                    on_Inside_s_49 = on_Inside_element_48[519:8];
                                    on_Inside_n_50 = (bit<32>)on_Inside_element_48[7:0];
                                    on_Inside_same_51 = ((on_Inside_n_50 == 32w6) && on_Inside_s_49 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                    if (on_Inside_same_51) {
                                        array_external.read(on_Inside_element_52, 32w6);
                                        on_Inside_s_53 = on_Inside_element_52[519:8];
                                        on_Inside_n_54 = (bit<32>)on_Inside_element_52[7:0];
                                        hdr.front0_6.setValid();
                                        hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                                        on_Inside_rest_55 = on_Inside_s_53;
                                        if ((on_Inside_n_54 & 32w64) != 0) {
                                            hdr.front1_64.setValid();
                                            hdr.front1_64.bytes = on_Inside_rest_55;
                                        }
                                        if ((on_Inside_n_54 & 32w32) != 0) {
                                            hdr.front1_32.setValid();
                                            hdr.front1_32.bytes = on_Inside_rest_55[511:256];
                                            on_Inside_rest_55 = on_Inside_rest_55[255:0] ++ 256w0;
                                        }
                                        if ((on_Inside_n_54 & 32w16) != 0) {
                                            hdr.front1_16.setValid();
                                            hdr.front1_16.bytes = on_Inside_rest_55[511:384];
                                            on_Inside_rest_55 = on_Inside_rest_55[383:0] ++ 128w0;
                                        }
                                        if ((on_Inside_n_54 & 32w8) != 0) {
                                            hdr.front1_8.setValid();
                                            hdr.front1_8.bytes = on_Inside_rest_55[511:448];
                                            on_Inside_rest_55 = on_Inside_rest_55[447:0] ++ 64w0;
                                        }
                                        if ((on_Inside_n_54 & 32w4) != 0) {
                                            hdr.front1_4.setValid();
                                            hdr.front1_4.bytes = on_Inside_rest_55[511:480];
                                            on_Inside_rest_55 = on_Inside_rest_55[479:0] ++ 32w0;
                                        }
                                        if ((on_Inside_n_54 & 32w2) != 0) {
                                            hdr.front1_2.setValid();
                                            hdr.front1_2.bytes = on_Inside_rest_55[511:496];
                                            on_Inside_rest_55 = on_Inside_rest_55[495:0] ++ 16w0;
                                        }
                                        if ((on_Inside_n_54 & 32w1) != 0) {
                                            hdr.front1_1.setValid();
                                            hdr.front1_1.bytes = on_Inside_rest_55[511:504];
                                            on_Inside_rest_55 = on_Inside_rest_55[503:0] ++ 8w0;
                                        }
                                        hdr.head_0_6_12.setInvalid();
                                        sm.egress_spec = 2;
                                    } else {
                                        array_internal.read(on_Inside_element_56, 32w7);
                                        on_Inside_s_57 = on_Inside_element_56[519:8];
                                        on_Inside_n_58 = (bit<32>)on_Inside_element_56[7:0];
                                        on_Inside_same_59 = ((on_Inside_n_58 == 32w6) && on_Inside_s_57 == (hdr.head_0_6_12.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                        if (on_Inside_same_59) {
                                            array_external.read(on_Inside_element_60, 32w7);
                                            on_Inside_s_61 = on_Inside_element_60[519:8];
                                            on_Inside_n_62 = (bit<32>)on_Inside_element_60[7:0];
                                            hdr.front0_6.setValid();
                                            hdr.front0_6.bytes = hdr.head_0_6_12.b0;
                                            on_Inside_rest_63 = on_Inside_s_61;
                                            if ((on_Inside_n_62 & 32w64) != 0) {
                                                hdr.front1_64.setValid();
                                                hdr.front1_64.bytes = on_Inside_rest_63;
                                            }
                                            if ((on_Inside_n_62 & 32w32) != 0) {
                                                hdr.front1_32.setValid();
                                                hdr.front1_32.bytes = on_Inside_rest_63[511:256];
                                                on_Inside_rest_63 = on_Inside_rest_63[255:0] ++ 256w0;
                                            }
                                            if ((on_Inside_n_62 & 32w16) != 0) {
                                                hdr.front1_16.setValid();
                                                hdr.front1_16.bytes = on_Inside_rest_63[511:384];
                                                on_Inside_rest_63 = on_Inside_rest_63[383:0] ++ 128w0;
                                            }
                                            if ((on_Inside_n_62 & 32w8) != 0) {
                                                hdr.front1_8.setValid();
                                                hdr.front1_8.bytes = on_Inside_rest_63[511:448];
                                                on_Inside_rest_63 = on_Inside_rest_63[447:0] ++ 64w0;
                                            }
                                            if ((on_Inside_n_62 & 32w4) != 0) {
                                                hdr.front1_4.setValid();
                                                hdr.front1_4.bytes = on_Inside_rest_63[511:480];
                                                on_Inside_rest_63 = on_Inside_rest_63[479:0] ++ 32w0;
                                            }
                                            if ((on_Inside_n_62 & 32w2) != 0) {
                                                hdr.front1_2.setValid();
                                                hdr.front1_2.bytes = on_Inside_rest_63[511:496];
                                                on_Inside_rest_63 = on_Inside_rest_63[495:0] ++ 16w0;
                                            }
                                            if ((on_Inside_n_62 & 32w1) != 0) {
                                                hdr.front1_1.setValid();
                                                hdr.front1_1.bytes = on_Inside_rest_63[511:504];
                                                on_Inside_rest_63 = on_Inside_rest_63[503:0] ++ 8w0;
                                            }
                                            hdr.head_0_6_12.setInvalid();
                                            sm.egress_spec = 2;
                                        } else {
                                            drop(NO_PUT);
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        } else if (sm.ingress_port == 2) {
            bit<520> on_Outside_element_0;
            bit<512> on_Outside_s_1;
            bit<32> on_Outside_n_2;
            bool on_Outside_same_3;
            bit<520> on_Outside_element_4;
            bit<512> on_Outside_s_5;
            bit<32> on_Outside_n_6;
            bit<512> on_Outside_rest_7;
            bit<520> on_Outside_element_8;
            bit<512> on_Outside_s_9;
            bit<32> on_Outside_n_10;
            bool on_Outside_same_11;
            bit<520> on_Outside_element_12;
            bit<512> on_Outside_s_13;
            bit<32> on_Outside_n_14;
            bit<512> on_Outside_rest_15;
            bit<520> on_Outside_element_16;
            bit<512> on_Outside_s_17;
            bit<32> on_Outside_n_18;
            bool on_Outside_same_19;
            bit<520> on_Outside_element_20;
            bit<512> on_Outside_s_21;
            bit<32> on_Outside_n_22;
            bit<512> on_Outside_rest_23;
            bit<520> on_Outside_element_24;
            bit<512> on_Outside_s_25;
            bit<32> on_Outside_n_26;
            bool on_Outside_same_27;
            bit<520> on_Outside_element_28;
            bit<512> on_Outside_s_29;
            bit<32> on_Outside_n_30;
            bit<512> on_Outside_rest_31;
            bit<520> on_Outside_element_32;
            bit<512> on_Outside_s_33;
            bit<32> on_Outside_n_34;
            bool on_Outside_same_35;
            bit<520> on_Outside_element_36;
            bit<512> on_Outside_s_37;
            bit<32> on_Outside_n_38;
            bit<512> on_Outside_rest_39;
            bit<520> on_Outside_element_40;
            bit<512> on_Outside_s_41;
            bit<32> on_Outside_n_42;
            bool on_Outside_same_43;
            bit<520> on_Outside_element_44;
            bit<512> on_Outside_s_45;
            bit<32> on_Outside_n_46;
            bit<512> on_Outside_rest_47;
            bit<520> on_Outside_element_48;
            bit<512> on_Outside_s_49;
            bit<32> on_Outside_n_50;
            bool on_Outside_same_51;
            bit<520> on_Outside_element_52;
            bit<512> on_Outside_s_53;
            bit<32> on_Outside_n_54;
            bit<512> on_Outside_rest_55;
            bit<520> on_Outside_element_56;
            bit<512> on_Outside_s_57;
            bit<32> on_Outside_n_58;
            bool on_Outside_same_59;
            bit<520> on_Outside_element_60;
            bit<512> on_Outside_s_61;
            bit<32> on_Outside_n_62;
            bit<512> on_Outside_rest_63;
            if ((sm.packet_length < 32w6)) {
                drop(RANGE_ERROR);
            }
            array_external.read(on_Outside_element_0, 32w0);
            on_Outside_s_1 = on_Outside_element_0[519:8];
            on_Outside_n_2 = (bit<32>)on_Outside_element_0[7:0];
            on_Outside_same_3 = ((on_Outside_n_2 == 32w6) && on_Outside_s_1 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
            if (on_Outside_same_3) {
                array_internal.read(on_Outside_element_4, 32w0);
                on_Outside_s_5 = on_Outside_element_4[519:8];
                on_Outside_n_6 = (bit<32>)on_Outside_element_4[7:0];
                if ((on_Outside_n_6 + (sm.packet_length - 32w6)) == 0) {
                    drop(EMPTY_PACKET);
                }
                on_Outside_rest_7 = on_Outside_s_5;
                if ((on_Outside_n_6 & 32w64) != 0) {
                    hdr.front0_64.setValid();
                    hdr.front0_64.bytes = on_Outside_rest_7;
                }
                if ((on_Outside_n_6 & 32w32) != 0) {
                    hdr.front0_32.setValid();
                    hdr.front0_32.bytes = on_Outside_rest_7[511:256];
                    on_Outside_rest_7 = on_Outside_rest_7[255:0] ++ 256w0;
                }
                if ((on_Outside_n_6 & 32w16) != 0) {
                    hdr.front0_16.setValid();
                    hdr.front0_16.bytes = on_Outside_rest_7[511:384];
                    on_Outside_rest_7 = on_Outside_rest_7[383:0] ++ 128w0;
                }
                if ((on_Outside_n_6 & 32w8) != 0) {
                    hdr.front0_8.setValid();
                    hdr.front0_8.bytes = on_Outside_rest_7[511:448];
                    on_Outside_rest_7 = on_Outside_rest_7[447:0] ++ 64w0;
                }
                if ((on_Outside_n_6 & 32w4) != 0) {
                    hdr.front0_4.setValid();
                    hdr.front0_4.bytes = on_Outside_rest_7[511:480];
                    on_Outside_rest_7 = on_Outside_rest_7[479:0] ++ 32w0;
                }
                if ((on_Outside_n_6 & 32w2) != 0) {
                    hdr.front0_2.setValid();
                    hdr.front0_2.bytes = on_Outside_rest_7[511:496];
                    on_Outside_rest_7 = on_Outside_rest_7[495:0] ++ 16w0;
                }
                if ((on_Outside_n_6 & 32w1) != 0) {
                    hdr.front0_1.setValid();
                    hdr.front0_1.bytes = on_Outside_rest_7[511:504];
                    on_Outside_rest_7 = on_Outside_rest_7[503:0] ++ 8w0;
                }
                hdr.head_0_6.setInvalid();
                sm.egress_spec = 1;
            } else {
                array_external.read(on_Outside_element_8, 32w1);
                on_Outside_s_9 = on_Outside_element_8[519:8];
                on_Outside_n_10 = (bit<32>)on_Outside_element_8[7:0];
                on_Outside_same_11 = ((on_Outside_n_10 == 32w6) && on_Outside_s_9 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                if (on_Outside_same_11) {
                    array_internal.read(on_Outside_element_12, 32w1);
                    on_Outside_s_13 = on_Outside_element_12[519:8];
                    on_Outside_n_14 = (bit<32>)on_Outside_element_12[7:0];
                    if ((on_Outside_n_14 + (sm.packet_length - 32w6)) == 0) {
                        drop(EMPTY_PACKET);
                    }
                    on_Outside_rest_15 = on_Outside_s_13;
                    if ((on_Outside_n_14 & 32w64) != 0) {
                        hdr.front0_64.setValid();
                        hdr.front0_64.bytes = on_Outside_rest_15;
                    }
                    if ((on_Outside_n_14 & 32w32) != 0) {
                        hdr.front0_32.setValid();
                        hdr.front0_32.bytes = on_Outside_rest_15[511:256];
                        on_Outside_rest_15 = on_Outside_rest_15[255:0] ++ 256w0;
                    }
                    if ((on_Outside_n_14 & 32w16) != 0) {
                        hdr.front0_16.setValid();
                        hdr.front0_16.bytes = on_Outside_rest_15[511:384];
                        on_Outside_rest_15 = on_Outside_rest_15[383:0] ++ 128w0;
                    }
                    if ((on_Outside_n_14 & 32w8) != 0) {
                        hdr.front0_8.setValid();
                        hdr.front0_8.bytes = on_Outside_rest_15[511:448];
                        on_Outside_rest_15 = on_Outside_rest_15[447:0] ++ 64w0;
                    }
                    if ((on_Outside_n_14 & 32w4) != 0) {
                        hdr.front0_4.setValid();
                        hdr.front0_4.bytes = on_Outside_rest_15[511:480];
                        on_Outside_rest_15 = on_Outside_rest_15[479:0] ++ 32w0;
                    }
                    if ((on_Outside_n_14 & 32w2) != 0) {
                        hdr.front0_2.setValid();
                        hdr.front0_2.bytes = on_Outside_rest_15[511:496];
                        on_Outside_rest_15 = on_Outside_rest_15[495:0] ++ 16w0;
                    }
                    if ((on_Outside_n_14 & 32w1) != 0) {
                        hdr.front0_1.setValid();
                        hdr.front0_1.bytes = on_Outside_rest_15[511:504];
                        on_Outside_rest_15 = on_Outside_rest_15[503:0] ++ 8w0;
                    }
                    hdr.head_0_6.setInvalid();
                    sm.egress_spec = 1;
                } else {
                    array_external.read(on_Outside_element_16, 32w2);
                    on_Outside_s_17 = on_Outside_element_16[519:8];
                    on_Outside_n_18 = (bit<32>)on_Outside_element_16[7:0];
                    on_Outside_same_19 = ((on_Outside_n_18 == 32w6) && on_Outside_s_17 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                    if (on_Outside_same_19) {
                        array_internal.read(on_Outside_element_20, 32w2);
                        on_Outside_s_21 = on_Outside_element_20[519:8];
                        on_Outside_n_22 = (bit<32>)on_Outside_element_20[7:0];
                        if ((on_Outside_n_22 + (sm.packet_length - 32w6)) == 0) {
                            drop(EMPTY_PACKET);
                        }
                        on_Outside_rest_23 = on_Outside_s_21;
                        if ((on_Outside_n_22 & 32w64) != 0) {
                            hdr.front0_64.setValid();
                            hdr.front0_64.bytes = on_Outside_rest_23;
                        }
                        if ((on_Outside_n_22 & 32w32) != 0) {
                            hdr.front0_32.setValid();
                            hdr.front0_32.bytes = on_Outside_rest_23[511:256];
                            on_Outside_rest_23 = on_Outside_rest_23[255:0] ++ 256w0;
                        }
                        if ((on_Outside_n_22 & 32w16) != 0) {
                            hdr.front0_16.setValid();
                            hdr.front0_16.bytes = on_Outside_rest_23[511:384];
                            on_Outside_rest_23 = on_Outside_rest_23[383:0] ++ 128w0;
                        }
                        if ((on_Outside_n_22 & 32w8) != 0) {
                            hdr.front0_8.setValid();
                            hdr.front0_8.bytes = on_Outside_rest_23[511:448];
                            on_Outside_rest_23 = on_Outside_rest_23[447:0] ++ 64w0;
                        }
                        if ((on_Outside_n_22 & 32w4) != 0) {
                            hdr.front0_4.setValid();
                            hdr.front0_4.bytes = on_Outside_rest_23[511:480];
                            on_Outside_rest_23 = on_Outside_rest_23[479:0] ++ 32w0;
                        }
                        if ((on_Outside_n_22 & 32w2) != 0) {
                            hdr.front0_2.setValid();
                            hdr.front0_2.bytes = on_Outside_rest_23[511:496];
                            on_Outside_rest_23 = on_Outside_rest_23[495:0] ++ 16w0;
                        }
                        if ((on_Outside_n_22 & 32w1) != 0) {
                            hdr.front0_1.setValid();
                            hdr.front0_1.bytes = on_Outside_rest_23[511:504];
                            on_Outside_rest_23 = on_Outside_rest_23[503:0] ++ 8w0;
                        }
                        hdr.head_0_6.setInvalid();
                        sm.egress_spec = 1;
                    } else {
                        array_external.read(on_Outside_element_24, 32w3);
                        on_Outside_s_25 = on_Outside_element_24[519:8];
                        on_Outside_n_26 = (bit<32>)on_Outside_element_24[7:0];
                        on_Outside_same_27 = ((on_Outside_n_26 == 32w6) && on_Outside_s_25 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                        if (on_Outside_same_27) {
                            array_internal.read(on_Outside_element_28, 32w3);
                            on_Outside_s_29 = on_Outside_element_28[519:8];
                            on_Outside_n_30 = (bit<32>)on_Outside_element_28[7:0];
                            if ((on_Outside_n_30 + (sm.packet_length - 32w6)) == 0) {
                                drop(EMPTY_PACKET);
                            }
                            on_Outside_rest_31 = on_Outside_s_29;
                            if ((on_Outside_n_30 & 32w64) != 0) {
                                hdr.front0_64.setValid();
                                hdr.front0_64.bytes = on_Outside_rest_31;
                            }
                            if ((on_Outside_n_30 & 32w32) != 0) {
                                hdr.front0_32.setValid();
                                hdr.front0_32.bytes = on_Outside_rest_31[511:256];
                                on_Outside_rest_31 = on_Outside_rest_31[255:0] ++ 256w0;
                            }
                            if ((on_Outside_n_30 & 32w16) != 0) {
                                hdr.front0_16.setValid();
                                hdr.front0_16.bytes = on_Outside_rest_31[511:384];
                                on_Outside_rest_31 = on_Outside_rest_31[383:0] ++ 128w0;
                            }
                            if ((on_Outside_n_30 & 32w8) != 0) {
                                hdr.front0_8.setValid();
                                hdr.front0_8.bytes = on_Outside_rest_31[511:448];
                                on_Outside_rest_31 = on_Outside_rest_31[447:0] ++ 64w0;
                            }
                            if ((on_Outside_n_30 & 32w4) != 0) {
                                hdr.front0_4.setValid();
                                hdr.front0_4.bytes = on_Outside_rest_31[511:480];
                                on_Outside_rest_31 = on_Outside_rest_31[479:0] ++ 32w0;
                            }
                            if ((on_Outside_n_30 & 32w2) != 0) {
                                hdr.front0_2.setValid();
                                hdr.front0_2.bytes = on_Outside_rest_31[511:496];
                                on_Outside_rest_31 = on_Outside_rest_31[495:0] ++ 16w0;
                            }
                            if ((on_Outside_n_30 & 32w1) != 0) {
                                hdr.front0_1.setValid();
                                hdr.front0_1.bytes = on_Outside_rest_31[511:504];
                                on_Outside_rest_31 = on_Outside_rest_31[503:0] ++ 8w0;
                            }
                            hdr.head_0_6.setInvalid();
                            sm.egress_spec = 1;
                        } else {
                            array_external.read(on_Outside_element_32, 32w4);
                            on_Outside_s_33 = on_Outside_element_32[519:8];
                            on_Outside_n_34 = (bit<32>)on_Outside_element_32[7:0];
                            on_Outside_same_35 = ((on_Outside_n_34 == 32w6) && on_Outside_s_33 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                            if (on_Outside_same_35) {
                                array_internal.read(on_Outside_element_36, 32w4);
                                on_Outside_s_37 = on_Outside_element_36[519:8];
                                on_Outside_n_38 = (bit<32>)on_Outside_element_36[7:0];
                                if ((on_Outside_n_38 + (sm.packet_length - 32w6)) == 0) {
                                    drop(EMPTY_PACKET);
                                }
                                on_Outside_rest_39 = on_Outside_s_37;
                                if ((on_Outside_n_38 & 32w64) != 0) {
                                    hdr.front0_64.setValid();
                                    hdr.front0_64.bytes = on_Outside_rest_39;
                                }
                                if ((on_Outside_n_38 & 32w32) != 0) {
                                    hdr.front0_32.setValid();
                                    hdr.front0_32.bytes = on_Outside_rest_39[511:256];
                                    on_Outside_rest_39 = on_Outside_rest_39[255:0] ++ 256w0;
                                }
                                if ((on_Outside_n_38 & 32w16) != 0) {
                                    hdr.front0_16.setValid();
                                    hdr.front0_16.bytes = on_Outside_rest_39[511:384];
                                    on_Outside_rest_39 = on_Outside_rest_39[383:0] ++ 128w0;
                                }
                                if ((on_Outside_n_38 & 32w8) != 0) {
                                    hdr.front0_8.setValid();
                                    hdr.front0_8.bytes = on_Outside_rest_39[511:448];
                                    on_Outside_rest_39 = on_Outside_rest_39[447:0] ++ 64w0;
                                }
                                if ((on_Outside_n_38 & 32w4) != 0) {
                                    hdr.front0_4.setValid();
                                    hdr.front0_4.bytes = on_Outside_rest_39[511:480];
                                    on_Outside_rest_39 = on_Outside_rest_39[479:0] ++ 32w0;
                                }
                                if ((on_Outside_n_38 & 32w2) != 0) {
                                    hdr.front0_2.setValid();
                                    hdr.front0_2.bytes = on_Outside_rest_39[511:496];
                                    on_Outside_rest_39 = on_Outside_rest_39[495:0] ++ 16w0;
                                }
                                if ((on_Outside_n_38 & 32w1) != 0) {
                                    hdr.front0_1.setValid();
                                    hdr.front0_1.bytes = on_Outside_rest_39[511:504];
                                    on_Outside_rest_39 = on_Outside_rest_39[503:0] ++ 8w0;
                                }
                                hdr.head_0_6.setInvalid();
                                sm.egress_spec = 1;
                            } else {
                                array_external.read(on_Outside_element_40, 32w5);
                                on_Outside_s_41 = on_Outside_element_40[519:8];
                                on_Outside_n_42 = (bit<32>)on_Outside_element_40[7:0];
                                on_Outside_same_43 = ((on_Outside_n_42 == 32w6) && on_Outside_s_41 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                if (on_Outside_same_43) {
                                    array_internal.read(on_Outside_element_44, 32w5);
                                    on_Outside_s_45 = on_Outside_element_44[519:8];
                                    on_Outside_n_46 = (bit<32>)on_Outside_element_44[7:0];
                                    if ((on_Outside_n_46 + (sm.packet_length - 32w6)) == 0) {
                                        drop(EMPTY_PACKET);
                                    }
                                    on_Outside_rest_47 = on_Outside_s_45;
                                    if ((on_Outside_n_46 & 32w64) != 0) {
                                        hdr.front0_64.setValid();
                                        hdr.front0_64.bytes = on_Outside_rest_47;
                                    }
                                    if ((on_Outside_n_46 & 32w32) != 0) {
                                        hdr.front0_32.setValid();
                                        hdr.front0_32.bytes = on_Outside_rest_47[511:256];
                                        on_Outside_rest_47 = on_Outside_rest_47[255:0] ++ 256w0;
                                    }
                                    if ((on_Outside_n_46 & 32w16) != 0) {
                                        hdr.front0_16.setValid();
                                        hdr.front0_16.bytes = on_Outside_rest_47[511:384];
                                        on_Outside_rest_47 = on_Outside_rest_47[383:0] ++ 128w0;
                                    }
                                    if ((on_Outside_n_46 & 32w8) != 0) {
                                        hdr.front0_8.setValid();
                                        hdr.front0_8.bytes = on_Outside_rest_47[511:448];
                                        on_Outside_rest_47 = on_Outside_rest_47[447:0] ++ 64w0;
                                    }
                                    if ((on_Outside_n_46 & 32w4) != 0) {
                                        hdr.front0_4.setValid();
                                        hdr.front0_4.bytes = on_Outside_rest_47[511:480];
                                        on_Outside_rest_47 = on_Outside_rest_47[479:0] ++ 32w0;
                                    }
                                    if ((on_Outside_n_46 & 32w2) != 0) {
                                        hdr.front0_2.setValid();
                                        hdr.front0_2.bytes = on_Outside_rest_47[511:496];
                                        on_Outside_rest_47 = on_Outside_rest_47[495:0] ++ 16w0;
                                    }
                                    if ((on_Outside_n_46 & 32w1) != 0) {
                                        hdr.front0_1.setValid();
                                        hdr.front0_1.bytes = on_Outside_rest_47[511:504];
                                        on_Outside_rest_47 = on_Outside_rest_47[503:0] ++ 8w0;
                                    }
                                    hdr.head_0_6.setInvalid();
                                    sm.egress_spec = 1;
                                } else {
                                    array_external.read(on_Outside_element_48, 32w6);
                                    on_Outside_s_49 = on_Outside_element_48[519:8];
                                    on_Outside_n_50 = (bit<32>)on_Outside_element_48[7:0];
                                    on_Outside_same_51 = ((on_Outside_n_50 == 32w6) && on_Outside_s_49 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                    if (on_Outside_same_51) {
                                        array_internal.read(on_Outside_element_52, 32w6);
                                        on_Outside_s_53 = on_Outside_element_52[519:8];
                                        on_Outside_n_54 = (bit<32>)on_Outside_element_52[7:0];
                                        if ((on_Outside_n_54 + (sm.packet_length - 32w6)) == 0) {
                                            drop(EMPTY_PACKET);
                                        }
                                        on_Outside_rest_55 = on_Outside_s_53;
                                        if ((on_Outside_n_54 & 32w64) != 0) {
                                            hdr.front0_64.setValid();
                                            hdr.front0_64.bytes = on_Outside_rest_55;
                                        }
                                        if ((on_Outside_n_54 & 32w32) != 0) {
                                            hdr.front0_32.setValid();
                                            hdr.front0_32.bytes = on_Outside_rest_55[511:256];
                                            on_Outside_rest_55 = on_Outside_rest_55[255:0] ++ 256w0;
                                        }
                                        if ((on_Outside_n_54 & 32w16) != 0) {
                                            hdr.front0_16.setValid();
                                            hdr.front0_16.bytes = on_Outside_rest_55[511:384];
                                            on_Outside_rest_55 = on_Outside_rest_55[383:0] ++ 128w0;
                                        }
                                        if ((on_Outside_n_54 & 32w8) != 0) {
                                            hdr.front0_8.setValid();
                                            hdr.front0_8.bytes = on_Outside_rest_55[511:448];
                                            on_Outside_rest_55 = on_Outside_rest_55[447:0] ++ 64w0;
                                        }
                                        if ((on_Outside_n_54 & 32w4) != 0) {
                                            hdr.front0_4.setValid();
                                            hdr.front0_4.bytes = on_Outside_rest_55[511:480];
                                            on_Outside_rest_55 = on_Outside_rest_55[479:0] ++ 32w0;
                                        }
                                        if ((on_Outside_n_54 & 32w2) != 0) {
                                            hdr.front0_2.setValid();
                                            hdr.front0_2.bytes = on_Outside_rest_55[511:496];
                                            on_Outside_rest_55 = on_Outside_rest_55[495:0] ++ 16w0;
                                        }
                                        if ((on_Outside_n_54 & 32w1) != 0) {
                                            hdr.front0_1.setValid();
                                            hdr.front0_1.bytes = on_Outside_rest_55[511:504];
                                            on_Outside_rest_55 = on_Outside_rest_55[503:0] ++ 8w0;
                                        }
                                        hdr.head_0_6.setInvalid();
                                        sm.egress_spec = 1;
                                    } else {
                                        array_external.read(on_Outside_element_56, 32w7);
                                        on_Outside_s_57 = on_Outside_element_56[519:8];
                                        on_Outside_n_58 = (bit<32>)on_Outside_element_56[7:0];
                                        on_Outside_same_59 = ((on_Outside_n_58 == 32w6) && on_Outside_s_57 == (hdr.head_0_6.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                        if (on_Outside_same_59) {
                                            array_internal.read(on_Outside_element_60, 32w7);
                                            on_Outside_s_61 = on_Outside_element_60[519:8];
                                            on_Outside_n_62 = (bit<32>)on_Outside_element_60[7:0];
                                            if ((on_Outside_n_62 + (sm.packet_length - 32w6)) == 0) {
                                                drop(EMPTY_PACKET);
                                            }
                                            on_Outside_rest_63 = on_Outside_s_61;
                                            if ((on_Outside_n_62 & 32w64) != 0) {
                                                hdr.front0_64.setValid();
                                                hdr.front0_64.bytes = on_Outside_rest_63;
                                            }
                                            if ((on_Outside_n_62 & 32w32) != 0) {
                                                hdr.front0_32.setValid();
                                                hdr.front0_32.bytes = on_Outside_rest_63[511:256];
                                                on_Outside_rest_63 = on_Outside_rest_63[255:0] ++ 256w0;
                                            }
                                            if ((on_Outside_n_62 & 32w16) != 0) {
                                                hdr.front0_16.setValid();
                                                hdr.front0_16.bytes = on_Outside_rest_63[511:384];
                                                on_Outside_rest_63 = on_Outside_rest_63[383:0] ++ 128w0;
                                            }
                                            if ((on_Outside_n_62 & 32w8) != 0) {
                                                hdr.front0_8.setValid();
                                                hdr.front0_8.bytes = on_Outside_rest_63[511:448];
                                                on_Outside_rest_63 = on_Outside_rest_63[447:0] ++ 64w0;
                                            }
                                            if ((on_Outside_n_62 & 32w4) != 0) {
                                                hdr.front0_4.setValid();
                                                hdr.front0_4.bytes = on_Outside_rest_63[511:480];
                                                on_Outside_rest_63 = on_Outside_rest_63[479:0] ++ 32w0;
                                            }
                                            if ((on_Outside_n_62 & 32w2) != 0) {
                                                hdr.front0_2.setValid();
                                                hdr.front0_2.bytes = on_Outside_rest_63[511:496];
                                                on_Outside_rest_63 = on_Outside_rest_63[495:0] ++ 16w0;
                                            }
                                            if ((on_Outside_n_62 & 32w1) != 0) {
                                                hdr.front0_1.setValid();
                                                hdr.front0_1.bytes = on_Outside_rest_63[511:504];
                                                on_Outside_rest_63 = on_Outside_rest_63[503:0] ++ 8w0;
                                            }
                                            hdr.head_0_6.setInvalid();
                                            sm.egress_spec = 1;
                                        } else {
                                            drop(NO_PUT);
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        } else if (sm.ingress_port == 3) {
            bit<520> on_Control_element_0;
            bit<512> on_Control_s_1;
            bit<32> on_Control_n_2;
            bool on_Control_same_3;
            bit<520> on_Control_element_4;
            bit<512> on_Control_s_5;
            bit<32> on_Control_n_6;
            bool on_Control_same_7;
            bit<520> on_Control_element_8;
            bit<512> on_Control_s_9;
            bit<32> on_Control_n_10;
            bool on_Control_same_11;
            bit<520> on_Control_element_12;
            bit<512> on_Control_s_13;
            bit<32> on_Control_n_14;
            bool on_Control_same_15;
            bit<520> on_Control_element_16;
            bit<512> on_Control_s_17;
            bit<32> on_Control_n_18;
            bool on_Control_same_19;
            bit<520> on_Control_element_20;
            bit<512> on_Control_s_21;
            bit<32> on_Control_n_22;
            bool on_Control_same_23;
            bit<520> on_Control_element_24;
            bit<512> on_Control_s_25;
            bit<32> on_Control_n_26;
            bool on_Control_same_27;
            bit<520> on_Control_element_28;
            bit<512> on_Control_s_29;
            bit<32> on_Control_n_30;
            bool on_Control_same_31;
            bit<32> on_Control_find_result_32;
            bit<32> on_Control_find_result_33;
            bit<32> on_Control_find_result_34;
            bit<32> on_Control_find_result_35;
            bit<32> on_Control_find_result_36;
            bit<32> on_Control_find_result_37;
            bit<32> on_Control_find_result_38;
            bit<32> on_Control_find_result_39;
            bit<32> on_Control_t_4_40;
            bit<520> on_Control_element_41;
            bit<512> on_Control_s_42;
            bit<32> on_Control_n_43;
            bool on_Control_same_44;
            bit<520> on_Control_element_45;
            bit<512> on_Control_s_46;
            bit<32> on_Control_n_47;
            bool on_Control_same_48;
            bit<520> on_Control_element_49;
            bit<512> on_Control_s_50;
            bit<32> on_Control_n_51;
            bool on_Control_same_52;
            bit<520> on_Control_element_53;
            bit<512> on_Control_s_54;
            bit<32> on_Control_n_55;
            bool on_Control_same_56;
            bit<520> on_Control_element_57;
            bit<512> on_Control_s_58;
            bit<32> on_Control_n_59;
            bool on_Control_same_60;
            bit<520> on_Control_element_61;
            bit<512> on_Control_s_62;
            bit<32> on_Control_n_63;
            bool on_Control_same_64;
            bit<520> on_Control_element_65;
            bit<512> on_Control_s_66;
            bit<32> on_Control_n_67;
            bool on_Control_same_68;
            bit<520> on_Control_element_69;
            bit<512> on_Control_s_70;
            bit<32> on_Control_n_71;
            bool on_Control_same_72;
            bit<32> on_Control_find_result_2_73;
            bit<32> on_Control_find_result_2_74;
            bit<32> on_Control_find_result_2_75;
            bit<32> on_Control_find_result_2_76;
            bit<32> on_Control_find_result_2_77;
            bit<32> on_Control_find_result_2_78;
            bit<32> on_Control_find_result_2_79;
            bit<32> on_Control_find_result_2_80;
            bit<32> on_Control_link_81;
            bit<32> on_Control_t_8_82;
            if ((sm.packet_length == 32w14)) {
                array_internal.read(on_Control_element_0, 32w0);
                on_Control_s_1 = on_Control_element_0[519:8];
                on_Control_n_2 = (bit<32>)on_Control_element_0[7:0];
                on_Control_same_3 = ((on_Control_n_2 == 32w6) && on_Control_s_1 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                if (on_Control_same_3) {
                    on_Control_find_result_39 = 32w0;
                } else {
                    array_internal.read(on_Control_element_4, 32w1);
                    on_Control_s_5 = on_Control_element_4[519:8];
                    on_Control_n_6 = (bit<32>)on_Control_element_4[7:0];
                    on_Control_same_7 = ((on_Control_n_6 == 32w6) && on_Control_s_5 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                    if (on_Control_same_7) {
                        on_Control_find_result_38 = 32w1;
                    } else {
                        array_internal.read(on_Control_element_8, 32w2);
                        on_Control_s_9 = on_Control_element_8[519:8];
                        on_Control_n_10 = (bit<32>)on_Control_element_8[7:0];
                        on_Control_same_11 = ((on_Control_n_10 == 32w6) && on_Control_s_9 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                        if (on_Control_same_11) {
                            on_Control_find_result_37 = 32w2;
                        } else {
                            array_internal.read(on_Control_element_12, 32w3);
                            on_Control_s_13 = on_Control_element_12[519:8];
                            on_Control_n_14 = (bit<32>)on_Control_element_12[7:0];
                            on_Control_same_15 = ((on_Control_n_14 == 32w6) && on_Control_s_13 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                            if (on_Control_same_15) {
                                on_Control_find_result_36 = 32w3;
                            } else {
                                array_internal.read(on_Control_element_16, 32w4);
                                on_Control_s_17 = on_Control_element_16[519:8];
                                on_Control_n_18 = (bit<32>)on_Control_element_16[7:0];
                                on_Control_same_19 = ((on_Control_n_18 == 32w6) && on_Control_s_17 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                if (on_Control_same_19) {
                                    on_Control_find_result_35 = 32w4;
                                } else {
                                    array_internal.read(on_Control_element_20, 32w5);
                                    on_Control_s_21 = on_Control_element_20[519:8];
                                    on_Control_n_22 = (bit<32>)on_Control_element_20[7:0];
                                    on_Control_same_23 = ((on_Control_n_22 == 32w6) && on_Control_s_21 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                    if (on_Control_same_23) {
                                        on_Control_find_result_34 = 32w5;
                                    } else {
                                        array_internal.read(on_Control_element_24, 32w6);
                                        on_Control_s_25 = on_Control_element_24[519:8];
                                        on_Control_n_26 = (bit<32>)on_Control_element_24[7:0];
                                        on_Control_same_27 = ((on_Control_n_26 == 32w6) && on_Control_s_25 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                        if (on_Control_same_27) {
                                            on_Control_find_result_33 = 32w6;
                                        } else {
                                            array_internal.read(on_Control_element_28, 32w7);
                                            on_Control_s_29 = on_Control_element_28[519:8];
                                            on_Control_n_30 = (bit<32>)on_Control_element_28[7:0];
                                            on_Control_same_31 = ((on_Control_n_30 == 32w6) && on_Control_s_29 == (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000));
                                            if (on_Control_same_31) {
                                                on_Control_find_result_32 = 32w7;
                                            } else {
                                                on_Control_find_result_32 = 32w4294967295;
                                            }
                                            on_Control_find_result_33 = on_Control_find_result_32;
                                        }
                                        on_Control_find_result_34 = on_Control_find_result_33;
                                    }
                                    on_Control_find_result_35 = on_Control_find_result_34;
                                }
                                on_Control_find_result_36 = on_Control_find_result_35;
                            }
                            on_Control_find_result_37 = on_Control_find_result_36;
                        }
                        on_Control_find_result_38 = on_Control_find_result_37;
                    }
                    on_Control_find_result_39 = on_Control_find_result_38;
                }
                on_Control_t_4_40 = ((bit<32>)hdr.head_0_6_12_13.b12);
                if ((on_Control_t_4_40 == 32w1)) {
                    if (((int<32>)on_Control_find_result_39 < (int<32>)32w0)) {
                        array_internal.read(on_Control_element_41, 32w0);
                        on_Control_s_42 = on_Control_element_41[519:8];
                        on_Control_n_43 = (bit<32>)on_Control_element_41[7:0];
                        on_Control_same_44 = ((on_Control_n_43 == 32w0) && on_Control_s_42 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                        if (on_Control_same_44) {
                            on_Control_find_result_2_80 = 32w0;
                        } else {
                            array_internal.read(on_Control_element_45, 32w1);
                            on_Control_s_46 = on_Control_element_45[519:8];
                            on_Control_n_47 = (bit<32>)on_Control_element_45[7:0];
                            on_Control_same_48 = ((on_Control_n_47 == 32w0) && on_Control_s_46 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                            if (on_Control_same_48) {
                                on_Control_find_result_2_79 = 32w1;
                            } else {
                                array_internal.read(on_Control_element_49, 32w2);
                                on_Control_s_50 = on_Control_element_49[519:8];
                                on_Control_n_51 = (bit<32>)on_Control_element_49[7:0];
                                on_Control_same_52 = ((on_Control_n_51 == 32w0) && on_Control_s_50 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                if (on_Control_same_52) {
                                    on_Control_find_result_2_78 = 32w2;
                                } else {
                                    array_internal.read(on_Control_element_53, 32w3);
                                    on_Control_s_54 = on_Control_element_53[519:8];
                                    on_Control_n_55 = (bit<32>)on_Control_element_53[7:0];
                                    on_Control_same_56 = ((on_Control_n_55 == 32w0) && on_Control_s_54 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                    if (on_Control_same_56) {
                                        on_Control_find_result_2_77 = 32w3;
                                    } else {
                                        array_internal.read(on_Control_element_57, 32w4);
                                        on_Control_s_58 = on_Control_element_57[519:8];
                                        on_Control_n_59 = (bit<32>)on_Control_element_57[7:0];
                                        on_Control_same_60 = ((on_Control_n_59 == 32w0) && on_Control_s_58 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                        if (on_Control_same_60) {
                                            on_Control_find_result_2_76 = 32w4;
                                        } else {
                                            array_internal.read(on_Control_element_61, 32w5);
                                            on_Control_s_62 = on_Control_element_61[519:8];
                                            on_Control_n_63 = (bit<32>)on_Control_element_61[7:0];
                                            on_Control_same_64 = ((on_Control_n_63 == 32w0) && on_Control_s_62 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                            if (on_Control_same_64) {
                                                on_Control_find_result_2_75 = 32w5;
                                            } else {
                                                array_internal.read(on_Control_element_65, 32w6);
                                                on_Control_s_66 = on_Control_element_65[519:8];
                                                on_Control_n_67 = (bit<32>)on_Control_element_65[7:0];
                                                on_Control_same_68 = ((on_Control_n_67 == 32w0) && on_Control_s_66 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                                if (on_Control_same_68) {
                                                    on_Control_find_result_2_74 = 32w6;
                                                } else {
                                                    array_internal.read(on_Control_element_69, 32w7);
                                                    on_Control_s_70 = on_Control_element_69[519:8];
                                                    on_Control_n_71 = (bit<32>)on_Control_element_69[7:0];
                                                    on_Control_same_72 = ((on_Control_n_71 == 32w0) && on_Control_s_70 == 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000);
                                                    if (on_Control_same_72) {
                                                        on_Control_find_result_2_73 = 32w7;
                                                    } else {
                                                        on_Control_find_result_2_73 = 32w4294967295;
                                                    }
                                                    on_Control_find_result_2_74 = on_Control_find_result_2_73;
                                                }
                                                on_Control_find_result_2_75 = on_Control_find_result_2_74;
                                            }
                                            on_Control_find_result_2_76 = on_Control_find_result_2_75;
                                        }
                                        on_Control_find_result_2_77 = on_Control_find_result_2_76;
                                    }
                                    on_Control_find_result_2_78 = on_Control_find_result_2_77;
                                }
                                on_Control_find_result_2_79 = on_Control_find_result_2_78;
                            }
                            on_Control_find_result_2_80 = on_Control_find_result_2_79;
                        }
                        on_Control_link_81 = on_Control_find_result_2_80;
                    } else {
                        on_Control_link_81 = on_Control_find_result_39;
                    }
                    if (((int<32>)on_Control_link_81 >= (int<32>)32w0)) {
                        array_internal.write(on_Control_link_81, (hdr.head_0_6_12_13.b0 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000) ++ (bit<8>)32w6);
                        array_external.write(on_Control_link_81, (hdr.head_0_6_12_13.b6 ++ 464w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000) ++ (bit<8>)32w6);
                        sm.egress_spec = 3;
                    } else {
                        drop(NO_PUT);
                    }
                } else {
                    on_Control_t_8_82 = ((bit<32>)hdr.head_0_6_12_13.b12);
                    if (((on_Control_t_8_82 == 32w2) && ((int<32>)on_Control_find_result_39 >= (int<32>)32w0))) {
                        array_internal.write(on_Control_find_result_39, 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 ++ (bit<8>)32w0);
                        array_external.write(on_Control_find_result_39, 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 ++ (bit<8>)32w0);
                        sm.egress_spec = 3;
                    } else {
                        drop(NO_PUT);
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
 *   3 Control
 */
