/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Forks (R1): one packet becomes n by DEVMAP broadcast. What the copies need stands in front of them as
 * metadata. The kernel does not number clones, so they are numbered where they leave: a device's clones of
 * one packet come in the order of the plan's entries, without another fork's between (per CPU).
 *
 * A plan whose branches all have a device for certain is broadcast to those, and `steer_copy` rewrites each
 * copy on its way out. If any branch chooses at run time, all n copies go into the fork veth, and are steered
 * one by one at its other end, like packets that came in. */

#ifndef TRACE
/* Sends the packet into a plan's devices, with what its copies need in front of it. */
static __always_inline int broadcast(struct xdp_md *ctx, struct packet *p, void *devices, u32 plan,
                                     u32 copies) {
    p->totals->forked += copies;
    if (!devices || bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct copy_meta)))
        return XDP_DROP; /* forked and never to arrive: counted as device drops */
    struct copy_meta *meta = (void *)(long)ctx->data_meta;
    if ((void *)(meta + 1) > start(ctx)) return XDP_DROP;
    __builtin_memset(meta, 0, sizeof(*meta));
    meta->magic = FORK_MAGIC;
    meta->plan = plan;
    meta->ifindex = p->ifindex;
    meta->serial = ++p->totals->serial;
    meta->vlan = p->vlan;
    meta->wild = p->wild;
    meta->programs = p->programs;
    meta->artp = p->artp;
    return ((long (*)(void *, u64, u64))BPF_FUNC_redirect_map)(devices, 0, BPF_F_BROADCAST);
}
#endif

static __always_inline int fork_packet(struct xdp_md *ctx, struct packet *p, u32 id) {
    struct fork_row *f = fork.lookup(&id);
    if (!f || !f->copies) return -DROP_NO_RULE;
    p->totals->copies += f->copies - 1;
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) {
        t->fork = id;
        t->copies = f->copies;
        t->wild = p->wild;
        t->programs = p->programs;
        t->vlan = p->vlan;
        t->artp = p->artp;
    }
    return XDP_REDIRECT;
#else
    /* What a program put is looked at behind the fork veth. */
    u32 length = p->programs ? FORK_UNLIMITED - 1 : p->length;
    u32 plan = length > f->mtu ? f->plan + 1 : f->plan;
    return broadcast(ctx, p, plans.lookup((int *)&plan), plan, f->copies);
#endif
}

/* Metadata of ours in front of the frame, or NULL. */
static __always_inline struct copy_meta *copy_meta(struct xdp_md *ctx) {
    struct copy_meta *meta = (void *)(long)ctx->data_meta;
    if ((void *)(meta + 1) > start(ctx) || meta->magic != FORK_MAGIC) return NULL;
    return meta;
}

/* Takes a copy up where the fork left the packet: as if it had come in again, checked already. With a channel
 * it goes there, else to the destination of its number. */
static __always_inline int steer_arrived(struct xdp_md *ctx, struct packet *p, const u32 *channel_id,
                                         u32 copy, const int egress) {
    struct link_key key = {.ifindex = p->ifindex, .vlan = p->vlan};
    u32 ifindex = p->ifindex;
    p->link = p->vlan ? link_vlan.lookup(&key) : link.lookup(&ifindex);
    void *data = start(ctx), *data_end = end(ctx);
    if (!p->link) return -DROP_NO_RULE;
    int protocol = parse_ethernet(p, data, data_end);
    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = data + l3(p);
        struct udphdr *udp = (void *)(ip + 1);
        if ((void *)(udp + 1) > data_end) return -DROP_MALFORMED_UDP;
        p->length = bpf_ntohs(ip->tot_len);
        p->ttl = ip->ttl;
        if (!egress && !channel_id) return to_destination(ctx, p, ip, udp, copy, 4);
        return channel_id ? steer_channel(ctx, p, data, ip, udp, *channel_id, 4, egress) : -DROP_NO_RULE;
    }
    struct ipv6hdr *ip = data + l3(p);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > data_end) return -DROP_MALFORMED_UDP;
    p->length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
    p->ttl = ip->hop_limit;
    if (!egress && !channel_id) return to_destination(ctx, p, ip, udp, copy, 6);
    return channel_id ? steer_channel(ctx, p, data, ip, udp, *channel_id, 6, egress) : -DROP_NO_RULE;
}

/* A copy comes out of the fork veth. What comes there without being one (the kernel's own) is none of ours.
 */
static __always_inline int from_fork_veth(struct xdp_md *ctx, struct packet *p) {
    struct copy_meta *meta = copy_meta(ctx);
    if (!meta) return XDP_DROP;
    u32 plan = meta->plan;
    struct branch_key key = {.plan = plan & ~1u, .copy = meta->copy};
    p->ifindex = meta->ifindex;
    p->vlan = meta->vlan;
    p->wild = meta->wild;
    p->programs = meta->programs;
    p->artp = meta->artp;
    p->totals->arrived++;
    if (bpf_xdp_adjust_meta(ctx, sizeof(*meta))) return finish(ctx, p, -DROP_NO_RULE, 0);
    if (plan & PLAN_PUTS)
        return finish(ctx, p, call_program(ctx, p, plan & ~PLAN_PUTS, STREAMS - 1, p->artp, key.copy), 0);
    u32 *channel_id = plan < OVERRIDE_PLANS ? NULL : branch.lookup(&key);
    if (!channel_id && plan >= OVERRIDE_PLANS) return finish(ctx, p, -DROP_NO_RULE, 0);
    if (channel_id && p->programs) return finish(ctx, p, onward_to(ctx, p, *channel_id), 0);
    return finish(ctx, p, steer_arrived(ctx, p, channel_id, key.copy, 0), 0);
}

/* In the devmap: every frame that leaves by a device that copies may leave by too. */
static __always_inline int leave(struct xdp_md *ctx, struct packet *p) {
    struct copy_meta *meta = copy_meta(ctx);
    if (!meta) return XDP_PASS; /* steered already; it only shares the device */
    u32 zero = 0, ifindex = ctx->egress_ifindex;
    struct config *c = config.lookup(&zero);
    struct numbering *n = numbering.lookup(&ifindex);
    if (!c || !n) return XDP_DROP;
    if (n->serial != meta->serial) {
        n->serial = meta->serial;
        n->ordinal = 0;
    }
    u32 ordinal = n->ordinal++;
    if (ifindex == c->fork_tx) {
        meta->copy = ordinal;
        return XDP_PASS;
    }
    struct clone_key key = {.plan = meta->plan, .ifindex = ifindex, .ordinal = ordinal};
    p->ifindex = meta->ifindex;
    p->vlan = meta->vlan;
    p->wild = meta->wild;
    p->artp = meta->artp;
    p->totals->arrived++;
    if (bpf_xdp_adjust_meta(ctx, sizeof(*meta))) return finish(ctx, p, -DROP_NO_RULE, 1);
    u32 *channel_id = clone.lookup(&key);
    return finish(ctx, p, channel_id ? steer_arrived(ctx, p, channel_id, 0, 1) : -DROP_NO_RULE, 1);
}
