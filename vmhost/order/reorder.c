/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include "reorder.h"

#include <stdlib.h>
#include <string.h>

#define RECENT 1024 /* releases that a late packet's depth is counted in */

struct held {
    struct place place;
    uint64_t arrived;
    uint32_t frame;
};

/* What became of a token: which of its parts were released, and the copies that are compared. */
struct memory {
    uint64_t value, released;
    bool used;
};

struct copies {
    struct place place;
    bool used, decided;
    uint64_t began;
    uint64_t chosen; /* the digest that was released */
    uint32_t different;
    struct {
        uint64_t digest;
        uint32_t count, frame;
    } candidate[CANDIDATES];
};

struct stream {
    uint32_t key;
    bool started;
    uint64_t touched, accepted; /* times of the last packet, and of the last that was not late */
    uint64_t highest;           /* value, which narrow ones are near to */
    struct place next;          /* may leave at once */
    uint32_t late_run;
    uint64_t due; /* nothing held is due before */
    uint32_t first, count;
    struct held held[2 * HELD]; /* sorted, from `first` on */
    struct memory memory[REMEMBERED];
    struct place recent[RECENT];
    uint64_t releases;
    struct copies *copies; /* of REMEMBERED tokens; only where copies are merged */
    uint64_t copies_due;
};

struct output {
    struct rules rules;
    struct counters *counters;
    struct sink sink;
    struct stream *streams[STREAMS];
};

static int compare(const struct place *a, const struct place *b) {
    if (a->value != b->value) return a->value < b->value ? -1 : 1;
    return a->part < b->part ? -1 : a->part > b->part;
}

static struct place after(const struct place *place) {
    if (place->part + 1 < place->parts) return (struct place){place->value, place->part + 1, place->parts};
    return (struct place){place->value + 1, 0, 1};
}

struct output *output_new(const struct rules *rules, struct counters *counters, struct sink sink) {
    struct output *output = calloc(1, sizeof(*output));
    if (!output) return NULL;
    output->rules = *rules;
    output->counters = counters;
    output->sink = sink;
    return output;
}

void output_free(struct output *output) {
    for (int i = 0; i < STREAMS; i++) {
        if (!output->streams[i]) continue;
        free(output->streams[i]->copies);
        free(output->streams[i]);
    }
    free(output);
}

/* Leaving */

static void release(struct output *output, uint32_t frame) {
    output->counters->released++;
    output->sink.release(output->sink.context, frame);
}

static uint64_t bit(const struct place *place) {
    return 1ull << (place->part & 63);
}

static void remember(struct stream *stream, const struct place *place) {
    struct memory *memory = &stream->memory[place->value % REMEMBERED];
    if (!memory->used || memory->value != place->value)
        *memory = (struct memory){.value = place->value, .used = true};
    memory->released |= bit(place);
    stream->recent[stream->releases++ % RECENT] = *place;
}

static bool was_released(const struct stream *stream, const struct place *place) {
    const struct memory *memory = &stream->memory[place->value % REMEMBERED];
    return memory->used && memory->value == place->value && memory->released & bit(place);
}

/* The first one held leaves. */
static void release_first(struct output *output, struct stream *stream, uint64_t now) {
    struct held *held = &stream->held[stream->first++];
    struct counters *counters = output->counters;
    uint64_t delay = now - held->arrived;
    counters->delay_ns += delay;
    if (delay > counters->delay_most_ns) counters->delay_most_ns = delay;
    if (stream->started && compare(&held->place, &stream->next) > 0) counters->timeouts++;
    stream->count--;
    counters->held--;
    stream->started = true;
    stream->next = after(&held->place);
    remember(stream, &held->place);
    release(output, held->frame);
}

/* What follows without a gap leaves with it; so does a copy of what has just left. */
static void release_following(struct output *output, struct stream *stream, uint64_t now) {
    while (stream->count && stream->started &&
           compare(&stream->held[stream->first].place, &stream->next) <= 0)
        release_first(output, stream, now);
}

static void release_through(struct output *output, struct stream *stream, uint32_t count, uint64_t now) {
    while (count--)
        release_first(output, stream, now);
    release_following(output, stream, now);
}

static uint64_t expire_stream(struct output *output, struct stream *stream, uint64_t now) {
    while (stream->count && now >= stream->due) {
        uint64_t due = UINT64_MAX;
        uint32_t through = 0;
        for (uint32_t i = 0; i < stream->count; i++) {
            uint64_t mine = stream->held[stream->first + i].arrived + output->rules.window_ns;
            if (mine <= now) through = i + 1;
            if (mine < due) due = mine;
        }
        stream->due = due;
        if (through) release_through(output, stream, through, now);
    }
    return stream->count ? stream->due : UINT64_MAX;
}

/* Coming in order */

