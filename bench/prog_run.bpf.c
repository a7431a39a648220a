/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the steering program is measured against with BPF_PROG_RUN: nothing, a rewrite alone, and a rewrite
 * found by one hash lookup. `fresh` makes each repeat a new packet of a random flow and tail-calls what is
 * measured, `stub` is the call alone. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/udp.h>

#include "../ebpf/steering.h"
#include "../ebpf/checksum.h"

struct hop {
    u32 source;
    u32 destination;
    u16 source_port;
    u16 destination_port;
    u8 source_mac[6];
    u8 destination_mac[6];
    u32 ifindex;
};

/* The first flow's header, in the pieces that it is written in: what a program loads as one must have been
 * stored as one, else it waits for the store, which a packet that came by DMA never makes it do. */
struct generator {
    u64 macs;
    u32 source_mac_end;
    u32 ports;
    u32 udp_length;
    u32 ip[3]; /* without addresses and checksum */
    u16 protocol;
    u16 ip_sum; /* of ip, folded */
    u32 state;
    u32 sources;      /* less one, a power of two less one */
    u32 destinations; /* likewise */
};

BPF_TABLE("percpu_array", u32, struct generator, generator, 1);
BPF_TABLE("hash", struct flow4_key, struct hop, hops, 1);
BPF_TABLE("prog", int, int, target, 1);
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, out, 1);
BPF_TABLE("percpu_array", u32, u64, seen, 1);

#define FIRST_SOURCE 0x0a400000u      /* 10.64.0.0 */
#define FIRST_DESTINATION 0x0a010000u /* 10.1.0.0 */

static __always_inline int make_fresh(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    u32 zero = 0;
    struct generator *g = generator.lookup(&zero);
    if (!g || data + 42 > data_end) return 0;
    u32 s = g->state;
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    g->state = s;
    u32 source = bpf_htonl(FIRST_SOURCE + ((s >> 7) & g->sources));
    u32 destination = bpf_htonl(FIRST_DESTINATION + ((s >> 7) & g->destinations));
    u16 check = ~fold((u64)g->ip_sum + source + destination);
    *(u64 *)data = g->macs;
    *(u32 *)(data + 8) = g->source_mac_end;
    *(u16 *)(data + 12) = g->protocol;
    *(u32 *)(data + 14) = g->ip[0];
    *(u32 *)(data + 18) = g->ip[1];
    *(u32 *)(data + 22) = g->ip[2] | (u32)check << 16;
    *(u64 *)(data + 26) = source | (u64)destination << 32;
    *(u32 *)(data + 34) = g->ports;
    *(u32 *)(data + 38) = g->udp_length;
    return 1;
}

int fresh(struct xdp_md *ctx) {
    if (make_fresh(ctx)) target.call(ctx, 0);
    return XDP_ABORTED;
}

/* Real frames leave by entry 0. */
int emit(struct xdp_md *ctx) {
    return make_fresh(ctx) ? out.redirect_map(0, XDP_ABORTED) : XDP_ABORTED;
}

/* At the far end of what is measured. */
int sink(struct xdp_md *ctx) {
    u32 zero = 0;
    u64 *count = seen.lookup(&zero);
    if (count) (*count)++;
    return XDP_DROP;
}

int stub(struct xdp_md *ctx) {
    return XDP_DROP;
}

static __always_inline int rewrite(void *data, struct iphdr *ip, struct udphdr *udp, u32 source,
                                   u32 destination, u16 source_port, u16 destination_port,
                                   const u16 *source_mac, const u16 *destination_mac) {
    struct ethhdr *eth = data;
    u64 addresses = replaced(ip->saddr, source) + replaced(ip->daddr, destination);
    u64 ports = replaced(udp->source, source_port) + replaced(udp->dest, destination_port);
    ip->saddr = source;
    ip->daddr = destination;
    udp->source = source_port;
    udp->dest = destination_port;
    ip->check = corrected(ip->check, addresses + (u16)~bpf_htons(0x0100));
    ip->ttl--;
    if (udp->check) udp->check = corrected(udp->check, addresses + ports);
    u16 *to = (u16 *)eth->h_source;
    u16 *from = (u16 *)eth->h_dest;
#pragma unroll
    for (int i = 0; i < 3; i++) {
        to[i] = source_mac[i];
        from[i] = destination_mac[i];
    }
    return 0;
}

int bare(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct iphdr *ip = data + sizeof(struct ethhdr);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > data_end) return XDP_DROP;
    u16 source_mac[3] = {2, 0, 1}, destination_mac[3] = {2, 0, 2};
    rewrite(data, ip, udp, bpf_htonl(0x0a020001), bpf_htonl(0x0a020002), bpf_htons(7), bpf_htons(9),
            source_mac, destination_mac);
    return out.redirect_map(0, XDP_DROP);
}

int one_hash(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = data + sizeof(*eth);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > data_end || *(u16 *)(data + 12) != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
        ip->protocol != IPPROTO_UDP)
        return XDP_PASS;
    u64 key[2] = {*(u64 *)&ip->saddr, *(u32 *)&udp->source | (u64)IPPROTO_UDP << 32};
    struct hop *h = hops.lookup((struct flow4_key *)key);
    if (!h) return XDP_PASS;
    rewrite(data, ip, udp, h->source, h->destination, h->source_port, h->destination_port,
            (u16 *)h->source_mac, (u16 *)h->destination_mac);
    return out.redirect_map(h->ifindex, XDP_DROP);
}
