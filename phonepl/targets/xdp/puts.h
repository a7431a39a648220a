/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Puts are written down where they are made and carried out when the handler has ended. One is made of the
 * packet itself; of several each is made of a copy that the kernel makes by broadcasting into a devmap, by
 * `put_copy` in front of its device. */

/* Of a core's plan: which of the PLANS it is, and that none has taken its place. */
static __always_inline u32 plan_number(u32 number) {
    return bpf_get_smp_processor_id() << 24 | (number & 0xffffff);
}

static __always_inline struct plan *plan_of(u32 number) {
    u32 slot = (number >> 24) * PLANS + (number & (PLANS - 1));
    return plans.lookup(&slot);
}

static __always_inline struct plan *new_plan(void) {
    u32 zero = 0;
    u32 *number = serial.lookup(&zero);
    if (!number) return NULL;
    u32 slot = bpf_get_smp_processor_id() * PLANS + (*number & (PLANS - 1));
    struct plan *plan = plans.lookup(&slot);
    if (plan) {
        plan->number = plan_number(*number);
        plan->count = 0;
        plan->empty = 0;
        plan->beyond = 0;
    }
    return plan;
}

static __always_inline struct put *new_put(struct plan *plan, u32 stream, s32 size, s32 begin, s32 stop) {
    s32 total = size + stop - begin;
    if (total <= 0) {
        plan->empty += 1;
        return NULL;
    }
    u64 count = plan->count;
    if (count >= PUTS || total < FRAME_SHORTEST) {
        plan->beyond += 1;
        return NULL;
    }
    plan->count = count + 1;
    asm volatile("%0 &= %1" : "+r"(count) : "i"(PUTS - 1));
    struct put *p = &plan->puts[count];
    p->stream = stream;
    p->taken = 0;
    p->size = size;
    p->begin = begin;
    p->end = stop;
    return p;
}

/* Make the packet that `p` asks for of the arrived one. A short one with more in front than there is room for
 * is put together in memory and grows at its end. */
static __always_inline int make(struct xdp_md *ctx, struct put *p, s32 length) {
    s32 size = p->size, begin = p->begin, stop = p->end, n = stop - begin;
    if (size - begin > HEADROOM && n > 0 && size + n <= FRONT) {
        if (load(ctx, p->bytes + offset(size), begin, n)) return drop(ctx, TARGET_LIMIT);
        size += n;
        begin = stop;
    }
    s32 made = shape(ctx, length, size, begin, stop);
    if (made < 0) return drop(ctx, -made);
    if (size > 0 && bpf_xdp_store_bytes(ctx, 0, p->bytes, amount(size))) return drop(ctx, TARGET_LIMIT);
    return XDP_PASS;
}

#ifndef PHONEPL_NODE
/* A copy's way to what it must become. */
struct copy_meta {
    u32 magic;
    u32 plan;
};
#define COPY_MAGIC 0x70686f6e

static __always_inline int lost(struct plan *plan) {
    counted(TARGET_LIMIT, plan->count);
    return XDP_DROP;
}

static __always_inline int copied(struct xdp_md *ctx, struct plan *plan, s32 length) {
#ifdef PHONEPL_RUN
    u32 zero = 0;
    struct run *seen = run.lookup(&zero);
    if (seen) {
        seen->puts = plan->count;
        seen->plan = plan->number;
    }
    return XDP_TX;
#else
#ifdef PHONEPL_FRAGS
    /* The kernel copies no frame in several pieces. */
    if (length > first_piece(ctx)) return lost(plan);
#endif
    if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct copy_meta))) return lost(plan);
    struct copy_meta *meta = (void *)(long)ctx->data_meta;
    if ((u8 *)(meta + 1) > start(ctx)) return lost(plan);
    meta->magic = COPY_MAGIC;
    meta->plan = plan->number;
    return copies.redirect_map(0, BPF_F_BROADCAST);
#endif
}
#endif

static __always_inline int carry_out(struct xdp_md *ctx, struct plan *plan, s32 length) {
    u32 count = plan->count, zero = 0;
    if (plan->empty) counted(EMPTY_PACKET, plan->empty);
    if (plan->beyond) counted(TARGET_LIMIT, plan->beyond);
    if (!count && !plan->empty && !plan->beyond) return drop(ctx, NO_PUT);
    if (count > 1) {
        u32 *number = serial.lookup(&zero);
        if (number) *number += 1;
    }
#ifdef PHONEPL_NODE
    struct passage *way = passage.lookup(&zero);
    if (!way) return XDP_ABORTED;
    way->empty = plan->empty;
    way->beyond = plan->beyond;
    if (count != 1) return go_on(ctx, 0, count, 0, plan->number);
#else
    if (!count) return XDP_DROP;
    if (count > 1) return copied(ctx, plan, length);
#endif
    int made = make(ctx, &plan->puts[0], length);
    return made == XDP_PASS ? leave(ctx, plan->puts[0].stream) : made;
}

#ifdef PHONEPL_NODE
/* Behind the node's fork veth: the put of this copy's number. */
int put_copy(struct xdp_md *ctx) {
    u32 zero = 0;
    struct passage *way = passage.lookup(&zero);
    if (!way) return XDP_ABORTED;
    struct plan *plan = plan_of(way->written);
    /* A queue was longer than there is memory for puts. */
    if (!plan || plan->number != way->written) return drop(ctx, TARGET_LIMIT);
    u32 copy = way->copy;
    if (copy >= PUTS) return drop(ctx, TARGET_LIMIT);
    struct put *p = &plan->puts[copy & (PUTS - 1)];
    int made = make(ctx, p, frame_length(ctx));
    return made == XDP_PASS ? leave(ctx, p->stream) : made;
}
#else
/* In front of a device: the first of its puts that no copy has become yet. Copies come in order, one device's
 * after another's; those that are one too many end here. */
int put_copy(struct xdp_md *ctx) {
    struct copy_meta *meta = (void *)(long)ctx->data_meta;
    if ((u8 *)(meta + 1) > start(ctx) || meta->magic != COPY_MAGIC)
        return XDP_PASS; /* the only put of its packet, made already */
    u32 number = meta->plan, out = 0;
#ifndef PHONEPL_RUN
    out = ctx->egress_ifindex;
#endif
    bpf_xdp_adjust_meta(ctx, sizeof(struct copy_meta));
    struct plan *plan = plan_of(number);
    if (!plan) return XDP_DROP;
    if (plan->number != number) return drop(ctx, TARGET_LIMIT);
    u32 count = plan->count;
    for (u32 i = 0; i < PUTS; i++) {
        struct put *p = &plan->puts[i];
        if (i >= count) break;
        u32 stream = p->stream;
        u32 *bound = device.lookup(&stream);
        if (p->taken || !bound || *bound != out) continue;
        p->taken = 1;
#ifdef PHONEPL_RUN
        u32 zero = 0;
        struct run *seen = run.lookup(&zero);
        if (seen) seen->stream = stream;
#endif
        return make(ctx, p, frame_length(ctx));
    }
    return XDP_DROP;
}
#endif
