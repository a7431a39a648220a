/* SPDX-License-Identifier: Apache-2.0
 *
 * Reassembly, exactly once, acknowledgements (docs/artp.md, sections 6 and 7). */
#include "artp_internal.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED 65536
#define ACK_PACKETS 16
#define ACK_DELAY (2 * MILLISECOND)
#define UNFINISHED_LIFETIME (30 * SECOND)
#define OVERHEAD 1024

struct receiver *artp_receiver_new(uint32_t origin, const struct budget *budget) {
    struct receiver *r = calloc(1, sizeof *r);
    if (!r || !(r->taken = calloc(1, REMEMBERED / 8))) {
        free(r);
        return NULL;
    }
    r->origin = origin;
    r->ack_at = NEVER;
    r->told_window = budget->limit - budget->used;
    return r;
}

void artp_incoming_free(struct incoming *d) {
    for (int i = 0; i < d->fragments; i++)
        free(d->parts[i]);
    free(d);
}

static void drop(struct incoming **at, struct budget *budget) {
    struct incoming *d = *at;
    *at = d->next;
    budget->used -= d->reserved;
    artp_incoming_free(d);
}

void artp_receiver_free(struct receiver *r, struct budget *budget) {
    while (r->unfinished)
        drop(&r->unfinished, budget);
    while (r->complete)
        drop(&r->complete, budget);
    free(r->taken);
    free(r);
}

static uint8_t *taken_byte(struct receiver *r, uint32_t number) {
    return &r->taken[(number & (REMEMBERED - 1)) >> 3];
}

static bool was_taken(struct receiver *r, uint32_t number) {
    return r->any && r->highest - number < REMEMBERED && *taken_byte(r, number) >> (number & 7) & 1;
}

/* Move the memory up to `number`; false if it lies behind it. */
static bool advance(struct receiver *r, uint32_t number) {
    if (!r->any) {
        r->any = true;
        r->highest = number;
    }
    uint32_t ahead = number - r->highest;
    if (ahead >= 1u << 31) return -ahead < REMEMBERED;
    if (ahead >= REMEMBERED) memset(r->taken, 0, REMEMBERED / 8);
    for (uint32_t n = ahead < REMEMBERED ? r->highest + 1 : number + 1; n != number + 1; n++)
        *taken_byte(r, n) &= ~(1 << (n & 7));
    r->highest = number;
    return true;
}

static void note(struct receiver *r, uint32_t number, uint64_t at, uint64_t now) {
    bool known = false;
    for (int i = 0; i < r->pending_count; i++)
        known |= r->pending[i] == number;
    if (!known && r->pending_count < ARTP_MAX_ENTRIES) r->pending[r->pending_count++] = number;
    r->packets++;
    if (r->packets >= ACK_PACKETS || r->pending_count == ARTP_MAX_ENTRIES) at = now;
    r->ack_at = sooner(r->ack_at, at);
}

