/* TimestampRestore, compiled from timestamp_restore.phonepl. Generated. */
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
header head_0_12_14_22_t {
    bit<96> b0;
    bit<16> b12;
    bit<64> b14;
}
header head_0_19_20_34_t {
    bit<152> b0;
    bit<8> b19;
    bit<112> b20;
}
header head_22_41_42_56_t {
    bit<152> b22;
    bit<8> b41;
    bit<112> b42;
}
struct headers {
    front_64_t front0_64; // what a packet is given in front
    front_32_t front0_32; // what a packet is given in front
    front_16_t front0_16; // what a packet is given in front
    front_8_t front0_8; // what a packet is given in front
    front_4_t front0_4; // what a packet is given in front
    front_2_t front0_2; // what a packet is given in front
    front_1_t front0_1; // what a packet is given in front
    head_0_12_14_22_t head_0_12_14_22;
    head_0_19_20_34_t head_0_19_20_34;
    head_22_41_42_56_t head_22_41_42_56;
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
        packet.extract(hdr.head_0_12_14_22);
        packet.extract(hdr.head_22_41_42_56);
        transition accept;
    }
    state head1 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_19_20_34);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_64);
        packet.emit(hdr.front0_32);
        packet.emit(hdr.front0_16);
        packet.emit(hdr.front0_8);
        packet.emit(hdr.front0_4);
        packet.emit(hdr.front0_2);
        packet.emit(hdr.front0_1);
        packet.emit(hdr.head_0_12_14_22);
        packet.emit(hdr.head_0_19_20_34);
        packet.emit(hdr.head_22_41_42_56);
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
    register<bit<520>>(16) array_stored;
    register<bit<520>>(16) array_headers;
    register<bit<32>>(1) array_unknown;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bool on_Network_same_0;
            bit<32> on_Network_t_4_1;
            bit<32> on_Network_slot_result_2;
            if ((sm.packet_length >= 32w56)) {
                on_Network_same_0 = (hdr.head_0_12_14_22.b12 == 16w0x88b5);
                if (on_Network_same_0) {
                    on_Network_t_4_1 = ((bit<32>)hdr.head_22_41_42_56.b41);
                    on_Network_slot_result_2 = (on_Network_t_4_1 & 32w15);
                    array_stored.write(on_Network_slot_result_2, (hdr.head_22_41_42_56.b22 ++ hdr.head_22_41_42_56.b41 ++ hdr.head_22_41_42_56.b42 ++ 240w0x000000000000000000000000000000000000000000000000000000000000) ++ (bit<8>)32w34);
                    array_headers.write(on_Network_slot_result_2, (hdr.head_0_12_14_22.b0 ++ hdr.head_0_12_14_22.b12 ++ hdr.head_0_12_14_22.b14 ++ 336w0x000000000000000000000000000000000000000000000000000000000000000000000000000000000000) ++ (bit<8>)32w22);
                    if (sm.packet_length == 32w22) {
                        drop(EMPTY_PACKET);
                    }
                    hdr.head_0_12_14_22.setInvalid();
                    sm.egress_spec = 2;
                } else {
                    drop(NO_PUT);
                }
            } else {
                drop(NO_PUT);
            }
        } else if (sm.ingress_port == 2) {
            bit<32> on_Program_t_0;
            bit<32> on_Program_slot_result_1;
            bit<520> on_Program_element_2;
            bit<512> on_Program_s_3;
            bit<32> on_Program_n_4;
            bool on_Program_same_5;
            bit<32> on_Program_old_6;
            bit<32> on_Program_new_7;
            bit<520> on_Program_element_8;
            bit<512> on_Program_s_9;
            bit<32> on_Program_n_10;
            bit<512> on_Program_rest_11;
            if ((sm.packet_length >= 32w34)) {
                on_Program_t_0 = ((bit<32>)hdr.head_0_19_20_34.b19);
                on_Program_slot_result_1 = (on_Program_t_0 & 32w15);
                array_stored.read(on_Program_element_2, on_Program_slot_result_1);
                on_Program_s_3 = on_Program_element_2[519:8];
                on_Program_n_4 = (bit<32>)on_Program_element_2[7:0];
                on_Program_same_5 = ((on_Program_n_4 == 32w34) && on_Program_s_3 == (hdr.head_0_19_20_34.b0 ++ hdr.head_0_19_20_34.b19 ++ hdr.head_0_19_20_34.b20 ++ 240w0x000000000000000000000000000000000000000000000000000000000000));
                if ((!on_Program_same_5)) {
                    array_unknown.read(on_Program_old_6, 32w0);
                    on_Program_new_7 = (on_Program_old_6 + 32w1);
                    array_unknown.write(32w0, on_Program_new_7);
                    drop(NO_PUT);
                } else {
                    array_headers.read(on_Program_element_8, on_Program_slot_result_1);
                    on_Program_s_9 = on_Program_element_8[519:8];
                    on_Program_n_10 = (bit<32>)on_Program_element_8[7:0];
                    array_stored.write(on_Program_slot_result_1, 512w0x00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 ++ (bit<8>)32w0);
                    on_Program_rest_11 = on_Program_s_9;
                    if ((on_Program_n_10 & 32w64) != 0) {
                        hdr.front0_64.setValid();
                        hdr.front0_64.bytes = on_Program_rest_11;
                    }
                    if ((on_Program_n_10 & 32w32) != 0) {
                        hdr.front0_32.setValid();
                        hdr.front0_32.bytes = on_Program_rest_11[511:256];
                        on_Program_rest_11 = on_Program_rest_11[255:0] ++ 256w0;
                    }
                    if ((on_Program_n_10 & 32w16) != 0) {
                        hdr.front0_16.setValid();
                        hdr.front0_16.bytes = on_Program_rest_11[511:384];
                        on_Program_rest_11 = on_Program_rest_11[383:0] ++ 128w0;
                    }
                    if ((on_Program_n_10 & 32w8) != 0) {
                        hdr.front0_8.setValid();
                        hdr.front0_8.bytes = on_Program_rest_11[511:448];
                        on_Program_rest_11 = on_Program_rest_11[447:0] ++ 64w0;
                    }
                    if ((on_Program_n_10 & 32w4) != 0) {
                        hdr.front0_4.setValid();
                        hdr.front0_4.bytes = on_Program_rest_11[511:480];
                        on_Program_rest_11 = on_Program_rest_11[479:0] ++ 32w0;
                    }
                    if ((on_Program_n_10 & 32w2) != 0) {
                        hdr.front0_2.setValid();
                        hdr.front0_2.bytes = on_Program_rest_11[511:496];
                        on_Program_rest_11 = on_Program_rest_11[495:0] ++ 16w0;
                    }
                    if ((on_Program_n_10 & 32w1) != 0) {
                        hdr.front0_1.setValid();
                        hdr.front0_1.bytes = on_Program_rest_11[511:504];
                        on_Program_rest_11 = on_Program_rest_11[503:0] ++ 8w0;
                    }
                    sm.egress_spec = 1;
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
 *   1 Network
 *   2 Program
 */
