/* SPDX-License-Identifier: Apache-2.0 */
#include "artp_wire.h"

#include <netinet/in.h>
#include <string.h>

const char *const artp_fault_names[] = {"",         "short",  "version",  "type",    "flags", "destinations",
                                        "reserved", "length", "fragment", "options", "check", "connection",
                                        "payload"};

uint16_t artp_get16(const uint8_t *at) {
    return at[0] << 8 | at[1];
}

uint32_t artp_get32(const uint8_t *at) {
    return (uint32_t)artp_get16(at) << 16 | artp_get16(at + 2);
}

static uint64_t get64(const uint8_t *at) {
    return (uint64_t)artp_get32(at) << 32 | artp_get32(at + 4);
}

static void put16(uint8_t *at, uint16_t value) {
    at[0] = value >> 8;
    at[1] = value;
}

void artp_put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

static void put64(uint8_t *at, uint64_t value) {
    artp_put32(at, value >> 32);
    artp_put32(at + 4, value);
}

/* CRC-32 (IEEE 802.3) as zlib's: `sum` is what came before, 0 at first. */
static uint32_t crc32(uint32_t sum, const uint8_t *data, size_t size) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t value = byte;
            for (int bit = 0; bit < 8; bit++)
                value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
            table[byte] = value;
        }
    sum = ~sum;
    while (size--)
        sum = sum >> 8 ^ table[(sum ^ *data++) & 0xff];
    return ~sum;
}

static bool good_utf8(const uint8_t *text, size_t size) {
    for (size_t i = 0; i < size;) {
        uint8_t first = text[i++];
        int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
        if (more < 0 || i + more > size) return false;
        uint32_t code = more == 0 ? first : first & (0x3f >> more);
        for (int n = 0; n < more; n++) {
            if (text[i] >> 6 != 2) return false;
            code = code << 6 | (text[i++] & 0x3f);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (code < least[more] || code > 0x10ffff || code >> 11 == 0x1b) return false;
    }
    return true;
}

static bool good_ack(const uint8_t *payload, size_t size) {
    if (size < 8 || (size - 8) % ARTP_ENTRY || (size - 8) / ARTP_ENTRY > ARTP_MAX_ENTRIES) return false;
    for (const uint8_t *at = payload + 8; at < payload + size; at += ARTP_ENTRY) {
        uint16_t fragments = artp_get16(at + 4), state = artp_get16(at + 6);
        if (fragments > ARTP_MAX_FRAGMENTS || state > 1) return false;
        uint64_t bitmap = get64(at + 8), full = fragments == 64 ? ~0ull : (1ull << fragments) - 1;
        if (bitmap & ~full || (state && (!fragments || bitmap != full))) return false;
    }
    return true;
}

static bool good_payload(const struct artp_packet *p) {
    switch (p->type) {
    case ARTP_DATA:
        return p->size || p->fragments == 1;
    case ARTP_ACK:
        return good_ack(p->payload, p->size);
    case ARTP_CLOSE:
        return p->size == 1 && p->payload[0] <= 1;
    case ARTP_RESET:
        return p->size >= 1 && p->size <= 1 + ARTP_MAX_REASON && good_utf8(p->payload + 1, p->size - 1);
    default:
        return !p->size;
    }
}

static bool good_options(const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        if (end - at < 2 || end - at < 2 + at[1] || at[0] == 1 || at[0] == 2) return false;
        at += 2 + at[1];
    }
    return true;
}

enum artp_fault artp_parse(const uint8_t *data, size_t size, struct artp_packet *p) {
    if (size < ARTP_FIXED) return ARTP_SHORT;
    if (data[0] >> 4 != 1) return ARTP_VERSION;
    p->type = data[0] & 15;
    if (p->type < ARTP_HELLO || p->type > ARTP_PING) return ARTP_TYPE;
    p->flags = data[1];
    if (p->flags & 0x1f) return ARTP_FLAGS;
    if (p->flags & ARTP_CONTROL &&
        (p->flags & ARTP_CHOSEN || (p->type != ARTP_DATA && p->type != ARTP_CLOSE)))
        return ARTP_FLAGS;
    p->destinations = data[26];
    if (p->destinations > 4) return ARTP_DESTINATIONS;
    if (data[27] || artp_get32(data + 28)) return ARTP_RESERVED;
    size_t length = artp_get16(data + 2), variable = ARTP_FIXED + 18 * p->destinations;
    if (length < variable || length > ARTP_MAX_HEADER || length > size) return ARTP_LENGTH;
    p->fragment = artp_get16(data + 20);
    p->fragments = artp_get16(data + 22);
    if (p->type == ARTP_DATA
            ? p->fragments < 1 || p->fragments > ARTP_MAX_FRAGMENTS || p->fragment >= p->fragments
            : p->fragment || p->fragments)
        return ARTP_FRAGMENT;

