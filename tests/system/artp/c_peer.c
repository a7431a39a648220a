/* SPDX-License-Identifier: Apache-2.0
 *
 * A program on the C library: "echo ADDRESS PORT" answers each datagram with its own bytes and order; "send
 * ADDRESS PORT COUNT" and "group ADDRESS PORT COUNT" send datagrams whose bytes follow from their number. All
 * keys are zeros. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "artp.h"

static const uint8_t key[ARTP_KEY_BYTES];
static uint8_t buffer[ARTP_MAX_DATAGRAM];

static int fail(const char *what) {
    perror(what);
    return 1;
}

static int echo(struct artp *end) {
    struct artp_info info;
    ssize_t size;
    puts("ready");
    fflush(stdout);
    while ((size = artp_receive(end, buffer, sizeof buffer, &info)) >= 0) {
        struct artp_send how = {.order = info.order, .ordered = info.ordered};
        if (artp_send(info.connection, buffer, size, &how)) perror("send"); /* it went meanwhile */
    }
    return fail("receive");
}

static int send_all(struct artp_connection *c, int count) {
    if (!c) return fail("connect");
    for (int i = 0; i < count; i++) {
        size_t size = i * 7919 % (ARTP_MAX_DATAGRAM / 8);
        for (size_t j = 0; j < size; j++)
            buffer[j] = i + 31 * j;
        struct artp_send how = {.order = i, .ordered = true};
        if (artp_send(c, buffer, size, &how)) return fail("send");
    }
    return artp_close(c) ? fail("close") : 0;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (argc < 4 || inet_pton(AF_INET, argv[2], &address.sin_addr) != 1) return 2;
    address.sin_port = htons(atoi(argv[3]));
    const struct sockaddr *to = (void *)&address;
    int count = argc > 4 ? atoi(argv[4]) : 0, status = 2;
    int endpoint = socket(AF_INET, SOCK_DGRAM, 0);
    bool echoing = !strcmp(argv[1], "echo"), group = !strcmp(argv[1], "group");
    if (echoing && bind(endpoint, to, sizeof address)) return fail("bind");
    struct artp_settings settings = {.key = echoing ? key : NULL, .group_key = group ? key : NULL};
    struct artp *end = artp_open(endpoint, &settings);
    if (!end) return fail("open");
    if (echoing)
        status = echo(end);
    else if (group)
        status = send_all(artp_group(end, to, sizeof address, 1), count);
    else
        status = send_all(artp_connect(end, to, sizeof address, 60), count);
    artp_end(end);
    return status;
}