static void hold(struct output *output, struct stream *stream, const struct packet *packet, uint64_t now) {
    if (stream->first + stream->count == 2 * HELD) {
        memmove(stream->held, stream->held + stream->first, stream->count * sizeof(struct held));
        stream->first = 0;
    }
    struct held *base = stream->held + stream->first;
    uint32_t low = 0, high = stream->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare(&base[middle].place, &packet->place) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t depth = stream->count - low;
    memmove(base + low + 1, base + low, depth * sizeof(struct held));
    base[low] = (struct held){packet->place, now, packet->frame};
    struct counters *counters = output->counters;
    if (depth) counters->reordered++;
    if (depth > counters->depth_before) counters->depth_before = depth;
    uint64_t due = now + output->rules.window_ns;
    if (!stream->count || due < stream->due) stream->due = due;
    stream->count++;
    if (++counters->held > counters->held_most) counters->held_most = counters->held;
}

/* Packets of a later place that left already, or wait. */
static uint64_t overtaken_by(const struct stream *stream, const struct place *place) {
    uint64_t depth = stream->count;
    uint64_t known = stream->releases < RECENT ? stream->releases : RECENT;
    for (uint64_t i = 0; i < known; i++)
        depth += compare(&stream->recent[i], place) > 0;
    return depth;
}

static void take_late(struct output *output, struct stream *stream, const struct packet *packet) {
    struct counters *counters = output->counters;
    uint64_t depth = overtaken_by(stream, &packet->place);
    counters->reordered++;
    if (depth > counters->depth_before) counters->depth_before = depth;
    if (output->rules.order == ORDER_STRICT) {
        counters->late_dropped++;
        output->sink.drop(output->sink.context, packet->frame);
        return;
    }
    counters->late_released++;
    counters->reordered_after++;
    if (depth > counters->depth_after) counters->depth_after = depth;
    remember(stream, &packet->place);
    release(output, packet->frame);
}

static void restart(struct output *output, struct stream *stream, uint64_t now) {
    output->counters->restarts++;
    release_through(output, stream, stream->count, now);
    stream->started = false;
    stream->late_run = 0;
    memset(stream->memory, 0, sizeof(stream->memory));
    stream->releases = 0;
}

static void take_in_order(struct output *output, struct stream *stream, struct packet *packet, uint64_t now) {
    if (stream->count == HELD) {
        output->counters->forced++;
        release_through(output, stream, 1, now);
    }
    if (stream->started && compare(&packet->place, &stream->next) < 0) {
        if (was_released(stream, &packet->place)) {
            output->counters->repeats++;
            release(output, packet->frame);
            return;
        }
        if (++stream->late_run < RESTART_RUN || now - stream->accepted < RESTART_NS) {
            take_late(output, stream, packet);
            return;
        }
        restart(output, stream, now);
        stream->highest = packet->place.value;
    }
    stream->late_run = 0;
    stream->accepted = now;
    hold(output, stream, packet, now);
    release_following(output, stream, now);
}

/* An output may merge copies and keep no order: then nothing waits for anything else. */
static void go_on(struct output *output, struct stream *stream, struct packet *packet, uint64_t now) {
    if (output->rules.order != ORDER_NONE)
        take_in_order(output, stream, packet, now);
    else
        release(output, packet->frame);
}

/* Copies of one packet */

static void forget_copies(struct output *output, struct copies *copies) {
    if (copies->used && !copies->decided) {
        for (uint32_t i = 0; i < copies->different; i++) {
            output->counters->unagreed++;
            output->counters->held--;
            output->sink.drop(output->sink.context, copies->candidate[i].frame);
        }
        copies->decided = true;
    }
}

static void duplicate(struct output *output, struct stream *stream, struct packet *packet, uint64_t now) {
    if (output->rules.merge == MERGE_ALL) {
        go_on(output, stream, packet, now);
        return;
    }
    output->counters->duplicates++;
    output->sink.drop(output->sink.context, packet->frame);
}

/* As many copies as must are the same: the one that was kept of them leaves, the others end here. */
static void decide(struct output *output, struct stream *stream, struct copies *copies, uint32_t chosen,
                   uint64_t now) {
    copies->decided = true;
    copies->chosen = copies->candidate[chosen].digest;
    for (uint32_t i = 0; i < copies->different; i++) {
        output->counters->held--;
        if (i == chosen) continue;
        output->counters->duplicates++;
        output->sink.drop(output->sink.context, copies->candidate[i].frame);
    }
    struct packet agreed = {.stream = stream->key, .place = copies->place};
    agreed.frame = copies->candidate[chosen].frame;
    go_on(output, stream, &agreed, now);
}

