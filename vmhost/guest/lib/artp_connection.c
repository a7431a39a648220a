/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections, their beginning and end, and the packets of a socket (docs/artp.md, section 5). */
#define _GNU_SOURCE
#include "artp_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MAX_CONNECTIONS 256
#define BATCH 64
#define KEEP_ALIVE (20 * SECOND)
#define SILENCE (60 * SECOND)
#define MAX_CLOSES 5
#define CLOSED_LIFETIME (60 * SECOND)
#define RESETS_PER_SECOND 100

enum { UNKNOWN_OPTION = 1, NO_CONNECTION, LIMIT, TOO_LARGE, TIMEOUT, ENDING };

bool artp_happened;

uint64_t artp_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec / 1000;
}

uint32_t artp_random_origin(void) {
    uint32_t origin = 0;
    while (!origin)
        if (getrandom(&origin, sizeof origin, 0) != sizeof origin) origin = 0;
    return origin;
}

struct artp_connection *artp_connection_add(struct artp *end, enum role role, uint64_t number,
                                            uint32_t origin, const struct sockaddr *peer, socklen_t peer_size,
                                            int copies) {
    struct artp_connection *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    *c = (struct artp_connection){.next = end->connections,
                                  .end = end,
                                  .role = role,
                                  .state = number ? OPEN : OPENING,
                                  .number = number,
                                  .origin = origin,
                                  .peer_size = peer_size};
    memcpy(&c->peer, peer, peer_size);
    c->heard_at = c->sent_at = artp_now();
    c->ask_at = number ? NEVER : c->heard_at;
    artp_sender_init(&c->sender, end->room, copies);
    end->connections = c;
    end->connection_count++;
    return c;
}

void artp_connection_forget(struct artp_connection *c) {
    struct artp *end = c->end;
    struct artp_connection **at = &end->connections;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    end->connection_count--;
    for (int i = 0; i < c->receiver_count; i++)
        artp_receiver_free(c->receivers[i], &end->budget);
    artp_sender_free(&c->sender);
    free(c);
}

static void finish(struct artp_connection *c, int error) {
    if (c->state == CLOSED) return;
    c->state = CLOSED;
    c->error = error;
    artp_happened = true;
    int i = c->end->closed_next++ % REMEMBERED_CLOSED;
    c->end->closed[i].number = c->number;
    c->end->closed[i].until = artp_now() + CLOSED_LIFETIME;
}

/* ---- sending ---- */

static void put(struct artp *end, const uint8_t *packet, size_t size, const void *to, socklen_t to_size) {
    if (sendto(end->socket, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL, to, to_size) < 0 &&
        (errno == EAGAIN || errno == ENOBUFS))
        end->full = true; /* this one is lost, as in a full queue of the network */
}

static void send_packet(struct artp_connection *c, struct artp_packet p) {
    uint8_t packet[ARTP_OWN_HEADER + 8 + ARTP_MAX_ENTRIES * ARTP_ENTRY];
    p.session = c->end->session;
    p.connection = c->number;
    p.origin = c->origin;
    put(c->end, packet, artp_build(packet, &p), &c->peer, c->peer_size);
    c->sent_at = artp_now();
}

static void send_reset(struct artp *end, uint64_t number, uint32_t origin, int reason, const void *to,
                       socklen_t size) {
    uint8_t packet[ARTP_OWN_HEADER + 1], body = reason;
    struct artp_packet p = {.type = ARTP_RESET,
                            .session = end->session,
                            .connection = number,
                            .origin = origin,
                            .payload = &body,
                            .size = 1};
    uint64_t now = artp_now();
    if (now - end->resets_at >= SECOND) end->resets_at = now, end->resets = 0;
    if (end->resets++ < RESETS_PER_SECOND) put(end, packet, artp_build(packet, &p), to, size);
}

/* Whether HELLO or CLOSE is due; sets when it will be again. */
static bool ask_due(struct artp_connection *c, uint64_t now) {
    if (now < c->ask_at) return false;
    uint64_t wait = c->state == OPENING ? SECOND / 2 : artp_sender_timeout(&c->sender);
    c->ask_at = now + sooner(SECOND, wait << (c->asked < 8 ? c->asked : 8));
    c->asked++;
    return true;
}

