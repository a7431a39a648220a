// Reads Ethernet, at most one VLAN tag, IP without options, UDP; on a target that defines READS_ARTP also ARTP's fixed
// header and its destinations. It judges nothing: a header that is cut short is left invalid, and the checks that follow
// name the reason. What it tells beside the headers starts as 0. A target whose parser sums up does so in SUMS
// (declarations), SUM_IPV4, SUM_IPV6 and SUM_UDP.
#ifndef PARSER_P4
#define PARSER_P4

#ifdef READS_ARTP
#define AFTER_UDP \
    transition select(headers.udp.length) { \
        0 &&& 0xffe0: accept; \
        32 &&& 0xfff0: accept; \
        default: long_udp; \
    }
#else
#define AFTER_UDP transition accept;
#endif

parser FrameParser(packet_in packet, inout headers_t headers, inout vlan_t vlan, inout bit<8> tag_bytes,
                   inout bit<1> double_tagged, inout bit<1> ipv6_extension, inout bit<1> ipv4_error,
                   inout bit<16> rest) {
    SUMS

    state start {
        packet.extract(headers.ethernet);
        transition select(headers.ethernet.type) {
            TYPE_VLAN: tag;
            TYPE_SERVICE_VLAN: tag;
            TYPE_IPV4: ipv4;
            TYPE_IPV6: ipv6;
            default: accept;
        }
    }

    state tag {
        packet.extract(headers.vlan);
        vlan = headers.vlan.id;
        tag_bytes = 4;
        transition select(headers.vlan.type) {
            TYPE_VLAN: second_tag;
            TYPE_SERVICE_VLAN: second_tag;
            TYPE_IPV4: ipv4;
            TYPE_IPV6: ipv6;
            default: accept;
        }
    }

    state second_tag {
        double_tagged = 1;
        transition accept;
    }

    state ipv4 {
        packet.extract(headers.ipv4);
        SUM_IPV4
        transition select(headers.ipv4.header_words, headers.ipv4.protocol) {
            (5, PROTOCOL_UDP): udp;
            default: accept;
        }
    }

    state ipv6 {
        packet.extract(headers.ipv6);
        SUM_IPV6
        transition select(headers.ipv6.protocol) {
            PROTOCOL_UDP: udp;
            PROTOCOL_ICMPV6: icmpv6;
            0: extension;
            43: extension;
            44: extension;
            51: extension;
            60: extension;
            135: extension;
            139: extension;
            140: extension;
            253: extension;
            254: extension;
            default: accept;
        }
    }

    state extension {
        ipv6_extension = 1;
        transition accept;
    }

    state icmpv6 {
        packet.extract(headers.icmpv6);
        transition accept;
    }

    state udp {
        packet.extract(headers.udp);
        SUM_UDP
        AFTER_UDP
    }

#ifdef READS_ARTP
    // What has room for an ARTP header and begins with its version. Whether the flow speaks ARTP only its row tells.
    state long_udp {
        transition select(packet.lookahead<bit<4>>()) {
            ARTP_VERSION: artp;
            default: accept;
        }
    }

    state artp {
        packet.extract(headers.artp);
        transition select(headers.artp.destinations) {
            1: destination;
            2: two_destinations;
            3: three_destinations;
            4: four_destinations;
            default: accept;
        }
    }

    state four_destinations {
        packet.extract(headers.destinations.next);
        transition three_destinations;
    }

    state three_destinations {
        packet.extract(headers.destinations.next);
        transition two_destinations;
    }

    state two_destinations {
        packet.extract(headers.destinations.next);
        transition destination;
    }

    state destination {
        packet.extract(headers.destinations.next);
        transition accept;
    }
#endif
}

#endif
