/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What bench/order.py sends through a unit: RTP of one source, instances that delay it, a receiver that looks
 * at its order. Each ends with one line of JSON, or when it is killed.
 *
 * order_traffic source ADDRESS PORT RATE COUNT | instance PORT DELAY-US ADDRESS PORT | sink PORT COUNT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define BYTES 64

struct batch {
    struct mmsghdr message[BATCH];
    struct iovec part[BATCH];
    uint8_t data[BATCH][BYTES];
};

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct batch *new_batch(void) {
    struct batch *batch = calloc(1, sizeof(*batch));
    for (int i = 0; i < BATCH; i++) {
        batch->part[i] = (struct iovec){batch->data[i], BYTES};
        batch->message[i].msg_hdr.msg_iov = &batch->part[i];
        batch->message[i].msg_hdr.msg_iovlen = 1;
    }
    return batch;
}

static int open_socket(const char *port) {
    int made = socket(AF_INET, SOCK_DGRAM, 0), room = 64 << 20;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    setsockopt(made, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    setsockopt(made, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
    if (bind(made, (struct sockaddr *)&here, sizeof(here))) exit(1);
    return made;
}

static void aim(int socket, const char *address, const char *port) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    inet_pton(AF_INET, address, &there.sin_addr);
    if (connect(socket, (struct sockaddr *)&there, sizeof(there))) exit(1);
}

static void send_all(int socket, struct batch *batch, int count) {
    for (int sent = 0, more; sent < count; sent += more > 0 ? more : 0)
        more = sendmmsg(socket, batch->message + sent, (unsigned)(count - sent), 0);
}

/* Of a stream of COUNT packets at RATE, every OFth from INDEX on, each DELAY after its time: what aggregation
 * gets from one of OF instances that take this long. */
static int instance(char **argument) {
    uint64_t index = strtoull(argument[0], NULL, 10), of = strtoull(argument[1], NULL, 10);
    uint64_t delay = strtoull(argument[2], NULL, 10) * 1000, count = strtoull(argument[4], NULL, 10);
    uint64_t start = strtoull(argument[5], NULL, 10), next = index;
    double each = 1e9 / atof(argument[3]);
    int out = open_socket("7000");
    aim(out, argument[6], argument[7]);
    struct batch *batch = new_batch();
    while (next < count) {
        uint64_t now = now_ns();
        uint64_t due = now < start + delay ? 0 : (uint64_t)((double)(now - start - delay) / each) + 1;
        int some = 0;
        for (; some < BATCH && next < due && next < count; some++, next += of) {
            uint8_t *rtp = batch->data[some];
            rtp[0] = 0x80;
            rtp[1] = 96;
            rtp[2] = (uint8_t)(next >> 8);
            rtp[3] = (uint8_t)next;
            rtp[11] = 1;
        }
        if (some) {
            send_all(out, batch, some);
            continue;
        }
        struct timespec nap = {0, 50000};
        nanosleep(&nap, NULL);
    }
    printf("{\"seconds\": %f}\n", (double)(now_ns() - start) / 1e9);
    return 0;
}

/* `behind`: packets that came after one that was sent later; `depth`: by how many places at most. */
static int sink(char **argument) {
    int in = open_socket(argument[0]);
    uint64_t count = strtoull(argument[1], NULL, 10), got = 0, behind = 0, depth = 0, start = 0, end = 0;
    uint64_t highest = 0;
    struct batch *batch = new_batch();
    puts("ready");
    fflush(stdout);
    while (got < count) {
        struct pollfd waiting = {in, POLLIN, 0};
        if (poll(&waiting, 1, 3000) <= 0 && start) break;
        int some = recvmmsg(in, batch->message, BATCH, MSG_DONTWAIT, NULL);
        if (some <= 0) continue;
        end = now_ns();
        if (!start) start = end;
        for (int i = 0; i < some; i++, got++) {
            uint16_t low = (uint16_t)(batch->data[i][2] << 8 | batch->data[i][3]);
            uint64_t number = highest + (uint64_t)(int64_t)(int16_t)(low - (uint16_t)highest);
            if (got && number < highest) {
                behind++;
                if (highest - number > depth) depth = highest - number;
            } else {
                highest = number;
            }
        }
    }
    printf("{\"received\": %llu, \"behind\": %llu, \"depth\": %llu, \"seconds\": %f}\n",
           (unsigned long long)got, (unsigned long long)behind, (unsigned long long)depth,
           (double)(end - start) / 1e9);
    return 0;
}

int main(int arguments, char **argument) {
    if (arguments == 10 && !strcmp(argument[1], "instance")) return instance(argument + 2);
    if (arguments == 4 && !strcmp(argument[1], "sink")) return sink(argument + 2);
    return 2;
}