void artp_connection_transmit(struct artp_connection *c, uint64_t now) {
    static const uint8_t ask[1] = {0};
    uint8_t body[8 + ARTP_MAX_ENTRIES * ARTP_ENTRY];
    if (c->state == CLOSED) return;
    if (c->state != OPENING && now >= c->heard_at + SILENCE &&
        !(c->role == GROUP_SENDER && artp_sender_idle(&c->sender))) {
        send_reset(c->end, c->number, c->origin, TIMEOUT, &c->peer, c->peer_size);
        finish(c, ETIMEDOUT);
        return;
    }
    if (c->state == OPENING) {
        if (ask_due(c, now)) send_packet(c, (struct artp_packet){.type = ARTP_HELLO});
        return;
    }
    for (int i = 0; i < c->receiver_count; i++) {
        struct receiver *r = c->receivers[i];
        artp_receiver_expire(r, &c->end->budget, now);
        size_t size = artp_receiver_ack(r, &c->end->budget, body, now);
        if (size)
            send_packet(c, (struct artp_packet){.type = ARTP_ACK,
                                                .flags = ARTP_CHOSEN,
                                                .instance = r->instance,
                                                .payload = body,
                                                .size = size});
    }
    artp_sender_elapsed(&c->sender, now);
    uint32_t number;
    while (artp_sender_question(&c->sender, &number, now))
        send_packet(c, (struct artp_packet){.type = ARTP_PING, .datagram = number});
    const uint8_t *packet;
    size_t size;
    while (!c->end->full && (packet = artp_sender_next(&c->sender, &size, now))) {
        put(c->end, packet, size, &c->peer, c->peer_size);
        c->sent_at = now;
    }
    if (c->state == CLOSING && artp_sender_idle(&c->sender)) {
        if (c->asked >= MAX_CLOSES && now >= c->ask_at) {
            finish(c, 0);
        } else if (ask_due(c, now)) {
            uint8_t opener = c->role == CLIENT || c->role == GROUP_SENDER ? ARTP_CONTROL : 0;
            send_packet(c,
                        (struct artp_packet){.type = ARTP_CLOSE, .flags = opener, .payload = ask, .size = 1});
        }
    } else if (c->role != GROUP_RECEIVER && now >= c->sent_at + KEEP_ALIVE) {
        send_packet(c, (struct artp_packet){.type = ARTP_PING, .datagram = c->sender.next});
    }
}

uint64_t artp_connection_deadline(const struct artp_connection *c) {
    if (c->state == CLOSED) return NEVER;
    if (c->state == OPENING) return c->ask_at;
    uint64_t at = artp_sender_deadline(&c->sender);
    for (int i = 0; i < c->receiver_count; i++)
        at = sooner(at, artp_receiver_deadline(c->receivers[i]));
    if (c->state == CLOSING && artp_sender_idle(&c->sender)) at = sooner(at, c->ask_at);
    if (c->role != GROUP_RECEIVER) at = sooner(at, c->sent_at + KEEP_ALIVE);
    if (!(c->role == GROUP_SENDER && artp_sender_idle(&c->sender))) at = sooner(at, c->heard_at + SILENCE);
    return at;
}

/* ---- receiving ---- */

static struct receiver *receiver_of(struct artp_connection *c, uint32_t origin) {
    for (int i = 0; i < c->receiver_count; i++)
        if (c->receivers[i]->origin == origin) return c->receivers[i];
    int most = c->role == ACCEPTED || c->role == GROUP_RECEIVER ? 1 : MAX_ORIGINS;
    if (c->receiver_count == most) return NULL;
    struct receiver *r = artp_receiver_new(origin, &c->end->budget);
    if (r) c->receivers[c->receiver_count++] = r;
    return r;
}

static bool has_unknown_option(const struct artp_packet *p) {
    for (const uint8_t *at = p->options; at < p->options + p->options_size; at += 2 + at[1])
        if (at[0] & 0x80) return true;
    return false;
}

static void handle(struct artp_connection *c, const struct artp_packet *p, uint64_t now) {
    if (c->state == CLOSED) return;
    c->heard_at = now;
    struct receiver *r;
    switch (p->type) {
    case ARTP_DATA:
        if (has_unknown_option(p)) {
            send_reset(c->end, c->number, c->origin, UNKNOWN_OPTION, &c->peer, c->peer_size);
            finish(c, EPROTO);
        } else if ((r = receiver_of(c, p->origin))) {
            artp_receiver_accept(r, &c->end->budget, p, now);
        }
        break;
    case ARTP_ACK:
        if (artp_get32(p->payload) == c->origin) artp_sender_acknowledged(&c->sender, p->origin, p, now);
        break;
    case ARTP_PING:
        if ((r = receiver_of(c, p->origin))) {
            r->instance = p->instance;
            artp_receiver_ask(r, p->datagram, now);
        }
        break;
    case ARTP_CLOSE:
        if (!p->payload[0]) {
            static const uint8_t answer[1] = {1};
            send_packet(c, (struct artp_packet){.type = ARTP_CLOSE,
                                                .flags = p->flags & ARTP_CONTROL ? 0 : ARTP_CHOSEN,
                                                .instance = p->instance,
                                                .payload = answer,
                                                .size = 1});
            finish(c, EPIPE);
        } else if (c->state == CLOSING && ++c->answers >= c->sender.copies) {
            finish(c, 0);
        }
        break;
    case ARTP_RESET:
        finish(c, ECONNRESET);
    }
}

