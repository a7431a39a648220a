// What is wrong with a packet, and what becomes of it. The checks stand side by side: none waits for another, each only
// notes what it found. `judge` then picks the first fault in the order of docs/steering.md (numbers in square brackets).
// This stands in the body of the ingress control, before `apply`.

action note_frame(drop_t reason) {
    meta.frame_fault = (bit<8>)reason;
}

action sort_as(bit<8> sort) {
    meta.sort = sort;
}

// [1, 2, 6, 7, 10 to 12] What a frame holds. Where the parser met the frame's end within a header, IP states more than
// there is.
table check_frame {
    key = {
        headers.ethernet.isValid(): ternary;
        from_parser.parser_err: ternary;
        meta.double_tagged: ternary;
        headers.vlan.isValid(): ternary;
        headers.ethernet.type: ternary;
        headers.vlan.type: ternary;
        headers.ipv4.isValid(): ternary;
        headers.ipv6.isValid(): ternary;
        headers.ipv4.protocol: ternary;
        headers.ipv6.protocol: ternary;
        headers.udp.isValid(): ternary;
    }
    actions = { note_frame; sort_as; }
    const default_action = sort_as(NO_IP);
    const entries = {
        (false, _, _, _, _, _, _, _, _, _, _): note_frame(MALFORMED_ETHERNET);
        (_, _, 1, _, _, _, _, _, _, _, _): note_frame(DOUBLE_TAGGED);
        (_, _, _, false, TYPE_VLAN, _, _, _, _, _, _): note_frame(MALFORMED_ETHERNET);
        (_, _, _, false, TYPE_SERVICE_VLAN, _, _, _, _, _, _): note_frame(MALFORMED_ETHERNET);
        (_, PARSER_ERROR_PARTIAL_HDR &&& PARSER_ERROR_PARTIAL_HDR, _, _, _, _, _, _, _, _, _): sort_as(CUT_IP);
        (_, _, _, _, _, _, true, _, PROTOCOL_UDP, _, true): sort_as(UDP_IPV4);
        (_, _, _, _, _, _, true, _, PROTOCOL_UDP, _, _): sort_as(CUT_UDP);
        (_, _, _, _, _, _, true, _, _, _, _): sort_as(OTHER_IP);
        (_, _, _, _, _, _, _, true, _, PROTOCOL_UDP, true): sort_as(UDP_IPV6);
        (_, _, _, _, _, _, _, true, _, PROTOCOL_UDP, _): sort_as(CUT_UDP);
        (_, _, _, _, _, _, _, true, _, _, _): sort_as(OTHER_IP);
        (_, _, _, false, TYPE_ARP, _, _, _, _, _, _): sort_as(NEIGHBOURS);
        (_, _, _, true, _, TYPE_ARP, _, _, _, _, _): sort_as(NEIGHBOURS);
        (_, _, _, false, TYPE_IPV4, _, _, _, _, _, _): sort_as(CUT_IP);
        (_, _, _, false, TYPE_IPV6, _, _, _, _, _, _): sort_as(CUT_IP);
        (_, _, _, true, _, TYPE_IPV4, _, _, _, _, _): sort_as(CUT_IP);
        (_, _, _, true, _, TYPE_IPV6, _, _, _, _, _): sort_as(CUT_IP);
    }
    size = 32;
}

action note_ip(drop_t reason) {
    meta.ip_fault = (bit<8>)reason;
}

// [8, 9] A frame's length is not known in ingress.
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
    actions = { note_ip; NoAction; }
    const default_action = note_ip(MALFORMED_IP);
    const entries = {
        (4, 0 &&& 0xc, _, _, _, _, _): note_ip(MALFORMED_IP);
        (4, 4, _, _, _, _, _): note_ip(MALFORMED_IP);
        (4, _, 0 &&& 0xfff0, _, _, _, _): note_ip(MALFORMED_IP);
        (4, _, 0x10 &&& 0xfffc, _, _, _, _): note_ip(MALFORMED_IP);
        (4, 5, _, 1, _, _, _): note_ip(BAD_IP_CHECKSUM);
        (4, 5, _, _, 1, _, _): note_ip(IP_FRAGMENT);
        (4, 5, _, _, 0, 0, 0 &&& 0xff000000): note_ip(BAD_ADDRESS);
        (4, 5, _, _, 0, 0, 0x7f000000 &&& 0xff000000): note_ip(BAD_ADDRESS);
        (4, 5, _, _, 0, 0, 0xe0000000 &&& 0xe0000000): note_ip(BAD_ADDRESS);
        (4, 5, _, _, 0, 0, _): NoAction();
        (4, 5, _, _, _, _, _): note_ip(IP_FRAGMENT);
        (4, _, _, _, _, _, _): note_ip(IP_OPTIONS);
    }
    size = 16;
}

