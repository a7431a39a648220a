/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The run-time library of compiled Phonepl programs: bytes, numbers, traps, and how packets leave.
 *
 * Sizes written as `const` are constants where it is called, so that copies become words in registers. What
 * the program has tested already is bounded once more by inline assembly, where only the verifier does not
 * know it.
 */

#define FRAME_SHORTEST 14 /* an Ethernet header */
#define FRAME_LONGEST (1 << 20)
#define KEEP asm volatile("" ::: "memory")

#ifdef PHONEPL_MARK
/* A number that the verifier's log shows: the line of the program that is being executed. */
#define AT(line)                                                                                             \
    {                                                                                                        \
        u64 mark;                                                                                            \
        asm volatile("%0 = %1" : "=r"(mark) : "i"(0x50000000 + (line)));                                     \
    }
#else
#define AT(line)
#endif

/* Ends a loop that the verifier need not walk turn by turn; the compiler has proved that it ends before. */
#define MAY_GOTO(label)                                                                                      \
    asm volatile goto("1: .byte 0xe5; .byte 0; .long ((%l[" #label "] - 1b - 8) / 8) & 0xffff; .short 0" ::  \
                          :                                                                                  \
                      : label)

/* ── bytes ── */

static __always_inline u8 *start(struct xdp_md *ctx) {
    return (u8 *)(long)ctx->data;
}

static __always_inline u8 *end(struct xdp_md *ctx) {
    return (u8 *)(long)ctx->data_end;
}

/* In two steps: the verifier allows no other arithmetic with the end. */
static __always_inline s32 first_piece(struct xdp_md *ctx) {
    u64 length = end(ctx) - start(ctx);
    asm("" : "+r"(length)); /* not volatile: where nobody asks for the length, nothing is computed */
    return length;
}

/* Drivers hand over no frame that is shorter than an Ethernet header, nor does the kernel cut one so short.
 */
static __always_inline s32 frame_length(struct xdp_md *ctx) {
#ifdef PHONEPL_FRAGS
    s32 length = bpf_xdp_get_buff_len(ctx);
#else
    s32 length = first_piece(ctx);
#endif
    if (length < FRAME_SHORTEST || length > FRAME_LONGEST) __builtin_unreachable();
    return length;
}

static __always_inline void move(void *to, const void *from, const u32 n) {
    u32 i = 0;
#pragma unroll
    for (; i + 8 <= n; i += 8)
        *(u64 *)(to + i) = *(const u64 *)(from + i);
    if (n & 4) {
        *(u32 *)(to + i) = *(const u32 *)(from + i);
        i += 4;
    }
    if (n & 2) {
        *(u16 *)(to + i) = *(const u16 *)(from + i);
        i += 2;
    }
    if (n & 1) *(u8 *)(to + i) = *(const u8 *)(from + i);
}

/* 0 to 511, as it is. */
static __always_inline u64 offset(u64 value) {
    asm volatile("%0 &= 0x1ff" : "+r"(value));
    return value;
}

/* 1 to 512, as it is. */
static __always_inline u64 amount(u64 value) {
    asm volatile("%0 += -1\n%0 &= 0x1ff\n%0 += 1" : "+r"(value));
    return value;
}

/* Memory of the program to memory of the program. */
static __always_inline void copy(u8 *to, s32 at, const u8 *from, s32 n) {
    if (n > 0) bpf_probe_read_kernel(to + offset(at), amount(n), from);
}

/* The arrived packet's head; position and size are constants. */
static __always_inline int take(struct xdp_md *ctx, void *to, const u32 at, const u32 n) {
    u8 *head = start(ctx);
    if (head + at + n <= end(ctx)) {
        move(to, head + at, n);
        return 0;
    }
#ifdef PHONEPL_FRAGS
    return bpf_xdp_load_bytes(ctx, at, to, n);
#else
    return -1;
#endif
}

/* Anywhere in the arrived packet. */
static __always_inline int load(struct xdp_md *ctx, void *to, s32 at, s32 n) {
    return n > 0 && bpf_xdp_load_bytes(ctx, at, to, amount(n));
}

/* Bytes of a packet that is `size` bytes in memory and then the arrived packet from `begin` on. */
static __always_inline int gather(struct xdp_md *ctx, u8 *to, const u8 *bytes, s32 size, s32 begin, s32 at,
                                  s32 n) {
    s32 own = size - at;
    if (own > n) own = n;
    if (own < 0) own = 0;
    if (own) copy(to, 0, bytes + offset(at), own);
    if (own < n) return load(ctx, to + offset(own), begin + at + own - size, n - own);
    return 0;
}

