/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* How much may pass a device (docs/steering.md, 13a and 21a). A class may use as many bursts as stand below
 * it and its own, so that what it leaves over is there for those above. */

#define NS_BITS 8000000000ull /* ns in a second, bits in a byte */

static __always_inline int take(struct meter *m, u32 length, u32 bursts) {
    u64 time = now(), full = m->full, cost = length * NS_BITS / m->rate;
    if (full < time) {
        full = time;
        m->full = time;
    }
    if (full - time + cost > m->depth * bursts) {
        lock_xadd(&m->refused, 1);
        return 0;
    }
    lock_xadd(&m->full, cost);
    return 1;
}

static __always_inline struct limit_row *limit_of(u32 ifindex) {
    return limit.lookup(&ifindex);
}

static __always_inline int may_enter(struct packet *p) {
    struct limit_row *row = limit_of(p->ifindex);
    if (!row || !row->received.rate) return 1;
    p->service = ASSURED; /* an answer's; a channel says its own */
    return take(&row->received, p->length, 1);
}

static __always_inline int may_leave(struct packet *p, u32 ifindex) {
    struct limit_row *row = limit_of(ifindex);
    return !row || !row->sent.rate || take(&row->sent, p->length, p->service + 1);
}
