/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A packet on its way through the program, and how it ends: to the host or dropped under a name. */

struct packet {
    struct totals *totals;
    struct link_row *link; /* of the link that it came in by */
    u32 ifindex;           /* that link's device */
    u16 vlan;
    u16 length; /* of the IP packet */
    u8 tagged;
    u8 missed; /* the common path found no flow */
    u8 ttl;
    u8 wild;     /* found by a flow without source */
    u8 programs; /* of the kernel that it has passed */
    u8 service;
    u32 artp; /* the row that it met, or 0: no ARTP */
};

/* Where the IP header starts. */
static __always_inline u32 l3(const struct packet *p) {
    return sizeof(struct ethhdr) + (p->tagged ? 4 : 0);
}

static __always_inline void *start(struct xdp_md *ctx) {
    return (void *)(long)ctx->data;
}

static __always_inline void *end(struct xdp_md *ctx) {
    return (void *)(long)ctx->data_end;
}

/* The old value. bcc's LLVM targets the first instruction set, whose atomic add returns nothing:
 * `compiler.py` sets the instruction's FETCH bit. So this is the only way to add atomically here. */
static __always_inline u32 fetch_add(u32 *counter, u32 by) {
    u64 value = by;
    asm volatile("lock *(u32 *)(%[counter] + 0) += %[value]"
                 : [value] "+r"(value)
                 : [counter] "r"(counter)
                 : "memory");
    return value;
}

/* In two steps: the verifier allows no other arithmetic with the end. */
static __always_inline u64 frame_length(struct xdp_md *ctx) {
    u64 length = end(ctx) - start(ctx);
    asm volatile("" : "+r"(length));
    return length;
}

static __always_inline u64 now(void) {
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t && t->now) return t->now;
#endif
    return bpf_ktime_get_coarse_ns(); /* a few ms are enough, and it costs no look at the hardware */
}

/* The first of every EVENT_SAMPLE drops of a reason on a CPU makes an event; of packets that request a
 * session, or whose destination has no next hop, every one, up to REQUESTS a second: the unit does something
 * about them. A full ring loses events, never packets. */
#define EVENT_SAMPLE 1024
#define REQUESTS 1000
#define SECOND 1000000000ull

static __always_inline int event_due(struct totals *totals, u64 nth, u32 reason) {
    if (reason != DROP_REQUESTED && reason != DROP_NO_NEXT_HOP) return nth % EVENT_SAMPLE == 0;
    u64 time = now(), next = totals->requested > time ? totals->requested : time;
    if (next - time >= SECOND) return 0;
    totals->requested = next + SECOND / REQUESTS;
    return 1;
}

static __always_inline void emit(struct xdp_md *ctx, u32 ifindex, u32 reason) {
    struct event *e = events.ringbuf_reserve(sizeof(struct event));
    if (!e) return;
    u64 length = frame_length(ctx);
    e->time = bpf_ktime_get_ns();
    e->ifindex = ifindex;
    e->reason = reason;
    e->length = length;
    e->captured = 0;
    if (length >= EVENT_FRAME) {
        if (!bpf_xdp_load_bytes(ctx, 0, e->frame, EVENT_FRAME)) e->captured = EVENT_FRAME;
    } else if (length >= 1) {
        length &= 255;
        if (length >= 1 && length < EVENT_FRAME && !bpf_xdp_load_bytes(ctx, 0, e->frame, length))
            e->captured = length;
    }
    events.ringbuf_submit(e, 0);
}

/* Every function that handles a packet returns an XDP verdict, or a reason to drop it, negated. */
static __always_inline int finish(struct xdp_md *ctx, struct packet *p, int result, const int egress) {
    if (result >= 0) return result;
    u32 reason = -result & (DROPS - 1);
    u64 nth = p->totals->drops[reason]++;
    if (egress) p->totals->egress_drops++;
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) t->reason = reason;
#else
    if (event_due(p->totals, nth, reason)) emit(ctx, p->ifindex, reason);
#endif
    return XDP_DROP;
}

/* A packet at a channel, on the full path. */
static __always_inline void count(struct packet *p, struct traffic *channel) {
    channel->packets++;
    channel->bytes += p->length;
    p->totals->steered++;
}

static __always_inline int to_host(struct packet *p) {
    p->totals->to_host++;
    return XDP_PASS;
}
