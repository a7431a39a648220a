/* SPDX-License-Identifier: Apache-2.0
 *
 * What a C program in a DiProNN guest needs to receive and send. Compile it with dipronn_guest.c and -static:
 *
 *     int video = dipronn_register("video");      an input: receive from it
 *     int low = dipronn_register("low");          an output: send to it
 *     for (;;) {
 *         ssize_t size = dipronn_receive(video, buffer, sizeof buffer);
 *         dipronn_send(low, buffer, size);
 *     }
 *
 * A program knows its ports' names and its gateway, nothing else. To answer whoever sent to an input, use
 * recvfrom() and sendto() on the input's own socket.
 */
#ifndef DIPRONN_GUEST_H
#define DIPRONN_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Open a UDP socket for one of this program's ports and register it. Returns the socket, or -1 with errno:
 * EACCES the name is refused, ETIMEDOUT nobody answered, else what the socket calls say. */
int dipronn_register(const char *port);

/* The same for ARTP. artp_open() takes the socket over, an input's with both keys, an output's with the
 * group's; an output then sends by artp_group() to dipronn_gateway(). The group's key is the session's
 * parameter `artp_key`, which its owner shares with the receivers, else the port's own; zeros where there is
 * none. */
int dipronn_register_artp(const char *port, unsigned char key[16], unsigned char group_key[16]);

/* Where outputs send to; its size. */
socklen_t dipronn_gateway(struct sockaddr_storage *gateway);

/* Wait for the next datagram of an input; returns its size, or -1 with errno. */
ssize_t dipronn_receive(int endpoint, void *buffer, size_t size);

/* Send a datagram to an output; where it goes is the node's affair. Returns its size, or -1 with errno. */
ssize_t dipronn_send(int endpoint, const void *data, size_t size);

/* What the node knows of one of this program's ports: "udp 40000 1 name=value ..." into `text`.
 * Returns 0, or -1 with errno as dipronn_register. */
int dipronn_resolve(const char *port, char *text, size_t size);

/* What all instances of the session share (docs/shared-state.md). Keys are 1 to 64 of A-Z a-z 0-9 _ . : / -,
 * values at most DIPRONN_VALUE bytes. All return -1 with errno: ENOENT there is no such key, EBUSY it has
 * another version, EINTR nobody says whether it was done, EACCES refused (and says why on standard error),
 * ETIMEDOUT nobody answers. */
#define DIPRONN_VALUE 128

/* The size of a key's value, and its version. */
ssize_t dipronn_get(const char *key, void *value, uint64_t *version);

/* 0, and the new version. */
int dipronn_put(const char *key, const void *value, size_t size, uint64_t *version);

/* The same, if `version` is the key's version now (0: there is no such key). */
int dipronn_compare_and_set(const char *key, const void *value, size_t size, uint64_t *version);

int dipronn_delete(const char *key);

/* Wait until the version is another; 0: the key is gone, or there was none. The value's size and the version.
 */
ssize_t dipronn_watch(const char *key, void *value, uint64_t *version);

/* Wait until `count` instances have come to this round of a barrier; rounds count from 1. */
int dipronn_barrier(const char *name, int count, uint64_t round);

/* A parameter of the program or its session; NULL if there is none of that name. */
const char *dipronn_param(const char *name);

#endif
