/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes datagrams on over ARTP, with their order. */
#include <stdio.h>

#include "artp.h"
#include "dipronn_guest.h"

static uint8_t buffer[ARTP_MAX_DATAGRAM];

int main(void) {
    uint8_t key[ARTP_KEY_BYTES], group_key[ARTP_KEY_BYTES];
    struct sockaddr_storage gateway;
    socklen_t size = dipronn_gateway(&gateway);
    int out = dipronn_register_artp("greetings", key, group_key);
    int in = dipronn_register_artp("words", key, group_key);
    if (in < 0 || out < 0) {
        perror("register");
        return 1;
    }
    struct artp *input = artp_open(in, &(struct artp_settings){.key = key, .group_key = group_key});
    struct artp *output = artp_open(out, &(struct artp_settings){.group_key = group_key});
    struct artp_connection *receivers = output ? artp_group(output, (void *)&gateway, size, 1) : NULL;
    if (!input || !receivers) return 2;
    for (;;) {
        struct artp_info info;
        ssize_t got = artp_receive(input, buffer, sizeof buffer, &info);
        struct artp_send how = {.order = info.order, .ordered = info.ordered};
        if (got < 0 || artp_send(receivers, buffer, got, &how)) {
            perror("relay");
            return 3;
        }
    }
}
