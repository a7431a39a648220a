/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The common path: untagged IPv4/UDP that an exact flow sends into a channel with one slot, whose endpoint
 * lives. One hash lookup, then arrays. What is unusual, faulty or missing leaves for the full path before
 * anything was counted or written, so that one place decides about it. Each line here is measured
 * (bench/prog_run.py). */

#define UNUSUAL (-1000)

/* A verdict, or DROP_DEVICE_DROP negated, or UNUSUAL; then `missed` says whether the flow's lookup was in
 * vain. */
static __always_inline int common_path(struct xdp_md *ctx, struct totals *t, const struct link_row *from,
                                       u8 *missed) {
    if (from->kind != OUTSIDE && from->kind != NODE) return UNUSUAL;
    void *data = start(ctx), *data_end = end(ctx);
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > data_end || ctx->data_meta != ctx->data) return UNUSUAL;
    if (*(u16 *)(data + 12) != bpf_htons(ETH_P_IP) || !same_mac(eth->h_dest, from->mac)) return UNUSUAL;
    if (*(u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP || ip->ttl <= 1 ||
        (ip->frag_off & bpf_htons(0x3fff)))
        return UNUSUAL;
    u32 length = bpf_ntohs(ip->tot_len);
    if ((void *)ip + length != data_end || bpf_ntohs(udp->len) != length - sizeof(*ip)) return UNUSUAL;
    if (fold(sum_words((u32 *)ip, 5)) != 0xffff) return UNUSUAL;
    u8 first = ip->saddr;
    if (first == 0 || first == 127 || first >= 224) return UNUSUAL;
    /* The key in words as they are hashed: two halves of a word written one by one would stall its reading.
     */
    u64 addresses_key = *(u64 *)&ip->saddr, ports_key = *(u32 *)&udp->source;
    u64 key[2] = {addresses_key, ports_key | (u64)IPPROTO_UDP << 32};
    struct flow4_row *row = flow4.lookup((struct flow4_key *)key);
    if (!row) {
        *missed = 1;
        return UNUSUAL;
    }
    if (!(row->links & (1 << from->kind)) || ((u32)addresses_key & row->mask) != row->prefix) return UNUSUAL;
    struct channel_row *c = channel.lookup(&row->target);
    if (!c) return UNUSUAL;
    struct endpoint_row *e = endpoint.lookup(&c->endpoint);
    if (!e || !e->plain4 || length > e->mtu) return UNUSUAL;
    if (e->unit && !alive(e->unit)) return UNUSUAL;
    struct traffic *counted = traffic.lookup(&row->target);
    if (!counted) return UNUSUAL;
    t->common++;
    counted->packets++;
    counted->bytes += length;
    u64 addresses = replaced(addresses_key >> 32, e->address[0]), ports = replaced(ports_key >> 16, e->port);
    ip->daddr = e->address[0];
    udp->dest = e->port;
    if (e->writes_source) {
        addresses += replaced(addresses_key, e->source[0]);
        ports += replaced(ports_key & 0xffff, e->source_port);
        ip->saddr = e->source[0];
        udp->source = e->source_port;
    }
    ip->check = corrected(ip->check, addresses + (u16)~bpf_htons(0x0100));
    ip->ttl--;
    if (udp->check) udp->check = udp_corrected(udp->check, addresses + ports);
    copy_mac(eth->h_dest, e->destination_mac);
    copy_mac(eth->h_source, e->source_mac);
#ifdef TRACE
    u32 zero = 0;
    struct trace *told = trace.lookup(&zero);
    if (told) {
        told->channel = row->target;
        told->endpoint = c->endpoint;
        told->device = e->ifindex;
    }
    return XDP_REDIRECT;
#else
    int verdict = tx.redirect_map(e->ifindex, XDP_DROP);
    return verdict == XDP_REDIRECT ? verdict : -DROP_DEVICE_DROP;
#endif
}