static struct incoming **find(struct incoming **at, uint32_t number) {
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static bool reserve(struct budget *budget, size_t size) {
    if (size > budget->limit - budget->used) return false;
    budget->used += size;
    return true;
}

static struct incoming *begin(struct receiver *r, struct budget *budget, const struct artp_packet *p) {
    size_t size = p->fragment < p->fragments - 1 ? p->fragments * p->size
                  : p->fragments > 1             ? ARTP_MAX_DATAGRAM
                                                 : p->size;
    struct incoming *d = calloc(1, sizeof *d);
    if (!d || !reserve(budget, size + OVERHEAD)) {
        free(d);
        return NULL;
    }
    d->reserved = size + OVERHEAD;
    d->number = p->datagram;
    d->fragments = p->fragments;
    d->info = (struct artp_info){.order = p->order,
                                 .instance = p->instance,
                                 .ordered = p->flags & ARTP_ORDERED,
                                 .control = p->flags & ARTP_CONTROL};
    d->next = r->unfinished;
    return r->unfinished = d;
}

/* Whether the fragment belongs to the datagram that its elders say. */
static bool fits(struct incoming *d, struct budget *budget, const struct artp_packet *p) {
    size_t others = d->fragments - 1;
    if (p->fragments != d->fragments || d->info.control != !!(p->flags & ARTP_CONTROL)) return false;
    if (p->size > UINT16_MAX) return false;
    if (p->fragment == others)
        return !d->size || (p->size <= d->size && others * d->size + p->size <= ARTP_MAX_DATAGRAM);
    if (d->size) return p->size == d->size;
    size_t last = d->bitmap >> others & 1 ? d->sizes[others] : 1;
    if (last > p->size || others * p->size + last > ARTP_MAX_DATAGRAM) return false;
    d->size = p->size;
    size_t exact = d->fragments * d->size + OVERHEAD;
    if (exact < d->reserved) {
        budget->used -= d->reserved - exact;
        d->reserved = exact;
    }
    return true;
}

void artp_receiver_accept(struct receiver *r, struct budget *budget, const struct artp_packet *p,
                          uint64_t now) {
    r->instance = p->instance;
    if (!advance(r, p->datagram)) return;
    struct incoming **at = find(&r->unfinished, p->datagram), *d = *at;
    uint64_t bit = 1ull << p->fragment;
    if (was_taken(r, p->datagram) || *find(&r->complete, p->datagram) || (d && d->bitmap & bit)) {
        note(r, p->datagram, now, now);
        return;
    }
    if (!d) {
        if (!(d = begin(r, budget, p))) {
            r->ack_at = sooner(r->ack_at, now + ACK_DELAY); /* to tell the window */
            return;
        }
        at = &r->unfinished;
    }
    if (!fits(d, budget, p) || !(d->parts[p->fragment] = malloc(p->size ? p->size : 1))) {
        if (!d->bitmap) drop(at, budget);
        return;
    }
    if (p->size) memcpy(d->parts[p->fragment], p->payload, p->size);
    d->sizes[p->fragment] = p->size;
    d->bitmap |= bit;
    d->seen_at = now;
    note(r, d->number, now + ACK_DELAY, now);
    if (d->bitmap != all_bits(d->fragments)) return;
    *at = d->next;
    d->next = NULL;
    for (at = &r->complete; *at; at = &(*at)->next)
        ;
    *at = d;
}

struct incoming *artp_receiver_take(struct receiver *r, struct budget *budget, uint64_t now) {
    struct incoming *d = r->complete;
    if (!d) return NULL;
    r->complete = d->next;
    budget->used -= d->reserved;
    *taken_byte(r, d->number) |= 1 << (d->number & 7);
    note(r, d->number, now + ACK_DELAY, now);
    r->recent[r->recent_count++ % 8] =
        (struct artp_entry){d->number, d->fragments, true, all_bits(d->fragments)};
    size_t available = budget->limit - budget->used;
    if (available > r->told_window && available - r->told_window >= budget->limit / 4) r->ack_at = now;
    return d;
}

void artp_receiver_ask(struct receiver *r, uint32_t number, uint64_t now) {
    note(r, number, now, now);
    for (uint32_t n = number + 1; n != number + 16; n++)
        if (was_taken(r, n) || *find(&r->complete, n) || *find(&r->unfinished, n)) note(r, n, now, now);
}

static struct artp_entry entry_of(struct receiver *r, uint32_t number) {
    struct incoming *d = *find(&r->unfinished, number);
    if (!d) d = *find(&r->complete, number);
    if (d) return (struct artp_entry){number, d->fragments, false, d->bitmap};
    /* How many fragments a taken one had is forgotten; its sender knows. */
    bool taken = was_taken(r, number);
    return (struct artp_entry){number, taken, taken, taken};
}

size_t artp_receiver_ack(struct receiver *r, const struct budget *budget, uint8_t *out, uint64_t now) {
    if (r->ack_at > now) return 0;
    r->ack_at = NEVER;
    r->packets = 0;
    r->told_window = budget->limit - budget->used;
    artp_put32(out, r->origin);
    artp_put32(out + 4, r->told_window);
    int count = 0;
    for (; count < r->pending_count; count++) {
        struct artp_entry entry = entry_of(r, r->pending[count]);
        artp_write_entry(out + 8 + ARTP_ENTRY * count, &entry);
    }
    r->pending_count = 0;
    /* Older ones ride along, in case the ACK that had them was lost. */
    for (int i = 0; i < 8 && i < r->recent_count && count < ARTP_MAX_ENTRIES; i++)
        artp_write_entry(out + 8 + ARTP_ENTRY * count++, &r->recent[i]);
    return 8 + ARTP_ENTRY * count;
}

void artp_receiver_expire(struct receiver *r, struct budget *budget, uint64_t now) {
    for (struct incoming **at = &r->unfinished; *at;)
        if (now >= (*at)->seen_at + UNFINISHED_LIFETIME)
            drop(at, budget);
        else
            at = &(*at)->next;
}

uint64_t artp_receiver_deadline(const struct receiver *r) {
    uint64_t at = r->ack_at;
    for (const struct incoming *d = r->unfinished; d; d = d->next)
        at = sooner(at, d->seen_at + UNFINISHED_LIFETIME);
    return at;
}
