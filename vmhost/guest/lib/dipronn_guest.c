/* SPDX-License-Identifier: Apache-2.0 */
#include "dipronn_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NAME_PORT 7070
#define OUTPUT_PORT 9 /* any but NAME_PORT: the node looks at where a packet comes from */
#define MAX_LINE 512
#define PATIENCE 30 /* seconds to wait for a control module that does not answer, as while it restarts */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The address in an environment variable with a port; returns its length, 0 if there is none. */
static socklen_t address_from(const char *variable, int port, union address *a) {
    const char *text = getenv(variable);
    memset(a, 0, sizeof *a);
    if (text && inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(port);
        return sizeof a->v4;
    }
    if (text && inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(port);
        return sizeof a->v6;
    }
    errno = EDESTADDRREQ;
    return 0;
}

/* One conversation: `line` out, one line back, without its LF. Returns its length, or -1. */
static ssize_t converse(const char *line, char *answer, size_t size, int seconds) {
    union address own, gateway;
    socklen_t own_length = address_from("DIPRONN_ADDRESS", 0, &own);
    socklen_t length = address_from("DIPRONN_GATEWAY", NAME_PORT, &gateway);
    if (!own_length || !length) return -1;
    int connection = socket(gateway.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5}, waiting = {.tv_sec = seconds};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &waiting, sizeof waiting);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    /* The source address tells the control module which program calls. */
    ssize_t got = -1;
    if (!bind(connection, &own.any, own_length) && !connect(connection, &gateway.any, length) &&
        send(connection, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line)) {
        size_t used = 0;
        while (used < size - 1 && (got = recv(connection, answer + used, size - 1 - used, 0)) > 0) {
            used += got;
            char *end = memchr(answer, '\n', used);
            if (end) {
                *end = 0;
                close(connection);
                return end - answer;
            }
        }
    }
    close(connection);
    return -1;
}

