/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows, repetition, who has taken what (docs/artp.md, sections 6 to 8). */
#include "artp_internal.h"

#include <stdlib.h>
#include <string.h>

#define SEND_BUFFER (1 << 20)
#define MIN_RTO (50 * MILLISECOND)
#define MAX_RTO SECOND
#define INITIAL_RTO (500 * MILLISECOND)
#define INITIAL_PACKETS 10
#define MINIMUM_PACKETS 4
#define REDUCTION 0.7
#define FIRST_QUESTION (200 * MILLISECOND)
#define LONGEST_QUESTION (5 * SECOND)
#define MAX_QUESTIONS 3
#define HOLDER_SILENCE (2 * SECOND)
#define SILENCE (10 * SECOND)

void artp_sender_init(struct sender *s, size_t room, int copies) {
    memset(s, 0, sizeof *s);
    s->room = room;
    s->copies = copies;
    s->window = (double)INITIAL_PACKETS * room;
    s->threshold = 1e18;
    s->timeout_at = s->probe_at = NEVER;
}

static void outgoing_free(struct outgoing *d) {
    free(d->packets);
    free(d->had);
    free(d->taken);
    free(d);
}

void artp_sender_free(struct sender *s) {
    for (int i = 0; i < SPAN; i++)
        if (s->ring[i]) outgoing_free(s->ring[i]);
    memset(s->ring, 0, sizeof s->ring);
}

static struct outgoing *find(const struct sender *s, uint32_t number) {
    struct outgoing *d = s->ring[number % SPAN];
    return d && d->number == number ? d : NULL;
}

bool artp_sender_idle(const struct sender *s) {
    return s->first == s->next;
}

bool artp_sender_has_room(const struct sender *s, size_t size) {
    return s->next - s->first < SPAN && (artp_sender_idle(s) || s->buffered + size <= SEND_BUFFER);
}

bool artp_sender_add(struct sender *s, const struct artp_packet *pattern, const uint8_t *data, size_t size) {
    size_t part = s->room - ARTP_OWN_HEADER;
    int count = size ? (size + part - 1) / part : 1;
    struct outgoing *d = calloc(1, sizeof *d);
    if (!d) return false;
    d->packets = malloc(count * s->room);
    d->had = calloc(MAX_RECEIVERS, sizeof *d->had);
    d->taken = calloc(MAX_RECEIVERS, sizeof *d->taken);
    if (!d->packets || !d->had || !d->taken) {
        outgoing_free(d);
        return false;
    }
    struct artp_packet p = *pattern;
    p.type = ARTP_DATA;
    p.datagram = d->number = s->next;
    p.fragments = d->fragments = count;
    for (int i = 0; i < count; i++) {
        p.fragment = i;
        p.payload = data + i * part;
        p.size = i < count - 1 ? part : size - i * part;
        d->sizes[i] = artp_build(d->packets + i * s->room, &p);
        d->size += d->sizes[i];
    }
    d->queued = all_bits(count);
    s->ring[s->next++ % SPAN] = d;
    s->buffered += d->size;
    return true;
}

/* ---- round trips and the window ---- */

uint64_t artp_sender_timeout(const struct sender *s) {
    uint64_t base = INITIAL_RTO;
    if (s->measured) {
        uint64_t four = 4 * s->variance > MILLISECOND ? 4 * s->variance : MILLISECOND;
        base = s->smoothed + four > MIN_RTO ? s->smoothed + four : MIN_RTO;
    }
    return sooner(MAX_RTO, base << (s->expiries < 8 ? s->expiries : 8));
}

static void sample(struct sender *s, uint64_t passed) {
    s->latest = passed;
    if (!s->measured) {
        s->measured = true;
        s->smoothed = s->smallest = passed;
        s->variance = passed / 2;
        return;
    }
    uint64_t error = passed > s->smoothed ? passed - s->smoothed : s->smoothed - passed;
    s->variance = (3 * s->variance + error) / 4;
    s->smoothed = (7 * s->smoothed + passed) / 8;
    s->smallest = sooner(s->smallest, passed);
}

static uint64_t patience(const struct sender *s) {
    uint64_t base = s->measured ? s->smoothed : INITIAL_RTO;
    if (s->latest > base) base = s->latest;
    return base * 9 / 8 > MILLISECOND ? base * 9 / 8 : MILLISECOND;
}

static void reduce(struct sender *s, uint64_t sent_at, uint64_t now) {
    if (sent_at <= s->reduced_at) return;
    s->reduced_at = now;
    s->window *= REDUCTION;
    if (s->window < MINIMUM_PACKETS * s->room) s->window = MINIMUM_PACKETS * s->room;
    s->threshold = s->window;
}

static void grow(struct sender *s, size_t size, uint64_t sent_at, size_t under_way) {
    if (sent_at <= s->reduced_at || under_way < s->window / 2) return;
    s->window += s->window < s->threshold ? (double)size : (double)s->room * size / s->window;
}

/* ---- who has what ---- */

