/* SPDX-License-Identifier: Apache-2.0
 *
 * What programs call (artp.h); while one call waits, all endpoints are served. */
#define _GNU_SOURCE
#include "artp_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENDS 64

static struct artp *ends[MAX_ENDS];
static int end_count;

struct artp *artp_open(int socket, const struct artp_settings *settings) {
    if (end_count == MAX_ENDS) {
        errno = EMFILE;
        return NULL;
    }
    struct artp *end = calloc(1, sizeof *end);
    if (!end) return NULL;
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    getsockname(socket, (struct sockaddr *)&own, &size);
    int buffer = 1 << 20;
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    end->socket = socket;
    end->accepts = settings->key;
    end->has_group_key = settings->group_key;
    if (settings->key) memcpy(end->key, settings->key, ARTP_KEY_BYTES);
    if (settings->group_key) memcpy(end->group_key, settings->group_key, ARTP_KEY_BYTES);
    end->session = settings->session;
    end->origin = artp_random_origin();
    end->room = (settings->mtu ? settings->mtu : 1500) - (own.ss_family == AF_INET6 ? 48 : 28);
    end->budget.limit = settings->memory ? settings->memory : 1 << 20;
    ends[end_count++] = end;
    return end;
}

/* Do what is due everywhere; when to come back. */
static uint64_t work(void) {
    uint64_t at = NEVER;
    for (int i = 0; i < end_count; i++) {
        ends[i]->full = false;
        artp_read(ends[i]);
        uint64_t now = artp_now();
        for (struct artp_connection *c = ends[i]->connections; c; c = c->next) {
            artp_connection_transmit(c, now);
            at = sooner(at, artp_connection_deadline(c));
        }
    }
    return at;
}

void artp_serve(int milliseconds) {
    artp_happened = false;
    uint64_t at = work(), now = artp_now();
    if (artp_happened) return;
    if (milliseconds >= 0) at = sooner(at, now + milliseconds * MILLISECOND);
    if (at <= now) return;
    struct pollfd polled[MAX_ENDS];
    for (int i = 0; i < end_count; i++)
        polled[i] = (struct pollfd){.fd = ends[i]->socket, .events = POLLIN | (ends[i]->full ? POLLOUT : 0)};
    struct timespec wait = {.tv_sec = (at - now) / SECOND, .tv_nsec = (at - now) % SECOND * 1000};
    if (ppoll(polled, end_count, at == NEVER ? NULL : &wait, NULL) > 0) work();
}

struct artp_connection *artp_connect(struct artp *end, const struct sockaddr *to, socklen_t size,
                                     int seconds) {
    struct artp_connection *c = artp_connection_add(end, CLIENT, 0, artp_random_origin(), to, size, 1);
    if (!c) return NULL;
    uint64_t until = artp_now() + seconds * SECOND;
    while (c->state == OPENING && artp_now() < until)
        artp_serve((until - artp_now()) / MILLISECOND + 1);
    if (c->state == OPEN) return c;
    int error = c->state == CLOSED ? c->error : ETIMEDOUT;
    artp_connection_forget(c);
    errno = error;
    return NULL;
}

struct artp_connection *artp_group(struct artp *end, const struct sockaddr *to, socklen_t size, int copies) {
    if (!end->has_group_key || copies < 1 || copies > MAX_RECEIVERS) {
        errno = EINVAL;
        return NULL;
    }
    uint32_t origin = artp_random_origin();
    uint64_t number = artp_group_cookie(end->group_key, end->session, origin);
    return artp_connection_add(end, GROUP_SENDER, number, origin, to, size, copies);
}

static struct incoming *take(struct artp *end, struct artp_connection **from) {
    for (struct artp_connection *c = end->connections, *next; c; c = next) {
        next = c->next;
        for (int i = 0; i < c->receiver_count; i++) {
            struct incoming *d = artp_receiver_take(c->receivers[i], &end->budget, artp_now());
            if (!d) continue;
            *from = c;
            return d;
        }
        /* Those that were accepted are nobody's once they are over and read. */
        if (c->state == CLOSED && (c->role == ACCEPTED || c->role == GROUP_RECEIVER))
            artp_connection_forget(c);
    }
    return NULL;
}

ssize_t artp_receive(struct artp *end, void *buffer, size_t size, struct artp_info *info) {
    struct artp_connection *from;
    struct incoming *d;
    while (!(d = take(end, &from))) {
        bool over = !end->accepts && !end->has_group_key;
        for (struct artp_connection *c = end->connections; c && over; c = c->next)
            over = c->state == CLOSED;
        if (over) {
            errno = EPIPE;
            return -1;
        }
        artp_serve(-1);
    }
    size_t done = 0;
    bool cut = false;
    for (int i = 0; i < d->fragments; i++) {
        size_t part = d->sizes[i] < size - done ? d->sizes[i] : size - done;
        cut |= part < d->sizes[i];
        memcpy((uint8_t *)buffer + done, d->parts[i], part);
        done += part;
    }
    if (info) {
        *info = d->info;
        info->connection = from;
    }
    artp_incoming_free(d);
    if (cut) errno = EMSGSIZE;
    return cut ? -1 : (ssize_t)done;
}

static int outcome(const struct artp_connection *c) {
    if (c->state == OPEN) return 0;
    errno = c->state == CLOSED && c->error ? c->error : EPIPE;
    return -1;
}

int artp_send(struct artp_connection *c, const void *data, size_t size, const struct artp_send *how) {
    static const struct artp_send nothing;
    if (!how) how = &nothing;
    if (size > ARTP_MAX_DATAGRAM || (how->control && how->chosen)) {
        errno = size > ARTP_MAX_DATAGRAM ? EMSGSIZE : EINVAL;
        return -1;
    }
    while (c->state == OPEN && !artp_sender_has_room(&c->sender, size))
        artp_serve(-1);
    if (outcome(c)) return -1;
    struct artp_packet pattern = {
        .flags = (how->control ? ARTP_CONTROL : 0) | (how->chosen ? ARTP_CHOSEN : 0) |
                 (how->ordered ? ARTP_ORDERED : 0),
        .session = c->end->session,
        .connection = c->number,
        .origin = c->origin,
        .instance = how->chosen ? how->instance : 0,
        .order = how->ordered ? how->order : 0,
    };
    if (!artp_sender_add(&c->sender, &pattern, data, size)) {
        errno = ENOMEM;
        return -1;
    }
    artp_serve(0);
    return 0;
}

int artp_flush(struct artp_connection *c) {
    while (c->state == OPEN && !artp_sender_idle(&c->sender))
        artp_serve(-1);
    return artp_sender_idle(&c->sender) ? 0 : outcome(c);
}

int artp_close(struct artp_connection *c) {
    if (c->state == OPEN) {
        c->state = CLOSING;
        c->ask_at = artp_now();
        c->asked = 0;
    }
    while (c->state == CLOSING)
        artp_serve(-1);
    int error = artp_sender_idle(&c->sender) ? 0 : c->error;
    artp_connection_forget(c);
    errno = error;
    return error ? -1 : 0;
}

void artp_end(struct artp *end) {
    while (end->connections)
        artp_connection_forget(end->connections);
    for (int i = 0; i < end_count; i++)
        if (ends[i] == end) ends[i] = ends[--end_count];
    close(end->socket);
    free(end);
}
