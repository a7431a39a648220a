// The node's steering rules for an edge (distribution, aggregation) on v1model. Tables and order of checks are those
// of docs/steering.md; numbers in square brackets are its steps. How they were fitted to v1model: docs/p4.md.
#include <core.p4>
#include <v1model.p4>

// What survives a resubmission (the backup's turn) and a recirculation (a copy's turn).
#define AGAIN 1
#define SURVIVES @field_list(AGAIN)
// bmv2 sets all metadata to 0 for every packet, which costs it time; the fields of a header keep what was written last,
// whether it is valid or not, but keys and checksums leave out what is not. This one is never valid.
#define FOUND header
#define INGRESS_PORT standard.ingress_port
#define OUT_PORT standard.egress_spec
#define NEW_SOURCE_MAC headers.ethernet.source
#define NEW_DESTINATION_MAC headers.ethernet.destination
#define NEW_DESTINATION headers.ipv4.destination
#define NEW_DESTINATION6 headers.ipv6.destination
#define COMPARE_SOURCE meta.found.strange = (headers.ipv4.source & permitted_mask) ^ permitted_source;
#define COMPARE_SOURCE6 meta.found.strange6 = (headers.ipv6.source & permitted_mask) ^ permitted_source;
#define NEW_DESTINATION_PORT headers.udp.destination
#define KEEP_DESTINATION
#define NEW_SOURCE headers.ipv4.source
#define NEW_SOURCE6 headers.ipv6.source
#define NEW_SOURCE_PORT headers.udp.source
#define WRITE_SOURCE
#define NO_FORK
#define SUMS
#define SUM_IPV4
#define SUM_IPV6
#define SUM_UDP
#define READS_ARTP
#define OWN_HEADERS
// The rest of what the parser tells is for targets that need it.
#define OWN_FOUND \
    bit<8> tag_bytes; \
    bit<1> double_tagged; \
    bit<1> ipv6_extension; \
    bit<1> ipv4_error; \
    bit<5> unused; \
    bit<16> rest; \
    bit<32> frame_length; /* with what is no IP cut off, and without a tag */ \
    bit<32> five_tuple; /* its CRC-32 */ \
    bit<32> turn; \
    bit<32> cell; \
    bit<80> remembered; \
    mac_t remote_mac; \
    bit<1> from_ipv6; \
    bit<7> unused_too; \
    bit<16> type; \
    bit<32> address; \
    bit<16> local_port; \
    bit<16> remote_port; \
    address_t local; \
    address_t remote;
#define OWN_METADATA \
    bit<1> learning; /* its source is learnt if it is sent */ \
    bit<144> replaced; /* complement of the sum of addresses, ports and UDP checksum as they came; 0: no checksum */

#include "../shared/drops.p4"
#include "../shared/headers.p4"
#include "../shared/metadata.p4"
#include "../shared/parser.p4"
#include "../shared/sizes.p4"

const port_t CONTROLLER = 510;
// instance_type of simple_switch
const bit<32> RESUBMITTED = 6;
const bit<32> REPLICATED = 5;
const bit<32> RECIRCULATED = 4;
const bit<48> REFRESH_INTERVAL = 1000000; // microseconds for which a learnt peer is left as it is

#include "checksums.p4"
#include "digests.p4"
#include "rewriting.p4"
#include "surplus.p4"

parser SteeringParser(packet_in packet, out headers_t headers, inout metadata_t meta,
                      inout standard_metadata_t standard) {
    FrameParser() frame;

    state start {
        transition select(standard.ingress_port) {
            CONTROLLER: from_controller;
            default: frame_in;
        }
    }

    state from_controller {
        packet.extract(headers.packet_out);
        transition accept;
    }

    state frame_in {
        frame.apply(packet, headers, meta.vlan, meta.found.tag_bytes, meta.found.double_tagged,
                    meta.found.ipv6_extension, meta.found.ipv4_error, meta.found.rest);
        transition accept;
    }
}

