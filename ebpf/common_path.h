/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The common path: untagged IPv4/UDP that a flow sends into a channel with one slot, whose endpoint lives.
 * One hash lookup, two for a wild flow, then arrays. What is unusual, faulty or missing leaves for the full
 * path before anything was counted or written, so that one place decides about it. Each line here is measured
 * (bench/prog_run.py). */

#define UNUSUAL (-1000)
#define UNUSUAL_MISSED (-1001) /* no flow, exact or wild */

/* A verdict, or DROP_DEVICE_DROP negated, or one of the above. */
static __always_inline int common_path(struct xdp_md *ctx, struct link_row *from, const u32 *ifindex) {
    void *data = start(ctx), *data_end = end(ctx);
    struct iphdr *ip = data + sizeof(struct ethhdr);
    struct udphdr *udp = (void *)(ip + 1);
    u32 scope = from->scope;
    if (!scope || (void *)(udp + 1) > data_end || ctx->data_meta != ctx->data) return UNUSUAL;
    /* A link's row begins with two other bytes and its MAC, a frame with that MAC. */
    if ((*(u64 *)data << 16 ^ *(u64 *)(void *)from) > 0xffff) return UNUSUAL;
    if (*(u16 *)(data + 12) != bpf_htons(ETH_P_IP) || *(u8 *)ip != 0x45) return UNUSUAL;
    /* TTL and protocol lie side by side (little-endian): UDP with more than one hop to go. */
    u64 ttl_and_udp = *(u16 *)(data + 22);
    if (ttl_and_udp - 0x1102 > 0x11ff - 0x1102 || (ip->frag_off & bpf_htons(0x3fff))) return UNUSUAL;
    u64 length = bpf_ntohs(ip->tot_len);
    if ((void *)ip + length != data_end || bpf_ntohs(udp->len) + sizeof(*ip) != length) return UNUSUAL;
    if (!is_zero(sum_words((u32 *)ip, 5))) return UNUSUAL;
    /* The key in words as they are hashed: two halves of a word written one by one would stall its reading.
     */
    u64 key[2] = {*(u64 *)(data + 26), *(u32 *)(data + 34) | (u64)IPPROTO_UDP << 32};
    struct flow4_row *row = flow4.lookup((struct flow4_key *)key);
    u64 wild = 0;
    if (!row) {
        /* What an exact flow's row answered when it was written is asked here. */
        u8 first = ip->saddr;
        if (first == 0 || first == 127 || first >= 224) return UNUSUAL;
        wild = 1;
        key[0] = (u64)ip->daddr << 32;
        key[1] = (u32)udp->dest << 16 | (u64)IPPROTO_UDP << 32;
        row = flow4.lookup((struct flow4_key *)key);
        if (!row) return UNUSUAL_MISSED;
        if ((ip->saddr & row->mask) != row->prefix) return UNUSUAL;
    }
    if (!(row->common & scope)) return UNUSUAL;
    struct channel_row *c = channel.lookup(&row->target);
    if (!c || length > c->mtu || (c->unit && !alive(c->unit))) return UNUSUAL;
    struct traffic *counted = traffic.lookup(&row->target);
    if (!counted) return UNUSUAL;
    if (wild) {
        struct packet p = {.link = from, .ifindex = *ifindex};
        struct endpoint_row *e = endpoint.lookup(&c->endpoint);
        if (!e) return UNUSUAL;
        learn(&p, data, ip, udp, e, 4);
    }
    counted->packets++;
    counted->bytes += length;
    /* What the sums grow by: the new less the old. 2^32 - 1 is zero in ones' complement, and keeps this
     * positive. */
    u64 address = c->address, port = c->port;
    u64 grown = 0xffffffffull + address - ip->daddr, grown_ports = 0xffffull + port - udp->dest;
    ip->daddr = address;
    udp->dest = port;
    if (c->writes_source) {
        address = c->source, port = c->source_port;
        grown += 0xffffffffull + address - ip->saddr, grown_ports += 0xffffull + port - udp->source;
        ip->saddr = address;
        udp->source = port;
    }
    ip->check = corrected(ip->check, grown + (u16)~bpf_htons(0x0100));
    ip->ttl--;
    if (udp->check) udp->check = udp_corrected(udp->check, grown + grown_ports);
    const void *macs = c->destination_mac; /* and the source's, which stands next to it */
    *(u64 *)data = *(u64 *)macs;
    *(u32 *)(data + 8) = *(u32 *)(macs + 8);
#ifdef TRACE
    u32 zero = 0;
    struct trace *told = trace.lookup(&zero);
    if (told) {
        told->channel = row->target;
        told->endpoint = c->endpoint;
        told->device = c->ifindex;
    }
    return XDP_REDIRECT;
#else
    int verdict = tx.redirect_map(c->ifindex, XDP_DROP);
    return verdict == XDP_REDIRECT ? verdict : -DROP_DEVICE_DROP;
#endif
}
