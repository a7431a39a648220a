/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The order token of a frame: RTP's sequence number (RFC 3550) or ARTP's order field (docs/artp.md). */
#ifndef DIPRONN_TOKEN_H
#define DIPRONN_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "reorder.h"

enum token_kind { TOKEN_ARTP, TOKEN_RTP };

/* An Ethernet frame that the steering program let pass: IPv4 without options or IPv6 without extensions, UDP
 * with consistent lengths. Nothing is believed all the same. */
struct datagram {
    uint16_t port; /* destination, in host order */
    const uint8_t *payload;
    uint32_t length;
};

bool find_datagram(const uint8_t *frame, uint32_t length, struct datagram *datagram);

/* False where the payload is of another kind, or carries no order. */
bool find_token(enum token_kind kind, const struct datagram *datagram, struct packet *packet);

/* Of the payload, of ARTP without its header. Copies that programs made alike have the same; it is no
 * protection against forgery. */
uint64_t digest_of(enum token_kind kind, const struct datagram *datagram);

#endif
