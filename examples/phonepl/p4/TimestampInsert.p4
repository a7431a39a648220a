/* TimestampInsert, compiled from timestamp_insert.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_22_t {
    bit<176> bytes;
}
struct headers {
    front_22_t front0_22; // what a packet is given in front
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
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_22);
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
            bit<64> on_Terminal_b_0;
            on_Terminal_b_0 = meta.now;
            hdr.front0_22.setValid();
            hdr.front0_22.bytes = (112w0x02000000000b02000000000a88b5 ++ on_Terminal_b_0);
            sm.egress_spec = 2;
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
 *   1 Terminal
 *   2 Network
 * The default action of `clock` is running(nanoseconds since the epoch at its start).
 */