table check_ipv6 {
    key = {
        headers.ipv6.version: ternary;
        meta.ipv6_extension: ternary;
        headers.ipv6.protocol: ternary;
        headers.ipv6.destination[127:112]: ternary @name("scope");
        headers.ipv6.source: ternary;
    }
    actions = { note_ip; NoAction; }
    const default_action = note_ip(MALFORMED_IP);
    const entries = {
        (6, 1, 0, 0xff02, _): note_ip(MULTICAST_LISTENER);
        (6, 1, _, _, _): note_ip(IPV6_EXTENSION);
        (6, _, PROTOCOL_ICMPV6, _, 0): NoAction();
        (6, _, _, _, 0): note_ip(BAD_ADDRESS);
        (6, _, _, _, 1): note_ip(BAD_ADDRESS);
        (6, _, _, _, 0xff000000000000000000000000000000 &&& 0xff000000000000000000000000000000): note_ip(BAD_ADDRESS);
        (6, _, _, _, _): NoAction();
    }
    size = 8;
}

// [11] Neighbour discovery goes to the host, as ARP does.
table check_neighbours {
    key = {
        headers.icmpv6.isValid(): ternary;
        headers.ipv6.ttl: ternary;
        headers.ipv6.length: ternary;
        headers.icmpv6.type: ternary;
    }
    actions = { sort_as; NoAction; }
    const default_action = NoAction();
    const entries = {
        (true, 255, 0 &&& 0xfff8, _): NoAction();
        (true, 255, _, ROUTER_SOLICITATION): sort_as(NEIGHBOURS);
        (true, 255, _, 134 &&& 0xfe): sort_as(NEIGHBOURS);
        (true, 255, _, REDIRECT - 1 &&& 0xfe): sort_as(NEIGHBOURS);
    }
    size = 4;
}

action note_udp(drop_t reason) {
    meta.udp_fault = (bit<8>)reason;
}

// [12] But for its length, which `udp_room` compares with that of IP.
table check_udp {
    key = {
        headers.udp.length: ternary;
        headers.ipv6.isValid(): ternary;
        headers.udp.checksum: ternary;
    }
    actions = { note_udp; NoAction; }
    const default_action = NoAction();
    const entries = {
        (0 &&& 0xfff8, _, _): note_udp(MALFORMED_UDP);
        (_, true, 0): note_udp(UDP6_ZERO_CHECKSUM);
    }
    size = 4;
}

action note_strange_mac() {
    meta.strange = 1;
}

// [4] A gateway compares no more than 4 bytes, so this is a table.
table check_mac {
    key = {
        headers.ethernet.destination: ternary;
        meta.strange_mac: ternary;
    }
    actions = { note_strange_mac; NoAction; }
    const default_action = note_strange_mac();
    const entries = {
        (0x010000000000 &&& 0x010000000000, _): NoAction();
        (_, 0): NoAction();
    }
    size = 2;
}

action refuse(drop_t reason) {
    meta.reason = (bit<8>)reason;
}

action refuse_ip() {
    meta.reason = meta.ip_fault;
}

action pass_to_host() {
    headers.packet_in.setValid();
    headers.packet_in.padding = 0;
    headers.packet_in.ingress_port = meta.port;
    to_traffic_manager.ucast_egress_port = CONTROLLER_PORT;
    meta.way = TO_HOST;
}

action go(bit<8> way) {
    meta.way = way;
}

