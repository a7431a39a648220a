/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The control network: the node's own, with the control channels of sessions beside it (docs/steering.md, 14
 * and 19). */

#define CONTROL_BUCKET                                                                                       \
    0x10000 /* in a bucket's key: not of packets to the host, but over the control network */

/* Of the instances of the node: 100.64.0.0/10 and fd64:6970:726f::/64. */
static __always_inline int of_an_instance(void *ip, const int family) {
    if (family == 4) return (((struct iphdr *)ip)->saddr & bpf_htonl(0xffc00000)) == bpf_htonl(0x64400000);
    u32 *source = (u32 *)&((struct ipv6hdr *)ip)->saddr;
    return source[0] == bpf_htonl(0xfd646970) && source[1] == bpf_htonl(0x726f0000);
}

/* Whether its sender, and then everybody who sends by this device, may send one more. */
static __always_inline int control_token(const struct packet *p, u32 ifindex, u16 vlan) {
    u32 zero = 0;
    struct config *c = config.lookup(&zero);
    if (!c) return 0;
    struct link_key sender = {.ifindex = p->ifindex, .vlan = p->vlan | CONTROL_BUCKET};
    if (!take_token(&sender, c->control_interval[0], c->control_burst[0])) return 0;
    struct link_key device = {.ifindex = ifindex, .vlan = vlan | CONTROL_BUCKET};
    return take_token(&device, c->control_interval[1], c->control_burst[1]);
}
