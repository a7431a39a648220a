/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A channel: which slot (R2), which of its endpoints lives (R3), and the hop there (docs/steering.md, 16 to
 * 21). `family` is 0 for what a kernel program left that is no UDP. */

static __always_inline u32 five_tuple_crc(void *ip, struct udphdr *udp, const int family) {
    u32 zero = 0, crc32 = ~0u;
    struct crc_table *table = crc.lookup(&zero);
    if (!table) return 0;
    if (family == 4) {
        struct iphdr *ip4 = ip;
        crc32 = crc_word(table, crc32, ip4->saddr);
        crc32 = crc_word(table, crc32, ip4->daddr);
        crc32 = crc_byte(table, crc32 ^ ip4->protocol);
    } else {
        struct ipv6hdr *ip6 = ip;
        u32 *words = (u32 *)&ip6->saddr;
#pragma unroll
        for (int i = 0; i < 8; i++)
            crc32 = crc_word(table, crc32, words[i]);
        crc32 = crc_byte(table, crc32 ^ ip6->nexthdr);
    }
    crc32 = crc_word(table, crc32, *(u32 *)&udp->source);
    return ~crc32;
}

static __always_inline u32 chosen_index(struct xdp_md *ctx, const struct packet *p,
                                        const struct channel_row *c, void *ip, struct udphdr *udp,
                                        const int family) {
    if (c->selector == SELECT_COUNTER) {
        u32 group = c->group;
        u32 *next = counter.lookup(&group);
        return next ? fetch_add(next, 1) & c->mask : 0;
    }
    if (!family) return 0;
    if (c->selector == SELECT_HASH) return five_tuple_crc(ip, udp, family) & c->mask;
    struct artp_header *h = artp_header(ctx, p, udp);
    if (!h) return 0;
    return bpf_ntohl(c->selector == SELECT_DATAGRAM ? h->datagram : (u32)h->instance << 16) & c->mask;
}

static __always_inline int alive(u32 id) {
    if (!id) return 1;
    u32 *state = unit.lookup(&id);
    return state && *state == UNIT_ALIVE;
}

static __always_inline struct endpoint_row *endpoint_of(u32 id) {
    struct endpoint_row *e = endpoint.lookup(&id);
    return e && e->kind ? e : NULL;
}

static __always_inline int steer_channel(struct xdp_md *ctx, struct packet *p, void *data, void *ip,
                                         struct udphdr *udp, u32 id, const int family, const int egress) {
    struct channel_row *c = channel.lookup(&id);
    struct traffic *counted = traffic.lookup(&id);
    if (!c || !c->present || !counted) return -DROP_NO_RULE;
    count(p, counted);
    p->service = c->service;
    if (c->member && p->artp) {
        struct artp_header *h = artp_header(ctx, p, udp);
        if (h && bpf_ntohs(h->instance) == c->member) return -DROP_OWN_CONTROL;
    }
    u32 number = c->group;
    if (c->selector != SELECT_ZERO) number += chosen_index(ctx, p, c, ip, udp, family);
    struct slot_row *s = slot.lookup(&number);
    if (!s || !s->endpoint || s->group != c->group)
        return c->selector == SELECT_INSTANCE ? -DROP_NO_SUCH_INSTANCE : -DROP_NO_RULE;
    u32 chosen = s->endpoint;
    struct endpoint_row *e = endpoint_of(chosen);
    if (!e) return -DROP_NO_RULE;
    if (!alive(e->unit)) {
        chosen = s->backup;
        if (!chosen) return -DROP_NO_LIVE_ENDPOINT;
        e = endpoint_of(chosen);
        if (!e) return -DROP_NO_RULE;
        if (!alive(e->unit)) return -DROP_NO_LIVE_ENDPOINT;
    }
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) {
        t->channel = id;
        t->endpoint = chosen;
    }
#endif
    if (e->kind == ENDPOINT_KERNEL)
        return egress ? -DROP_NO_RULE : enter_program(ctx, p, e->program, e->stream);
    if (!family) return -DROP_NOT_REWRITABLE;
    if (e->family != family) return -DROP_FAMILY_MISMATCH;
    if (p->ttl <= 1) return -DROP_TTL_EXPIRED;
    if (p->length > e->mtu) return -DROP_TOO_BIG;
    /* A copy is sent by the device that it was cloned for; rows that changed meanwhile do not move it. */
    if (egress && e->ifindex != ctx->egress_ifindex) return -DROP_NO_RULE;
    if (e->kind == ENDPOINT_CONTROL && !control_token(p, e->ifindex, e->vlan)) return -DROP_CONTROL_RATE;
    if (p->wild) learn(p, data, ip, udp, e, family);
    struct hop hop = {
        .ifindex = e->ifindex,
        .vlan = e->vlan,
        .source_mac = e->source_mac,
        .destination_mac = e->destination_mac,
        .destination = e->address,
        .destination_port = e->port,
        .source = e->has_source && e->kind != ENDPOINT_GUEST ? e->source : NULL,
        .source_port = e->source_port,
    };
    if (family == 4)
        rewrite4(ip, udp, &hop);
    else
        rewrite6(ip, udp, &hop);
    return send(ctx, p, &hop, family, egress);
}
