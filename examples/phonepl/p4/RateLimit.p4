/* RateLimit, compiled from rate_limit.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header head_0_11_12_t {
    bit<88> b0;
    bit<8> b11;
}
struct headers {
    head_0_11_12_t head_0_11_12;
}
struct metadata {
    bit<64> now;
}

/* ═══ parser and deparser: no byte behind the last that the program touches ═══ */

parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {
    state start {
        transition head0;
    }
    state head0 { // what a packet is too short for stays payload
        packet.extract(hdr.head_0_11_12);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.head_0_11_12);
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
    register<bit<64>>(16) array_window;
    register<bit<32>>(16) array_passed;
    register<bit<32>>(16) array_held;
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
            bit<32> on_In_t_0;
            bit<32> on_In_kind_1;
            bit<64> on_In_now_2;
            bit<64> on_In_t_3_3;
            bit<32> on_In_old_4;
            bit<32> on_In_new_5;
            bit<32> on_In_old_6;
            bit<32> on_In_new_7;
            if ((sm.packet_length < 32w12)) {
                drop(RANGE_ERROR);
            }
            on_In_t_0 = ((bit<32>)hdr.head_0_11_12.b11);
            on_In_kind_1 = (on_In_t_0 & 32w15);
            on_In_now_2 = (meta.now >> 8w30);
            array_window.read(on_In_t_3_3, on_In_kind_1);
            if ((on_In_t_3_3 != on_In_now_2)) {
                array_window.write(on_In_kind_1, on_In_now_2);
                array_passed.write(on_In_kind_1, 32w0);
            }
            array_passed.read(on_In_old_4, on_In_kind_1);
            on_In_new_5 = (on_In_old_4 + 32w1);
            array_passed.write(on_In_kind_1, on_In_new_5);
            if (((int<32>)on_In_new_5 > (int<32>)32w3)) {
                array_held.read(on_In_old_6, on_In_kind_1);
                on_In_new_7 = (on_In_old_6 + 32w1);
                array_held.write(on_In_kind_1, on_In_new_7);
                drop(NO_PUT);
            } else {
                sm.egress_spec = 2;
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
 *   1 In
 *   2 Out
 * The default action of `clock` is running(nanoseconds since the epoch at its start).
 */
