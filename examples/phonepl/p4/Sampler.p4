/* Sampler, compiled from sampler.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_4_t {
    bit<32> bytes;
}
struct headers {
    front_4_t front0_4; // what a packet is given in front
}
struct metadata {
    bit<16> puts; // which puts the path of the packet has gathered, if several
    bit<32> length; // of the arrived packet
    bit<32> on_In_b_2;
    bit<32> on_In_b_3;
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
        packet.emit(hdr.front0_4);
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
    counter(3, CounterType.packets) copies; // packets that were put so often
    register<bit<32>>(1) array_count;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            bit<32> on_In_old_0;
            bit<32> on_In_new_1;
            meta.length = sm.packet_length;
            array_count.read(on_In_old_0, 32w0);
            on_In_new_1 = (on_In_old_0 + 32w1);
            array_count.write(32w0, on_In_new_1);
            if (((on_In_old_0 & 32w3) == 32w0)) {
                if ((meta.length > 32w64)) {
                    meta.on_In_b_2 = on_In_old_0;
                    copies.count(2);
                    meta.puts = 1;
                    sm.mcast_grp = 1;
                } else {
                    meta.on_In_b_3 = on_In_old_0;
                    copies.count(2);
                    meta.puts = 2;
                    sm.mcast_grp = 2;
                }
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
    counter(1, CounterType.packets) empties;
    action empty() {
        empties.count(0);
        mark_to_drop(sm);
    }
    apply {
        if (meta.puts == 1) {
            if (sm.egress_rid == 2) {
            } else if (sm.egress_rid == 1) {
                hdr.front0_4.setValid();
                hdr.front0_4.bytes = meta.on_In_b_2;
                truncate(32w68);
            }
        } else if (meta.puts == 2) {
            if (sm.egress_rid == 2) {
            } else if (sm.egress_rid == 1) {
                hdr.front0_4.setValid();
                hdr.front0_4.bytes = meta.on_In_b_3;
            }
        }
    }
}
V1Switch(Cut(), Verify(), Process(), Output(), Update(), Join()) main;

/* ═══ initialiser ═══ */

/* main() runs once, in the controller. Registers are 0 or empty at first. Streams, by port:
 *   1 In
 *   2 Out
 *   3 Monitor
 * Multicast groups, each with the ports of its copies, whose replication ids count from 1:
 *   1: 3, 2
 *   2: 3, 2
 */
