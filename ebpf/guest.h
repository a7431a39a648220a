/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What a guest may send besides its data: the housekeeping of its own link, to the host and slowly
 * (docs/steering.md, 6, 10, 13). A guest is never trusted. */

static __always_inline int own4(const struct link_row *link, u32 address) {
    return address && (address == link->address4[0] || address == link->address4[1] ||
                       address == link->address4[2] || address == link->address4[3]);
}

static __always_inline int own6(const struct link_row *link, const u32 *address) {
    return !zero6(address) && (same6(address, link->address6[0]) || same6(address, link->address6[1]) ||
                               same6(address, link->address6[2]) || same6(address, link->address6[3]));
}

static __always_inline int gateway4(const struct link_row *link, u32 address) {
    return address && address == link->gateway4;
}

static __always_inline int gateway6(const struct link_row *link, const u32 *address) {
    return !zero6(address) && same6(address, link->gateway6);
}

static __always_inline int link_local(const u32 *address) {
    return (address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* A token bucket, as the time at which it will be full again. Parallel senders may get a few more. */
static __always_inline int take_token(struct link_key *key, u64 interval, u64 burst) {
    u64 time = now(), full = time;
    u64 *old = bucket.lookup(key);
    if (old && *old > time) full = *old;
    if (full - time > (burst - 1) * interval) return 0;
    full += interval;
    if (old)
        *old = full;
    else
        bucket.update(key, &full);
    return 1;
}

static __always_inline int to_host_slowly(struct packet *p) {
    u32 zero = 0;
    struct config *c = config.lookup(&zero);
    struct link_key key = {.ifindex = p->ifindex, .vlan = p->vlan};
    if (!c || !take_token(&key, c->guest_interval, c->guest_burst)) return -DROP_GUEST_RATE;
    return to_host(p);
}

struct arp_ip4 {
    u16 hardware;
    u16 protocol;
    u8 hardware_length;
    u8 protocol_length;
    u16 operation;
    u8 sender_mac[6];
    u32 sender;
    u8 target_mac[6];
    u32 target;
} __attribute__((packed));

static __always_inline int guest_arp(struct packet *p, void *data, void *data_end) {
    struct arp_ip4 *arp = data + l3(p);
    if ((void *)(arp + 1) > data_end || arp->hardware != bpf_htons(1) ||
        arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_length != 6 || arp->protocol_length != 4)
        return -DROP_GUEST_FORBIDDEN;
    if (!same_mac(arp->sender_mac, p->link->guest_mac) || (arp->sender && !own4(p->link, arp->sender)))
        return -DROP_SPOOFED_ADDRESS;
    if (!gateway4(p->link, arp->target) && !own4(p->link, arp->target)) return -DROP_GUEST_FORBIDDEN;
    return to_host_slowly(p);
}

struct ports {
    u16 source;
    u16 destination;
};

/* `room`: bytes of the IP packet behind its header. */
static __always_inline int to_name_port(void *l4, void *data_end, u32 room) {
    struct ports *tcp = l4;
    return room >= 20 && l4 + 20 <= data_end && tcp->destination == bpf_htons(NAME_PORT);
}

static __always_inline int icmp_type(void *l4, void *data_end, u32 room) {
    return room >= 8 && l4 + 8 <= data_end ? *(u8 *)l4 : -1;
}

/* What ARP is for IPv4, on links that are the unit's own. */
static __always_inline int is_neighbour_discovery(struct packet *p, struct ipv6hdr *ip, void *data_end) {
    if (ip->nexthdr != IPPROTO_ICMPV6 || ip->hop_limit != 255) return 0;
    int type = icmp_type(ip + 1, data_end, p->length - sizeof(*ip));
    return type >= 133 && type <= 137;
}

static __always_inline int guest_other4(struct packet *p, struct iphdr *ip, void *data_end) {
    void *l4 = ip + 1;
    u32 room = p->length - sizeof(*ip);
    if (!own4(p->link, ip->saddr)) return -DROP_SPOOFED_ADDRESS;
    if (!gateway4(p->link, ip->daddr)) return -DROP_GUEST_FORBIDDEN;
    if (ip->protocol == IPPROTO_ICMP && icmp_type(l4, data_end, room) == 8) return to_host_slowly(p);
    if (ip->protocol == IPPROTO_TCP && to_name_port(l4, data_end, room)) return to_host_slowly(p);
    return -DROP_GUEST_FORBIDDEN;
}

static __always_inline int guest_other6(struct packet *p, struct ipv6hdr *ip, void *data_end) {
    void *l4 = ip + 1;
    u32 room = p->length - sizeof(*ip);
    u32 *source = (u32 *)&ip->saddr;
    int own = own6(p->link, source);
    int type = ip->nexthdr == IPPROTO_ICMPV6 ? icmp_type(l4, data_end, room) : -1;
    if ((type == 133 || type == 135 || type == 136) && ip->hop_limit == 255 &&
        (own || link_local(source) || zero6(source)))
        return to_host_slowly(p);
    if (!own) return -DROP_SPOOFED_ADDRESS;
    if (!gateway6(p->link, (u32 *)&ip->daddr)) return -DROP_GUEST_FORBIDDEN;
    if (type == 128) return to_host_slowly(p);
    if (ip->nexthdr == IPPROTO_TCP && to_name_port(l4, data_end, room)) return to_host_slowly(p);
    return -DROP_GUEST_FORBIDDEN;
}