    if (length < variable + 12) return ARTP_OPTIONS;
    const uint8_t *tail = data + length - 12;
    if (tail[0] != 2 || tail[1] != 4 || tail[6] != 1 || tail[7] != 4) return ARTP_OPTIONS;
    p->options = data + variable;
    p->options_size = length - 12 - variable;
    if (!good_options(p->options, tail)) return ARTP_OPTIONS;
    p->payload = data + length;
    p->size = size - length;
    uint32_t sum = crc32(crc32(0, data, 24), data + 26, length - 4 - 26);
    if (crc32(sum, p->payload, p->size) != artp_get32(tail + 8)) return ARTP_CHECK;
    p->session = artp_get32(data + 4);
    p->connection = get64(data + 8);
    p->datagram = artp_get32(data + 16);
    p->instance = artp_get16(data + 24);
    p->order = get64(data + 32);
    p->origin = artp_get32(tail + 2);
    if (!p->connection != (p->type == ARTP_HELLO) || (!p->origin && p->type != ARTP_RESET))
        return ARTP_CONNECTION;
    return good_payload(p) ? ARTP_GOOD : ARTP_PAYLOAD;
}

size_t artp_build(uint8_t *out, const struct artp_packet *p) {
    memset(out, 0, ARTP_OWN_HEADER);
    out[0] = 1 << 4 | p->type;
    out[1] = p->flags;
    put16(out + 2, ARTP_OWN_HEADER);
    artp_put32(out + 4, p->session);
    put64(out + 8, p->connection);
    artp_put32(out + 16, p->datagram);
    put16(out + 20, p->fragment);
    put16(out + 22, p->fragments);
    put16(out + 24, p->instance);
    put64(out + 32, p->order);
    out[40] = 2, out[41] = 4;
    artp_put32(out + 42, p->origin);
    out[46] = 1, out[47] = 4;
    if (p->size) memmove(out + ARTP_OWN_HEADER, p->payload, p->size);
    uint32_t sum = crc32(crc32(0, out, 24), out + 26, ARTP_OWN_HEADER - 4 - 26);
    artp_put32(out + 48, crc32(sum, out + ARTP_OWN_HEADER, p->size));
    return ARTP_OWN_HEADER + p->size;
}

struct artp_entry artp_read_entry(const uint8_t *payload, int index) {
    const uint8_t *at = payload + 8 + ARTP_ENTRY * index;
    return (struct artp_entry){artp_get32(at), artp_get16(at + 4), artp_get16(at + 6) == 1, get64(at + 8)};
}

void artp_write_entry(uint8_t *out, const struct artp_entry *entry) {
    artp_put32(out, entry->datagram);
    put16(out + 4, entry->fragments);
    put16(out + 6, entry->taken);
    put64(out + 8, entry->bitmap);
}

uint64_t artp_client_cookie(const uint8_t *key, uint32_t session, uint32_t origin,
                            const struct sockaddr *source) {
    uint8_t message[27] = {1};
    artp_put32(message + 1, session);
    artp_put32(message + 5, origin);
    if (source->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)source;
        memcpy(message + 9, &v6->sin6_addr, 16);
        memcpy(message + 25, &v6->sin6_port, 2);
    } else {
        const struct sockaddr_in *v4 = (const void *)source;
        message[19] = message[20] = 0xff;
        memcpy(message + 21, &v4->sin_addr, 4);
        memcpy(message + 25, &v4->sin_port, 2);
    }
    return artp_mac(key, message, sizeof message);
}

uint64_t artp_group_cookie(const uint8_t *key, uint32_t session, uint32_t origin) {
    uint8_t message[9] = {2};
    artp_put32(message + 1, session);
    artp_put32(message + 5, origin);
    return artp_mac(key, message, sizeof message);
}
