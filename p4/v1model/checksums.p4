// The checksums of IPv4 and UDP. They are computed here and not where packets are rewritten, since p4c copies whatever
// an action hashes into temporaries, and each temporary costs bmv2 time for every packet.
#ifndef CHECKSUMS_P4
#define CHECKSUMS_P4

#define SUMMED { headers.ipv4.version, headers.ipv4.header_words, headers.ipv4.service, headers.ipv4.length, \
                 headers.ipv4.identification, headers.ipv4.reserved, headers.ipv4.dont_fragment, \
                 headers.ipv4.more_fragments, headers.ipv4.offset, headers.ipv4.ttl, headers.ipv4.protocol, \
                 headers.ipv4.source, headers.ipv4.destination }

// With options this is another sum, but they are no error of the checksum: they are refused before it is looked at.
control VerifyHeader(inout headers_t headers, inout metadata_t meta) {
    apply {
        verify_checksum(headers.ipv4.isValid(), SUMMED, headers.ipv4.checksum, HashAlgorithm.csum16);
    }
}

// A packet that is not steered keeps the checksums that it has, since nothing in it is replaced. UDP by RFC 1624, equation 3: a
// checksum that was wrong stays wrong. What is kept was subtracted, too, and adds nothing; the other family's header is not
// there and is left out. 0 stays 0 (on IPv4; there is none on IPv6); a computed 0 becomes 0xffff, the checksum of 0.
control WriteChecksum(inout headers_t headers, inout metadata_t meta) {
    apply {
        update_checksum(meta.replaced != 0,
                        { meta.replaced, headers.ipv4.source, headers.ipv4.destination, headers.ipv6.source,
                          headers.ipv6.destination, headers.udp.source, headers.udp.destination },
                        headers.udp.checksum, HashAlgorithm.csum16);
        update_checksum(meta.replaced != 0 && headers.udp.checksum == 0, { 16w0 },
                        headers.udp.checksum, HashAlgorithm.csum16);
        update_checksum(headers.ipv4.isValid(), SUMMED, headers.ipv4.checksum, HashAlgorithm.csum16);
    }
}

#endif
