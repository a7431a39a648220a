/* SPDX-License-Identifier: Apache-2.0
 *
 * Both halves of a connection, without sockets; times in microseconds. The Python package artp has the same
 * parts and the reasons for their rules. */
#ifndef ARTP_INTERNAL_H
#define ARTP_INTERNAL_H

#include "artp.h"
#include "artp_wire.h"

#define NEVER UINT64_MAX
#define MILLISECOND 1000ull
#define SECOND 1000000ull

static inline uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline uint64_t all_bits(int fragments) {
    return fragments == 64 ? ~0ull : (1ull << fragments) - 1;
}

/* ---- artp_receiver.c ---- */

struct incoming {
    struct incoming *next;
    uint32_t number;
    int fragments;
    uint64_t bitmap;
    uint8_t *parts[ARTP_MAX_FRAGMENTS];
    uint16_t sizes[ARTP_MAX_FRAGMENTS];
    size_t size; /* of every fragment but the last; 0 until known */
    size_t reserved;
    uint64_t seen_at;
    struct artp_info info;
};

/* The datagrams of one origin. Complete ones stand in `complete`, oldest first, until they are taken. */
struct receiver {
    uint32_t origin;
    uint16_t instance; /* of its packets: answers name it */
    bool any;
    uint32_t highest;
    uint8_t *taken; /* a bit for each of the 65,536 numbers up to the highest */
    struct incoming *unfinished, *complete;
    uint32_t pending[ARTP_MAX_ENTRIES];
    int pending_count, packets;
    struct artp_entry recent[8];
    int recent_count;
    size_t told_window;
    uint64_t ack_at;
};

/* Bytes that an endpoint may hold. */
struct budget {
    size_t limit, used;
};

struct receiver *receiver_new(uint32_t origin, const struct budget *budget);
void receiver_free(struct receiver *, struct budget *);
void receiver_accept(struct receiver *, struct budget *, const struct artp_packet *, uint64_t now);
/* The oldest complete datagram, no longer the receiver's; the caller frees it by incoming_free. */
struct incoming *receiver_take(struct receiver *, struct budget *, uint64_t now);
void incoming_free(struct incoming *);
void receiver_ask(struct receiver *, uint32_t number, uint64_t now);
/* The payload of an ACK that is due; its size, 0 for none. */
size_t receiver_ack(struct receiver *, const struct budget *, uint8_t *out, uint64_t now);
void receiver_expire(struct receiver *, struct budget *, uint64_t now);
uint64_t receiver_deadline(const struct receiver *);

/* ---- artp_sender.c ---- */

#define SPAN 256 /* datagrams that are not done */
#define MAX_RECEIVERS 256

struct outgoing {
    uint32_t number;
    int fragments;
    size_t size;
    bool begun, heard_of;
    uint64_t queued, flying, enough; /* bitmaps: to be sent, under way, at enough receivers */
    uint8_t *packets;                /* `room` bytes for each fragment */
    uint16_t sizes[ARTP_MAX_FRAGMENTS];
    uint64_t sent_at[ARTP_MAX_FRAGMENTS];
    uint8_t sends[ARTP_MAX_FRAGMENTS];
    uint64_t *had; /* by receiver: the fragments that it acknowledged */
    bool *taken;   /* by receiver */
    uint64_t begun_at, ask_at, ask_after;
    int asked;
};

struct peer_state {
    uint32_t origin;
    size_t window;
    uint64_t newest, heard_at;
};

struct sender {
    struct outgoing *ring[SPAN];
    uint32_t first, next;
    size_t room, buffered, in_flight;
    int copies;
    struct peer_state peers[MAX_RECEIVERS];
    int peer_count;
    double window, threshold;
    uint64_t reduced_at, smoothed, variance, latest, smallest;
    bool measured;
    int expiries;
    uint64_t timeout_at, probe_at, ask_no_sooner;
};

void sender_init(struct sender *, size_t room, int copies);
void sender_free(struct sender *);
bool sender_has_room(const struct sender *, size_t size);
/* Queue a datagram after the pattern of `packet`; false without memory. */
bool sender_add(struct sender *, const struct artp_packet *pattern, const uint8_t *data, size_t size);
bool sender_idle(const struct sender *);
void sender_acknowledged(struct sender *, uint32_t receiver, const struct artp_packet *ack, uint64_t now);
/* Find losses and time-outs. */
void sender_elapsed(struct sender *, uint64_t now);
/* The next packet to send, or NULL; it counts as sent. */
const uint8_t *sender_next(struct sender *, size_t *size, uint64_t now);
/* Whether to ask by PING after the datagram `*number`. */
bool sender_question(struct sender *, uint32_t *number, uint64_t now);
uint64_t sender_timeout(const struct sender *);
uint64_t sender_deadline(const struct sender *);

#endif
