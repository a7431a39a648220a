/* SPDX-License-Identifier: Apache-2.0
 *
 * ARTP for C programs, in a guest or outside (docs/artp.md). Compile with artp*.c; nothing else is needed.
 *
 *     struct artp *in = artp_open(socket, &(struct artp_settings){.key = key});
 *     for (;;) {
 *         struct artp_info info;
 *         ssize_t size = artp_receive(in, buffer, sizeof buffer, &info);
 *         artp_send(out, buffer, size, &(struct artp_send){.order = info.order, .ordered = info.ordered});
 *     }
 *
 * One thread. While a call waits, all endpoints of the process are served, so that answers and repetitions
 * leave in time; a program that computes for longer than a second calls artp_serve(0) now and then.
 */
#ifndef ARTP_H
#define ARTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define ARTP_KEY_BYTES 16
#define ARTP_MAX_DATAGRAM 65536

struct artp;            /* a UDP socket and its connections */
struct artp_connection; /* one of them */

struct artp_settings {
    const uint8_t *key;       /* of the channel: with it connections are accepted; NULL: none are */
    const uint8_t *group_key; /* shared with a group: its sender is accepted, or this is it; may be NULL */
    uint32_t session;         /* 0 without a node */
    size_t memory;            /* bytes held for the program; 0: 1 MiB */
    size_t mtu;               /* of IP packets; 0: 1500 */
};

/* What came with a datagram. */
struct artp_info {
    struct artp_connection *connection; /* to answer by artp_send; valid until the next artp_receive */
    uint64_t order;
    uint16_t instance;
    bool ordered, control;
};

/* What goes with a datagram; all zero: nothing. `chosen`: `instance` is the one that shall get it. */
struct artp_send {
    uint64_t order;
    uint16_t instance;
    bool ordered, control, chosen;
};

/* Take over a bound or unbound UDP socket. NULL with errno. */
struct artp *artp_open(int socket, const struct artp_settings *settings);

/* Shake hands with a listener. NULL with errno: ETIMEDOUT nobody answered within `seconds`. */
struct artp_connection *artp_connect(struct artp *, const struct sockaddr *to, socklen_t, int seconds);

/* Send to `copies` receivers that share the group key, by one address: that of the node, or of the only one.
 * NULL with errno. */
struct artp_connection *artp_group(struct artp *, const struct sockaddr *to, socklen_t, int copies);

/* Wait for the next datagram of any connection; its size, or -1 with errno: EPIPE when this end has no key
 * and its last connection is over, EMSGSIZE if it is longer than `size` (the rest of it is lost). */
ssize_t artp_receive(struct artp *, void *buffer, size_t size, struct artp_info *);

/* Queue a datagram; waits while the buffer is full. 0, or -1 with errno: EMSGSIZE over 64 KiB, EPIPE the
 * connection is closed, ECONNRESET, ETIMEDOUT. `how` may be NULL. */
int artp_send(struct artp_connection *, const void *data, size_t size, const struct artp_send *how);

/* Wait until all that was sent is taken. 0, or -1 with errno as artp_send. */
int artp_flush(struct artp_connection *);

/* Flush, tell the other side, forget the connection. 0, or -1 with errno as artp_send. */
int artp_close(struct artp_connection *);

/* Do what is due, at all endpoints; wait up to `milliseconds` for more (-1: for ever). */
void artp_serve(int milliseconds);

/* Forget the endpoint and its connections; the socket is closed. */
void artp_end(struct artp *);

#endif
