// The node's steering rules for an edge (distribution, aggregation) on v1model. Tables and order of checks are those
// of docs/steering.md; numbers in square brackets are its steps. How they were fitted to v1model: docs/p4.md.
#include <core.p4>
#include <v1model.p4>

#include "../shared/drops.p4"
#include "../shared/headers.p4"
#include "../shared/parser.p4"
#include "../shared/sizes.p4"

const port_t CONTROLLER = 510;
// instance_type of simple_switch
const bit<32> RESUBMITTED = 6;
const bit<32> REPLICATED = 5;
const bit<32> RECIRCULATED = 4;
const bit<48> REFRESH_INTERVAL = 1000000; // microseconds for which a learnt peer is left as it is

// What survives a resubmission (the backup's turn) and a recirculation (a copy's turn).
#define AGAIN 1

// A peer to be learnt [20]; the controller writes the row.
struct learn_t {
    bit<1> ipv6;
    address_t local_address;
    socket_port_t local_port;
    address_t remote_address;
    socket_port_t remote_port;
    port_t port;
    vlan_t vlan;
    mac_t source_mac;
    mac_t destination_mac;
}

// A packet of no session, on a link whose policy is to ask [14].
struct request_t {
    bit<1> ipv6;
    address_t source_address;
    socket_port_t source_port;
    address_t destination_address;
    socket_port_t destination_port;
    port_t port;
    vlan_t vlan;
}

struct metadata_t {
    @field_list(AGAIN)
    port_t port;
    @field_list(AGAIN)
    vlan_t vlan;
    @field_list(AGAIN)
    mac_t link_mac;
    @field_list(AGAIN)
    bit<8> link_kind;
    @field_list(AGAIN)
    bit<32> fork;
    @field_list(AGAIN)
    bit<16> copy;
    @field_list(AGAIN)
    bit<1> wild; // the target was found by a flow without a source
    @field_list(AGAIN)
    bit<32> endpoint; // chosen already: the backup
    @field_list(AGAIN)
    bit<32> backup; // 0: none

    bit<8> unmatched;
    bit<1> double_tagged;
    bit<1> ipv6_extension;
    bit<1> ipv6;
    bit<16> type;
    bit<32> room;   // bytes behind the Ethernet header and tag
    bit<32> length; // of the IP packet
    bit<16> udp_room;
    address_t source;
    address_t destination;
    bit<8> protocol;
    bit<8> ttl;

    bit<8> links;
    address_t permitted_source;
    address_t permitted_mask;
    bit<8> target_kind;
    bit<32> target;
    bit<16> copies;
    bit<32> channel;
    bit<8> selector;
    bit<32> mask;
    bit<32> group;
    bit<32> index;
    bit<32> unit;
    bit<8> endpoint_kind;

    bit<1> steered; // send it, rewritten:
    port_t out_port;
    vlan_t out_vlan;
    mac_t out_source_mac;
    mac_t out_destination_mac;
    bit<1> out_ipv6;
    address_t new_destination;
    socket_port_t new_destination_port;
    bit<1> write_source;
    address_t new_source;
    socket_port_t new_source_port;
    bit<16> mtu;
}

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
        frame.apply(packet, headers, meta.double_tagged, meta.ipv6_extension);
        transition accept;
    }
}

