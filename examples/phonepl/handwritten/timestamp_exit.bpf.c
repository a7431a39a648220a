/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>

enum { NETWORK, TERMINAL, CONTROL };
enum { NO_PUT, RANGE_ERROR, TARGET_LIMIT, DROPS };
#define ETH_P_PLATFORM 0x88b5

struct platform {
    struct ethhdr eth;
    __be64 time;
} __attribute__((packed));

struct delay { /* ns; shared by all cores */
    u64 count;
    u64 sum;
    s64 least;
    s64 greatest;
};

struct report {
    struct ethhdr eth;
    __be64 count;
    __be64 sum;
    __be64 least;
    __be64 greatest;
} __attribute__((packed));

BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1);
BPF_TABLE("percpu_array", u32, u64, drops, 1);
BPF_TABLE("array", u32, struct delay, delays, 1);

static __always_inline int drop(u32 reason) {
    u64 *count = drops.lookup(&reason);
    if (count) (*count)++;
    return XDP_DROP;
}

static __always_inline void add(u64 *counter, u64 by) {
    asm volatile("lock *(u64 *)(%[counter] + 0) += %[by]"
                 : [by] "+r"(by)
                 : [counter] "r"(counter)
                 : "memory");
}

int take(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct platform *header = data;
    if (data + sizeof(*header) + ETH_HLEN > data_end) return drop(NO_PUT);
    if (header->eth.h_proto != bpf_htons(ETH_P_PLATFORM)) return drop(NO_PUT);
    s64 passed = bpf_ktime_get_tai_ns() - __builtin_bswap64(*(u64 *)&header->time);
    if (passed < 0) return drop(NO_PUT);
    u32 zero = 0;
    struct delay *delay = delays.lookup(&zero);
    if (!delay) return XDP_ABORTED;
    add(&delay->sum, passed);
    if (!delay->count || passed < delay->least) delay->least = passed;
    if (passed > delay->greatest) delay->greatest = passed;
    add(&delay->count, 1);
    if (bpf_xdp_adjust_head(ctx, sizeof(*header))) return drop(TARGET_LIMIT);
    return tx.redirect_map(TERMINAL, XDP_DROP);
}

int report(struct xdp_md *ctx) {
    u32 zero = 0;
    struct delay *delay = delays.lookup(&zero);
    if (!delay) return XDP_ABORTED;
    int length = (long)ctx->data_end - (long)ctx->data;
    if (length < ETH_HLEN) return drop(RANGE_ERROR);
    if (bpf_xdp_adjust_tail(ctx, (int)sizeof(struct report) - length)) return drop(TARGET_LIMIT);
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct report *report = data;
    if ((void *)(report + 1) > data_end) return drop(TARGET_LIMIT);
    *(u64 *)&report->count = __builtin_bswap64(delay->count);
    *(u64 *)&report->sum = __builtin_bswap64(delay->sum);
    *(u64 *)&report->least = __builtin_bswap64(delay->least);
    *(u64 *)&report->greatest = __builtin_bswap64(delay->greatest);
    return tx.redirect_map(CONTROL, XDP_DROP);
}