/* Ask until there is an answer, of at most MAX_LINE bytes. Returns 0, or -1. */
static int answered(const char *line, char answer[MAX_LINE + 1], int seconds) {
    struct timespec pause = {.tv_nsec = 100000000};
    time_t deadline = time(NULL) + PATIENCE;
    while (converse(line, answer, MAX_LINE + 1, seconds) < 0) {
        if (errno == EDESTADDRREQ) return -1;
        if (time(NULL) > deadline) {
            errno = ETIMEDOUT;
            return -1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* The same; what follows "OK " goes to `text`. */
static int ask(const char *line, char *text, size_t size) {
    char answer[MAX_LINE + 1];
    if (answered(line, answer, 5)) return -1;
    if (strncmp(answer, "OK", 2)) {
        fprintf(stderr, "dipronn: %s\n", answer);
        errno = EACCES;
        return -1;
    }
    if (text) snprintf(text, size, "%s", answer[2] ? answer + 3 : "");
    return 0;
}

static const char *program(void) {
    const char *name = getenv("DIPRONN_PROGRAM");
    return name ? name : "";
}

static int open_port(const char *port, const char *transport, char *text, size_t size) {
    union address own;
    socklen_t length = address_from("DIPRONN_ADDRESS", 0, &own);
    if (!length) return -1;
    int endpoint = socket(own.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (endpoint < 0) return -1;
    char line[MAX_LINE];
    if (!bind(endpoint, &own.any, length) && !getsockname(endpoint, &own.any, &length)) {
        int real_port = ntohs(own.any.sa_family == AF_INET ? own.v4.sin_port : own.v6.sin6_port);
        snprintf(line, sizeof line, "REGISTER %s/%s %s %d\n", program(), port, transport, real_port);
        if (!ask(line, text, size)) return endpoint;
    }
    int error = errno;
    close(endpoint);
    errno = error;
    return -1;
}

int dipronn_register(const char *port) {
    return open_port(port, "udp", NULL, 0);
}

/* 16 bytes from hexadecimal digits; zeros where there are none. */
static void read_key(const char *hex, unsigned char key[16]) {
    memset(key, 0, 16);
    for (int i = 0; hex && i < 16; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &key[i]) != 1) break;
}

int dipronn_register_artp(const char *port, unsigned char key[16], unsigned char group_key[16]) {
    char answer[MAX_LINE];
    int endpoint = open_port(port, "artp", answer, sizeof answer);
    if (endpoint < 0) return -1;
    const char *own = strstr(answer, "key="), *shared = dipronn_param("artp_key");
    read_key(own ? own + 4 : NULL, key);
    read_key(shared ? shared : own ? own + 4 : NULL, group_key);
    return endpoint;
}

socklen_t dipronn_gateway(struct sockaddr_storage *gateway) {
    union address a;
    socklen_t size = address_from("DIPRONN_GATEWAY", OUTPUT_PORT, &a);
    memcpy(gateway, &a, sizeof a);
    return size;
}

ssize_t dipronn_receive(int endpoint, void *buffer, size_t size) {
    return recv(endpoint, buffer, size, 0);
}

ssize_t dipronn_send(int endpoint, const void *data, size_t size) {
    static union address gateway;
    static socklen_t length;
    if (!length && !(length = address_from("DIPRONN_GATEWAY", OUTPUT_PORT, &gateway))) return -1;
    return sendto(endpoint, data, size, 0, &gateway.any, length);
}

int dipronn_resolve(const char *port, char *text, size_t size) {
    char line[MAX_LINE];
    snprintf(line, sizeof line, "RESOLVE %s/%s\n", program(), port);
    return ask(line, text, size);
}

const char *dipronn_param(const char *name) {
    char variable[256];
    snprintf(variable, sizeof variable, "DIPRONN_PARAM_%s", name);
    return getenv(variable);
}

/* Shared state. */

#define HELD 30 /* seconds; a node that has nothing to tell answers after 20 */

/* What follows "OK " goes to `text`; what was refused becomes errno. */
static int refused_or(const char *answer, char *text) {
    int code = 0;
    if (!strncmp(answer, "OK", 2)) {
        strcpy(text, answer[2] ? answer + 3 : "");
        return 0;
    }
    sscanf(answer, "ERR %d", &code);
    errno = code == 404 ? ENOENT : code == 408 ? EAGAIN : code == 409 ? EBUSY : EACCES;
    if (errno == EACCES) fprintf(stderr, "dipronn: %s\n", answer);
    return -1;
}

static int share(const char *line, char text[MAX_LINE + 1]) {
    char answer[MAX_LINE + 1];
    return answered(line, answer, 5) ? -1 : refused_or(answer, text);
}

static int await(const char *line, char text[MAX_LINE + 1]) {
    char answer[MAX_LINE + 1];
    for (;;) {
        if (answered(line, answer, HELD)) return -1;
        if (!refused_or(answer, text)) return 0;
        if (errno != EAGAIN) return -1;
    }
}

/* A line that ends in a value, into MAX_LINE + 1 bytes. */
static int put_line(char *line, const char *verb, const void *value, size_t size) {
    const unsigned char *octets = value;
    if (size > DIPRONN_VALUE) {
        errno = EMSGSIZE;
        return -1;
    }
    char *end = line + sprintf(line, "%.*s ", MAX_LINE - 3 * DIPRONN_VALUE - 4, verb);
    for (size_t i = 0; i < size; i++)
        end += sprintf(end, "%%%02X", octets[i]);
    strcpy(end, "\n");
    return 0;
}

/* A value of at most DIPRONN_VALUE bytes and its version from "<version> <value>". */
static ssize_t read_entry(const char *text, unsigned char *value, uint64_t *version) {
    char *from;
    *version = strtoull(text, &from, 10);
    if (*from == ' ') from++;
    size_t size = 0;
    for (; *from && size < DIPRONN_VALUE; size++) {
        if (*from == '%' && sscanf(from + 1, "%2hhx", &value[size]) == 1 && from[1] && from[2])
            from += 3;
        else
            value[size] = *from++;
    }
    return size;
}

ssize_t dipronn_get(const char *key, void *value, uint64_t *version) {
    char line[MAX_LINE], text[MAX_LINE + 1];
    snprintf(line, sizeof line, "GET %.64s\n", key);
    return share(line, text) ? -1 : read_entry(text, value, version);
}

int dipronn_put(const char *key, const void *value, size_t size, uint64_t *version) {
    char verb[96], line[MAX_LINE + 1], text[MAX_LINE + 1];
    snprintf(verb, sizeof verb, "PUT %.64s", key);
    if (put_line(line, verb, value, size) || share(line, text)) return -1;
    *version = strtoull(text, NULL, 10);
    return 0;
}

int dipronn_compare_and_set(const char *key, const void *value, size_t size, uint64_t *version) {
    char verb[96], line[MAX_LINE + 1], answer[MAX_LINE + 1], text[MAX_LINE + 1];
    snprintf(verb, sizeof verb, "CAS %.64s %llu", key, (unsigned long long)*version);
    if (put_line(line, verb, value, size)) return -1;
    if (converse(line, answer, sizeof answer, 5) < 0) {
        errno = EINTR;
        return -1;
    }
    if (refused_or(answer, text)) return -1;
    *version = strtoull(text, NULL, 10);
    return 0;
}

int dipronn_delete(const char *key) {
    char line[MAX_LINE], text[MAX_LINE + 1];
    snprintf(line, sizeof line, "DELETE %.64s\n", key);
    return share(line, text);
}

ssize_t dipronn_watch(const char *key, void *value, uint64_t *version) {
    char line[MAX_LINE], text[MAX_LINE + 1];
    snprintf(line, sizeof line, "WATCH %.64s %llu\n", key, (unsigned long long)*version);
    return await(line, text) ? -1 : read_entry(text, value, version);
}

int dipronn_barrier(const char *name, int count, uint64_t round) {
    char line[MAX_LINE], text[MAX_LINE + 1];
    snprintf(line, sizeof line, "BARRIER %.64s %d %llu\n", name, count, (unsigned long long)round);
    return await(line, text);
}
