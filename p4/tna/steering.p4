// The node's steering rules for an edge on Tofino. Tables, actions and sizes are v1model's (../shared). What this target
// leaves out, and how far compilers have taken it: docs/p4.md. No packet ever passed it.
#include <core.p4>
#if __TARGET_TOFINO__ == 2
#include <t2na.p4>
#define RECIRCULATION_PORT 6
#define CONTROLLER_PORT 0
#else
#include <tna.p4>
#define RECIRCULATION_PORT 68
#define CONTROLLER_PORT 192
#endif

#define SURVIVES
#define FOUND struct
#define INGRESS_PORT meta.port
#define OUT_PORT to_traffic_manager.ucast_egress_port
// What peer and endpoint write waits in metadata: a header written early would make every check of it wait, for two stages more.
#define NEW_SOURCE_MAC meta.found.out_source_mac
#define NEW_DESTINATION_MAC meta.out_destination_mac
#define NEW_DESTINATION headers.ipv4.destination
#define NEW_DESTINATION6 headers.ipv6.destination
#define NEW_DESTINATION_PORT meta.new_destination_port
#define KEEP_DESTINATION meta.new_destination_port = headers.udp.destination;
#define NEW_SOURCE meta.new_source
#define NEW_SOURCE6 meta.new_source6
#define NEW_SOURCE_PORT meta.new_source_port
#define WRITE_SOURCE meta.writes_source = 1;
#define NO_FORK meta.fork = 0;
// One operation for each field and stage: a gateway compares what is noted here.
#define COMPARE_SOURCE \
    meta.network = headers.ipv4.source & permitted_mask; \
    meta.permitted = permitted_source;
#define COMPARE_SOURCE6 \
    meta.network6 = headers.ipv6.source & permitted_mask; \
    meta.permitted6 = permitted_source;
// The IPv4 checksum is verified; of UDP's stays what nothing that may be rewritten adds to.
#define SUMS \
    Checksum() ipv4_checksum; \
    Checksum() udp_checksum;
#define SUM_IPV4 \
    ipv4_checksum.add(headers.ipv4); \
    ipv4_error = (bit<1>)ipv4_checksum.verify(); \
    udp_checksum.subtract({ headers.ipv4.source, headers.ipv4.destination });
#define SUM_IPV6 udp_checksum.subtract({ headers.ipv6.source, headers.ipv6.destination });
#define SUM_UDP \
    udp_checksum.subtract({ headers.udp.source, headers.udp.destination, headers.udp.checksum }); \
    rest = udp_checksum.get();

#define OWN_HEADERS copy_t copy;
#define OWN_METADATA \
    bit<8> tag_bytes; \
    bit<1> double_tagged; \
    bit<1> ipv6_extension; \
    bit<1> ipv4_error; \
    bit<32> five_tuple;  /* its CRC-32 */ \
    bit<32> network;     /* of the source, as wide as the permitted one */ \
    bit<32> permitted; \
    bit<128> network6; \
    bit<128> permitted6; \
    mac_t out_destination_mac; \
    socket_port_t new_destination_port; \
    bit<32> new_source; \
    bit<128> new_source6; \
    socket_port_t new_source_port; \
    bit<1> writes_source; \
    bit<8> visit;        /* why it comes */ \
    bit<8> frame_fault;  /* what checks.p4 notes */ \
    bit<8> ip_fault; \
    bit<8> udp_fault; \
    bit<8> sort; \
    bit<48> strange_mac; /* difference from ours */ \
    bit<1> strange; \
    bit<1> stranger;     /* its source is not permitted */ \
    bit<1> branchless;   /* of a fork without this branch, or of ARTP */ \
    bit<8> way;          /* what becomes of it */ \
    bit<8> reason;       /* to be dropped; 0: none */ \
    bit<1> dead;         /* its endpoint's unit */ \
    bit<1> summed;       /* has a UDP checksum */ \
    bit<1> correct;      /* which is to be corrected */ \
    bit<16> rest;        /* of the UDP checksum */ \
    bit<16> udp_room; \
    bit<16> excess;      /* of its length over the MTU; before, its length */

#include "../shared/drops.p4"

// In front of a copy on its way from the traffic manager to the ingress pipeline again.
header copy_t {
    bit<32> fork;
    bit<16> number;
}

// What a packet keeps that comes again for its backup.
header resubmitted_t {
    bit<32> endpoint;
    bit<32> padding;
}

#include "../shared/headers.p4"
#include "../shared/metadata.p4"
#include "../shared/parser.p4"
#include "../shared/sizes.p4"

struct turn_t {
    bit<32> next;
}

const bit<3> RESUBMIT = 1;

