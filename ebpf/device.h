/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Frames that a device refused after the program had sent them: seen only by tracepoints, which fire for
 * every XDP program of the host. Ours are those whose devices stand in the unit's network namespace; the
 * offsets come from the kernel's own BTF (`btf.py`). */

static __always_inline u32 ifindex_of(const struct config *c, u64 device) {
    u32 ifindex = 0;
    bpf_probe_read_kernel(&ifindex, sizeof(ifindex), (void *)(device + c->offset_ifindex));
    return ifindex;
}

static __always_inline int is_ours(const struct config *c, u64 device) {
    u64 net = 0;
    u32 inode = 0;
    bpf_probe_read_kernel(&net, sizeof(net), (void *)(device + c->offset_net));
    bpf_probe_read_kernel(&inode, sizeof(inode), (void *)(net + c->offset_inum));
    return inode == c->netns;
}

/* xdp_devmap_xmit(from, to, sent, drops, error), at each flush of a device. */
int count_refused(struct bpf_raw_tracepoint_args *ctx) {
    u32 zero = 0;
    s32 drops = ctx->args[3];
    if (drops <= 0) return 0;
    struct config *c = config.lookup(&zero);
    struct totals *t = totals.lookup(&zero);
    if (!c || !t || !is_ours(c, ctx->args[0])) return 0;
    if (ifindex_of(c, ctx->args[1]) == c->fork_tx) return 0; /* never arrived, which is counted otherwise */
    u64 named = t->egress_drops;
    t->egress_drops = 0;
    if (drops > named) t->drops[DROP_DEVICE_DROP] += drops - named;
    return 0;
}

/* xdp_redirect_err(device, program, target, error, map type, map id, index): a frame that no queue took. */
int count_unsent(struct bpf_raw_tracepoint_args *ctx) {
    u32 zero = 0;
    struct config *c = config.lookup(&zero);
    struct totals *t = totals.lookup(&zero);
    if (c && t && (u32)ctx->args[5] == c->tx) t->drops[DROP_DEVICE_DROP]++;
    return 0;
}
