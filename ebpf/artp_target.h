/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From an artp row to a channel, a fork, or the destinations that the packet names (docs/steering.md, 14a to
 * 14g). */

static __always_inline int override_packet(struct xdp_md *ctx, struct packet *p, void *ip, struct udphdr *udp,
                                           const struct artp_row *row, u32 count, const int family) {
    if (!all_permitted(ctx, row, udp, count)) return -DROP_OVERRIDE_REFUSED;
    if (count == 1) return to_destination(ctx, p, ip, udp, 0, family);
    p->totals->copies += count - 1;
#ifdef TRACE
    u32 zero = 0;
    struct trace *t = trace.lookup(&zero);
    if (t) {
        t->copies = count;
        t->artp = p->artp;
        t->vlan = p->vlan;
    }
    return XDP_REDIRECT;
#else
    u32 plan = count - 1;
    return broadcast(ctx, p, plans.lookup((int *)&plan), plan, count);
#endif
}

/* Leaves a target; or none, and returns the packet's end. */
static __always_inline int artp_target(struct xdp_md *ctx, struct packet *p, void *ip, struct udphdr *udp,
                                       u32 *target, const int family) {
    u32 number = *target & ~TARGET_ARTP;
    *target = 0;
    struct artp_row *row = artp.lookup(&number);
    if (!row || !row->present) return -DROP_NO_RULE;
    int result = read_artp(ctx, p, udp, family);
    if (result) return result;
    p->artp = number;
    struct artp_header *h = artp_header(ctx, p, udp);
    if (!h) return -DROP_MALFORMED_ARTP;
    int control = h->flags & ARTP_CONTROL, closing = (h->version_type & 15) == ARTP_CLOSE;
    int reason = DROP_NO_BINDING;
    if (control && !closing) {
        *target = row->control;
        reason = DROP_OWN_CONTROL;
    } else if (control && row->everyone) {
        *target = row->everyone;
    } else if (h->flags & ARTP_CHOSEN && row->named) {
        *target = row->named;
    } else if (h->destinations && row->channel) {
        return override_packet(ctx, p, ip, udp, row, h->destinations, family);
    } else {
        *target = row->target;
    }
    return -reason;
}
