/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What kernel programs put: where it goes (docs/steering.md, section 9). They see the frame, and may have
 * left anything of it. */

/* 4 or 6 for what can be rewritten: the checks of every packet that comes in; else 0. */
static __always_inline int rewritable(struct packet *p, void *data, void *data_end) {
    int protocol = parse_ethernet(p, data, data_end);
    if (protocol == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = data + l3(p);
        if (parse_ip4(p, ip, data_end) || ip->protocol != IPPROTO_UDP) return 0;
        return parse_udp(p, (void *)(ip + 1), data_end, sizeof(*ip), 4) ? 0 : 4;
    }
    if (protocol != bpf_htons(ETH_P_IPV6)) return 0;
    struct ipv6hdr *ip = data + l3(p);
    if (parse_ip6(p, ip, data_end) || ip->nexthdr != IPPROTO_UDP) return 0;
    return parse_udp(p, (void *)(ip + 1), data_end, sizeof(*ip), 6) ? 0 : 6;
}

static __always_inline int steer_made(struct xdp_md *ctx, struct packet *p, u32 channel_id) {
    void *data = start(ctx), *data_end = end(ctx);
    u16 vlan = p->vlan;
    int family = rewritable(p, data, data_end);
    p->vlan = vlan; /* that it came in by */
    if (family == 4) {
        struct iphdr *ip = data + l3(p);
        struct udphdr *udp = (void *)(ip + 1);
        if ((void *)(udp + 1) > data_end) return -DROP_NOT_REWRITABLE;
        return steer_channel(ctx, p, data, ip, udp, channel_id, 4, 0);
    }
    if (family == 6) {
        struct ipv6hdr *ip = data + l3(p);
        struct udphdr *udp = (void *)(ip + 1);
        if ((void *)(udp + 1) > data_end) return -DROP_NOT_REWRITABLE;
        return steer_channel(ctx, p, data, ip, udp, channel_id, 6, 0);
    }
    p->length = frame_length(ctx) - sizeof(struct ethhdr);
    return steer_channel(ctx, p, data, NULL, NULL, channel_id, 0, 0);
}

/* Several puts of one packet are as many copies of it by the fork veth; each becomes what was put when it
 * comes out there. */
static __always_inline int several(struct xdp_md *ctx, struct packet *p, const struct passage *way) {
    u32 puts = way->puts;
    p->totals->copies += puts - 1;
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) {
        t->copies = puts;
        t->program = way->program;
        t->programs = p->programs;
        t->puts = way->written;
        t->vlan = p->vlan;
    }
    return XDP_REDIRECT;
#else
    p->artp = way->written;
    return broadcast(ctx, p, put_plans.lookup((int *)&puts), PLAN_PUTS | way->program, puts);
#endif
}

static __always_inline int steer_put_to(struct xdp_md *ctx, struct packet *p, const struct passage *way) {
    if (way->channel) return steer_made(ctx, p, way->channel);
    u32 key = way->program * STREAMS + (way->stream & (STREAMS - 1));
    u32 *target = binding_put.lookup(&key);
    if (!target || !*target) return -DROP_NO_BINDING;
    if (*target & TARGET_ARTP) return -DROP_NO_RULE;
    if (*target & TARGET_FORK) return fork_packet(ctx, p, *target & ~TARGET_FORK);
    return steer_made(ctx, p, *target);
}