/* Receivers that must have a datagram: those that are silent while others answer are left out. */
static int needed(const struct sender *s, uint64_t now) {
    if (s->copies == 1 || artp_sender_idle(s)) return s->copies;
    const struct outgoing *oldest = s->ring[s->first % SPAN];
    if (!oldest->begun || now < oldest->begun_at + SILENCE) return s->copies;
    int heard = 0;
    for (int i = 0; i < s->peer_count; i++)
        heard += now < s->peers[i].heard_at + SILENCE;
    return heard && heard < s->copies ? heard : s->copies;
}

static int receivers_with(const struct sender *s, const struct outgoing *d, uint64_t bits) {
    int count = 0;
    for (int i = 0; i < s->peer_count; i++)
        count += (d->had[i] & bits) == bits;
    return count;
}

static void land(struct sender *s, struct outgoing *d, int fragment) {
    if (!(d->flying >> fragment & 1)) return;
    d->flying &= ~(1ull << fragment);
    s->in_flight -= d->sizes[fragment];
}

static void put_back(struct sender *s, struct outgoing *d, int fragment) {
    land(s, d, fragment);
    d->queued |= 1ull << fragment;
}

static void finish(struct sender *s, struct outgoing *d) {
    for (int i = 0; i < d->fragments; i++)
        land(s, d, i);
    s->buffered -= d->size;
    s->ring[d->number % SPAN] = NULL;
    outgoing_free(d);
    while (s->first != s->next && !s->ring[s->first % SPAN])
        s->first++;
}

static void send_again(struct sender *s, struct outgoing *d) {
    memset(d->had, 0, MAX_RECEIVERS * sizeof *d->had);
    d->enough = 0;
    d->asked = 0;
    d->ask_at = 0;
    for (int i = 0; i < d->fragments; i++)
        put_back(s, d, i);
}

/* A receiver that was asked has not all of it; another that is heard may. */
static void lacks(struct sender *s, struct outgoing *d, int receiver, uint64_t now) {
    int holders = 0;
    for (int i = 0; i < s->peer_count; i++)
        holders += i != receiver && d->had[i] == all_bits(d->fragments) &&
                   now < s->peers[i].heard_at + HOLDER_SILENCE;
    if (holders < needed(s, now)) send_again(s, d);
}

/* Whether the entry says anything new. */
static bool take_entry(struct sender *s, struct outgoing *d, int receiver, struct artp_entry entry,
                       uint64_t now) {
    uint64_t full = all_bits(d->fragments), bitmap = entry.taken ? full : entry.bitmap & full;
    uint64_t fresh = bitmap & ~d->had[receiver];
    int enough = needed(s, now);
    if (fresh) d->heard_of = true;
    d->had[receiver] |= fresh;
    for (int i = 0; i < d->fragments; i++) {
        if (!(fresh >> i & 1)) continue;
        uint64_t passed = now - d->sent_at[i];
        if (d->sends[i] == 1) sample(s, passed);
        if ((d->sends[i] == 1 || passed >= s->smallest) && d->sent_at[i] > s->peers[receiver].newest)
            s->peers[receiver].newest = d->sent_at[i];
        if (!(d->enough >> i & 1) && (enough == 1 || receivers_with(s, d, 1ull << i) >= enough)) {
            d->enough |= 1ull << i;
            d->queued &= ~(1ull << i);
            if (d->flying >> i & 1) grow(s, d->sizes[i], d->sent_at[i], s->in_flight);
            land(s, d, i);
        }
    }
    bool progress = fresh;
    if (entry.taken) {
        progress |= !d->taken[receiver];
        d->taken[receiver] = true;
        int takers = 0;
        for (int i = 0; i < s->peer_count; i++)
            takers += d->taken[i];
        if (takers >= enough) {
            finish(s, d);
            return true;
        }
    }
    if (d->enough != full) return progress;
    if (bitmap != full && d->asked) {
        lacks(s, d, receiver, now);
    } else if (bitmap == full || !d->ask_at) {
        d->ask_after =
            d->ask_at ? sooner(LONGEST_QUESTION, 2 * d->ask_after) : FIRST_QUESTION + artp_sender_timeout(s);
        d->asked = 0;
        d->ask_at = now + d->ask_after;
    }
    return progress;
}

static int peer_index(struct sender *s, uint32_t origin) {
    for (int i = 0; i < s->peer_count; i++)
        if (s->peers[i].origin == origin) return i;
    if (s->peer_count == MAX_RECEIVERS) return -1;
    s->peers[s->peer_count].origin = origin;
    return s->peer_count++;
}

void artp_sender_acknowledged(struct sender *s, uint32_t receiver, const struct artp_packet *ack,
                              uint64_t now) {
    int index = peer_index(s, receiver);
    if (index < 0) return;
    s->peers[index].heard_at = now;
    s->peers[index].window = artp_get32(ack->payload + 4);
    bool progress = false;
    for (int i = 0; i < (int)((ack->size - 8) / ARTP_ENTRY); i++) {
        struct artp_entry entry = artp_read_entry(ack->payload, i);
        struct outgoing *d = find(s, entry.datagram);
        if (d && d->begun) progress |= take_entry(s, d, index, entry, now);
    }
    if (progress) {
        s->expiries = 0;
        s->timeout_at = now + artp_sender_timeout(s);
    }
    artp_sender_elapsed(s, now);
}

