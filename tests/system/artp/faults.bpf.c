/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A bad network between two interfaces: loses, doubles, delays and damages UDP packets.
 *
 * What happens to the n-th packet of a direction is a function of (seed, direction, n) alone, so a seed can
 * be played again. A delayed packet goes to the kernel's forwarding, which has a slow queue; others overtake
 * it. Everything that is not UDP goes to the kernel as well. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/udp.h>

/* One direction, by the interface where its packets come in. Rates are parts of 65,536. */
struct lane {
    u64 seed;
    u64 packets;
    u64 lost;
    u64 doubled;
    u64 delayed;
    u64 damaged;
    u32 loss;
    u32 duplication;
    u32 reordering;
    u32 bit_errors;
    u32 slot; /* in `once`; 0 also means `twice_there`, 1 `twice_back` */
    u8 macs[12];
};

/* Sizes are the loader's. */
BPF_TABLE("hash", u32, struct lane, lanes, 1);
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, once, 1);
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, twice_there, 1);
BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, twice_back, 1);

/* The old value; see ebpf/packet.h. */
static __always_inline u64 fetch_add(u64 *counter, u64 by) {
    asm volatile("lock *(u64 *)(%[counter] + 0) += %[by]"
                 : [by] "+r"(by)
                 : [counter] "r"(counter)
                 : "memory");
    return by;
}

static __always_inline u64 mix(u64 x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Change one bit between `start` and `end`. */
static __always_inline void flip(void *start, void *end, u64 where) {
    u64 size = end - start;
    asm volatile("" : "+r"(size)); /* the verifier allows no other arithmetic with the end */
    if (!size) return;
    u8 *byte = start + ((where & 0xffff) % size & 0x7ff);
    if ((void *)(byte + 1) <= end) *byte ^= 1 << (where >> 32 & 7);
}

int spoil(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    struct iphdr *ip = (void *)(eth + 1);
    struct udphdr *udp = (void *)(ip + 1);
    if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
        return XDP_PASS;
    u32 in = ctx->ingress_ifindex;
    struct lane *lane = lanes.lookup(&in);
    if (!lane) return XDP_PASS;

    u64 n = fetch_add(&lane->packets, 1);
    u64 chance = mix(lane->seed ^ mix(n));
    if ((chance & 0xffff) < lane->loss) {
        fetch_add(&lane->lost, 1);
        return XDP_DROP;
    }
    if ((chance >> 16 & 0xffff) < lane->bit_errors) {
        fetch_add(&lane->damaged, 1);
        u64 where = mix(chance);
        /* Half of them without the checksum that would tell UDP, as on links with offload. */
        if (where >> 63) udp->check = 0;
        flip(udp + 1, end, mix(where));
        flip(udp + 1, end, mix(where + 1));
        flip(udp + 1, end, mix(where + 2));
    }
    if ((chance >> 48) < lane->reordering) {
        fetch_add(&lane->delayed, 1);
        return XDP_PASS;
    }
    __builtin_memcpy(eth, lane->macs, sizeof lane->macs);
    if ((chance >> 32 & 0xffff) < lane->duplication) {
        fetch_add(&lane->doubled, 1);
        if (lane->slot) return twice_back.redirect_map(0, BPF_F_BROADCAST);
        return twice_there.redirect_map(0, BPF_F_BROADCAST);
    }
    return once.redirect_map(lane->slot, XDP_DROP);
}
