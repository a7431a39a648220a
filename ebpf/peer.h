/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Return traffic (R5): who may be answered, learnt from what wild flows let in, and the answer itself
 * (docs/steering.md, 20 and 22). */

#define PEER_LIFETIME (60 * SECOND)
#define PEER_REFRESH SECOND

static __always_inline void peer_key4(struct peer4_key *key, u32 local, u16 local_port, u32 remote,
                                      u16 remote_port) {
    key->local = local;
    key->remote = remote;
    key->local_port = local_port;
    key->remote_port = remote_port;
}

static __always_inline void peer_key6(struct peer6_key *key, const u32 *local, u16 local_port,
                                      const u32 *remote, u16 remote_port) {
    copy6(key->local, local);
    copy6(key->remote, remote);
    key->local_port = local_port;
    key->remote_port = remote_port;
}

static __always_inline struct peer_row *fresh(struct peer_row *row) {
    return row && now() - row->seen <= PEER_LIFETIME ? row : NULL;
}

/* The row for an answer from source to destination, or NULL. What the control unit wrote wins. */
static __always_inline struct peer_row *find_peer(void *ip, struct udphdr *udp, const int family) {
    if (family == 4) {
        struct iphdr *ip4 = ip;
        struct peer4_key key;
        peer_key4(&key, ip4->saddr, udp->source, ip4->daddr, udp->dest);
        struct peer_row *row = peer4.lookup(&key);
        return row ? row : fresh(learnt4.lookup(&key));
    }
    struct ipv6hdr *ip6 = ip;
    struct peer6_key key;
    peer_key6(&key, (u32 *)&ip6->saddr, udp->source, (u32 *)&ip6->daddr, udp->dest);
    struct peer_row *row = peer6.lookup(&key);
    return row ? row : fresh(learnt6.lookup(&key));
}

static __always_inline int answer(struct xdp_md *ctx, struct packet *p, void *ip, struct udphdr *udp,
                                  const struct peer_row *row, const int family) {
    if (row->artp) {
        int result = read_artp(ctx, p, udp, family);
        if (result) return result;
    }
    if (p->ttl <= 1) return -DROP_TTL_EXPIRED;
    if (p->length > row->mtu) return -DROP_TOO_BIG;
    if (row->control && !control_token(p, row->ifindex, row->vlan)) return -DROP_CONTROL_RATE;
    struct hop hop = {
        .ifindex = row->ifindex,
        .vlan = row->vlan,
        .source_mac = row->source_mac,
        .destination_mac = row->destination_mac,
        .destination = NULL,
        .source = row->has_source ? row->source : NULL,
        .source_port = row->source_port,
    };
    if (family == 4)
        rewrite4(ip, udp, &hop);
    else
        rewrite6(ip, udp, &hop);
    return send(ctx, p, &hop, family, 0);
}

/* Remembers the source of a packet that a wild flow let in and that is about to be sent to `e`. */
static __always_inline void learn(struct packet *p, void *data, void *ip, struct udphdr *udp,
                                  const struct endpoint_row *e, const int family) {
    int inside = e->kind == ENDPOINT_GUEST && e->has_public;
    if (!inside && !(e->kind == ENDPOINT_NODE && p->link->kind == OUTSIDE)) return;
    u64 time = now();
    struct ethhdr *eth = data;
    struct peer_row row = {
        .seen = time, .ifindex = p->ifindex, .vlan = p->vlan, .mtu = 1500, .artp = p->artp != 0};
    copy_mac_to_stack(row.source_mac, p->link->mac);
    copy_mac_to_stack(row.destination_mac, eth->h_source);
    if (inside) {
        row.has_source = 1;
        row.source_port = e->public_port;
        copy6(row.source, e->public);
    }
    if (family == 4) {
        struct iphdr *ip4 = ip;
        struct peer4_key key;
        peer_key4(&key, inside ? e->address[0] : ip4->daddr, inside ? e->port : udp->dest, ip4->saddr,
                  udp->source);
        struct peer_row *old = learnt4.lookup(&key);
        if (!old || time - old->seen >= PEER_REFRESH) learnt4.update(&key, &row);
        return;
    }
    struct ipv6hdr *ip6 = ip;
    struct peer6_key key;
    peer_key6(&key, inside ? e->address : (u32 *)&ip6->daddr, inside ? e->port : udp->dest,
              (u32 *)&ip6->saddr, udp->source);
    struct peer_row *old = learnt6.lookup(&key);
    if (!old || time - old->seen >= PEER_REFRESH) learnt6.update(&key, &row);
}
