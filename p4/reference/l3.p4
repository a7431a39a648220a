// The least that forwards IPv4: what the pipeline's rate is measured against. The longest prefix of the destination
// gives the next hop; MAC addresses, TTL and the header's checksum follow. Nothing is checked, counted or steered.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> destination;
    bit<48> source;
    bit<16> type;
}

header ipv4_t {
    bit<4> version;
    bit<4> header_words;
    bit<8> service;
    bit<16> length;
    bit<16> identification;
    bit<3> flags;
    bit<13> offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> source;
    bit<32> destination;
}

struct headers_t {
    ethernet_t ethernet;
    ipv4_t ipv4;
}

struct metadata_t {}

parser FrameParser(packet_in packet, out headers_t headers, inout metadata_t meta,
                   inout standard_metadata_t standard) {
    state start {
        packet.extract(headers.ethernet);
        transition select(headers.ethernet.type) {
            0x0800: ipv4;
            default: accept;
        }
    }

    state ipv4 {
        packet.extract(headers.ipv4);
        transition accept;
    }
}

control Verify(inout headers_t headers, inout metadata_t meta) {
    apply {}
}

control Forwarding(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    action drop() {
        mark_to_drop(standard);
    }

    action forward(bit<48> next_hop, bit<9> port) {
        standard.egress_spec = port;
        headers.ethernet.source = headers.ethernet.destination;
        headers.ethernet.destination = next_hop;
        headers.ipv4.ttl = headers.ipv4.ttl - 1;
    }

    table route {
        key = { headers.ipv4.destination: lpm @name("destination"); }
        actions = { forward; drop; }
        default_action = drop();
        size = 1024;
    }

    apply {
        if (headers.ipv4.isValid()) { route.apply(); }
    }
}

control Nothing(inout headers_t headers, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {}
}

control Checksum(inout headers_t headers, inout metadata_t meta) {
    apply {
        update_checksum(headers.ipv4.isValid(),
                        { headers.ipv4.version, headers.ipv4.header_words, headers.ipv4.service,
                          headers.ipv4.length, headers.ipv4.identification, headers.ipv4.flags,
                          headers.ipv4.offset, headers.ipv4.ttl, headers.ipv4.protocol, headers.ipv4.source,
                          headers.ipv4.destination },
                        headers.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control FrameDeparser(packet_out packet, in headers_t headers) {
    apply {
        packet.emit(headers.ethernet);
        packet.emit(headers.ipv4);
    }
}

V1Switch(FrameParser(), Verify(), Forwarding(), Nothing(), Checksum(), FrameDeparser()) main;
