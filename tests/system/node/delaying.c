/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sends on what comes to `raw` by `done`; its instance 1 takes 30 ms longer for every packet. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dipronn_guest.h"

int main(void) {
    static char buffer[2048];
    int raw = dipronn_register("raw"), done = dipronn_register("done");
    const char *instance = getenv("DIPRONN_INSTANCE");
    if (raw < 0 || done < 0 || !instance) return 1;
    for (;;) {
        ssize_t size = recv(raw, buffer, sizeof buffer, 0);
        if (size < 0) return 2;
        if (atoi(instance)) usleep(30000);
        if (dipronn_send(done, buffer, (size_t)size) < 0) return 3;
    }
}
