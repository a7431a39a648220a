/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Packets for Phonepl programs by BPF_PROG_RUN, which does not put back what a program adds or deletes in
 * front: `fresh` does, writes the headers anew and tail-calls what is measured. `stub` is the call alone,
 * `change` makes `fresh` put back as much as a program would. */
#include <uapi/linux/bpf.h>

#define HEADERS 56

struct packet {
    u32 length;
    s32 change; /* what `change` deletes in front */
    u64 headers[HEADERS / 8];
};

BPF_TABLE("array", u32, struct packet, packet, 1);
BPF_TABLE("prog", int, int, target, 1);

int fresh(struct xdp_md *ctx) {
    u32 zero = 0;
    struct packet *p = packet.lookup(&zero);
    if (!p) return XDP_ABORTED;
#ifdef FRAGS
    u64 length = bpf_xdp_get_buff_len(ctx);
#else
    u64 length = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
    asm volatile("" : "+r"(length));
#endif
    int more = (int)length - (int)p->length;
    if (more && bpf_xdp_adjust_head(ctx, more)) return XDP_ABORTED;
    u64 *to = (void *)(long)ctx->data;
    if ((void *)to + HEADERS > (void *)(long)ctx->data_end) return XDP_ABORTED;
#pragma unroll
    for (int i = 0; i < HEADERS / 8; i++)
        to[i] = p->headers[i];
    target.call(ctx, 0);
    return XDP_ABORTED;
}

int stub(struct xdp_md *ctx) {
    return XDP_DROP;
}

int change(struct xdp_md *ctx) {
    u32 zero = 0;
    struct packet *p = packet.lookup(&zero);
    if (!p || bpf_xdp_adjust_head(ctx, p->change)) return XDP_ABORTED;
    return XDP_DROP;
}
