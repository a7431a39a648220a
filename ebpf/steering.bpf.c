/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The steering program of a unit: docs/steering.md in the kernel. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/udp.h>

#include "steering.h"
#include "passage.h"
#include "maps.h"
#include "checksum.h"
#include "packet.h"
#include "parse.h"
#include "guest.h"
#include "control.h"
#include "limit.h"
#include "rewrite.h"
#include "artp.h"
#include "peer.h"
#include "kernel.h"
#include "channel.h"
#include "common_path.h"
#include "flow.h"
#include "fork.h"
#include "artp_target.h"
#include "put.h"
#include "device.h"

static __always_inline int steer_found(struct xdp_md *ctx, struct packet *p, void *data, void *ip,
                                       struct udphdr *udp, const struct found *f, const int family) {
    if (p->link->kind == GUEST && !may_enter(p)) return -DROP_RATE_LIMITED;
    if (f->peer) return answer(ctx, p, ip, udp, f->peer, family);
    u32 target = f->target;
    if (target & TARGET_ARTP) {
        int result = artp_target(ctx, p, ip, udp, &target, family);
        if (!target) return result;
    }
    if (target & TARGET_FORK) return fork_packet(ctx, p, target & ~TARGET_FORK);
    return steer_channel(ctx, p, data, ip, udp, target, family, 0);
}

static __always_inline int steer_ip4(struct xdp_md *ctx, struct packet *p, void *data, void *data_end) {
    struct iphdr *ip = data + l3(p);
    struct udphdr *udp = (void *)(ip + 1);
    struct found f = {};
    int guest = p->link->kind == GUEST;
    int result = parse_ip4(p, ip, data_end);
    if (result) return result;
    if (ip->protocol != IPPROTO_UDP)
        return guest ? guest_other4(p, ip, data_end) : unmatched(p, DROP_NO_FLOW);
    result = parse_udp(p, udp, data_end, sizeof(*ip), 4);
    if (result) return result;
    result = guest ? bound4(p, ip, udp, &f) : flowing4(p, ip, udp, &f);
    return result == FOUND ? steer_found(ctx, p, data, ip, udp, &f, 4) : result;
}

static __always_inline int steer_ip6(struct xdp_md *ctx, struct packet *p, void *data, void *data_end) {
    struct ipv6hdr *ip = data + l3(p);
    struct udphdr *udp = (void *)(ip + 1);
    struct found f = {};
    int guest = p->link->kind == GUEST;
    int result = parse_ip6(p, ip, data_end);
    if (result) return result;
    if (ip->nexthdr != IPPROTO_UDP) {
        if (guest) return guest_other6(p, ip, data_end);
        return is_neighbour_discovery(p, ip, data_end) ? to_host(p) : unmatched(p, DROP_NO_FLOW);
    }
    result = parse_udp(p, udp, data_end, sizeof(*ip), 6);
    if (result) return result;
    result = guest ? bound6(p, ip, udp, &f) : flowing6(p, ip, udp, &f);
    return result == FOUND ? steer_found(ctx, p, data, ip, udp, &f, 6) : result;
}

static __always_inline int steer_frame(struct xdp_md *ctx, struct packet *p) {
    void *data = start(ctx), *data_end = end(ctx);
    int protocol = parse_ethernet(p, data, data_end);
    if (protocol < 0) return protocol;
    if (p->vlan) {
        struct link_key key = {.ifindex = p->ifindex, .vlan = p->vlan};
        p->link = link_vlan.lookup(&key);
    }
    if (!p->link || !p->link->kind) return -DROP_NO_LINK;
    struct ethhdr *eth = data;
    if (!(eth->h_dest[0] & 1) && !same_mac(eth->h_dest, p->link->mac)) return -DROP_NOT_FOR_US;
    int guest = p->link->kind == GUEST;
    if (guest && !same_mac(eth->h_source, p->link->guest_mac)) return -DROP_SPOOFED_MAC;
    if (protocol == bpf_htons(ETH_P_IP)) return steer_ip4(ctx, p, data, data_end);
    if (protocol == bpf_htons(ETH_P_IPV6)) return steer_ip6(ctx, p, data, data_end);
    if (protocol == bpf_htons(ETH_P_ARP)) return guest ? guest_arp(p, data, data_end) : to_host(p);
    return guest ? -DROP_GUEST_FORBIDDEN : unmatched(p, DROP_NOT_IP);
}

/* XDP, on every device of the unit. */
int steer(struct xdp_md *ctx) {
    u32 zero = 0, ifindex = ctx->ingress_ifindex;
#ifdef TRACE
    struct trace *given = trace.lookup(&zero);
    if (!given) return XDP_ABORTED;
    ifindex = given->ifindex;
#endif
    struct link_row *from = link.lookup(&ifindex);
    int common = from ? common_path(ctx, from, &ifindex) : UNUSUAL;
    if (common >= 0) return common;
    struct totals *t = totals.lookup(&zero);
    if (!t) return XDP_ABORTED;
    struct packet p = {.totals = t, .link = from, .ifindex = ifindex, .missed = common == UNUSUAL_MISSED};
    if (common == -DROP_DEVICE_DROP) return finish(ctx, &p, common, 0);
    if (from && from->kind == FORK) return from_fork_veth(ctx, &p);
    t->received++;
    /* Metadata that a neighbour left must not pass for ours further on. */
    int left = ctx->data - ctx->data_meta;
    if (left > 0) bpf_xdp_adjust_meta(ctx, left);
    return finish(ctx, &p, steer_frame(ctx, &p), 0);
}

/* Tail-called by kernel programs, when they have dropped or put a packet. */
int steer_put(struct xdp_md *ctx) {
    u32 zero = 0;
    struct totals *t = totals.lookup(&zero);
    struct passage *way = passage.lookup(&zero);
    if (!t || !way) return XDP_ABORTED;
    struct packet p = {.totals = t,
                       .link = link.lookup(&zero), /* of no kind */
                       .ifindex = way->ifindex,
                       .vlan = way->vlan,
                       .programs = way->programs};
    if (way->channel) return finish(ctx, &p, steer_put_to(ctx, &p, way), 0);
    u32 missing = way->empty + way->beyond;
    if (missing) {
        t->drops[DROP_EMPTY_PACKET] += way->empty;
        t->drops[DROP_TARGET_LIMIT] += way->beyond;
        t->copies += way->puts || way->kind ? missing : missing - 1;
#ifdef TRACE
        struct trace *told = trace.lookup(&zero);
        if (told) {
            told->empty = way->empty;
            told->beyond = way->beyond;
        }
#endif
    }
    if (way->kind) return finish(ctx, &p, -(DROP_NO_PUT - 1 + (int)way->kind), 0);
    if (!way->puts) return XDP_DROP;
    return finish(ctx, &p, way->puts > 1 ? several(ctx, &p, way) : steer_put_to(ctx, &p, way), 0);
}

/* XDP in the devmap, on the devices that copies leave by. */
int steer_copy(struct xdp_md *ctx) {
    u32 zero = 0;
    struct packet p = {};
    p.totals = totals.lookup(&zero);
    if (!p.totals) return XDP_ABORTED;
    return leave(ctx, &p);
}