static void vote(struct output *output, struct stream *stream, struct copies *copies, struct packet *packet,
                 uint64_t now) {
    struct counters *counters = output->counters;
    uint32_t i = 0;
    while (i < copies->different && copies->candidate[i].digest != packet->digest)
        i++;
    if (i && i == copies->different) counters->disagreements++;
    if (i == CANDIDATES) {
        counters->unagreed++;
        output->sink.drop(output->sink.context, packet->frame);
        return;
    }
    if (i < copies->different) {
        counters->duplicates++;
        output->sink.drop(output->sink.context, packet->frame);
    } else {
        copies->different++;
        copies->candidate[i].digest = packet->digest;
        copies->candidate[i].count = 0;
        copies->candidate[i].frame = packet->frame;
        if (++counters->held > counters->held_most) counters->held_most = counters->held;
    }
    if (++copies->candidate[i].count >= output->rules.copies) decide(output, stream, copies, i, now);
}

static void take_copy(struct output *output, struct stream *stream, struct packet *packet, uint64_t now) {
    struct copies *copies = &stream->copies[(packet->place.value + 127ull * packet->place.part) % REMEMBERED];
    if (!copies->used || compare(&copies->place, &packet->place)) {
        forget_copies(output, copies);
        *copies = (struct copies){.place = packet->place, .used = true, .began = now};
        if (output->rules.merge != MERGE_K_OF_N) {
            copies->decided = true;
            copies->chosen = packet->digest;
            go_on(output, stream, packet, now);
            return;
        }
        if (now + output->rules.window_ns < stream->copies_due)
            stream->copies_due = now + output->rules.window_ns;
    }
    if (copies->decided) {
        if (packet->digest != copies->chosen) output->counters->disagreements++;
        duplicate(output, stream, packet, now);
        return;
    }
    vote(output, stream, copies, packet, now);
}

static uint64_t expire_copies(struct output *output, struct stream *stream, uint64_t now) {
    if (now < stream->copies_due || stream->copies_due == UINT64_MAX) return stream->copies_due;
    uint64_t due = UINT64_MAX;
    for (uint32_t i = 0; i < REMEMBERED; i++) {
        struct copies *copies = &stream->copies[i];
        if (!copies->used || copies->decided) continue;
        uint64_t mine = copies->began + output->rules.window_ns;
        if (mine <= now)
            forget_copies(output, copies);
        else if (mine < due)
            due = mine;
    }
    stream->copies_due = due;
    return due;
}

/* Streams */

static void end_stream(struct output *output, struct stream *stream, uint64_t now) {
    for (uint32_t i = 0; stream->copies && i < REMEMBERED; i++)
        forget_copies(output, &stream->copies[i]);
    release_through(output, stream, stream->count, now);
    free(stream->copies);
    free(stream);
}

static struct stream *new_stream(const struct output *output, uint32_t key) {
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream) return NULL;
    stream->key = key;
    stream->copies_due = UINT64_MAX;
    if (output->rules.merge != MERGE_NONE) {
        stream->copies = calloc(REMEMBERED, sizeof(struct copies));
        if (!stream->copies) {
            free(stream);
            return NULL;
        }
    }
    return stream;
}

/* NULL when all are in use. */
static struct stream *stream_of(struct output *output, uint32_t key, uint64_t now) {
    int free_slot = -1;
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = output->streams[i];
        if (stream && stream->key == key) return stream;
        if (free_slot < 0 && (!stream || now - stream->touched > IDLE_NS)) free_slot = i;
    }
    if (free_slot < 0) return NULL;
    if (output->streams[free_slot]) end_stream(output, output->streams[free_slot], now);
    return output->streams[free_slot] = new_stream(output, key);
}

/* Of 16 bits, the value that is nearest to the largest one. */
static void widen(struct stream *stream, struct packet *packet) {
    uint16_t low = (uint16_t)packet->place.value;
    if (!stream->touched) stream->highest = (1ull << 32) + low;
    packet->place.value = stream->highest + (int16_t)(low - (uint16_t)stream->highest);
    if (packet->place.value > stream->highest) stream->highest = packet->place.value;
}

void output_take(struct output *output, const struct packet *taken, uint64_t now) {
    struct packet packet = *taken;
    struct stream *stream = stream_of(output, packet.stream, now);
    if (!stream) {
        output_pass(output, packet.frame);
        return;
    }
    output->counters->arrived++;
    if (packet.narrow) widen(stream, &packet);
    stream->touched = now;
    if (output->rules.merge != MERGE_NONE)
        take_copy(output, stream, &packet, now);
    else
        go_on(output, stream, &packet, now);
}

void output_pass(struct output *output, uint32_t frame) {
    output->counters->arrived++;
    output->counters->unordered++;
    release(output, frame);
}

uint64_t output_expire(struct output *output, uint64_t now) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = output->streams[i];
        if (!stream) continue;
        uint64_t copies = expire_copies(output, stream, now), due = expire_stream(output, stream, now);
        if (copies < next) next = copies;
        if (due < next) next = due;
    }
    return next;
}

void output_force(struct output *output, uint64_t now) {
    struct stream *fullest = NULL;
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = output->streams[i];
        if (stream && stream->count && (!fullest || stream->count > fullest->count)) fullest = stream;
    }
    if (!fullest) return;
    output->counters->forced++;
    release_through(output, fullest, 1, now);
}
