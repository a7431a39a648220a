/* SPDX-License-Identifier: Apache-2.0 */
#include "sealing.h"

#include <stdio.h>
#include <string.h>

bool sealing_start(struct sealing_key *key, const char *hex) {
    const char *end = NULL;
    size_t length = 0;

    if (sodium_init() < 0) {
        fprintf(stderr, "libsodium cannot start\n");
        return false;
    }
    if (hex == NULL ||
        sodium_hex2bin(key->bytes, sizeof(key->bytes), hex, strlen(hex), NULL, &length, &end) != 0 ||
        length != sizeof(key->bytes) || *end != '\0') {
        fprintf(stderr, "the key must be %zu hexadecimal digits\n", 2 * sizeof(key->bytes));
        return false;
    }
    return true;
}

size_t sealing_seal(const struct sealing_key *key, const unsigned char *in, size_t length,
                    unsigned char *out) {
    unsigned long long sealed = 0;

    randombytes_buf(out, SEALING_NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + SEALING_NONCE_BYTES, &sealed, in, length, NULL, 0, NULL,
                                               out, key->bytes);
    return SEALING_NONCE_BYTES + (size_t)sealed;
}

bool sealing_open(const struct sealing_key *key, const unsigned char *in, size_t length, unsigned char *out,
                  size_t *opened) {
    unsigned long long written = 0;

    if (length < SEALING_OVERHEAD || crypto_aead_xchacha20poly1305_ietf_decrypt(
                                         out, &written, NULL, in + SEALING_NONCE_BYTES,
                                         length - SEALING_NONCE_BYTES, NULL, 0, in, key->bytes) != 0)
        return false;
    *opened = (size_t)written;
    return true;
}