// Why a packet comes. Only what comes first is looked up and judged; the others were.
const bit<8> FIRST = 0;
const bit<8> FOR_BACKUP = 1;
const bit<8> AS_COPY = 2;

// What a frame holds; as the parser leaves it, nothing.
const bit<8> UDP_IPV4 = 1;
const bit<8> UDP_IPV6 = 2;
const bit<8> CUT_UDP = 3;
const bit<8> OTHER_IP = 4;
const bit<8> CUT_IP = 5;
const bit<8> NEIGHBOURS = 6; // ARP and neighbour discovery
const bit<8> NO_IP = 7;

// What becomes of a packet; 0: it is dropped.
const bit<8> TO_HOST = 1;
const bit<8> CHOICE = 2; // a channel's endpoint
const bit<8> GIVEN = 3;  // the endpoint of a packet that comes for its backup
const bit<8> COPIES = 4;
const bit<8> ANSWER = 5;

parser SteeringParser(packet_in packet, out headers_t headers, out metadata_t meta,
                      out ingress_intrinsic_metadata_t intrinsic) {
    FrameParser() frame;
    resubmitted_t resubmitted;
    copy_t copied;

    state start {
        meta.vlan = 0;
        meta.tag_bytes = 0;
        meta.double_tagged = 0;
        meta.ipv6_extension = 0;
        meta.ipv4_error = 0;
        meta.rest = 0;
        meta.sources = 0;
        meta.backup = 0;
        meta.answered = 0;
        meta.index = 0;
        meta.unit = 0;
        meta.correct = 0;
        meta.frame_fault = 0;
        meta.ip_fault = 0;
        meta.udp_fault = 0;
        meta.strange = 0;
        meta.stranger = 0;
        meta.branchless = 0;
        meta.writes_source = 0;
        meta.way = 0;
        meta.reason = 0;
        meta.link_kind = 0;
        meta.artp = 0;
        meta.fork = 0;
        meta.endpoint = 0;
        meta.copy = 0;
        meta.visit = FIRST;
        meta.summed = 0;
        meta.found.copies = 1;
        meta.dead = 0;
        meta.mtu = 0;
        packet.extract(intrinsic);
        meta.port = intrinsic.ingress_port;
        transition select(intrinsic.resubmit_flag, intrinsic.ingress_port) {
            (1, _): for_backup;
            (0, CONTROLLER_PORT): from_controller;
            (0, RECIRCULATION_PORT): copy;
            default: frame_in;
        }
    }

    state for_backup {
        packet.extract(resubmitted);
        meta.endpoint = resubmitted.endpoint;
        meta.visit = FOR_BACKUP;
        transition read;
    }

    state from_controller {
        packet.advance(PORT_METADATA_SIZE);
        packet.extract(headers.packet_out);
        transition accept;
    }

    state copy {
        packet.advance(PORT_METADATA_SIZE);
        packet.extract(copied);
        meta.fork = copied.fork;
        meta.copy = copied.number;
        meta.visit = AS_COPY;
        transition read;
    }

    state frame_in {
        packet.advance(PORT_METADATA_SIZE);
        transition read;
    }

    state read {
        frame.apply(packet, headers, meta.vlan, meta.tag_bytes, meta.double_tagged, meta.ipv6_extension,
                    meta.ipv4_error, meta.rest);
        transition accept;
    }
}

