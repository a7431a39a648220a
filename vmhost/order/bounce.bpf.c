/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* At the sequencer's end of its veth: packets go to its socket. While there is none they go back as they
 * came, in no order, counted by the UDP port of their output. The device has one queue, so one CPU at a time
 * counts. */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/udp.h>

BPF_XDP_REDIRECT_MAP("xskmap", int, xsks, 1);
BPF_TABLE("hash", u32, u64, bypassed, 1); /* by port */
BPF_TABLE("array", u32, u64, taken, 1);   /* offered to the socket */

static __always_inline void count(struct xdp_md *ctx) {
    void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
    struct ethhdr *ethernet = data;
    if ((void *)(ethernet + 1) > data_end) return;
    int ip = ethernet->h_proto == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
    struct udphdr *udp = (void *)(ethernet + 1) + ip;
    if ((void *)(udp + 1) > data_end) return;
    u32 port = bpf_ntohs(udp->dest);
    u64 *counted = bypassed.lookup(&port);
    if (counted) (*counted)++;
}

int bounce(struct xdp_md *ctx) {
    int verdict = xsks.redirect_map(0, XDP_TX);
    u32 zero = 0;
    u64 *counted = taken.lookup(&zero);
    if (verdict == XDP_TX)
        count(ctx);
    else if (counted)
        (*counted)++;
    return verdict;
}
