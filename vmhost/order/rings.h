/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* An AF_XDP socket on queue 0 of a device. Frames go by their index; one belongs either to the kernel or to
 * us. */
#ifndef DIPRONN_RINGS_H
#define DIPRONN_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#define FRAMES 8192
#define FRAME_BYTES 4096

struct rings;

/* Stands in the pinned XSKMAP when this returns; NULL with errno when it cannot. */
struct rings *rings_open(const char *device, const char *map);

int rings_descriptor(const struct rings *rings);

/* The next frame that came in: its index, or -1. */
int rings_receive(struct rings *rings, const uint8_t **data, uint32_t *length);

/* Send a frame that came in, or give it back. Both are done by `rings_flush`. */
void rings_send(struct rings *rings, uint32_t frame);
void rings_return(struct rings *rings, uint32_t frame);

/* True if frames still wait to be sent. */
bool rings_flush(struct rings *rings);

/* Frames that found no room since the socket was opened. */
uint64_t rings_overrun(const struct rings *rings);

#endif