control Steering(inout headers_t headers, inout metadata_t meta, in ingress_intrinsic_metadata_t intrinsic,
                 in ingress_intrinsic_metadata_from_parser_t from_parser,
                 inout ingress_intrinsic_metadata_for_deparser_t to_deparser,
                 inout ingress_intrinsic_metadata_for_tm_t to_traffic_manager) {
    Counter<bit<64>, bit<1>>(1, CounterType_t.PACKETS) received;
    Counter<bit<64>, bit<8>>(DROP_SIZE, CounterType_t.PACKETS) drops;
    Counter<bit<64>, bit<16>>(FORK_BRANCHES, CounterType_t.PACKETS) forked;
    Counter<bit<64>, bit<1>>(1, CounterType_t.PACKETS) sent;
    Counter<bit<64>, bit<1>>(1, CounterType_t.PACKETS) to_host;
    DirectCounter<bit<64>>(CounterType_t.PACKETS_AND_BYTES) channel_counter;
    Register<turn_t, bit<16>>(GROUP_SIZE) turns;
    RegisterAction<turn_t, bit<16>, bit<32>>(turns) turn = {
        void apply(inout turn_t cell, out bit<32> index) {
            index = cell.next & meta.found.mask;
            cell.next = cell.next + 1;
        }
    };
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_ipv4;
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_ipv6;

#include "../shared/tables.p4"
#include "checks.p4"

    action receive() {
        received.count(0);
    }

    action measure_ipv4() {
        meta.udp_room = headers.ipv4.length - 20;
        meta.excess = headers.ipv4.length;
    }

    action measure_ipv6() {
        meta.udp_room = headers.ipv6.length;
        meta.excess = headers.ipv6.length |+| 40;
    }

    action subtract_room() {
        meta.udp_room = meta.udp_room - headers.udp.length;
    }

    action sum_is_there() {
        meta.summed = 1;
    }

    action hash_of_ipv4() {
        meta.five_tuple = hash_ipv4.get({ headers.ipv4.source, headers.ipv4.destination, headers.ipv4.protocol,
                                          headers.udp.source, headers.udp.destination });
    }

    action hash_of_ipv6() {
        meta.five_tuple = hash_ipv6.get({ headers.ipv6.source, headers.ipv6.destination, headers.ipv6.protocol,
                                          headers.udp.source, headers.udp.destination });
    }

    action compare_mac() {
        meta.strange_mac = headers.ethernet.destination ^ meta.found.link_mac;
    }

    action note_stranger() {
        meta.stranger = 1;
    }

    action note_branchless() {
        meta.branchless = 1;
    }

    action multiply() {
        forked.count((bit<16>)meta.found.copies);
        to_traffic_manager.mcast_grp_a = (bit<16>)meta.found.copies;
        headers.copy.setValid();
        headers.copy.fork = meta.fork;
        headers.copy.number = 0;
    }

    action take_turn() {
        meta.index = turn.execute((bit<16>)meta.group);
    }

    action mask_hash() {
        meta.index = meta.five_tuple & meta.found.mask;
    }

    action measure_excess() {
        meta.excess = meta.excess |-| meta.mtu;
    }

    action note_dead() {
        meta.dead = 1;
    }

    action write_source_ipv4() {
        headers.ipv4.source = meta.new_source;
        headers.udp.source = meta.new_source_port;
    }

    action write_source_ipv6() {
        headers.ipv6.source = meta.new_source6;
        headers.udp.source = meta.new_source_port;
    }

    action rewrite() {
        headers.udp.destination = meta.new_destination_port;
        headers.ethernet.destination = meta.out_destination_mac;
        headers.ethernet.source = meta.found.out_source_mac;
    }

    action tag(bit<16> type) {
        headers.vlan.setValid();
        headers.vlan.priority = 0;
        headers.vlan.drop_eligible = 0;
        headers.vlan.id = meta.found.out_vlan;
        headers.vlan.type = type;
        headers.ethernet.type = TYPE_VLAN;
    }

    action untag(bit<16> type) {
        headers.ethernet.type = type;
        headers.vlan.setInvalid();
    }

    table tagging {
        key = {
            meta.found.out_vlan: ternary;
            headers.ipv4.isValid(): ternary;
        }
        actions = { tag; untag; }
        const default_action = tag(TYPE_IPV6);
        const entries = {
            (0, true): untag(TYPE_IPV4);
            (0, false): untag(TYPE_IPV6);
            (_, true): tag(TYPE_IPV4);
        }
        size = 4;
    }

    action count_drop() {
        drops.count(meta.reason);
        to_deparser.drop_ctl = 1;
    }

    action count_to_host() {
        to_host.count(0);
    }

    apply {
        if (headers.packet_out.isValid()) {
            to_traffic_manager.ucast_egress_port = headers.packet_out.egress_port;
            headers.packet_out.setInvalid();
        } else {
            // 1 to 5
            if (meta.visit == FIRST) { receive(); }
            link.apply();
            compare_mac();
            check_mac.apply();
            check_frame.apply();
            check_udp.apply();
            if (headers.udp.checksum != 0) { sum_is_there(); }
            if (headers.ipv4.isValid()) {
                check_ipv4.apply();
                measure_ipv4();
                hash_of_ipv4();
                if (meta.visit == FIRST) {
                    flow_wild.apply();
                    if (meta.sources != SOURCES_ALL) { flow.apply(); }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer.apply(); }
                }
                if (meta.network != meta.permitted) { note_stranger(); }
            } else if (headers.ipv6.isValid()) {
                check_ipv6.apply();
                check_neighbours.apply();
                measure_ipv6();
                hash_of_ipv6();
                if (meta.visit == FIRST) {
                    flow6_wild.apply();
                    if (meta.sources != SOURCES_ALL) { flow6.apply(); }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer6.apply(); }
                }
                if (meta.network6[127:96] != meta.permitted6[127:96]) {
                    note_stranger();
                } else if (meta.network6[95:64] != meta.permitted6[95:64]) {
                    note_stranger();
                } else if (meta.network6[63:32] != meta.permitted6[63:32]) {
                    note_stranger();
                } else if (meta.network6[31:0] != meta.permitted6[31:0]) {
                    note_stranger();
                }
            }
            subtract_room();
            // No ARTP here: the driver lets no such flow come.
            if (meta.artp != 0) {
                note_branchless();
            } else if (meta.fork != 0) {
                if (fork.apply().miss) { note_branchless(); }
            }
            judge.apply();
            if (meta.way == COPIES) {
                multiply();
            } else if (meta.way == CHOICE) {
                // 7. Channel
                if (channel.apply().miss) {
                    refuse(NO_RULE);
                } else if (meta.endpoint == 0) {
                    if (meta.found.selector == SELECTOR_COUNTER) {
                        take_turn();
                    } else if (meta.found.selector == SELECTOR_HASH) {
                        mask_hash();
                    }
                    if (slot.apply().miss) {
                        if (meta.found.selector == SELECTOR_INSTANCE) {
                            refuse(NO_SUCH_INSTANCE);
                        } else {
                            refuse(NO_RULE);
                        }
                    }
                }
            }
            if (meta.reason == 0) {
                if (meta.way == CHOICE || meta.way == GIVEN) {
                    if (endpoint.apply().miss) { refuse(NO_RULE); }
                    if (meta.unit != 0) {
                        switch (unit.apply().action_run) {
                            dead: { note_dead(); }
                        }
                    }
                }
                if (meta.way == CHOICE || meta.way == GIVEN || meta.way == ANSWER) {
                    measure_excess();
                    rewrite();
                    if (meta.writes_source == 1) {
                        if (headers.ipv4.isValid()) { write_source_ipv4(); } else { write_source_ipv6(); }
                    }
                    tagging.apply();
                    if (meta.reason == 0) { conclude.apply(); }
                }
            }
            if (meta.reason != 0) {
                count_drop();
            } else if (headers.packet_in.isValid()) {
                count_to_host();
            }
        }
    }
}

