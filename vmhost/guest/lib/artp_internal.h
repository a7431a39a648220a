/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of an endpoint; times in microseconds. The Python package artp has the same parts, and the
 * reasons for their rules. */
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

struct receiver *artp_receiver_new(uint32_t origin, const struct budget *budget);
void artp_receiver_free(struct receiver *, struct budget *);
void artp_receiver_accept(struct receiver *, struct budget *, const struct artp_packet *, uint64_t now);
/* The oldest complete datagram, no longer the receiver's; the caller frees it by incoming_free. */
struct incoming *artp_receiver_take(struct receiver *, struct budget *, uint64_t now);
void artp_incoming_free(struct incoming *);
void artp_receiver_ask(struct receiver *, uint32_t number, uint64_t now);
/* The payload of an ACK that is due; its size, 0 for none. */
size_t artp_receiver_ack(struct receiver *, const struct budget *, uint8_t *out, uint64_t now);
void artp_receiver_expire(struct receiver *, struct budget *, uint64_t now);
uint64_t artp_receiver_deadline(const struct receiver *);

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

void artp_sender_init(struct sender *, size_t room, int copies);
void artp_sender_free(struct sender *);
bool artp_sender_has_room(const struct sender *, size_t size);
/* Queue a datagram after the pattern of `packet`; false without memory. */
bool artp_sender_add(struct sender *, const struct artp_packet *pattern, const uint8_t *data, size_t size);
bool artp_sender_idle(const struct sender *);
void artp_sender_acknowledged(struct sender *, uint32_t receiver, const struct artp_packet *ack,
                              uint64_t now);
/* Find losses and time-outs. */
void artp_sender_elapsed(struct sender *, uint64_t now);
/* The next packet to send, or NULL; it counts as sent. */
const uint8_t *artp_sender_next(struct sender *, size_t *size, uint64_t now);
/* Whether to ask by PING after the datagram `*number`. */
bool artp_sender_question(struct sender *, uint32_t *number, uint64_t now);
uint64_t artp_sender_timeout(const struct sender *);
uint64_t artp_sender_deadline(const struct sender *);

/* ---- artp_connection.c ---- */

#define MAX_ORIGINS 8
#define REMEMBERED_CLOSED 256

enum role { CLIENT, ACCEPTED, GROUP_SENDER, GROUP_RECEIVER };
enum state { OPENING, OPEN, CLOSING, CLOSED };

struct artp_connection {
    struct artp_connection *next;
    struct artp *end;
    enum role role;
    enum state state;
    int error; /* why it is closed; 0 if asked to */
    uint64_t number;
    uint32_t origin;
    struct sockaddr_storage peer;
    socklen_t peer_size;
    struct receiver *receivers[MAX_ORIGINS];
    int receiver_count;
    struct sender sender;
    uint64_t heard_at, sent_at, ask_at; /* ask_at: when HELLO or CLOSE is due */
    int asked, answers;
};

struct artp {
    int socket;
    bool accepts, has_group_key;
    uint8_t key[ARTP_KEY_BYTES], group_key[ARTP_KEY_BYTES];
    uint32_t session, origin;
    size_t room;
    struct budget budget;
    struct artp_connection *connections;
    int connection_count;
    struct {
        uint64_t number, until;
    } closed[REMEMBERED_CLOSED];
    int closed_next;
    uint64_t resets_at;
    int resets;
    bool full; /* the socket takes no more just now */
};

/* Something came in or ended: a call that waits looks again. */
extern bool artp_happened;

uint64_t artp_now(void);
uint32_t artp_random_origin(void);
/* A connection of an endpoint; without a number it shakes hands. NULL without memory. */
struct artp_connection *artp_connection_add(struct artp *, enum role, uint64_t number, uint32_t origin,
                                            const struct sockaddr *peer, socklen_t, int copies);
void artp_connection_forget(struct artp_connection *);
/* Send what is due. */
void artp_connection_transmit(struct artp_connection *, uint64_t now);
uint64_t artp_connection_deadline(const struct artp_connection *);
/* Take in what has come to the endpoint's socket. */
void artp_read(struct artp *);

#endif
