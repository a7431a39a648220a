/* SPDX-License-Identifier: Apache-2.0
 *
 * Active program: seals every datagram of `clear` and sends it out on `sealed`. Stateless, so parallelizable.
 * The parameter KEY holds the key in hexadecimal.
 */
#include "dipronn_guest.h"
#include "sealing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    static unsigned char in[SEALING_LARGEST], out[SEALING_LARGEST + SEALING_OVERHEAD];
    struct sealing_key key;

    if (!sealing_start(&key, dipronn_param("KEY"))) return 1;
    int sealed = dipronn_register("sealed");
    int clear = dipronn_register("clear");
    if (sealed < 0 || clear < 0) return 1;
    for (;;) {
        ssize_t length = dipronn_receive(clear, in, sizeof(in));
        if (length < 0) return 1;
        if (dipronn_send(sealed, out, sealing_seal(&key, in, (size_t)length, out)) < 0)
            fprintf(stderr, "seal: a datagram was not sent: %s\n", strerror(errno));
    }
}
