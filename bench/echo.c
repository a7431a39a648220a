/* SPDX-License-Identifier: Apache-2.0
 *
 * The measured guest: answers every datagram to whoever sent it.
 */
#include <sys/socket.h>

#include "dipronn_guest.h"

int main(void) {
    static char buffer[65536];
    int in = dipronn_register("in");
    if (in < 0) return 1;
    for (;;) {
        struct sockaddr_storage source;
        socklen_t length = sizeof source;
        ssize_t size = recvfrom(in, buffer, sizeof buffer, 0, (struct sockaddr *)&source, &length);
        if (size < 0) return 2;
        sendto(in, buffer, size, 0, (struct sockaddr *)&source, length);
    }
}
