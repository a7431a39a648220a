/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Internet checksums (RFC 1071), corrected and not computed anew (RFC 1624, equation 3), and CRC-32. Since
 * 2^16 ≡ 1, 32-bit words are summed whole and folded once. */

static __always_inline u16 fold(u64 sum) {
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* What a sum changes by when a word does. */
static __always_inline u64 replaced(u32 old, u32 new) {
    return (u64)(u32)~old + new;
}

static __always_inline u16 corrected(u16 check, u64 change) {
    return ~fold((u16)~check + change);
}

/* Whether words with a right checksum among them sum up to zero, in ones' complement. */
static __always_inline int is_zero(u64 sum) {
    sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    return sum == 0xffff || sum == 0x1fffe;
}

static __always_inline u64 sum_words(const u32 *words, const int count) {
    u64 sum = 0;
#pragma unroll
    for (int i = 0; i < count; i++)
        sum += words[i];
    return sum;
}

/* CRC-32 (IEEE) over bytes in memory order, as zlib; entry[k] has what a byte does to the k-th byte behind
 * it. */
static __always_inline u32 crc_byte(const struct crc_table *table, u32 crc) {
    return table->entry[0][crc & 0xff] ^ (crc >> 8);
}

static __always_inline u32 crc_word(const struct crc_table *table, u32 crc, u32 word) {
    crc ^= word;
    return table->entry[3][crc & 0xff] ^ table->entry[2][(crc >> 8) & 0xff] ^
           table->entry[1][(crc >> 16) & 0xff] ^ table->entry[0][crc >> 24];
}
