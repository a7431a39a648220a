// Headers, and what the steering rules know of a packet. The numbers are those of controller/steering/model.py.
#ifndef HEADERS_P4
#define HEADERS_P4

typedef bit<9> port_t;
typedef bit<12> vlan_t;
typedef bit<48> mac_t;
typedef bit<128> address_t; // in digests: IPv4 in the low 32 bits
typedef bit<16> socket_port_t;

const bit<16> TYPE_ARP = 0x0806;
const bit<16> TYPE_IPV4 = 0x0800;
const bit<16> TYPE_IPV6 = 0x86dd;
const bit<16> TYPE_VLAN = 0x8100;
const bit<16> TYPE_SERVICE_VLAN = 0x88a8;
const bit<8> PROTOCOL_UDP = 17;
const bit<8> PROTOCOL_ICMPV6 = 58;
// Types of neighbour discovery, from the first to the last
const bit<8> ROUTER_SOLICITATION = 133;
const bit<8> REDIRECT = 137;

const bit<8> LINK_OUTSIDE = 1;
const bit<8> LINK_NODE = 2;

const bit<8> UNMATCHED_DROP = 0;
const bit<8> UNMATCHED_REQUEST = 2;

// Which rows a flow has: one for all sources, such a one beside rows for single sources; or the row is of a single one.
const bit<8> SOURCES_ALL = 1;
const bit<8> SOURCES_SOME = 2;
const bit<8> SOURCES_ONE = 3;

const bit<8> SELECTOR_ZERO = 0;
const bit<8> SELECTOR_COUNTER = 1;
const bit<8> SELECTOR_HASH = 2;
const bit<8> SELECTOR_DATAGRAM = 3;
const bit<8> SELECTOR_INSTANCE = 4;

const bit<8> ENDPOINT_NODE = 3;

// docs/artp.md
const bit<4> ARTP_VERSION = 1;
const bit<4> ARTP_DATA = 3;
const bit<4> ARTP_CLOSE = 5;
const bit<4> ARTP_LAST_TYPE = 7;
const bit<16> ARTP_HEADER = 40;
const bit<16> ARTP_LONGEST_HEADER = 208;
const bit<8> ARTP_DESTINATIONS = 4;
const bit<16> ARTP_FRAGMENTS = 64;
const bit<96> IPV4_MAPPED = 0xffff;

// To and from the controller.
@controller_header("packet_in")
header packet_in_t {
    bit<7> padding;
    port_t ingress_port;
}

@controller_header("packet_out")
header packet_out_t {
    bit<7> padding;
    port_t egress_port;
}

header ethernet_t {
    mac_t destination;
    mac_t source;
    bit<16> type;
}

header vlan_tag_t {
    bit<3> priority;
    bit<1> drop_eligible;
    vlan_t id;
    bit<16> type;
}

header ipv4_t {
    bit<4> version;
    bit<4> header_words;
    bit<8> service;
    bit<16> length;
    bit<16> identification;
    bit<1> reserved;
    bit<1> dont_fragment;
    bit<1> more_fragments;
    bit<13> offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

header ipv6_t {
    bit<4> version;
    bit<8> service;
    bit<20> flow_label;
    bit<16> length;
    bit<8> protocol;
    bit<8> ttl;
    bit<128> source;
    bit<128> destination;
}

header udp_t {
    bit<16> source;
    bit<16> destination;
    bit<16> length;
    bit<16> checksum;
}

// Of ICMPv6: enough to tell neighbour discovery.
header icmpv6_t {
    bit<8> type;
}

// ARTP's fixed header.
header artp_t {
    bit<4> version;
    bit<4> type;
    bit<1> is_control;
    bit<1> is_chosen;
    bit<1> is_ordered;
    bit<5> reserved;
    bit<16> length;
    bit<96> connection; // session and connection
    bit<32> datagram;
    bit<16> fragment;
    bit<16> fragments;
    bit<16> instance;
    bit<8> destinations;
    bit<40> zeros;
    bit<64> order;
}

header artp_destination_t {
    bit<96> prefix;
    bit<32> address; // of IPv4, if the prefix is IPV4_MAPPED
    socket_port_t port;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    OWN_HEADERS
    ethernet_t ethernet;
    vlan_tag_t vlan;
    ipv4_t ipv4;
    ipv6_t ipv6;
    udp_t udp;
    icmpv6_t icmpv6;
    artp_t artp;
    artp_destination_t[4] destinations;
}

#endif
