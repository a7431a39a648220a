/* SPDX-License-Identifier: Apache-2.0
 *
 * Active program: opens every datagram of `sealed` and sends it out on `clear`; what was not sealed with its
 * key, or was altered on the way, goes no further. The parameter KEY holds the key in hexadecimal.
 */
#include "dipronn_guest.h"
#include "sealing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    static unsigned char in[SEALING_LARGEST], out[SEALING_LARGEST];
    struct sealing_key key;

    if (!sealing_start(&key, dipronn_param("KEY"))) return 1;
    int clear = dipronn_register("clear");
    int sealed = dipronn_register("sealed");
    if (clear < 0 || sealed < 0) return 1;
    for (unsigned long refused = 0;;) {
        size_t opened = 0;
        ssize_t length = dipronn_receive(sealed, in, sizeof(in));
        if (length < 0) return 1;
        if (!sealing_open(&key, in, (size_t)length, out, &opened)) {
            refused++;
            if ((refused & (refused - 1)) == 0) /* at 1, 2, 4, 8…: a flood must not fill the log */
                fprintf(stderr, "open: %lu datagrams were not sealed with this key\n", refused);
        } else if (dipronn_send(clear, out, opened) < 0) {
            fprintf(stderr, "open: a datagram was not sent: %s\n", strerror(errno));
        }
    }
}
