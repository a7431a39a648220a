/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Ethernet, IP and UDP headers and what must be true of them (docs/steering.md, 1 to 3 and 12). */

struct vlan_tag {
    u16 protocol;
    u16 id;
    u16 inner;
};

static __always_inline int is_vlan(u16 protocol) {
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Leaves the VLAN id; returns the EtherType (network order), or a reason. */
static __always_inline int parse_ethernet(struct packet *p, void *data, void *data_end) {
    struct ethhdr *eth = data;
    if ((void *)(eth + 1) > data_end) return -DROP_MALFORMED_ETHERNET;
    p->tagged = 0;
    p->vlan = 0;
    if (!is_vlan(eth->h_proto)) return eth->h_proto;
    struct vlan_tag *tag = data + offsetof(struct ethhdr, h_proto);
    if ((void *)(tag + 1) > data_end) return -DROP_MALFORMED_ETHERNET;
    p->tagged = 1;
    p->vlan = bpf_ntohs(tag->id) & 0xfff;
    if (is_vlan(tag->inner)) return -DROP_DOUBLE_TAGGED;
    return tag->inner;
}

static __always_inline int parse_ip4(struct packet *p, struct iphdr *ip, void *data_end) {
    if ((void *)(ip + 1) > data_end || ip->version != 4 || ip->ihl < 5) return -DROP_MALFORMED_IP;
    p->length = bpf_ntohs(ip->tot_len);
    if (p->length < ip->ihl * 4 || (void *)ip + p->length > data_end) return -DROP_MALFORMED_IP;
    if (ip->ihl != 5) return -DROP_IP_OPTIONS;
    if (!is_zero(sum_words((u32 *)ip, 5))) return -DROP_BAD_IP_CHECKSUM;
    if (ip->frag_off & bpf_htons(0x3fff)) return -DROP_IP_FRAGMENT;
    p->ttl = ip->ttl;
    u8 first = ip->saddr;
    if (first == 0 || first == 127 || first >= 224) {
        if (!(p->link->kind == GUEST && ip->saddr == 0 && ip->protocol == IPPROTO_UDP))
            return -DROP_BAD_ADDRESS;
    }
    return 0;
}

static __always_inline int is_extension(u8 next) {
    switch (next) {
    case 0:
    case 43:
    case 44:
    case 51:
    case 60:
    case 135:
    case 139:
    case 140:
    case 253:
    case 254:
        return 1;
    }
    return 0;
}

static __always_inline int parse_ip6(struct packet *p, struct ipv6hdr *ip, void *data_end) {
    if ((void *)(ip + 1) > data_end || ip->version != 6) return -DROP_MALFORMED_IP;
    u32 length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
    if ((void *)ip + length > data_end) return -DROP_MALFORMED_IP;
    p->length = length;
    if (!ip->nexthdr && *(u16 *)&ip->daddr == bpf_htons(0xff02)) return -DROP_MULTICAST_LISTENER;
    if (is_extension(ip->nexthdr)) return -DROP_IPV6_EXTENSION;
    p->ttl = ip->hop_limit;
    u32 *source = (u32 *)&ip->saddr;
    if ((u8)source[0] == 0xff) return -DROP_BAD_ADDRESS;
    if (!(source[0] | source[1] | source[2])) {
        if (source[3] == bpf_htonl(1) || (source[3] == 0 && ip->nexthdr != IPPROTO_ICMPV6))
            return -DROP_BAD_ADDRESS;
    }
    return 0;
}

static __always_inline int parse_udp(struct packet *p, struct udphdr *udp, void *data_end, const int header,
                                     const int family) {
    if ((void *)(udp + 1) > data_end || bpf_ntohs(udp->len) != p->length - header ||
        p->length < header + sizeof(*udp))
        return -DROP_MALFORMED_UDP;
    if (family == 6 && udp->check == 0) return -DROP_UDP6_ZERO_CHECKSUM;
    return 0;
}

static __always_inline int same6(const u32 *a, const u32 *b) {
    return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

static __always_inline int zero6(const u32 *a) {
    return !(a[0] | a[1] | a[2] | a[3]);
}

static __always_inline void copy6(u32 *to, const u32 *from) {
    to[0] = from[0];
    to[1] = from[1];
    to[2] = from[2];
    to[3] = from[3];
}

/* Not by memcpy, which this target does byte by byte. */
static __always_inline void copy_mac(u8 *to, const u8 *from) {
    *(u32 *)to = *(u32 *)from;
    *(u16 *)(to + 4) = *(u16 *)(from + 4);
}

/* The stack must be written aligned. */
static __always_inline void copy_mac_to_stack(u8 *to, const u8 *from) {
    *(u16 *)to = *(u16 *)from;
    *(u16 *)(to + 2) = *(u16 *)(from + 2);
    *(u16 *)(to + 4) = *(u16 *)(from + 4);
}

static __always_inline int same_mac(const u8 *a, const u8 *b) {
    return *(u32 *)a == *(u32 *)b && *(u16 *)(a + 4) == *(u16 *)(b + 4);
}
