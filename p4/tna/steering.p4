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
#define NEW_DESTINATION headers.ipv4.destination
#define NEW_DESTINATION6 headers.ipv6.destination
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
    bit<1> again;      /* comes for its backup */ \
    bit<1> copied;     /* comes as a copy */ \
    bit<1> correct;    /* has a UDP checksum, to be corrected */ \
    bit<32> reason;    /* to be dropped; 0: none */ \
    bit<1> dead;       /* its endpoint's unit */ \
    bit<48> strange_mac; /* not ours */ \
    bit<16> rest;      /* of the UDP checksum */ \
    bit<16> udp_room; \
    bit<16> excess;    /* of its length over the MTU; before, an IPv6 packet's length */ \
    bit<32> choice;    /* the selector's value */

#include "../shared/drops.p4"

// In front of a copy on its way from the traffic manager to the ingress pipeline again.
header copy_t {
    bit<7> padding;
    bit<9> port;
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

const bit<3> RESUBMIT = 1;

parser SteeringParser(packet_in packet, out headers_t headers, out metadata_t meta,
                      out ingress_intrinsic_metadata_t intrinsic) {
    FrameParser() frame;
    resubmitted_t resubmitted;

    state start {
        meta.vlan = 0;
        meta.tag_bytes = 0;
        meta.double_tagged = 0;
        meta.ipv6_extension = 0;
        meta.ipv4_error = 0;
        meta.rest = 0;
        meta.sources = 0;
        meta.fork = 0;
        meta.backup = 0;
        meta.answered = 0;
        meta.index = 0;
        meta.unit = 0;
        meta.correct = 0;
        meta.reason = 0;
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
        meta.again = 1;
        transition read;
    }

    state from_controller {
        packet.advance(PORT_METADATA_SIZE);
        packet.extract(headers.packet_out);
        transition accept;
    }

    state copy {
        packet.advance(PORT_METADATA_SIZE);
        packet.extract(headers.copy);
        meta.copy = headers.copy.number;
        meta.copied = 1;
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
    Counter<bit<64>, bit<32>>(DROP_SIZE, CounterType_t.PACKETS) drops;
    Counter<bit<64>, bit<16>>(FORK_BRANCHES, CounterType_t.PACKETS) forked;
    Counter<bit<64>, bit<1>>(1, CounterType_t.PACKETS) sent;
    Counter<bit<64>, bit<1>>(1, CounterType_t.PACKETS) to_host;
    DirectCounter<bit<64>>(CounterType_t.PACKETS_AND_BYTES) channel_counter;
    Register<bit<32>, bit<16>>(GROUP_SIZE) turns;
    RegisterAction<bit<32>, bit<16>, bit<32>>(turns) turn = {
        void apply(inout bit<32> next, out bit<32> result) {
            result = next;
            next = next + 1;
        }
    };
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_ipv4;
    Hash<bit<32>>(HashAlgorithm_t.CRC32) hash_ipv6;

#include "../shared/tables.p4"

    action refuse(drop_t reason) {
        meta.reason = reason;
    }

    action pass_to_host() {
        headers.packet_in.setValid();
        headers.packet_in.padding = 0;
        headers.packet_in.ingress_port = meta.port;
        to_traffic_manager.ucast_egress_port = CONTROLLER_PORT;
    }

    // [8, 9] In the order of docs/steering.md. A frame's length is not known in ingress.
    table check_ipv4 {
        key = {
            headers.ipv4.version: ternary;
            headers.ipv4.header_words: ternary;
            headers.ipv4.length: ternary;
            meta.ipv4_error: ternary;
            headers.ipv4.more_fragments: ternary;
            headers.ipv4.offset: ternary;
            headers.ipv4.source: ternary;
        }
        actions = { refuse; NoAction; }
        const default_action = refuse(MALFORMED_IP);
        const entries = {
            (4, 0 &&& 0xc, _, _, _, _, _): refuse(MALFORMED_IP);
            (4, 4, _, _, _, _, _): refuse(MALFORMED_IP);
            (4, _, 0 &&& 0xfff0, _, _, _, _): refuse(MALFORMED_IP);
            (4, _, 0x10 &&& 0xfffc, _, _, _, _): refuse(MALFORMED_IP);
            (4, 5, _, 1, _, _, _): refuse(BAD_IP_CHECKSUM);
            (4, 5, _, _, 1, _, _): refuse(IP_FRAGMENT);
            (4, 5, _, _, 0, 0, 0 &&& 0xff000000): refuse(BAD_ADDRESS);
            (4, 5, _, _, 0, 0, 0x7f000000 &&& 0xff000000): refuse(BAD_ADDRESS);
            (4, 5, _, _, 0, 0, 0xe0000000 &&& 0xe0000000): refuse(BAD_ADDRESS);
            (4, 5, _, _, 0, 0, _): NoAction();
            (4, 5, _, _, _, _, _): refuse(IP_FRAGMENT);
            (4, _, _, _, _, _, _): refuse(IP_OPTIONS);
        }
        size = 16;
    }

    table check_ipv6 {
        key = {
            headers.ipv6.version: ternary;
            meta.ipv6_extension: ternary;
            headers.ipv6.protocol: ternary;
            headers.ipv6.source: ternary;
        }
        actions = { refuse; NoAction; }
        const default_action = refuse(MALFORMED_IP);
        const entries = {
            (6, 1, _, _): refuse(IPV6_EXTENSION);
            (6, _, PROTOCOL_ICMPV6, 0): NoAction();
            (6, _, _, 0): refuse(BAD_ADDRESS);
            (6, _, _, 1): refuse(BAD_ADDRESS);
            (6, _, _, 0xff000000000000000000000000000000 &&& 0xff000000000000000000000000000000): refuse(BAD_ADDRESS);
            (6, _, _, _): NoAction();
        }
        size = 8;
    }

    // [4] A gateway compares no more than 4 bytes, so these are tables.
    table check_mac {
        key = {
            headers.ethernet.destination: ternary;
            meta.strange_mac: ternary;
        }
        actions = { refuse; NoAction; }
        const default_action = refuse(NOT_FOR_US);
        const entries = {
            (0x010000000000 &&& 0x010000000000, _): NoAction();
            (_, 0): NoAction();
        }
        size = 2;
    }

    // [14]
    table check_source {
        key = { meta.found.network: ternary; }
        actions = { refuse; NoAction; }
        const default_action = refuse(SOURCE_REFUSED);
        const entries = {
            0: NoAction();
        }
        size = 1;
    }

    table check_source6 {
        key = { meta.found.network6: ternary; }
        actions = { refuse; NoAction; }
        const default_action = refuse(SOURCE_REFUSED);
        const entries = {
            0: NoAction();
        }
        size = 1;
    }

    action take_turn() {
        meta.choice = turn.execute((bit<16>)meta.group);
    }

    action choose_by_hash_ipv4() {
        meta.choice = hash_ipv4.get({ headers.ipv4.source, headers.ipv4.destination, headers.ipv4.protocol,
                                      headers.udp.source, headers.udp.destination });
    }

    action choose_by_hash_ipv6() {
        meta.choice = hash_ipv6.get({ headers.ipv6.source, headers.ipv6.destination, headers.ipv6.protocol,
                                      headers.udp.source, headers.udp.destination });
    }

    action multiply() {
        forked.count(meta.found.copies);
        to_traffic_manager.mcast_grp_a = meta.found.copies;
        headers.copy.setValid();
        headers.copy.padding = 0;
        headers.copy.port = meta.port;
        headers.copy.number = 0;
    }

    action resubmit_for_backup() {
        to_deparser.resubmit_type = RESUBMIT;
    }

    action measure_ipv4() {
        meta.udp_room = headers.ipv4.length - 20;
    }

    action measure_ipv6() {
        meta.excess = headers.ipv6.length |+| 40;
        meta.udp_room = headers.ipv6.length;
    }

    action subtract_room() {
        meta.udp_room = meta.udp_room - headers.udp.length;
    }

    action rewrite_ipv4() {
        headers.ipv4.ttl = headers.ipv4.ttl - 1;
        meta.excess = headers.ipv4.length |-| meta.mtu;
    }

    action rewrite_ipv6() {
        headers.ipv6.ttl = headers.ipv6.ttl - 1;
        meta.excess = meta.excess |-| meta.mtu;
    }

    action write_source_ipv4() {
        headers.ipv4.source = meta.new_source;
        headers.udp.source = meta.new_source_port;
    }

    action write_source_ipv6() {
        headers.ipv6.source = meta.new_source6;
        headers.udp.source = meta.new_source_port;
    }

    action leave() {
        sent.count(0);
        headers.udp.destination = meta.new_destination_port;
        headers.ethernet.destination = meta.found.out_destination_mac;
        headers.ethernet.source = meta.found.out_source_mac;
    }

    action receive() {
        received.count(0);
    }

    action count_to_host() {
        to_host.count(0);
    }

    action restore_port() {
        meta.port = headers.copy.port;
        headers.copy.setInvalid();
    }

    action count_drop() {
        drops.count(meta.reason);
        to_deparser.drop_ctl = 1;
    }

    action compare_mac() {
        meta.strange_mac = headers.ethernet.destination ^ meta.link_mac;
    }

    action compare_network() {
        meta.found.network = meta.found.network ^ meta.found.permitted;
    }

    action compare_network6() {
        meta.found.network6 = meta.found.network6 ^ meta.found.permitted6;
    }

    action mask_choice() {
        meta.index = meta.choice & meta.found.mask;
    }

    action tag() {
        headers.vlan.setValid();
        headers.vlan.priority = 0;
        headers.vlan.drop_eligible = 0;
        headers.vlan.id = meta.found.out_vlan;
        headers.vlan.type = headers.ethernet.type;
        headers.ethernet.type = TYPE_VLAN;
    }

    action untag() {
        headers.ethernet.type = headers.vlan.type;
        headers.vlan.setInvalid();
    }

    apply {
        if (headers.packet_out.isValid()) {
            to_traffic_manager.ucast_egress_port = headers.packet_out.egress_port;
            headers.packet_out.setInvalid();
        } else {
            // 1. Frame
            if (meta.again == 0 && meta.copied == 0) { receive(); }
            if (meta.copied == 1) { restore_port(); }
            bool linked = link.apply().hit;
            compare_mac();
            if (!headers.ethernet.isValid()) {
                refuse(MALFORMED_ETHERNET);
            } else if (meta.double_tagged == 1) {
                refuse(DOUBLE_TAGGED);
            } else if (!linked) {
                refuse(NO_LINK);
            } else {
                check_mac.apply();
            }
            if (meta.reason == 0) {
                if (headers.ipv4.isValid()) {
                    measure_ipv4();
                    check_ipv4.apply();
                } else if (headers.ipv6.isValid()) {
                    measure_ipv6();
                    check_ipv6.apply();
                }
            }
            subtract_room();
            // 3 to 5. UDP over IP, or the host's
            bool steered = false;
            if (meta.reason == 0) {
                if (!headers.ipv4.isValid() && !headers.ipv6.isValid()) {
                    if (headers.ethernet.type == TYPE_IPV4 || headers.ethernet.type == TYPE_IPV6) {
                        refuse(MALFORMED_IP);
                    } else if (headers.ethernet.type != TYPE_ARP && meta.found.unmatched == UNMATCHED_DROP) {
                        refuse(NOT_IP);
                    } else {
                        pass_to_host();
                    }
                } else if (!headers.udp.isValid()) {
                    if ((headers.ipv4.isValid() && headers.ipv4.protocol == PROTOCOL_UDP)
                        || (headers.ipv6.isValid() && headers.ipv6.protocol == PROTOCOL_UDP)) {
                        refuse(MALFORMED_UDP);
                    } else if (meta.found.unmatched == UNMATCHED_DROP) {
                        refuse(NO_FLOW);
                    } else {
                        pass_to_host();
                    }
                } else if (meta.udp_room != 0) {
                    refuse(MALFORMED_UDP);
                } else if (headers.ipv6.isValid() && headers.udp.checksum == 0) {
                    refuse(UDP6_ZERO_CHECKSUM);
                } else {
                    steered = true;
                }
            }
            if (steered) {
                if (headers.ipv4.isValid()) {
                    flow_wild.apply();
                    if (meta.sources != SOURCES_ALL) { flow.apply(); }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer.apply(); }
                    compare_network();
                } else {
                    flow6_wild.apply();
                    if (meta.sources != SOURCES_ALL) { flow6.apply(); }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer6.apply(); }
                    compare_network6();
                }
                if (meta.sources != 0) {
                    if ((meta.link_kind == LINK_OUTSIDE && meta.found.links & 2 == 0)
                        || (meta.link_kind == LINK_NODE && meta.found.links & 4 == 0)) {
                        refuse(WRONG_LINK);
                    } else if (headers.ipv4.isValid()) {
                        check_source.apply();
                    } else {
                        check_source6.apply();
                    }
                } else if (meta.answered == 0) {
                    if (meta.found.unmatched == UNMATCHED_DROP) {
                        refuse(NO_FLOW);
                    } else if (meta.found.unmatched == UNMATCHED_REQUEST) {
                        refuse(REQUESTED);
                    } else {
                        pass_to_host();
                        steered = false;
                    }
                }
            }
            if (steered && meta.reason == 0 && meta.answered == 0) {
                // 6. Target
                if (meta.again == 0) {
                    if (meta.fork != 0) {
                        if (fork.apply().miss) {
                            refuse(NO_RULE);
                        } else if (meta.copied == 0 && meta.found.copies != 1) {
                            multiply();
                            steered = false;
                        }
                    }
                    // 7. Channel
                    if (steered && meta.reason == 0) {
                        if (channel.apply().miss) { refuse(NO_RULE); }
                        if (meta.endpoint == 0) {
                            if (meta.found.selector == SELECTOR_COUNTER) {
                                take_turn();
                            } else if (meta.found.selector == SELECTOR_HASH) {
                                if (headers.ipv4.isValid()) { choose_by_hash_ipv4(); } else { choose_by_hash_ipv6(); }
                            }
                            mask_choice();
                            if (slot.apply().miss) {
                                if (meta.found.selector == SELECTOR_INSTANCE) {
                                    refuse(NO_SUCH_INSTANCE);
                                } else {
                                    refuse(NO_RULE);
                                }
                            }
                        }
                    }
                }
                if (steered && meta.reason == 0) {
                    if (endpoint.apply().miss) { refuse(NO_RULE); }
                    if (meta.unit != 0) {
                        if (unit.apply().miss) { meta.dead = 1; }
                    }
                }
            }
            if (meta.dead == 1) {
                if (meta.backup != 0) {
                    resubmit_for_backup();
                } else {
                    refuse(NO_LIVE_ENDPOINT);
                }
                steered = false;
            }
            if (steered && meta.reason == 0) {
                if (headers.ipv4.isValid()) {
                    if (meta.found.out_ipv6 == 1) {
                        refuse(FAMILY_MISMATCH);
                    } else if (headers.ipv4.ttl == 0 || headers.ipv4.ttl == 1) {
                        refuse(TTL_EXPIRED);
                    }
                    rewrite_ipv4();
                    if (meta.found.write_source == 1) { write_source_ipv4(); }
                } else {
                    if (meta.found.out_ipv6 == 0) {
                        refuse(FAMILY_MISMATCH);
                    } else if (headers.ipv6.ttl == 0 || headers.ipv6.ttl == 1) {
                        refuse(TTL_EXPIRED);
                    }
                    rewrite_ipv6();
                    if (meta.found.write_source == 1) { write_source_ipv6(); }
                }
                if (meta.reason == 0 && meta.excess != 0) { refuse(TOO_BIG); }
                if (meta.reason == 0) {
                    if (headers.udp.checksum != 0) { meta.correct = 1; }
                    if (headers.vlan.isValid()) { untag(); }
                    if (meta.found.out_vlan != 0) { tag(); }
                    leave();
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
