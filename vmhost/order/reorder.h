/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* One ordered output: which packet may leave, and when. No clock and no packet in here: the caller tells the
 * time and owns the frames. docs/order.md says what is promised. */
#ifndef DIPRONN_REORDER_H
#define DIPRONN_REORDER_H

#include <stdbool.h>
#include <stdint.h>

enum order { ORDER_NONE, ORDER_WINDOW, ORDER_STRICT };
enum merge { MERGE_NONE, MERGE_ALL, MERGE_FIRST, MERGE_K_OF_N };

#define STREAMS 16      /* of one output: RTP sources that it carries */
#define HELD 6144       /* packets of one stream that wait */
#define REMEMBERED 8192 /* order tokens behind the newest whose release is remembered */
#define CANDIDATES 4    /* copies of one packet that differ */
#define RESTART_RUN 32  /* so many late packets in a row, for so long, are a stream that began anew */
#define RESTART_NS 100000000u
#define IDLE_NS 10000000000ull

/* How a packet stands in its stream: `part` of `parts` with the token `value`. */
struct place {
    uint64_t value;
    uint32_t part, parts;
};

struct packet {
    uint32_t stream;
    bool narrow; /* `value` is the low 16 bits of the place */
    struct place place;
    uint64_t digest; /* of what the copies of one packet have in common; 0 where nobody merges */
    uint32_t frame;
};

/* As the agent reads them, in this order. arrived = released + late_dropped + duplicates + unagreed + held.
 */
struct counters {
    uint64_t arrived, released, unordered, held, held_most;
    uint64_t reordered, depth_before, reordered_after, depth_after;
    uint64_t timeouts, late_released, late_dropped, repeats, forced, restarts;
    uint64_t delay_ns, delay_most_ns;
    uint64_t duplicates, disagreements, unagreed;
};

struct rules {
    enum order order;
    enum merge merge;
    uint32_t copies;    /* that must agree, of MERGE_K_OF_N */
    uint64_t window_ns; /* no packet waits longer */
};

/* Where frames go. A dropped one has been counted. */
struct sink {
    void (*release)(void *context, uint32_t frame);
    void (*drop)(void *context, uint32_t frame);
    void *context;
};

struct output;

struct output *output_new(const struct rules *rules, struct counters *counters, struct sink sink);
void output_free(struct output *output);

/* A packet with a token has come. */
void output_take(struct output *output, const struct packet *packet, uint64_t now);

/* One without: it goes on at once. */
void output_pass(struct output *output, uint32_t frame);

/* Let go of what has waited long enough; gives when to ask again, or UINT64_MAX. */
uint64_t output_expire(struct output *output, uint64_t now);

/* Make room: the packets up to the one that has waited longest leave now. */
void output_force(struct output *output, uint64_t now);

#endif