/* ---- losses and time ---- */

/* Whether a receiver misses the fragment although it has one that was sent later. */
static bool overtaken(const struct sender *s, const struct outgoing *d, int fragment) {
    for (int i = 0; i < s->peer_count; i++)
        if (s->peers[i].newest > d->sent_at[fragment] && !(d->had[i] >> fragment & 1)) return true;
    return false;
}

void artp_sender_elapsed(struct sender *s, uint64_t now) {
    bool expired = s->in_flight && now >= s->timeout_at;
    if (expired) {
        s->expiries++;
        reduce(s, s->reduced_at + 1, now);
        if (s->expiries > 1) s->window = MINIMUM_PACKETS * s->room;
        s->timeout_at = now + artp_sender_timeout(s);
    }
    for (uint32_t n = s->first; n != s->next; n++) {
        struct outgoing *d = find(s, n);
        if (!d || !d->flying) continue;
        for (int i = 0; i < d->fragments; i++) {
            if (!(d->flying >> i & 1)) continue;
            bool lost = now >= d->sent_at[i] + patience(s) && overtaken(s, d, i);
            if (lost) reduce(s, d->sent_at[i], now);
            if (lost || expired) put_back(s, d, i);
        }
    }
    int enough = needed(s, now);
    if (enough == s->copies) return;
    for (uint32_t n = s->first; n != s->next; n++) {
        struct outgoing *d = find(s, n);
        if (d && receivers_with(s, d, all_bits(d->fragments)) >= enough) {
            int takers = 0;
            for (int i = 0; i < s->peer_count; i++)
                takers += d->taken[i];
            if (takers >= enough) finish(s, d);
        }
    }
}

static bool window_open(struct sender *s, const struct outgoing *next, uint64_t now) {
    size_t window = SIZE_MAX, unheard = 0;
    for (int i = 0; i < s->peer_count; i++)
        if (s->peers[i].window < window && now < s->peers[i].heard_at + HOLDER_SILENCE)
            window = s->peers[i].window;
    for (uint32_t n = s->first; n != s->next; n++) {
        const struct outgoing *d = find(s, n);
        if (d && d->begun && !d->heard_of) unheard += d->size;
    }
    return unheard + next->size <= window;
}

const uint8_t *artp_sender_next(struct sender *s, size_t *size, uint64_t now) {
    for (uint32_t n = s->first; n != s->next; n++) {
        struct outgoing *d = find(s, n);
        if (!d || !d->queued) continue;
        int i = __builtin_ctzll(d->queued);
        if (s->in_flight && s->in_flight + d->sizes[i] > s->window) return NULL;
        if (!d->begun) {
            if (!window_open(s, d, now)) {
                if (s->probe_at == NEVER) s->probe_at = now + artp_sender_timeout(s);
                return NULL;
            }
            s->probe_at = NEVER;
            d->begun = true;
            d->begun_at = now;
        }
        if (!s->in_flight) s->timeout_at = now + artp_sender_timeout(s);
        d->queued &= ~(1ull << i);
        d->flying |= 1ull << i;
        d->sent_at[i] = now;
        if (d->sends[i] < 255) d->sends[i]++;
        s->in_flight += *size = d->sizes[i];
        return d->packets + i * s->room;
    }
    return NULL;
}

bool artp_sender_question(struct sender *s, uint32_t *number, uint64_t now) {
    bool probing = now >= s->probe_at, asking = now >= s->ask_no_sooner;
    for (uint32_t n = s->first; n != s->next && (probing || asking); n++) {
        struct outgoing *d = find(s, n);
        if (!d) continue;
        if (probing && !d->begun) {
            s->probe_at = now + sooner(LONGEST_QUESTION, 2 * artp_sender_timeout(s));
            *number = n;
            return true;
        }
        if (!asking || d->enough != all_bits(d->fragments) || now < d->ask_at) continue;
        if (++d->asked > MAX_QUESTIONS) {
            send_again(s, d);
            continue;
        }
        d->ask_at = now + d->ask_after;
        s->ask_no_sooner = now + artp_sender_timeout(s) / 8;
        *number = n;
        return true;
    }
    return false;
}

uint64_t artp_sender_deadline(const struct sender *s) {
    uint64_t at = s->in_flight ? s->timeout_at : NEVER;
    if (!artp_sender_idle(s)) at = sooner(at, s->probe_at);
    for (uint32_t n = s->first; n != s->next; n++) {
        const struct outgoing *d = find(s, n);
        if (!d) continue;
        if (d->begun && d->enough == all_bits(d->fragments))
            at = sooner(at, d->ask_at > s->ask_no_sooner ? d->ask_at : s->ask_no_sooner);
        for (int i = 0; i < d->fragments && d->flying; i++)
            if (d->flying >> i & 1 && overtaken(s, d, i)) at = sooner(at, d->sent_at[i] + patience(s));
    }
    return at;
}
