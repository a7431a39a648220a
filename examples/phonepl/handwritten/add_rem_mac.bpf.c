/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>

enum { STREAM1, STREAM2 };
enum { EMPTY_PACKET, RANGE_ERROR, TARGET_LIMIT, DROPS };

BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1);
BPF_TABLE("percpu_array", u32, u64, drops, 1);

static __always_inline int drop(u32 reason) {
    u64 *count = drops.lookup(&reason);
    if (count) (*count)++;
    return XDP_DROP;
}

int process1(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    if (data + ETH_HLEN > data_end) return drop(RANGE_ERROR);
    if (bpf_xdp_adjust_head(ctx, -ETH_HLEN)) return drop(TARGET_LIMIT);
    data = (void *)(long)ctx->data;
    data_end = (void *)(long)ctx->data_end;
    if (data + 2 * ETH_HLEN > data_end) return drop(TARGET_LIMIT);
    struct ethhdr *outer = data, *inner = data + ETH_HLEN;
    *(u64 *)outer = *(u64 *)inner;
    *((u32 *)outer + 2) = *((u32 *)inner + 2);
    outer->h_proto = inner->h_proto;
    return tx.redirect_map(STREAM2, XDP_DROP);
}

int process2(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    if (data + ETH_HLEN > data_end) return drop(RANGE_ERROR);
    if (data + 2 * ETH_HLEN > data_end) /* no frame is shorter than a MAC header */
        return drop(data + ETH_HLEN == data_end ? EMPTY_PACKET : TARGET_LIMIT);
    if (bpf_xdp_adjust_head(ctx, ETH_HLEN)) return drop(TARGET_LIMIT);
    return tx.redirect_map(STREAM1, XDP_DROP);
}