// A destination that an override does not permit. An IPv4-mapped one is of IPv4.
#define PERMIT(n) \
    if (headers.destinations[n].isValid()) { \
        if (meta.found.family == 0 \
            || (meta.found.family == 4) != (headers.destinations[n].prefix == IPV4_MAPPED) \
            || (headers.destinations[n].prefix ++ headers.destinations[n].address) & meta.found.override_mask \
                   != meta.found.override_prefix) { \
            refuse(OVERRIDE_REFUSED); \
        } \
    }

// One header is not there and keeps what is written. (Were IPv4's destination written from `found`, p4c would look that up.)
#define HEAD_FOR(n) \
    meta.found.prefix = headers.destinations[n].prefix; \
    meta.found.address = headers.destinations[n].address; \
    headers.ipv4.destination = headers.destinations[n].address; \
    headers.udp.destination = headers.destinations[n].port;

control Steering(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    // One cell for frames that came in; drops by reason; forks by their number of copies: `copies` of the
    // equation in docs/steering.md is the sum of (n - 1) times cell n.
    counter(1, CounterType.packets) received;
    counter(DROP_SIZE, CounterType.packets) drops;
    counter(FORK_BRANCHES, CounterType.packets) forked;
    counter(1, CounterType.packets) learnt;
    direct_counter(CounterType.packets_and_bytes) channel_counter;
    register<bit<32>>(GROUP_SIZE) turns;
    register<bit<80>>(LEARNT_SIZE) latest; // of a five-tuple's hash: its check and the time of its digest
    Surplus() surplus;

    action refuse(drop_t reason) {
        drops.count(reason);
        mark_to_drop(standard);
        exit;
    }

    action pass_to_host() {
        headers.packet_in.setValid();
        headers.packet_in.padding = 0;
        headers.packet_in.ingress_port = standard.ingress_port;
        standard.egress_spec = CONTROLLER;
        exit;
    }

#include "../shared/tables.p4"
#include "../shared/artp.p4"

    action receive() {
        received.count(0);
    }

    action receive_ipv4() {
        received.count(0);
        meta.found.frame_length = 14 + (bit<32>)headers.ipv4.length;
    }

    action receive_ipv6() {
        received.count(0);
        meta.found.frame_length = 54 + (bit<32>)headers.ipv6.length;
    }

    action return_ipv4() {
        standard.ingress_port = meta.port;
        meta.found.frame_length = 14 + (bit<32>)headers.ipv4.length;
    }

    action return_ipv6() {
        standard.ingress_port = meta.port;
        meta.found.frame_length = 54 + (bit<32>)headers.ipv6.length;
    }

    // What a one's complement sum of 16-bit words comes to is the same for the words of a larger sum.
    action note_ipv4() {
        meta.replaced = ~((bit<144>)headers.ipv4.source + (bit<144>)headers.ipv4.destination
                          + (bit<144>)headers.udp.source + (bit<144>)headers.udp.destination
                          + (bit<144>)headers.udp.checksum);
    }

    action note_ipv6() {
        meta.replaced = ~((bit<144>)headers.ipv6.source + (bit<144>)headers.ipv6.destination
                          + (bit<144>)headers.udp.source + (bit<144>)headers.udp.destination
                          + (bit<144>)headers.udp.checksum);
    }

    action forget_targets() {
        meta.fork = 0;
        meta.artp = 0;
    }

    action forget_artp() {
        meta.artp = 0;
    }

    action forget_fork() {
        meta.fork = 0;
    }

    // [17] Atomic: simple_switch locks a register for the whole action.
    action take_turn() {
        turns.read(meta.found.turn, meta.group);
        meta.index = meta.found.turn & meta.found.mask;
        meta.found.turn = meta.found.turn + 1;
        turns.write(meta.group, meta.found.turn);
    }

    action hash_ipv4() {
        hash(meta.found.five_tuple, HashAlgorithm.crc32, 32w0,
             { headers.ipv4.source ++ headers.ipv4.destination ++ headers.ipv4.protocol ++ headers.udp.source
               ++ headers.udp.destination }, 33w0x100000000);
        meta.found.cell = meta.found.five_tuple & (LEARNT_SIZE - 1);
    }

    action hash_ipv6() {
        hash(meta.found.five_tuple, HashAlgorithm.crc32, 32w0,
             { headers.ipv6.source ++ headers.ipv6.destination ++ headers.ipv6.protocol ++ headers.udp.source
               ++ headers.udp.destination }, 33w0x100000000);
        meta.found.cell = meta.found.five_tuple & (LEARNT_SIZE - 1);
    }

    action pass_again() {
        meta.port = standard.ingress_port;
    }

    action resubmit_for_backup() {
        pass_again();
        meta.endpoint = meta.backup;
        meta.backup = 0;
        resubmit_preserving_field_list(AGAIN);
        exit;
    }

    action multiply() {
        pass_again();
        forked.count(meta.found.copies);
        standard.mcast_grp = (bit<16>)meta.found.copies; // group n: copies 0 to n - 1
        exit;
    }

    // [20] What the register remembers of this five-tuple.
    action remember() {
        latest.read(meta.found.remembered, meta.found.cell);
    }

    action note_ends_of_ipv4() {
        meta.found.out_ipv6 = 0;
        meta.found.local = (address_t)headers.ipv4.destination;
        meta.found.remote = (address_t)headers.ipv4.source;
    }

    action note_ends_of_ipv6() {
        meta.found.out_ipv6 = 1;
        meta.found.local = headers.ipv6.destination;
        meta.found.remote = headers.ipv6.source;
    }

    // What a digest tells, before it is written over.
    action note_ports() {
        meta.found.from_ipv6 = meta.found.out_ipv6;
        meta.found.local_port = headers.udp.destination;
        meta.found.remote_port = headers.udp.source;
        meta.found.remote_mac = headers.ethernet.source;
        meta.found.remembered = meta.found.five_tuple ++ standard.ingress_global_timestamp;
    }

    action learn() {
        latest.write(meta.found.cell, meta.found.remembered);
        learnt.count(0);
        digest<learn_t>(1, { meta.found.from_ipv6 ++ (bit<1>)(meta.artp != 0) ++ standard.ingress_port ++ meta.vlan
                             ++ meta.found.remote_mac ++ meta.found.local_port
                             ++ meta.found.remote_port ++ meta.found.local ++ meta.found.remote });
    }

    action request() {
        digest<request_t>(1, { meta.found.from_ipv6 ++ standard.ingress_port ++ meta.vlan ++ meta.found.local_port
                               ++ meta.found.remote_port ++ meta.found.local ++ meta.found.remote });
    }

    action refuse_next_hop() {
        digest<next_hop_t>(1, { meta.found.out_ipv6 ++ meta.found.local });
        refuse(NO_NEXT_HOP);
    }

    apply {
        if (standard.instance_type != 0 || headers.packet_out.isValid()) {
            if (headers.packet_out.isValid()) {
                standard.egress_spec = headers.packet_out.egress_port;
                headers.packet_out.setInvalid();
                exit;
            }
            if (headers.ipv4.isValid()) {
                return_ipv4();
                if (headers.udp.checksum != 0) { note_ipv4(); }
            } else {
                return_ipv6();
                note_ipv6();
            }
        } else {
            // 1. Frame
            if (headers.ipv4.isValid()) {
                receive_ipv4();
            } else if (headers.ipv6.isValid()) {
                receive_ipv6();
            } else {
                receive();
                if (!headers.ethernet.isValid()) { refuse(MALFORMED_ETHERNET); }
                if (!headers.vlan.isValid()
                    && (headers.ethernet.type == TYPE_VLAN || headers.ethernet.type == TYPE_SERVICE_VLAN)) {
                    refuse(MALFORMED_ETHERNET);
                }
                if (headers.vlan.isValid()
                    && (headers.vlan.type == TYPE_VLAN || headers.vlan.type == TYPE_SERVICE_VLAN)) {
                    refuse(DOUBLE_TAGGED);
                }
            }
            if (link.apply().miss) { refuse(NO_LINK); }
            if (headers.ethernet.destination[40:40] == 0 && headers.ethernet.destination != meta.found.link_mac) {
                refuse(NOT_FOR_US);
            }
            if (headers.ipv4.isValid()) {
                // 3. to 5. One condition for what seldom is wrong: conditions take time.
                if (headers.ipv4.version != 4 || headers.ipv4.header_words != 5 || standard.checksum_error == 1
                    || headers.ipv4.more_fragments == 1 || headers.ipv4.offset != 0
                    || headers.ipv4.source[31:24] == 0 || headers.ipv4.source[31:24] == 127
                    || headers.ipv4.source[31:29] == 7 || !headers.udp.isValid()
                    || (bit<32>)headers.udp.length + 34 != meta.found.frame_length || headers.udp.length < 8
                    || meta.found.frame_length > standard.packet_length || headers.vlan.isValid()) {
                    // 3. IP header
                    if (headers.ipv4.version != 4 || headers.ipv4.header_words < 5
                        || (bit<16>)headers.ipv4.header_words << 2 > headers.ipv4.length
                        || meta.found.frame_length > standard.packet_length
                        || (headers.vlan.isValid() && meta.found.frame_length + 4 > standard.packet_length)) {
                        refuse(MALFORMED_IP);
                    }
                    if (headers.ipv4.header_words != 5) { refuse(IP_OPTIONS); }
                    if (standard.checksum_error == 1) { refuse(BAD_IP_CHECKSUM); }
                    if (headers.ipv4.more_fragments == 1 || headers.ipv4.offset != 0) { refuse(IP_FRAGMENT); }
                    if (headers.ipv4.source[31:24] == 0 || headers.ipv4.source[31:24] == 127
                        || headers.ipv4.source[31:29] == 7) {
                        refuse(BAD_ADDRESS);
                    }
                    // 4. Not UDP
                    if (headers.ipv4.protocol != PROTOCOL_UDP) {
                        if (meta.found.unmatched == UNMATCHED_DROP) { refuse(NO_FLOW); }
                        pass_to_host();
                    }
                    // 5. UDP
                    if (headers.ipv4.length < 28 || !headers.udp.isValid()
                        || headers.udp.length != headers.ipv4.length - 20) {
                        refuse(MALFORMED_UDP);
                    }
                }
                if (headers.udp.checksum != 0) { note_ipv4(); }
                flow_wild.apply();
                if (meta.sources != SOURCES_ALL) {
                    switch (flow.apply().action_run) {
                        to_channel: { if (meta.fork != 0 || meta.artp != 0) { forget_targets(); } }
                        to_fork: { if (meta.artp != 0) { forget_artp(); } }
                        to_artp: { if (meta.fork != 0) { forget_fork(); } }
                    }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer.apply(); }
                }
            } else if (headers.ipv6.isValid()) {
                if (headers.ipv6.version != 6 || meta.found.frame_length > standard.packet_length
                    || (headers.vlan.isValid() && meta.found.frame_length + 4 > standard.packet_length)) {
                    refuse(MALFORMED_IP);
                }
                if (headers.ipv6.protocol != PROTOCOL_UDP
                    && (headers.ipv6.protocol == 0 || headers.ipv6.protocol == 43 || headers.ipv6.protocol == 44
                        || headers.ipv6.protocol == 51 || headers.ipv6.protocol == 60
                        || headers.ipv6.protocol == 135 || headers.ipv6.protocol == 139
                        || headers.ipv6.protocol == 140 || headers.ipv6.protocol >= 253
                           && headers.ipv6.protocol != 255)) {
                    if (headers.ipv6.protocol == 0 && headers.ipv6.destination[127:112] == 0xff02) {
                        refuse(MULTICAST_LISTENER);
                    }
                    refuse(IPV6_EXTENSION);
                }
                if ((headers.ipv6.source == 0 && headers.ipv6.protocol != PROTOCOL_ICMPV6)
                    || headers.ipv6.source == 1 || headers.ipv6.source[127:120] == 0xff) {
                    refuse(BAD_ADDRESS);
                }
                if (headers.ipv6.protocol != PROTOCOL_UDP) {
                    if (headers.icmpv6.isValid() && headers.ipv6.length >= 8 && headers.ipv6.ttl == 255
                        && headers.icmpv6.type >= ROUTER_SOLICITATION && headers.icmpv6.type <= REDIRECT) {
                        pass_to_host();
                    }
                    if (meta.found.unmatched == UNMATCHED_DROP) { refuse(NO_FLOW); }
                    pass_to_host();
                }
                if (headers.ipv6.length < 8 || !headers.udp.isValid() || headers.udp.length != headers.ipv6.length) {
                    refuse(MALFORMED_UDP);
                }
                if (headers.udp.checksum == 0) { refuse(UDP6_ZERO_CHECKSUM); }
                note_ipv6();
                flow6_wild.apply();
                if (meta.sources != SOURCES_ALL) {
                    switch (flow6.apply().action_run) {
                        to_channel6: { if (meta.fork != 0 || meta.artp != 0) { forget_targets(); } }
                        to_fork6: { if (meta.artp != 0) { forget_artp(); } }
                        to_artp6: { if (meta.fork != 0) { forget_fork(); } }
                    }
                    if (meta.sources == 0 && meta.link_kind == LINK_NODE) { peer6.apply(); }
                }
            } else {
                // 2. Which protocol; an IP header that is cut short
                meta.found.type = headers.ethernet.type;
                if (headers.vlan.isValid()) { meta.found.type = headers.vlan.type; }
                if (meta.found.type == TYPE_ARP) { pass_to_host(); }
                if (meta.found.type == TYPE_IPV4 || meta.found.type == TYPE_IPV6) { refuse(MALFORMED_IP); }
                if (meta.found.unmatched == UNMATCHED_DROP) { refuse(NOT_IP); }
                pass_to_host();
            }
            if (meta.sources != 0) {
                if (meta.found.links & (8w1 << meta.link_kind) == 0
                    || (headers.ipv4.isValid() && meta.found.strange != 0)
                    || (headers.ipv6.isValid() && meta.found.strange6 != 0)) {
                    if (meta.found.links & (8w1 << meta.link_kind) == 0) { refuse(WRONG_LINK); }
                    refuse(SOURCE_REFUSED);
                }
            } else if (meta.answered == 0) {
                if (meta.found.unmatched == UNMATCHED_DROP) { refuse(NO_FLOW); }
                if (meta.found.unmatched == UNMATCHED_REQUEST) {
                    if (headers.ipv4.isValid()) { note_ends_of_ipv4(); } else { note_ends_of_ipv6(); }
                    note_ports();
                    request();
                    refuse(REQUESTED);
                }
                pass_to_host();
            }
        }
        // 5a. ARTP
        if (meta.artp != 0) {
            if (standard.instance_type == 0) {
                if (meta.answered == 0) {
                    if (artp.apply().miss) { refuse(NO_RULE); }
                }
                if (!headers.artp.isValid() || headers.artp.type == 0 || headers.artp.type > ARTP_LAST_TYPE
                    || headers.artp.reserved != 0 || headers.artp.destinations > ARTP_DESTINATIONS
                    || headers.artp.zeros != 0 || headers.artp.length > ARTP_LONGEST_HEADER
                    || headers.artp.length > headers.udp.length - 8
                    || headers.artp.length < ARTP_HEADER + 18 * (bit<16>)headers.artp.destinations) {
                    refuse(MALFORMED_ARTP);
                }
                if (headers.artp.is_control == 1
                    && (headers.artp.is_chosen == 1
                        || (headers.artp.type != ARTP_DATA && headers.artp.type != ARTP_CLOSE))) {
                    refuse(MALFORMED_ARTP);
                }
                if (headers.artp.type == ARTP_DATA) {
                    if (headers.artp.fragments > ARTP_FRAGMENTS
                        || headers.artp.fragment >= headers.artp.fragments) {
                        refuse(MALFORMED_ARTP);
                    }
                } else if (headers.artp.fragments != 0 || headers.artp.fragment != 0) {
                    refuse(MALFORMED_ARTP);
                }
                if (meta.answered == 0) {
                    meta.found.applies = meta.found.target;
                    if (headers.artp.is_control == 1 && headers.artp.type != ARTP_CLOSE) {
                        if (meta.found.control_target == 0) { refuse(OWN_CONTROL); }
                        meta.found.applies = meta.found.control_target;
                    } else if (headers.artp.is_control == 1 && meta.found.everyone != 0) {
                        meta.found.applies = meta.found.everyone;
                    } else if (headers.artp.is_chosen == 1 && meta.found.named != 0) {
                        meta.found.applies = meta.found.named;
                    } else if (headers.artp.destinations != 0) {
                        meta.overriding = 1;
                    }
                }
            }
            if (meta.answered == 0) {
                if (meta.overriding == 1) {
                    // [14f] So it may be; and so it is for a copy.
                    if (override.apply().miss) {
                        if (standard.instance_type == RECIRCULATED) { refuse(NO_RULE); }
                        meta.overriding = 0;
                    } else if (standard.instance_type != RECIRCULATED) {
                        PERMIT(0)
                        PERMIT(1)
                        PERMIT(2)
                        PERMIT(3)
                        meta.found.copies = (bit<32>)headers.artp.destinations;
                        if (meta.found.copies != 1) { multiply(); }
                    }
                }
                if (meta.overriding == 0 && standard.instance_type == 0) {
                    if (meta.found.applies == 0) { refuse(NO_BINDING); }
                    if (meta.found.applies[31:31] == 1) {
                        meta.fork = (bit<32>)meta.found.applies[30:0];
                    } else {
                        meta.channel = meta.found.applies;
                    }
                }
            }
        }
        // A peer's answer is ready; a packet that comes again for its backup has its endpoint; the rest chooses.
        if (meta.answered == 0) {
            if (standard.instance_type != RESUBMITTED) {
                // 6. Target
                if (meta.fork != 0) {
                    if (fork.apply().miss) { refuse(NO_RULE); }
                    if (standard.instance_type != RECIRCULATED && meta.found.copies != 1) { multiply(); }
                }
                // 7. Channel
                if (channel.apply().miss) { refuse(NO_RULE); }
                if (standard.packet_length != meta.found.frame_length) {
                    surplus.apply(meta.channel, (bit<16>)(standard.packet_length - meta.found.frame_length));
                }
            }
            // The hash selects, and tells apart the flows that may have to be learnt.
            if ((meta.endpoint == 0 && meta.found.selector == SELECTOR_HASH)
                || (meta.link_kind == LINK_OUTSIDE && meta.sources != SOURCES_ONE)) {
                if (headers.ipv4.isValid()) { hash_ipv4(); } else { hash_ipv6(); }
            }
            if (meta.overriding == 0) {
                if (meta.endpoint == 0) {
                    if (meta.artp != 0) {
                        if (meta.found.member != 0 && meta.found.member == (bit<32>)headers.artp.instance) {
                            refuse(OWN_CONTROL);
                        }
                        if (meta.found.selector == SELECTOR_DATAGRAM) {
                            meta.index = headers.artp.datagram & meta.found.mask;
                        } else if (meta.found.selector == SELECTOR_INSTANCE) {
                            meta.index = (bit<32>)headers.artp.instance & meta.found.mask;
                        }
                    }
                    if (meta.found.selector == SELECTOR_COUNTER) {
                        take_turn();
                    } else if (meta.found.selector == SELECTOR_HASH) {
                        meta.index = meta.found.five_tuple & meta.found.mask;
                    }
                    if (slot.apply().miss) {
                        if (meta.found.selector == SELECTOR_INSTANCE) { refuse(NO_SUCH_INSTANCE); }
                        refuse(NO_RULE);
                    }
                }
                // [20] What may have to be learnt is noted before it is written over.
                if (meta.link_kind == LINK_OUTSIDE && meta.sources != SOURCES_ONE) {
                    remember();
                    if (meta.found.remembered[79:48] != meta.found.five_tuple
                        || standard.ingress_global_timestamp - meta.found.remembered[47:0] >= REFRESH_INTERVAL) {
                        if (headers.ipv4.isValid()) { note_ends_of_ipv4(); } else { note_ends_of_ipv6(); }
                        note_ports();
                        meta.learning = 1;
                    }
                }
                if (endpoint.apply().miss) { refuse(NO_RULE); }
                if (meta.unit != 0) {
                    switch (unit.apply().action_run) {
                        dead: {
                            if (meta.backup != 0) { resubmit_for_backup(); }
                            refuse(NO_LIVE_ENDPOINT);
                        }
                    }
                }
            } else {
                if (meta.copy == 0) {
                    HEAD_FOR(0)
                } else if (meta.copy == 1) {
                    HEAD_FOR(1)
                } else if (meta.copy == 2) {
                    HEAD_FOR(2)
                } else {
                    HEAD_FOR(3)
                }
                if (headers.ipv4.isValid()) {
                    if (meta.found.prefix != IPV4_MAPPED) { refuse(FAMILY_MISMATCH); }
                    meta.found.out_ipv6 = 0;
                    if (meta.found.write_source == 1) {
                        headers.ipv4.source = meta.found.override_source[31:0];
                        headers.udp.source = meta.found.override_source_port;
                    }
                    meta.found.local = (address_t)meta.found.address;
                    next_hop.apply();
                } else {
                    if (meta.found.prefix == IPV4_MAPPED) { refuse(FAMILY_MISMATCH); }
                    meta.found.out_ipv6 = 1;
                    headers.ipv6.destination = meta.found.prefix ++ meta.found.address;
                    if (meta.found.write_source == 1) {
                        headers.ipv6.source = meta.found.override_source;
                        headers.udp.source = meta.found.override_source_port;
                    }
                    meta.found.local = headers.ipv6.destination;
                    next_hop6.apply();
                }
                if (meta.mtu == 0) { refuse_next_hop(); }
            }
        }
        if (headers.ipv4.isValid()) {
            if (meta.found.out_ipv6 == 1 || headers.ipv4.ttl <= 1 || headers.ipv4.length > meta.mtu) {
                if (meta.found.out_ipv6 == 1) { refuse(FAMILY_MISMATCH); }
                if (headers.ipv4.ttl <= 1) { refuse(TTL_EXPIRED); }
                refuse(TOO_BIG);
            }
        } else {
            if (meta.found.out_ipv6 == 0) { refuse(FAMILY_MISMATCH); }
            if (headers.ipv6.ttl <= 1) { refuse(TTL_EXPIRED); }
            if (meta.found.frame_length - 14 > (bit<32>)meta.mtu) { refuse(TOO_BIG); }
        }
        // [20] An edge has no guests, so an answer is never itself a cause to learn.
        if (meta.learning == 1 && meta.found.endpoint_kind == ENDPOINT_NODE) { learn(); }
    }
}

control SteeringDeparser(packet_out packet, in headers_t headers) {
    apply {
        packet.emit(headers.packet_in);
        packet.emit(headers.ethernet);
        packet.emit(headers.vlan);
        packet.emit(headers.ipv4);
        packet.emit(headers.ipv6);
        packet.emit(headers.udp);
        packet.emit(headers.icmpv6);
        packet.emit(headers.artp);
        packet.emit(headers.destinations);
    }
}

V1Switch(SteeringParser(), VerifyHeader(), Steering(), Rewriting(), WriteChecksum(), SteeringDeparser()) main;
