/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Kernel programs (docs/steering.md, section 9; R8): tail calls into compiled programs, and what they put.
 * The kernel's own count of tail calls ends what is endless; ours comes first. */

/* Ends only where the program is not there. */
static __always_inline int call_program(struct xdp_md *ctx, const struct packet *p, u32 program, u32 stream,
                                        u32 written, u32 copy) {
    u32 zero = 0;
    struct passage *way = passage.lookup(&zero);
    if (!way) return -DROP_NO_RULE;
    way->program = program;
    way->programs = p->programs;
    way->ifindex = p->ifindex;
    way->vlan = p->vlan;
    way->channel = 0;
    way->empty = 0;
    way->beyond = 0;
    way->written = written;
    way->copy = copy;
    programs.call(ctx, program * STREAMS + stream);
    return -DROP_NO_RULE;
}

/* A copy of what a program put goes on where puts do. */
static __always_inline int onward_to(struct xdp_md *ctx, const struct packet *p, u32 channel_id) {
    u32 zero = 0;
    struct passage *way = passage.lookup(&zero);
    if (!way) return -DROP_NO_RULE;
    way->programs = p->programs;
    way->ifindex = p->ifindex;
    way->vlan = p->vlan;
    way->channel = channel_id;
    onward.call(ctx, 0);
    return -DROP_NO_RULE;
}

static __always_inline int enter_program(struct xdp_md *ctx, struct packet *p, u32 program, u32 stream) {
    if (p->programs >= CHAIN) return -DROP_CHAIN_TOO_LONG;
    p->programs++;
    return call_program(ctx, p, program, stream, 0, 0);
}