/* Are the first n bytes the same? */
static __always_inline int same(const u8 *left, const u8 *right, s32 n) {
    for (u32 i = 0; i < 256; i += 8) {
        s32 rest = n - (s32)i;
        if (rest <= 0) return 1;
        u64 differ = *(const u64 *)(left + i) ^ *(const u64 *)(right + i);
        if (rest < 8) differ <<= 8 * (8 - rest);
        if (differ) return 0;
    }
    return 1;
}

/* ── numbers ── */

#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#define swap64(x) __builtin_bswap64(x)

/* The machine divides unsigned numbers only. The divisor is not zero; MIN / -1 wraps. */
static __always_inline s64 divide64(s64 a, s64 b) {
    u64 quotient = (a < 0 ? -(u64)a : a) / (b < 0 ? -(u64)b : b);
    return (a < 0) != (b < 0) ? -quotient : quotient;
}

static __always_inline s64 remainder64(s64 a, s64 b) {
    u64 rest = (a < 0 ? -(u64)a : a) % (b < 0 ? -(u64)b : b);
    return a < 0 ? -rest : rest;
}

#define divide32(a, b) ((s32)divide64((s32)(a), (s32)(b)))
#define remainder32(a, b) ((s32)remainder64((s32)(a), (s32)(b)))

/* The old value; atomic. bcc's LLVM targets the first instruction set, whose atomic add returns nothing: the
 * loader sets the instruction's FETCH bit. */
static __always_inline u32 fetch_add_32(u32 *element, u32 by) {
    u64 value = by;
    asm volatile("lock *(u32 *)(%[element] + 0) += %[value]"
                 : [value] "+r"(value)
                 : [element] "r"(element)
                 : "memory");
    return value;
}

static __always_inline u64 fetch_add_64(u64 *element, u64 by) {
    asm volatile("lock *(u64 *)(%[element] + 0) += %[by]"
                 : [by] "+r"(by)
                 : [element] "r"(element)
                 : "memory");
    return by;
}

/* ── output ── */

static __always_inline void counted(u32 kind, u64 packets) {
    u64 *count = drops.lookup(&kind);
    if (count) *count += packets;
}

#ifdef PHONEPL_NODE
/* Tells the node's steering what became of the packet, which goes on there. */
static __always_inline int go_on(struct xdp_md *ctx, u32 kind, u32 puts, u32 stream, u32 written) {
    u32 zero = 0;
    struct passage *way = passage.lookup(&zero);
    if (!way) return XDP_ABORTED;
    way->kind = kind;
    way->puts = puts;
    way->stream = stream;
    way->written = written;
    onward.call(ctx, 0);
    return XDP_ABORTED;
}
#endif

static __always_inline int drop(struct xdp_md *ctx, u32 kind) {
    counted(kind, 1);
#ifdef PHONEPL_NODE
    return go_on(ctx, kind, 0, 0, 0);
#else
    return XDP_DROP;
#endif
}

static __always_inline int leave(struct xdp_md *ctx, u32 stream) {
#ifdef PHONEPL_NODE
    return go_on(ctx, 0, 1, stream, 0);
#elif defined(PHONEPL_RUN)
    u32 zero = 0;
    struct run *seen = run.lookup(&zero);
    if (seen) {
        seen->stream = stream;
        seen->puts = 1;
    }
    return XDP_TX;
#else
    return tx.redirect_map(stream, XDP_DROP); /* what is put to a stream without a device is gone */
#endif
}

/* Make the arrived packet one of `size` new bytes and then the arrived ones from `begin` to `stop`; its
 * length, or a drop's kind, negated. What lies between is not touched, the kernel moves the borders. Of
 * nothing arrived only the length is made. */
static __always_inline int shape(struct xdp_md *ctx, s32 length, s32 size, s32 begin, s32 stop) {
    s32 total = size + stop - begin;
    if (total < FRAME_SHORTEST) return total > 0 ? -TARGET_LIMIT : -EMPTY_PACKET;
    if (begin == stop) begin = stop = size;
    if (begin != size && bpf_xdp_adjust_head(ctx, begin - size)) return -TARGET_LIMIT;
    if (stop != length && bpf_xdp_adjust_tail(ctx, stop - length)) return -TARGET_LIMIT;
    return total;
}

static __always_inline s64 nanos(void) {
#ifdef PHONEPL_RUN
    u32 zero = 0;
    struct run *seen = run.lookup(&zero);
    if (seen) return seen->now;
#endif
    return bpf_ktime_get_tai_ns();
}
