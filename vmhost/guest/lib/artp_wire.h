/* SPDX-License-Identifier: Apache-2.0
 *
 * ARTP packets to and from bytes (docs/artp.md, sections 1, 2 and 4), and the numbers of connections. */
#ifndef ARTP_WIRE_H
#define ARTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ARTP_HELLO = 1,
    ARTP_COOKIE,
    ARTP_DATA,
    ARTP_ACK,
    ARTP_CLOSE,
    ARTP_RESET,
    ARTP_PING,

    ARTP_CONTROL = 0x80,
    ARTP_CHOSEN = 0x40,
    ARTP_ORDERED = 0x20,

    ARTP_FIXED = 40,
    ARTP_OWN_HEADER = 52, /* without destinations and options of a program */
    ARTP_MAX_HEADER = 208,
    ARTP_MAX_FRAGMENTS = 64,
    ARTP_MAX_ENTRIES = 32,
    ARTP_ENTRY = 16,
    ARTP_MAX_REASON = 64,
};

enum artp_fault {
    ARTP_GOOD,
    ARTP_SHORT,
    ARTP_VERSION,
    ARTP_TYPE,
    ARTP_FLAGS,
    ARTP_DESTINATIONS,
    ARTP_RESERVED,
    ARTP_LENGTH,
    ARTP_FRAGMENT,
    ARTP_OPTIONS,
    ARTP_CHECK,
    ARTP_CONNECTION,
    ARTP_PAYLOAD,
};

extern const char *const artp_fault_names[];

struct artp_packet {
    uint8_t type, flags, destinations;
    uint16_t fragment, fragments, instance;
    uint32_t session, datagram, origin;
    uint64_t connection, order;
    const uint8_t *options; /* the program's own, in the packet */
    size_t options_size;
    const uint8_t *payload;
    size_t size;
};

struct artp_entry {
    uint32_t datagram;
    uint16_t fragments;
    bool taken;
    uint64_t bitmap;
};

/* What is wrong with the bytes; if nothing, `packet` points into them. */
enum artp_fault artp_parse(const uint8_t *data, size_t size, struct artp_packet *packet);

/* Write a packet without destinations and options; `out` has room for 52 bytes more than its payload. Returns
 * its size. */
size_t artp_build(uint8_t *out, const struct artp_packet *packet);

struct artp_entry artp_read_entry(const uint8_t *payload, int index);
void artp_write_entry(uint8_t *out, const struct artp_entry *entry);

uint16_t artp_get16(const uint8_t *at);
uint32_t artp_get32(const uint8_t *at);
void artp_put32(uint8_t *at, uint32_t value);

/* K of a connection by handshake, and of a group's sender (section 5). */
uint64_t artp_client_cookie(const uint8_t *key, uint32_t session, uint32_t origin,
                            const struct sockaddr *source);
uint64_t artp_group_cookie(const uint8_t *key, uint32_t session, uint32_t origin);

/* Keyed BLAKE2s with 8 bytes of digest, of a message of at most 64 bytes (artp_mac.c). */
uint64_t artp_mac(const uint8_t key[16], const uint8_t *message, size_t size);

#endif