control SteeringDeparser(packet_out packet, inout headers_t headers, in metadata_t meta,
                         in ingress_intrinsic_metadata_for_deparser_t to_deparser) {
    Resubmit(RESUBMIT) resubmit;
    Checksum() ipv4_checksum;
    Checksum() udp_checksum;

    apply {
        if (to_deparser.resubmit_type == RESUBMIT) {
            resubmit.emit<resubmitted_t>({ meta.backup, 0 });
        }
        if (headers.ipv4.isValid()) {
            headers.ipv4.checksum = ipv4_checksum.update(
                { headers.ipv4.version, headers.ipv4.header_words, headers.ipv4.service, headers.ipv4.length,
                  headers.ipv4.identification, headers.ipv4.reserved, headers.ipv4.dont_fragment,
                  headers.ipv4.more_fragments, headers.ipv4.offset, headers.ipv4.ttl, headers.ipv4.protocol,
                  headers.ipv4.source, headers.ipv4.destination });
        }
        if (meta.correct == 1) {
            headers.udp.checksum = udp_checksum.update(
                { headers.ipv4.source, headers.ipv4.destination, headers.ipv6.source, headers.ipv6.destination,
                  headers.udp.source, headers.udp.destination, meta.rest }, true);
        }
        packet.emit(headers.packet_in);
        packet.emit(headers.copy);
        packet.emit(headers.ethernet);
        packet.emit(headers.vlan);
        packet.emit(headers.ipv4);
        packet.emit(headers.ipv6);
        packet.emit(headers.udp);
        packet.emit(headers.icmpv6);
    }
}

// The egress pipeline numbers copies.
struct copies_t {
    copy_t copy;
}

struct nothing_t {}

parser CopyParser(packet_in packet, out copies_t headers, out nothing_t meta,
                  out egress_intrinsic_metadata_t intrinsic) {
    state start {
        packet.extract(intrinsic);
        transition select(intrinsic.egress_port) {
            RECIRCULATION_PORT: copy;
            default: accept;
        }
    }

    state copy {
        packet.extract(headers.copy);
        transition accept;
    }
}

control Copies(inout copies_t headers, inout nothing_t meta, in egress_intrinsic_metadata_t intrinsic,
               in egress_intrinsic_metadata_from_parser_t from_parser,
               inout egress_intrinsic_metadata_for_deparser_t to_deparser,
               inout egress_intrinsic_metadata_for_output_port_t to_port) {
    apply {
        if (headers.copy.isValid()) { headers.copy.number = intrinsic.egress_rid; }
    }
}

control CopyDeparser(packet_out packet, inout copies_t headers, in nothing_t meta,
                     in egress_intrinsic_metadata_for_deparser_t to_deparser) {
    apply {
        packet.emit(headers.copy);
    }
}

Pipeline(SteeringParser(), Steering(), SteeringDeparser(), CopyParser(), Copies(), CopyDeparser()) pipe;

Switch(pipe) main;
