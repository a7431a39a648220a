/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads packets as lines of hexadecimal digits, writes what the C parser says of each: its fault, or "good"
 * and the packet built anew where it has neither destinations nor options. A line "mac KEY SESSION ORIGIN
 * ADDRESS PORT" is answered with both cookies. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artp_wire.h"

static size_t from_hex(const char *text, uint8_t *out) {
    size_t size = 0;
    unsigned int byte;
    for (; sscanf(text, "%2x", &byte) == 1; text += 2)
        out[size++] = byte;
    return size;
}

static void answer_mac(const char *line) {
    char key_text[40], address[64];
    uint8_t key[64];
    unsigned int session, origin, port;
    if (sscanf(line, "mac %32s %u %u %63s %u", key_text, &session, &origin, address, &port) != 5) exit(1);
    from_hex(key_text, key);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const struct sockaddr *source = (void *)&v4;
    if (inet_pton(AF_INET, address, &v4.sin_addr) != 1) {
        if (inet_pton(AF_INET6, address, &v6.sin6_addr) != 1) exit(1);
        source = (void *)&v6;
    }
    printf("%llu %llu\n", (unsigned long long)artp_client_cookie(key, session, origin, source),
           (unsigned long long)artp_group_cookie(key, session, origin));
}

int main(void) {
    static char line[1 << 18];
    static uint8_t data[1 << 17], again[1 << 17];
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "mac ", 4)) {
            answer_mac(line);
            continue;
        }
        size_t size = from_hex(line, data);
        /* On the heap and just as long, so that a sanitizer sees a step too far. */
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, data, size);
        struct artp_packet packet;
        enum artp_fault fault = artp_parse(exact, size, &packet);
        if (fault) {
            puts(artp_fault_names[fault]);
        } else {
            printf("good");
            if (!packet.destinations && !packet.options_size) {
                putchar(' ');
                size_t built = artp_build(again, &packet);
                for (size_t i = 0; i < built; i++)
                    printf("%02x", again[i]);
            }
            putchar('\n');
        }
        free(exact);
    }
}
