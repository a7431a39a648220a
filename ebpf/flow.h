/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From a parsed packet to its target: bindings of guests, flows of everyone else, and what to do with the
 * unmatched (docs/steering.md, 13 and 14). */

struct found {
    u32 target;
    struct peer_row *peer; /* not NULL: an answer instead */
};

static __always_inline int unmatched(struct packet *p, const int reason) {
    return p->link->unmatched == UNMATCHED_DROP ? -reason : to_host(p);
}

static __always_inline int no_flow(struct packet *p) {
    if (p->link->unmatched == UNMATCHED_HOST) return to_host(p);
    return p->link->unmatched == UNMATCHED_REQUEST ? -DROP_REQUESTED : -DROP_NO_FLOW;
}

/* These return 1 with a target or peer found, or the packet's end: a verdict of to_host or a reason. */
#define FOUND 100

static __always_inline int bound4(struct packet *p, struct iphdr *ip, struct udphdr *udp, struct found *f) {
    int own = own4(p->link, ip->saddr);
    if (udp->source == bpf_htons(68) && udp->dest == bpf_htons(67) && (own || !ip->saddr))
        return to_host_slowly(p);
    if (!own) return -DROP_SPOOFED_ADDRESS;
    if (!gateway4(p->link, ip->daddr)) {
        f->peer = find_peer(ip, udp, 4);
        return f->peer ? FOUND : -DROP_GUEST_FORBIDDEN;
    }
    if (udp->dest == bpf_htons(NAME_PORT)) return -DROP_GUEST_FORBIDDEN;
    struct binding4_key key = {
        .ifindex = p->ifindex, .vlan = p->vlan, .source = ip->saddr, .source_port = udp->source};
    struct binding_row *row = binding4.lookup(&key);
    if (!row) return -DROP_NO_BINDING;
    f->target = row->target;
    return FOUND;
}

static __always_inline int bound6(struct packet *p, struct ipv6hdr *ip, struct udphdr *udp, struct found *f) {
    u32 *source = (u32 *)&ip->saddr;
    if (udp->source == bpf_htons(546) && udp->dest == bpf_htons(547) && link_local(source))
        return to_host_slowly(p);
    if (!own6(p->link, source)) return -DROP_SPOOFED_ADDRESS;
    if (!gateway6(p->link, (u32 *)&ip->daddr)) {
        f->peer = find_peer(ip, udp, 6);
        return f->peer ? FOUND : -DROP_GUEST_FORBIDDEN;
    }
    if (udp->dest == bpf_htons(NAME_PORT)) return -DROP_GUEST_FORBIDDEN;
    struct binding6_key key = {.ifindex = p->ifindex, .vlan = p->vlan, .source_port = udp->source};
    copy6(key.source, source);
    struct binding_row *row = binding6.lookup(&key);
    if (!row) return -DROP_NO_BINDING;
    f->target = row->target;
    return FOUND;
}

static __always_inline int missed(struct packet *p, void *ip, struct udphdr *udp, struct found *f,
                                  const int family) {
    if (p->link->kind == NODE) {
        f->peer = find_peer(ip, udp, family);
        if (f->peer) return FOUND;
    }
    if (p->link->kind == CONTROL) return of_an_instance(ip, family) ? -DROP_NO_FLOW : to_host(p);
    return no_flow(p);
}

static __always_inline int flowing4(struct packet *p, struct iphdr *ip, struct udphdr *udp, struct found *f) {
    struct flow4_key key = {.source = ip->saddr,
                            .destination = ip->daddr,
                            .source_port = udp->source,
                            .destination_port = udp->dest,
                            .protocol = IPPROTO_UDP};
    if (p->missed) return missed(p, ip, udp, f, 4);
    struct flow4_row *row = flow4.lookup(&key);
    if (!row) {
        key.source = 0;
        key.source_port = 0;
        p->wild = 1;
        row = flow4.lookup(&key);
        if (!row) return missed(p, ip, udp, f, 4);
    }
    if (!(row->links & (1 << p->link->kind))) return -DROP_WRONG_LINK;
    if ((ip->saddr & row->mask) != row->prefix) return -DROP_SOURCE_REFUSED;
    f->target = row->target;
    return FOUND;
}

static __always_inline int flowing6(struct packet *p, struct ipv6hdr *ip, struct udphdr *udp,
                                    struct found *f) {
    u32 *source = (u32 *)&ip->saddr;
    struct flow6_key key = {
        .source_port = udp->source, .destination_port = udp->dest, .protocol = IPPROTO_UDP};
    copy6(key.source, source);
    copy6(key.destination, (u32 *)&ip->daddr);
    struct flow6_row *row = flow6.lookup(&key);
    if (!row) {
        __builtin_memset(key.source, 0, sizeof(key.source));
        key.source_port = 0;
        p->wild = 1;
        row = flow6.lookup(&key);
        if (!row) return missed(p, ip, udp, f, 6);
    }
    if (!(row->links & (1 << p->link->kind))) return -DROP_WRONG_LINK;
    if (((source[0] & row->mask[0]) ^ row->prefix[0]) | ((source[1] & row->mask[1]) ^ row->prefix[1]) |
        ((source[2] & row->mask[2]) ^ row->prefix[2]) | ((source[3] & row->mask[3]) ^ row->prefix[3]))
        return -DROP_SOURCE_REFUSED;
    f->target = row->target;
    return FOUND;
}
