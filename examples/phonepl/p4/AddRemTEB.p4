/* AddRemTEB, compiled from add_rem_teb.phonepl. Generated. */
#include <core.p4>
#include <v1model.p4>

/* ═══ data: constants, the parts of packets, what is known of one ═══ */

/* Why packets are dropped. */
const bit<32> NO_PUT = 1;
const bit<32> EMPTY_PACKET = 2;
const bit<32> RANGE_ERROR = 3;
const bit<32> ARITHMETIC_ERROR = 4;
const bit<32> TARGET_LIMIT = 5;

header front_14_t {
    bit<112> bytes;
}
header head_0_12_14_t {
    bit<96> b0;
    bit<16> b12;
}
struct headers {
    front_14_t front0_14; // what a packet is given in front
    head_0_12_14_t head_0_12_14;
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
        packet.extract(hdr.head_0_12_14);
        transition accept;
    }
}
control Join(packet_out packet, in headers hdr) {
    apply {
        packet.emit(hdr.front0_14);
        packet.emit(hdr.head_0_12_14);
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
    register<bit<32>>(1) array_refused;
    action drop(bit<32> kind) {
        drops.count(kind);
        mark_to_drop(sm);
        exit;
    }
    apply {
        if (sm.ingress_port == 1) {
            hdr.front0_14.setValid();
            hdr.front0_14.bytes = 112w0x0200000000020200000000016558;
            sm.egress_spec = 2;
        } else if (sm.ingress_port == 2) {
            bit<32> on_External_old_0;
            bit<32> on_External_new_1;
            bool on_External_same_2;
            bit<32> on_External_old_3;
            bit<32> on_External_new_4;
            if ((sm.packet_length < 32w28)) {
                array_refused.read(on_External_old_0, 32w0);
                on_External_new_1 = (on_External_old_0 + 32w1);
                array_refused.write(32w0, on_External_new_1);
                drop(NO_PUT);
            } else {
                on_External_same_2 = (hdr.head_0_12_14.b12 == 16w0x6558);
                if (on_External_same_2) {
                    if (sm.packet_length == 32w14) {
                        drop(EMPTY_PACKET);
                    }
                    hdr.head_0_12_14.setInvalid();
                    sm.egress_spec = 1;
                } else {
                    array_refused.read(on_External_old_3, 32w0);
                    on_External_new_4 = (on_External_old_3 + 32w1);
                    array_refused.write(32w0, on_External_new_4);
                    drop(NO_PUT);
                }
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
 *   1 Slice
 *   2 External
 */
