/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* ARTP's fixed header (docs/artp.md) and what is decided by it (docs/steering.md, 14a to 14g). */

#define ARTP_DATA 3
#define ARTP_CLOSE 5
#define ARTP_CONTROL 0x80
#define ARTP_CHOSEN 0x40
#define ARTP_LONGEST_HEADER 208
#define ARTP_DESTINATIONS 4
#define ARTP_FRAGMENTS 64

struct artp_header {
    u8 version_type;
    u8 flags;
    u16 length;
    u32 session;
    u32 connection[2];
    u32 datagram;
    u16 fragment;
    u16 fragments;
    u16 instance;
    u8 destinations;
    u8 zero;
    u32 zeros;
    u32 order[2];
};

#define ARTP_DESTINATION 18
struct artp_destination {
    u32 address[4];
    u16 port; /* and no padding behind it */
};

/* The packet's end, read where it is asked for: if the compiler shared the address of ctx->data_end among
 * several branches, the verifier would refuse it. */
static __always_inline void *packet_end(struct xdp_md *ctx) {
    void *end;
    asm volatile("%0 = *(u32 *)(%1 + 4)" : "=r"(end) : "r"(ctx));
    return end;
}

/* Of a packet that met an artp row, which checked it. */
static __always_inline struct artp_header *artp_header(struct xdp_md *ctx, const struct packet *p,
                                                       struct udphdr *udp) {
    struct artp_header *h = (void *)(udp + 1);
    return p->artp && (void *)(h + 1) <= packet_end(ctx) ? h : NULL;
}

static __always_inline int is_malformed(const struct artp_header *h, u32 room) {
    u32 type = h->version_type & 15, length = bpf_ntohs(h->length);
    u32 control = h->flags & ARTP_CONTROL, chosen = h->flags & ARTP_CHOSEN;
    if (h->version_type >> 4 != 1 || type < 1 || type > 7 || h->flags & 0x1f) return 1;
    if (control && (chosen || (type != ARTP_DATA && type != ARTP_CLOSE))) return 1;
    if (h->destinations > ARTP_DESTINATIONS || h->zero || h->zeros) return 1;
    if (length < sizeof(*h) + ARTP_DESTINATION * h->destinations) return 1;
    if (length > ARTP_LONGEST_HEADER || length > room) return 1;
    if (type != ARTP_DATA) return h->fragment || h->fragments;
    u32 fragments = bpf_ntohs(h->fragments);
    return fragments > ARTP_FRAGMENTS || bpf_ntohs(h->fragment) >= fragments;
}

/* Checks the header, and writes into it which instance sent the packet. 0, or a reason. */
static __always_inline int read_artp(struct xdp_md *ctx, struct packet *p, struct udphdr *udp,
                                     const int family) {
    struct artp_header *h = (void *)(udp + 1);
    u32 room = p->length - (family == 4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr)) - sizeof(*udp);
    if (room < sizeof(*h) || (void *)(h + 1) > packet_end(ctx) || is_malformed(h, room))
        return -DROP_MALFORMED_ARTP;
    u16 instance = p->link->instance;
    if (instance && !(h->flags & ARTP_CHOSEN)) {
        u64 change = replaced(h->instance, instance);
        h->instance = instance;
        if (udp->check) udp->check = udp_corrected(udp->check, change);
    }
    return 0;
}

/* The n-th destination, or NULL. */
static __always_inline struct artp_destination *artp_destination(struct xdp_md *ctx, struct udphdr *udp,
                                                                 u32 n) {
    u64 offset = (n & (ARTP_DESTINATIONS - 1)) * ARTP_DESTINATION;
    void *d = (void *)(udp + 1) + sizeof(struct artp_header);
    /* The compiler may not compute it twice: the verifier would know the bounds of one only. */
    asm volatile("" : "+r"(offset));
    d += offset;
    asm volatile("" : "+r"(d));
    return d + ARTP_DESTINATION <= packet_end(ctx) ? d : NULL;
}

static __always_inline int is_mapped(const struct artp_destination *d) {
    return !d->address[0] && !d->address[1] && d->address[2] == bpf_htonl(0xffff);
}

static __always_inline int is_permitted(const struct artp_row *row, const struct artp_destination *d) {
    if (row->family != (is_mapped(d) ? 4 : 6)) return 0;
    return !(((d->address[0] & row->mask[0]) ^ row->prefix[0]) |
             ((d->address[1] & row->mask[1]) ^ row->prefix[1]) |
             ((d->address[2] & row->mask[2]) ^ row->prefix[2]) |
             ((d->address[3] & row->mask[3]) ^ row->prefix[3]));
}

static __always_inline int all_permitted(struct xdp_md *ctx, const struct artp_row *row, struct udphdr *udp,
                                         u32 count) {
#pragma unroll
    for (int i = 0; i < ARTP_DESTINATIONS; i++) {
        if (i < count) {
            struct artp_destination *d = artp_destination(ctx, udp, i);
            if (!d || !is_permitted(row, d)) return 0;
        }
    }
    return 1;
}

/* One copy, to the destination of that number, which is permitted. */
static __always_inline int to_destination(struct xdp_md *ctx, struct packet *p, void *ip, struct udphdr *udp,
                                          u32 n, const int family) {
    u32 number = p->artp;
    struct artp_row *row = artp.lookup(&number);
    if (!row) return -DROP_NO_RULE;
    struct channel_row *c = channel.lookup(&row->channel);
    struct traffic *counted = traffic.lookup(&row->channel);
    if (!c || !c->present || !counted) return -DROP_NO_RULE;
    count(p, counted);
    p->service = c->service;
    struct artp_destination *d = artp_destination(ctx, udp, n);
    if (!d) return -DROP_MALFORMED_ARTP;
    if (is_mapped(d) != (family == 4)) return -DROP_FAMILY_MISMATCH;
    struct next_hop_key key = {};
    u32 address[4];
    copy6(key.address, d->address);
    copy6(address, d->address);
    if (family == 4) address[0] = address[3];
    struct next_hop_row *next = next_hop.lookup(&key);
    if (!next) return -DROP_NO_NEXT_HOP;
    if (p->ttl <= 1) return -DROP_TTL_EXPIRED;
    if (p->length > next->mtu) return -DROP_TOO_BIG;
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) t->channel = row->channel;
#endif
    struct hop hop = {
        .ifindex = next->ifindex,
        .vlan = next->vlan,
        .source_mac = next->source_mac,
        .destination_mac = next->destination_mac,
        .destination = address,
        .destination_port = d->port,
        .source = row->has_source ? row->source : NULL,
        .source_port = row->source_port,
    };
    if (family == 4)
        rewrite4(ip, udp, &hop);
    else
        rewrite6(ip, udp, &hop);
    return send(ctx, p, &hop, family, 0);
}