control VerifyHeader(inout headers_t headers, inout metadata_t meta) {
    apply {
        verify_checksum(headers.ipv4.isValid() && headers.ipv4.header_words == 5,
                        { headers.ipv4.version, headers.ipv4.header_words, headers.ipv4.service,
                          headers.ipv4.length, headers.ipv4.identification, headers.ipv4.reserved,
                          headers.ipv4.dont_fragment, headers.ipv4.more_fragments, headers.ipv4.offset,
                          headers.ipv4.ttl, headers.ipv4.protocol, headers.ipv4.source,
                          headers.ipv4.destination },
                        headers.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control Steering(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    // One cell for frames that came in; drops by reason; forks by their number of copies: `copies` of the
    // equation in docs/steering.md is the sum of (n - 1) times cell n.
    counter(1, CounterType.packets) received;
    counter(DROP_SIZE, CounterType.packets) drops;
    counter(FORK_BRANCHES, CounterType.packets) forked;
    counter(1, CounterType.packets) learnt;
    // The channel's own counter counts whole frames, 14 bytes and the bytes behind the IP packet or of a tag too
    // many. Cell channel * 16 + b counts frames of the channel with bit b set in the number of those bytes above 14.
    counter(SURPLUS_SIZE, CounterType.packets) surplus;
    direct_counter(CounterType.packets_and_bytes) channel_counter;
    register<bit<32>>(GROUP_SIZE) turns;
    register<bit<80>>(LEARNT_SIZE) latest; // of a five-tuple's hash: its check and the time of its digest

    action refuse(drop_t reason) {
        drops.count(reason);
        mark_to_drop(standard);
        exit;
    }

    action pass_to_host() {
        headers.packet_in.setValid();
        headers.packet_in.padding = 0;
        headers.packet_in.ingress_port = meta.port;
        standard.egress_spec = CONTROLLER;
        exit;
    }

    // [3]
    action set_link(bit<8> kind, mac_t mac, bit<8> unmatched) {
        meta.link_kind = kind;
        meta.link_mac = mac;
        meta.unmatched = unmatched;
    }

    table link {
        key = {
            meta.port: exact @name("port");
            meta.vlan: exact @name("vlan");
        }
        actions = { set_link; @defaultonly NoAction; }
        size = LINK_SIZE;
    }

    // [14]
    action set_target(bit<8> kind, bit<32> target, bit<8> links, address_t permitted_source, address_t permitted_mask) {
        meta.target_kind = kind;
        meta.target = target;
        meta.links = links;
        meta.permitted_source = permitted_source;
        meta.permitted_mask = permitted_mask;
    }

    table flow {
        key = {
            meta.ipv6: exact @name("ipv6");
            meta.destination: exact @name("destination");
            headers.udp.destination: exact @name("destination_port");
            meta.source: exact @name("source");
            headers.udp.source: exact @name("source_port");
        }
        actions = { set_target; @defaultonly NoAction; }
        size = FLOW_SIZE;
    }

    // The rows of the table flow that have no source: a table is applied once per pass.
    table flow_wild {
        key = {
            meta.ipv6: exact @name("ipv6");
            meta.destination: exact @name("destination");
            headers.udp.destination: exact @name("destination_port");
        }
        actions = { set_target; @defaultonly NoAction; }
        size = FLOW_SIZE;
    }

    // [22]
    action answer(port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<1> write_source,
                  address_t source, socket_port_t source_port, bit<16> mtu) {
        meta.out_port = port;
        meta.out_vlan = vlan;
        meta.out_source_mac = source_mac;
        meta.out_destination_mac = destination_mac;
        meta.out_ipv6 = meta.ipv6;
        meta.new_destination = meta.destination;
        meta.new_destination_port = headers.udp.destination;
        meta.write_source = write_source;
        meta.new_source = source;
        meta.new_source_port = source_port;
        meta.mtu = mtu;
        meta.steered = 1;
    }

    table peer {
        key = {
            meta.ipv6: exact @name("ipv6");
            meta.source: exact @name("local");
            headers.udp.source: exact @name("local_port");
            meta.destination: exact @name("remote");
            headers.udp.destination: exact @name("remote_port");
        }
        actions = { answer; @defaultonly NoAction; }
        size = PEER_SIZE;
    }

    // [15] `copies`: of the whole fork, as far as there is no gap; meaningful in the row of copy 0
    action branch(bit<32> channel, bit<16> copies) {
        meta.channel = channel;
        meta.copies = copies;
    }

    table fork {
        key = {
            meta.fork: exact @name("fork");
            meta.copy: exact @name("copy");
        }
        actions = { branch; @defaultonly NoAction; }
        size = FORK_SIZE;
    }

    // [16]; the session and its control group are the controller's own notes
    action set_channel(bit<8> select_by, bit<32> mask, bit<32> group, bit<32> session, bit<32> control_group) {
        channel_counter.count();
        meta.selector = select_by;
        meta.mask = mask;
        meta.group = group;
    }

    table channel {
        key = { meta.channel: exact @name("channel"); }
        actions = { set_channel; @defaultonly NoAction; }
        counters = channel_counter;
        size = CHANNEL_SIZE;
    }

    // [17] Atomic: simple_switch locks a register for the whole action.
    action take_turn() {
        turns.read(meta.index, meta.group & (GROUP_SIZE - 1));
        turns.write(meta.group & (GROUP_SIZE - 1), meta.index + 1);
        meta.index = meta.index & meta.mask;
    }

    action hash_ipv4() {
        hash(meta.index, HashAlgorithm.crc32, 32w0,
             { headers.ipv4.source, headers.ipv4.destination, headers.ipv4.protocol, headers.udp.source,
               headers.udp.destination }, 33w0x100000000);
        meta.index = meta.index & meta.mask;
    }

    action hash_ipv6() {
        hash(meta.index, HashAlgorithm.crc32, 32w0,
             { headers.ipv6.source, headers.ipv6.destination, headers.ipv6.protocol, headers.udp.source,
               headers.udp.destination }, 33w0x100000000);
        meta.index = meta.index & meta.mask;
    }

    // [18] `backup` 0: none
    action set_slot(bit<32> endpoint, bit<32> backup) {
        meta.endpoint = endpoint;
        meta.backup = backup;
    }

    table slot {
        key = {
            meta.group: exact @name("group");
            meta.index: exact @name("index");
        }
        actions = { set_slot; @defaultonly NoAction; }
        size = SLOT_SIZE;
    }

    action set_endpoint(bit<8> kind, port_t port, vlan_t vlan, mac_t source_mac, mac_t destination_mac, bit<1> ipv6,
                        address_t destination, socket_port_t destination_port, bit<1> write_source, address_t source,
                        socket_port_t source_port, bit<16> mtu, bit<32> unit) {
        meta.endpoint_kind = kind;
        meta.out_port = port;
        meta.out_vlan = vlan;
        meta.out_source_mac = source_mac;
        meta.out_destination_mac = destination_mac;
        meta.out_ipv6 = ipv6;
        meta.new_destination = destination;
        meta.new_destination_port = destination_port;
        meta.write_source = write_source;
        meta.new_source = source;
        meta.new_source_port = source_port;
        meta.mtu = mtu;
        meta.unit = unit;
        meta.steered = 1;
    }

    table endpoint {
        key = { meta.endpoint: exact @name("endpoint"); }
        actions = { set_endpoint; @defaultonly NoAction; }
        size = ENDPOINT_SIZE;
    }

    // A row for each living unit: one write is the whole fail-over. Unit 0 always lives.
    action alive() {}
    action dead() {}

    table unit {
        key = { meta.unit: exact @name("unit"); }
        actions = { alive; dead; @defaultonly NoAction; }
        default_action = dead();
        size = UNIT_SIZE;
    }

    // What is common to IPv4 and IPv6 from here on.
    action read_ipv4() {
        meta.source = (address_t)headers.ipv4.source;
        meta.destination = (address_t)headers.ipv4.destination;
        meta.protocol = headers.ipv4.protocol;
        meta.ttl = headers.ipv4.ttl;
        meta.length = (bit<32>)headers.ipv4.length;
        meta.udp_room = headers.ipv4.length - 20;
    }

    action read_ipv6() {
        meta.ipv6 = 1;
        meta.source = headers.ipv6.source;
        meta.destination = headers.ipv6.destination;
        meta.protocol = headers.ipv6.protocol;
        meta.ttl = headers.ipv6.ttl;
        meta.length = 40 + (bit<32>)headers.ipv6.length;
        meta.udp_room = headers.ipv6.length;
    }

    action resubmit_for_backup() {
        meta.endpoint = meta.backup;
        meta.backup = 0;
        resubmit_preserving_field_list(AGAIN);
        exit;
    }

    action multiply() {
        forked.count((bit<32>)meta.copies);
        standard.mcast_grp = meta.copies; // group n: copies 0 to n - 1
        exit;
    }

    action learn() {
        learnt.count(0);
        digest<learn_t>(1, { meta.ipv6, meta.destination, headers.udp.destination, meta.source, headers.udp.source,
                             meta.port, meta.vlan, meta.link_mac, headers.ethernet.source });
    }

    action request() {
        digest<request_t>(1, { meta.ipv6, meta.source, headers.udp.source, meta.destination,
                               headers.udp.destination, meta.port, meta.vlan });
    }

    apply {
        if (headers.packet_out.isValid()) {
            standard.egress_spec = headers.packet_out.egress_port;
            headers.packet_out.setInvalid();
            exit;
        }
        bool again = standard.instance_type == RECIRCULATED || standard.instance_type == RESUBMITTED;
        if (!again) {
            // 1. Frame
            received.count(0);
            meta.port = standard.ingress_port;
            if (!headers.ethernet.isValid()) { refuse(MALFORMED_ETHERNET); }
        }
        meta.type = headers.ethernet.type;
        meta.room = standard.packet_length - 14;
        if (meta.type == TYPE_VLAN || meta.type == TYPE_SERVICE_VLAN) {
            if (!headers.vlan.isValid()) { refuse(MALFORMED_ETHERNET); }
            meta.type = headers.vlan.type;
            meta.vlan = headers.vlan.id;
            meta.room = meta.room - 4;
            if (meta.double_tagged == 1) { refuse(DOUBLE_TAGGED); }
        }
        if (headers.ipv4.isValid()) {
            read_ipv4();
        } else if (headers.ipv6.isValid()) {
            read_ipv6();
        }
        if (!again) {
            if (link.apply().miss) { refuse(NO_LINK); }
            if (headers.ethernet.destination[40:40] == 0 && headers.ethernet.destination != meta.link_mac) {
                refuse(NOT_FOR_US);
            }
            // 2. Which protocol
            if (meta.type == TYPE_ARP) { pass_to_host(); }
            if (meta.type != TYPE_IPV4 && meta.type != TYPE_IPV6) {
                if (meta.unmatched == UNMATCHED_DROP) { refuse(NOT_IP); }
                pass_to_host();
            }
            // 3. IP header
            if (meta.type == TYPE_IPV4) {
                if (!headers.ipv4.isValid() || headers.ipv4.version != 4 || headers.ipv4.header_words < 5
                    || (bit<16>)headers.ipv4.header_words << 2 > headers.ipv4.length || meta.length > meta.room) {
                    refuse(MALFORMED_IP);
                }
                if (headers.ipv4.header_words != 5) { refuse(IP_OPTIONS); }
                if (standard.checksum_error == 1) { refuse(BAD_IP_CHECKSUM); }
                if (headers.ipv4.more_fragments == 1 || headers.ipv4.offset != 0) { refuse(IP_FRAGMENT); }
                if (headers.ipv4.source[31:24] == 0 || headers.ipv4.source[31:24] == 127
                    || headers.ipv4.source[31:29] == 7) {
                    refuse(BAD_ADDRESS);
                }
            } else {
                if (!headers.ipv6.isValid() || headers.ipv6.version != 6 || meta.length > meta.room) {
                    refuse(MALFORMED_IP);
                }
                if (meta.ipv6_extension == 1) { refuse(IPV6_EXTENSION); }
                if ((headers.ipv6.source == 0 && headers.ipv6.protocol != PROTOCOL_ICMPV6)
                    || headers.ipv6.source == 1 || headers.ipv6.source[127:120] == 0xff) {
                    refuse(BAD_ADDRESS);
                }
            }
            // 4. Not UDP
            if (meta.protocol != PROTOCOL_UDP) {
                if (meta.unmatched == UNMATCHED_DROP) { refuse(NO_FLOW); }
                pass_to_host();
            }
            // 5. UDP
            if (meta.udp_room < 8 || !headers.udp.isValid() || headers.udp.length != meta.udp_room) {
                refuse(MALFORMED_UDP);
            }
            if (meta.ipv6 == 1 && headers.udp.checksum == 0) { refuse(UDP6_ZERO_CHECKSUM); }
            bool found = flow.apply().hit;
            if (!found) {
                found = flow_wild.apply().hit;
                meta.wild = 1;
            }
            if (found) {
                if (meta.links & (8w1 << meta.link_kind) == 0) { refuse(WRONG_LINK); }
                if (meta.source & meta.permitted_mask != meta.permitted_source) { refuse(SOURCE_REFUSED); }
            } else {
                bool answered = false;
                if (meta.link_kind == LINK_NODE) { answered = peer.apply().hit; }
                if (!answered) {
                    if (meta.unmatched == UNMATCHED_DROP) { refuse(NO_FLOW); }
                    if (meta.unmatched == UNMATCHED_REQUEST) {
                        request();
                        refuse(REQUESTED);
                    }
                    pass_to_host();
                }
            }
            // 6. Target
            if (meta.target_kind == TARGET_FORK) {
                meta.fork = meta.target;
            } else {
                meta.channel = meta.target;
            }
        }
        // A peer's answer is ready; a packet that comes again for its backup has its endpoint; the rest chooses.
        if (meta.steered == 0 && standard.instance_type != RESUBMITTED) {
            if (meta.fork != 0) {
                if (fork.apply().miss) { refuse(NO_RULE); }
                if (!again && meta.copies != 1) { multiply(); }
            }
            // 7. Channel
            if (channel.apply().miss) { refuse(NO_RULE); }
            bit<16> more = (bit<16>)(standard.packet_length - 14 - meta.length);
            if (more != 0) {
                bit<32> cell = (meta.channel << 4) & (SURPLUS_SIZE - 1);
                if (more[0:0] == 1) { surplus.count(cell); }
                if (more[1:1] == 1) { surplus.count(cell + 1); }
                if (more[2:2] == 1) { surplus.count(cell + 2); }
                if (more[3:3] == 1) { surplus.count(cell + 3); }
                if (more[4:4] == 1) { surplus.count(cell + 4); }
                if (more[5:5] == 1) { surplus.count(cell + 5); }
                if (more[6:6] == 1) { surplus.count(cell + 6); }
                if (more[7:7] == 1) { surplus.count(cell + 7); }
                if (more[8:8] == 1) { surplus.count(cell + 8); }
                if (more[9:9] == 1) { surplus.count(cell + 9); }
                if (more[10:10] == 1) { surplus.count(cell + 10); }
                if (more[11:11] == 1) { surplus.count(cell + 11); }
                if (more[12:12] == 1) { surplus.count(cell + 12); }
                if (more[13:13] == 1) { surplus.count(cell + 13); }
                if (more[14:14] == 1) { surplus.count(cell + 14); }
                if (more[15:15] == 1) { surplus.count(cell + 15); }
            }
            meta.index = 0; // also the datagram number and the instance of a packet without an ARTP header
            if (meta.selector == SELECTOR_COUNTER) {
                take_turn();
            } else if (meta.selector == SELECTOR_HASH) {
                if (meta.ipv6 == 1) {
                    hash_ipv6();
                } else {
                    hash_ipv4();
                }
            }
            if (slot.apply().miss) {
                if (meta.selector == SELECTOR_INSTANCE) { refuse(NO_SUCH_INSTANCE); }
                refuse(NO_RULE);
            }
        }
        if (meta.steered == 0) {
            if (endpoint.apply().miss) { refuse(NO_RULE); }
            if (meta.unit != 0) {
                switch (unit.apply().action_run) {
                    dead: {
                        if (meta.backup != 0) { resubmit_for_backup(); }
                        refuse(NO_LIVE_ENDPOINT);
                    }
                }
            }
        }
        if (meta.out_ipv6 != meta.ipv6) { refuse(FAMILY_MISMATCH); }
        if (meta.ttl <= 1) { refuse(TTL_EXPIRED); }
        if (meta.length > (bit<32>)meta.mtu) { refuse(TOO_BIG); }
        // [20]: an edge has no guests, so an answer is never itself a cause to learn
        if (meta.wild == 1 && meta.endpoint_kind == ENDPOINT_NODE && meta.link_kind == LINK_OUTSIDE) {
            bit<32> check;
            hash(check, HashAlgorithm.crc32, 32w0, { meta.source, meta.destination, headers.udp.source,
                 headers.udp.destination }, 33w0x100000000);
            bit<80> before;
            latest.read(before, check & (LEARNT_SIZE - 1));
            if (before[79:48] != check || standard.ingress_global_timestamp - before[47:0] >= REFRESH_INTERVAL) {
                latest.write(check & (LEARNT_SIZE - 1), check ++ standard.ingress_global_timestamp);
                learn();
            }
        }
        standard.egress_spec = meta.out_port;
    }
}

control Rewriting(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    counter(1, CounterType.packets) sent;
    counter(1, CounterType.packets) to_host;

    apply {
        if (standard.instance_type == REPLICATED) {
            meta.copy = standard.egress_rid;
            recirculate_preserving_field_list(AGAIN);
        } else if (headers.packet_in.isValid()) {
            to_host.count(0);
        } else if (meta.steered == 1) {
            // [21]
            bit<32> length = 14 + meta.length; // what stands behind the IP packet is cut off
            bit<16> type = TYPE_IPV4;
            if (meta.ipv6 == 1) { type = TYPE_IPV6; }
            headers.ethernet.destination = meta.out_destination_mac;
            headers.ethernet.source = meta.out_source_mac;
            if (meta.out_vlan == 0) {
                headers.vlan.setInvalid();
                headers.ethernet.type = type;
            } else {
                headers.vlan.setValid();
                headers.vlan.priority = 0;
                headers.vlan.drop_eligible = 0;
                headers.vlan.id = meta.out_vlan;
                headers.vlan.type = type;
                headers.ethernet.type = TYPE_VLAN;
                length = length + 4;
            }
            truncate(length);
            if (meta.write_source == 0) {
                meta.new_source = meta.source;
                meta.new_source_port = headers.udp.source;
            }
            // RFC 1624, equation 3: a checksum that was wrong stays wrong. 0 stays 0 on IPv4.
            if (headers.udp.checksum != 0) {
                bit<16> checksum;
                hash(checksum, HashAlgorithm.csum16, 16w0,
                     { ~headers.udp.checksum, ~meta.source, ~meta.destination, ~headers.udp.source,
                       ~headers.udp.destination, meta.new_source, meta.new_destination, meta.new_source_port,
                       meta.new_destination_port }, 32w0x10000);
                if (checksum == 0) { checksum = 0xffff; }
                headers.udp.checksum = checksum;
            }
            headers.udp.source = meta.new_source_port;
            headers.udp.destination = meta.new_destination_port;
            if (meta.ipv6 == 1) {
                headers.ipv6.source = meta.new_source;
                headers.ipv6.destination = meta.new_destination;
                headers.ipv6.ttl = headers.ipv6.ttl - 1;
            } else {
                headers.ipv4.source = meta.new_source[31:0];
                headers.ipv4.destination = meta.new_destination[31:0];
                headers.ipv4.ttl = headers.ipv4.ttl - 1;
            }
            sent.count(0);
        }
    }
}

control WriteChecksum(inout headers_t headers, inout metadata_t meta) {
    apply {
        update_checksum(headers.ipv4.isValid() && meta.steered == 1,
                        { headers.ipv4.version, headers.ipv4.header_words, headers.ipv4.service,
                          headers.ipv4.length, headers.ipv4.identification, headers.ipv4.reserved,
                          headers.ipv4.dont_fragment, headers.ipv4.more_fragments, headers.ipv4.offset,
                          headers.ipv4.ttl, headers.ipv4.protocol, headers.ipv4.source,
                          headers.ipv4.destination },
                        headers.ipv4.checksum, HashAlgorithm.csum16);
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
    }
}

V1Switch(SteeringParser(), VerifyHeader(), Steering(), Rewriting(), WriteChecksum(), SteeringDeparser()) main;
