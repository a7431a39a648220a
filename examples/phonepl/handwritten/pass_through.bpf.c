/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include <uapi/linux/bpf.h>

enum { STREAM1, STREAM2 };

BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1);

int forward(struct xdp_md *ctx) {
    return tx.redirect_map(STREAM2, XDP_DROP);
}

int back(struct xdp_md *ctx) {
    return tx.redirect_map(STREAM1, XDP_DROP);
}
