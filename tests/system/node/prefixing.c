/* SPDX-License-Identifier: Apache-2.0
 *
 * prefixing IN OUT PREFIX: sends what comes to the one port out of the other, behind a prefix.
 */
#include <stdio.h>
#include <string.h>

#include "dipronn_guest.h"

int main(int count, char **arguments) {
    static char buffer[2048];
    if (count != 4) return 2;
    int in = dipronn_register(arguments[1]), out = dipronn_register(arguments[2]);
    if (in < 0 || out < 0) {
        perror("register");
        return 1;
    }
    size_t prefix = strlen(arguments[3]);
    memcpy(buffer, arguments[3], prefix);
    for (;;) {
        ssize_t size = dipronn_receive(in, buffer + prefix, sizeof buffer - prefix);
        if (size < 0) return 1;
        dipronn_send(out, buffer, prefix + size);
    }
}
