/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers what comes to its input and sends it to its output, too. A datagram "exit N" ends it with status N,
 * "abort" by a signal, "flood" makes it write to its log without end, "resolve" and "param NAME" ask its
 * library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dipronn_guest.h"

int main(void) {
    static char buffer[65536];
    int in = dipronn_register("in"), out = dipronn_register("out");
    if (in < 0 || out < 0) {
        perror("register");
        return 1;
    }
    for (;;) {
        struct sockaddr_storage source;
        socklen_t length = sizeof source;
        ssize_t size = recvfrom(in, buffer, sizeof buffer - 1, 0, (struct sockaddr *)&source, &length);
        if (size < 0) return 2;
        buffer[size] = 0;
        if (!strncmp(buffer, "exit ", 5)) return atoi(buffer + 5);
        if (!strcmp(buffer, "resolve")) {
            if (dipronn_resolve("in", buffer, sizeof buffer)) return 3;
            size = strlen(buffer);
        }
        if (!strncmp(buffer, "param ", 6)) {
            const char *value = dipronn_param(buffer + 6);
            size = snprintf(buffer, sizeof buffer, "%s", value ? value : "none");
        }
        if (!strcmp(buffer, "abort")) abort();
        if (!strcmp(buffer, "flood") && !fork())
            for (;;)
                puts("There was a young packet from Brno whose hop count was down to its turn.");
        sendto(in, buffer, size, 0, (struct sockaddr *)&source, length);
        dipronn_send(out, buffer, size);
    }
}