static bool was_closed(const struct artp *end, uint64_t number, uint64_t now) {
    for (int i = 0; i < REMEMBERED_CLOSED; i++)
        if (end->closed[i].number == number && now < end->closed[i].until) return true;
    return false;
}

/* A packet of no connection that is known here. */
static void meet(struct artp *end, const struct artp_packet *p, const struct sockaddr *from, socklen_t size,
                 uint64_t now) {
    uint8_t packet[ARTP_OWN_HEADER + 8 + ARTP_ENTRY], body[8 + ARTP_ENTRY] = {0};
    if (p->type == ARTP_COOKIE || p->type == ARTP_RESET || p->session != end->session) return;
    uint64_t own = end->accepts ? artp_client_cookie(end->key, p->session, p->origin, from) : 0;
    struct artp_packet answer = {
        .type = ARTP_COOKIE, .session = p->session, .connection = own, .origin = p->origin};
    if (p->type == ARTP_HELLO) {
        if (own) put(end, packet, artp_build(packet, &answer), from, size);
        return;
    }
    enum role role = ACCEPTED;
    if (!own || p->connection != own) {
        role = GROUP_RECEIVER;
        if (!end->has_group_key ||
            p->connection != artp_group_cookie(end->group_key, p->session, p->origin)) {
            send_reset(end, p->connection, 0, NO_CONNECTION, from, size);
            return;
        }
    }
    answer.connection = p->connection;
    answer.origin = end->origin;
    answer.instance = p->instance;
    answer.payload = body;
    if (p->type == ARTP_CLOSE && !p->payload[0]) {
        answer.type = ARTP_CLOSE;
        answer.flags = p->flags & ARTP_CONTROL ? 0 : ARTP_CHOSEN;
        answer.size = 1;
        body[0] = 1;
        put(end, packet, artp_build(packet, &answer), from, size);
    } else if (was_closed(end, p->connection, now)) {
        send_reset(end, p->connection, 0, NO_CONNECTION, from, size);
    } else if (p->type == ARTP_PING) {
        answer.type = ARTP_ACK;
        answer.flags = ARTP_CHOSEN;
        answer.size = sizeof body;
        artp_put32(body, p->origin);
        artp_put32(body + 4, end->budget.limit - end->budget.used);
        artp_put32(body + 8, p->datagram);
        put(end, packet, artp_build(packet, &answer), from, size);
    } else if (p->type == ARTP_DATA) {
        struct artp_connection *c = NULL;
        if (end->connection_count < MAX_CONNECTIONS)
            c = artp_connection_add(end, role, p->connection, end->origin, from, size, 1);
        if (c)
            handle(c, p, now);
        else
            send_reset(end, p->connection, 0, LIMIT, from, size);
    }
}

static bool same_source(const struct artp_connection *c, const struct sockaddr *from) {
    if (c->role == GROUP_SENDER || c->role == GROUP_RECEIVER) return true;
    const struct sockaddr_in *a4 = (const void *)&c->peer, *b4 = (const void *)from;
    const struct sockaddr_in6 *a6 = (const void *)&c->peer, *b6 = (const void *)from;
    if (from->sa_family != c->peer.ss_family) return false;
    if (from->sa_family == AF_INET)
        return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a6->sin6_port == b6->sin6_port && !memcmp(&a6->sin6_addr, &b6->sin6_addr, 16);
}

void artp_read(struct artp *end) {
    static uint8_t data[65536];
    for (int i = 0; i < BATCH; i++) {
        struct sockaddr_storage from;
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(end->socket, data, sizeof data, MSG_DONTWAIT, (void *)&from, &from_size);
        if (size < 0) return;
        artp_happened = true;
        struct artp_packet p;
        if (artp_parse(data, size, &p)) continue;
        uint64_t now = artp_now();
        struct artp_connection *c = end->connections;
        if (p.type == ARTP_COOKIE) {
            while (c && !(c->state == OPENING && c->origin == p.origin && p.session == end->session))
                c = c->next;
            if (c) {
                c->number = p.connection;
                c->state = OPEN;
                c->ask_at = NEVER;
                c->heard_at = now;
            }
            continue;
        }
        while (c && c->number != p.connection)
            c = c->next;
        if (!c || p.type == ARTP_HELLO)
            meet(end, &p, (const void *)&from, from_size, now);
        else if (same_source(c, (const void *)&from) && p.session == end->session)
            handle(c, &p, now);
    }
}