// Everything before a choice is made, and before anything is counted that only packets of a channel may move.
table judge {
    key = {
        meta.visit: ternary;
        meta.frame_fault: ternary;
        meta.link_kind: ternary;
        meta.strange: ternary;
        meta.ip_fault: ternary;
        meta.sort: ternary;
        meta.udp_room: ternary;
        meta.udp_fault: ternary;
        meta.sources: ternary;
        meta.answered: ternary;
        meta.found.unmatched: ternary;
        meta.found.links: ternary;
        meta.stranger: ternary;
        meta.branchless: ternary;
        meta.found.copies: ternary;
    }
    actions = { refuse; refuse_ip; pass_to_host; go; }
    const default_action = refuse(MALFORMED_UDP);
    const entries = {
        // judged before
        (FOR_BACKUP, _, _, _, _, _, _, _, _, _, _, _, _, _, _): go(GIVEN);
        (AS_COPY, _, _, _, _, _, _, _, _, _, _, _, _, 1, _): refuse(NO_RULE);
        (AS_COPY, _, _, _, _, _, _, _, _, _, _, _, _, _, _): go(CHOICE);
        // frame
        (_, (bit<8>)MALFORMED_ETHERNET, _, _, _, _, _, _, _, _, _, _, _, _, _): refuse(MALFORMED_ETHERNET);
        (_, (bit<8>)DOUBLE_TAGGED, _, _, _, _, _, _, _, _, _, _, _, _, _): refuse(DOUBLE_TAGGED);
        (_, _, 0, _, _, _, _, _, _, _, _, _, _, _, _): refuse(NO_LINK);
        (_, _, _, 1, _, _, _, _, _, _, _, _, _, _, _): refuse(NOT_FOR_US);
        // IP
        (_, _, _, _, _, CUT_IP, _, _, _, _, _, _, _, _, _): refuse(MALFORMED_IP);
        (_, _, _, _, 4 &&& 4, _, _, _, _, _, _, _, _, _, _): refuse_ip();
        (_, _, _, _, 8 &&& 8, _, _, _, _, _, _, _, _, _, _): refuse_ip();
        (_, _, _, _, _, NEIGHBOURS, _, _, _, _, _, _, _, _, _): pass_to_host();
        (_, _, _, _, _, NO_IP, _, _, _, _, UNMATCHED_DROP, _, _, _, _): refuse(NOT_IP);
        (_, _, _, _, _, NO_IP, _, _, _, _, _, _, _, _, _): pass_to_host();
        (_, _, _, _, _, OTHER_IP, _, _, _, _, UNMATCHED_DROP, _, _, _, _): refuse(NO_FLOW);
        (_, _, _, _, _, OTHER_IP, _, _, _, _, _, _, _, _, _): pass_to_host();
        // UDP
        (_, _, _, _, _, CUT_UDP, _, _, _, _, _, _, _, _, _): refuse(MALFORMED_UDP);
        (_, _, _, _, _, _, _, (bit<8>)MALFORMED_UDP, _, _, _, _, _, _, _): refuse(MALFORMED_UDP);
        (_, _, _, _, _, _, 0, (bit<8>)UDP6_ZERO_CHECKSUM, _, _, _, _, _, _, _): refuse(UDP6_ZERO_CHECKSUM);
        // flow
        (_, _, _, _, _, _, 0, _, 0, 1, _, _, _, _, _): go(ANSWER);
        (_, _, _, _, _, _, 0, _, 0, _, UNMATCHED_DROP, _, _, _, _): refuse(NO_FLOW);
        (_, _, _, _, _, _, 0, _, 0, _, UNMATCHED_REQUEST, _, _, _, _): refuse(REQUESTED);
        (_, _, _, _, _, _, 0, _, 0, _, _, _, _, _, _): pass_to_host();
        (_, _, LINK_OUTSIDE, _, _, _, 0, _, _, _, _, 0 &&& 2, _, _, _): refuse(WRONG_LINK);
        (_, _, LINK_NODE, _, _, _, 0, _, _, _, _, 0 &&& 4, _, _, _): refuse(WRONG_LINK);
        (_, _, _, _, _, _, 0, _, _, _, _, _, 1, _, _): refuse(SOURCE_REFUSED);
        // target
        (_, _, _, _, _, _, 0, _, _, _, _, _, _, 1, _): refuse(NO_RULE);
        (_, _, _, _, _, _, 0, _, _, _, _, _, _, _, 1): go(CHOICE);
        (_, _, _, _, _, _, 0, _, _, _, _, _, _, _, _): go(COPIES);
    }
    size = 32;
}

action leave_ipv4() {
    sent.count(0);
    headers.ipv4.ttl = headers.ipv4.ttl - 1;
    meta.correct = meta.summed;
}

action leave_ipv6() {
    sent.count(0);
    headers.ipv6.ttl = headers.ipv6.ttl - 1;
    meta.correct = meta.summed;
}

action resubmit_for_backup() {
    to_deparser.resubmit_type = RESUBMIT;
}

// [18, 19, 22] What only the endpoint, its unit and the peer's row can tell.
table conclude {
    key = {
        meta.dead: ternary;
        meta.backup: ternary;
        headers.ipv4.isValid(): ternary;
        meta.found.out_ipv6: ternary;
        headers.ipv4.ttl: ternary;
        headers.ipv6.ttl: ternary;
        meta.excess: ternary;
    }
    actions = { refuse; resubmit_for_backup; leave_ipv4; leave_ipv6; }
    const default_action = refuse(TOO_BIG);
    const entries = {
        (1, 0, _, _, _, _, _): refuse(NO_LIVE_ENDPOINT);
        (1, _, _, _, _, _, _): resubmit_for_backup();
        (_, _, true, 1, _, _, _): refuse(FAMILY_MISMATCH);
        (_, _, false, 0, _, _, _): refuse(FAMILY_MISMATCH);
        (_, _, true, _, 0 &&& 0xfe, _, _): refuse(TTL_EXPIRED);
        (_, _, false, _, _, 0 &&& 0xfe, _): refuse(TTL_EXPIRED);
        (_, _, true, _, _, _, 0): leave_ipv4();
        (_, _, false, _, _, _, 0): leave_ipv6();
    }
    size = 16;
}
