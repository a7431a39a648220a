/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include "token.h"

#include <string.h>

enum {
    ETHERNET = 14,
    IPV4 = 20,
    IPV6 = 40,
    UDP = 8,
    UDP_PROTOCOL = 17,
    RTP_HEADER = 12,
    ARTP_HEADER = 40,
    ARTP_DATA = 3,
    ARTP_ORDERED = 0x20,
    ARTP_CONTROL = 0x80,
    ARTP_FRAGMENTS = 64,
};

static uint16_t read16(const uint8_t *at) {
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t read32(const uint8_t *at) {
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

bool find_datagram(const uint8_t *frame, uint32_t length, struct datagram *datagram) {
    if (length < ETHERNET + IPV4 + UDP) return false;
    uint16_t type = read16(frame + 12);
    uint32_t udp;
    if (type == 0x0800 && frame[ETHERNET] == 0x45 && frame[ETHERNET + 9] == UDP_PROTOCOL)
        udp = ETHERNET + IPV4;
    else if (type == 0x86dd && length >= ETHERNET + IPV6 + UDP && frame[ETHERNET + 6] == UDP_PROTOCOL)
        udp = ETHERNET + IPV6;
    else
        return false;
    uint32_t whole = read16(frame + udp + 4);
    if (whole < UDP || udp + whole > length) return false;
    datagram->port = read16(frame + udp + 2);
    datagram->payload = frame + udp + UDP;
    datagram->length = whole - UDP;
    return true;
}

/* Version 2, its header whole, and no RTCP, which shares the port in RFC 5761. */
static bool find_rtp(const struct datagram *datagram, struct packet *packet) {
    const uint8_t *rtp = datagram->payload;
    if (datagram->length < RTP_HEADER || rtp[0] >> 6 != 2) return false;
    uint32_t header = RTP_HEADER + 4u * (rtp[0] & 15);
    if (rtp[0] & 0x10) {
        if (datagram->length < header + 4) return false;
        header += 4 + 4u * read16(rtp + header + 2);
    }
    if (datagram->length < header || (rtp[1] >= 192 && rtp[1] <= 223)) return false;
    packet->stream = read32(rtp + 8);
    packet->narrow = true;
    packet->place = (struct place){read16(rtp + 2), 0, 1};
    return true;
}

static bool find_artp(const struct datagram *datagram, struct packet *packet) {
    const uint8_t *artp = datagram->payload;
    if (datagram->length < ARTP_HEADER || artp[0] != (1 << 4 | ARTP_DATA)) return false;
    if (!(artp[1] & ARTP_ORDERED) || artp[1] & ARTP_CONTROL) return false;
    uint32_t part = read16(artp + 20), parts = read16(artp + 22);
    if (part >= parts || parts > ARTP_FRAGMENTS) return false;
    packet->stream = 0;
    packet->narrow = false;
    packet->place = (struct place){(uint64_t)read32(artp + 32) << 32 | read32(artp + 36), part, parts};
    return true;
}

bool find_token(enum token_kind kind, const struct datagram *datagram, struct packet *packet) {
    return kind == TOKEN_RTP ? find_rtp(datagram, packet) : find_artp(datagram, packet);
}

uint64_t digest_of(enum token_kind kind, const struct datagram *datagram) {
    uint64_t digest = 0x9e3779b97f4a7c15ull, word;
    uint32_t at = kind == TOKEN_ARTP && datagram->length >= 4 ? read16(datagram->payload + 2) : 0;
    if (at < datagram->length) digest ^= datagram->length - at;
    for (; at < datagram->length; at += 8) {
        uint32_t left = datagram->length - at;
        word = 0;
        memcpy(&word, datagram->payload + at, left < 8 ? left : 8);
        digest = (digest ^ word) * 0xff51afd7ed558ccdull;
        digest ^= digest >> 32;
    }
    return digest;
}
