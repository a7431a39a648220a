/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed datagrams: a random nonce of 24 bytes, then the payload in XChaCha20-Poly1305, 16 bytes longer than
 * it was. Each datagram stands alone, so any instance seals any datagram and they may arrive in any order.
 */
#ifndef SEALING_H
#define SEALING_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>

#define SEALING_KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define SEALING_NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEALING_OVERHEAD (SEALING_NONCE_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)

struct sealing_key {
    unsigned char bytes[SEALING_KEY_BYTES];
};

#define SEALING_LARGEST 65507 /* bytes that a UDP datagram carries */

/* Prepares the library and reads the key, 64 hexadecimal digits; false, after a line on standard error, if
 * either fails. */
bool sealing_start(struct sealing_key *key, const char *hex);

/* Gives the length of what it wrote to `out`, which has room for `length + SEALING_OVERHEAD` bytes. */
size_t sealing_seal(const struct sealing_key *key, const unsigned char *in, size_t length,
                    unsigned char *out);

/* Writes to `out`, which has room for `length` bytes, and sets `opened` to how many it were; false if this
 * key did not seal it, or it was altered since. */
bool sealing_open(const struct sealing_key *key, const unsigned char *in, size_t length, unsigned char *out,
                  size_t *opened);

#endif
