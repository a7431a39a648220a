/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>

enum { TERMINAL, NETWORK };
#define ETH_P_PLATFORM 0x88b5

struct platform {
    struct ethhdr eth;
    __be64 time;
} __attribute__((packed));

BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1);
BPF_TABLE("percpu_array", u32, u64, drops, 1);

static __always_inline int drop(u32 reason) {
    u64 *count = drops.lookup(&reason);
    if (count) (*count)++;
    return XDP_DROP;
}

int insert(struct xdp_md *ctx) {
    u64 now = bpf_ktime_get_tai_ns();
    if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct platform))) return drop(0);
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct platform *header = data;
    if ((void *)(header + 1) > data_end) return drop(0);
    *(u64 *)header = __builtin_bswap64(0x02000000000b0200);
    *((u32 *)header + 2) = bpf_htonl(0x0000000a);
    header->eth.h_proto = bpf_htons(ETH_P_PLATFORM);
    *(u64 *)&header->time = __builtin_bswap64(now);
    return tx.redirect_map(NETWORK, XDP_DROP);
}
