/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* New addresses, one hop less, checksums corrected, new Ethernet header, and out (docs/steering.md, 21; R9).
 */

struct hop {
    u32 ifindex;
    u16 vlan;
    const u8 *source_mac;
    const u8 *destination_mac;
    const u32 *destination; /* NULL: kept */
    u16 destination_port;
    const u32 *source; /* NULL: kept */
    u16 source_port;
};

static __always_inline u16 udp_corrected(u16 check, u64 change) {
    u16 new = corrected(check, change);
    return new ? new : 0xffff;
}

static __always_inline u64 replace_port(u16 *port, u16 new) {
    u64 change = replaced(*port, new);
    *port = new;
    return change;
}

static __always_inline void rewrite4(struct iphdr *ip, struct udphdr *udp, const struct hop *hop) {
    u64 addresses = 0, ports = 0;
    if (hop->destination) {
        addresses += replaced(ip->daddr, hop->destination[0]);
        ip->daddr = hop->destination[0];
        ports += replace_port(&udp->dest, hop->destination_port);
    }
    if (hop->source) {
        addresses += replaced(ip->saddr, hop->source[0]);
        ip->saddr = hop->source[0];
        ports += replace_port(&udp->source, hop->source_port);
    }
    /* One hop less: the TTL is the first byte of its word, so the sum grows by ~1 there. */
    ip->check = corrected(ip->check, addresses + (u16)~bpf_htons(0x0100));
    ip->ttl--;
    if (udp->check) udp->check = udp_corrected(udp->check, addresses + ports);
}

static __always_inline u64 replace_address6(u32 *address, const u32 *new) {
    u64 change = 0;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        change += replaced(address[i], new[i]);
        address[i] = new[i];
    }
    return change;
}

static __always_inline void rewrite6(struct ipv6hdr *ip, struct udphdr *udp, const struct hop *hop) {
    u64 change = 0;
    if (hop->destination) {
        change += replace_address6((u32 *)&ip->daddr, hop->destination);
        change += replace_port(&udp->dest, hop->destination_port);
    }
    if (hop->source) {
        change += replace_address6((u32 *)&ip->saddr, hop->source);
        change += replace_port(&udp->source, hop->source_port);
    }
    ip->hop_limit--;
    udp->check = udp_corrected(udp->check, change);
}

static __always_inline int write_ethernet(struct xdp_md *ctx, struct packet *p, const struct hop *hop,
                                          const int family) {
    int tagged = p->tagged, tag = hop->vlan != 0;
    if (tagged != tag) {
        if (bpf_xdp_adjust_head(ctx, tagged ? 4 : -4)) return -1;
    }
    struct ethhdr *eth = start(ctx);
    if ((void *)(eth + 1) > end(ctx)) return -1;
    copy_mac(eth->h_dest, hop->destination_mac);
    copy_mac(eth->h_source, hop->source_mac);
    u16 protocol = family == 4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
    if (!tag) {
        eth->h_proto = protocol;
        return 0;
    }
    struct vlan_tag *out = (void *)&eth->h_proto;
    if ((void *)(out + 1) > end(ctx)) return -1;
    out->protocol = bpf_htons(ETH_P_8021Q);
    out->id = bpf_htons(hop->vlan);
    out->inner = protocol;
    return 0;
}

static __always_inline int refused_by_device(struct packet *p) {
    p->totals->sent++;
    return -DROP_DEVICE_DROP;
}

static __always_inline int send(struct xdp_md *ctx, struct packet *p, const struct hop *hop, const int family,
                                const int egress) {
    if (!may_leave(p, hop->ifindex)) return -DROP_RATE_LIMITED;
    int padding = frame_length(ctx) - l3(p) - p->length;
    if (write_ethernet(ctx, p, hop, family)) return refused_by_device(p);
    if (padding > 0 && bpf_xdp_adjust_tail(ctx, -padding)) return refused_by_device(p);
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) t->device = hop->ifindex;
    p->totals->sent++;
    return XDP_REDIRECT;
#else
    if (egress) {
        p->totals->sent++;
        return XDP_PASS;
    }
    int verdict = tx.redirect_map(hop->ifindex, XDP_DROP);
    if (verdict != XDP_REDIRECT) return refused_by_device(p);
    p->totals->sent++;
    return verdict;
#endif
}
