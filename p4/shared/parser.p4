// Reads Ethernet, at most one VLAN tag, IP without options, UDP. It judges nothing: a header that is cut short is
// left invalid, and the checks that follow name the reason. What it tells beside the headers starts as 0. A target whose
// parser sums up does so in SUMS (declarations), SUM_IPV4, SUM_IPV6 and SUM_UDP.
#ifndef PARSER_P4
#define PARSER_P4

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

    state udp {
        packet.extract(headers.udp);
        SUM_UDP
        transition accept;
    }
}

#endif
