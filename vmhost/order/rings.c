/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#define _GNU_SOURCE
#include "rings.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9 /* Linux 6.17 */
#endif

/* `entries` are 64-bit addresses or descriptors; whoever fills a ring owns `producer`. */
struct ring {
    uint32_t *producer, *consumer;
    void *entries;
    uint32_t here; /* how far this side has come */
};

struct rings {
    int socket;
    uint8_t *memory;
    struct ring fill, done, in, out;
    struct xdp_desc frame[FRAMES]; /* as it came in */
    uint32_t unsent;               /* frames that the kernel has for sending */
};

static uint32_t load(const uint32_t *at) {
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *at, uint32_t value) {
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static bool map_ring(int socket, struct ring *ring, const struct xdp_ring_offset *at, uint64_t offset,
                     size_t entry) {
    uint8_t *mapped = mmap(NULL, at->desc + FRAMES * entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                           socket, (off_t)offset);
    if (mapped == MAP_FAILED) return false;
    ring->producer = (uint32_t *)(mapped + at->producer);
    ring->consumer = (uint32_t *)(mapped + at->consumer);
    ring->entries = mapped + at->desc;
    return true;
}

static bool make_rings(struct rings *rings) {
    const uint32_t size = FRAMES;
    const int names[] = {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING};
    for (int i = 0; i < 4; i++)
        if (setsockopt(rings->socket, SOL_XDP, names[i], &size, sizeof(size))) return false;
    struct xdp_mmap_offsets at;
    socklen_t length = sizeof(at);
    if (getsockopt(rings->socket, SOL_XDP, XDP_MMAP_OFFSETS, &at, &length)) return false;
    return map_ring(rings->socket, &rings->fill, &at.fr, XDP_UMEM_PGOFF_FILL_RING, 8) &&
           map_ring(rings->socket, &rings->done, &at.cr, XDP_UMEM_PGOFF_COMPLETION_RING, 8) &&
           map_ring(rings->socket, &rings->in, &at.rx, XDP_PGOFF_RX_RING, sizeof(struct xdp_desc)) &&
           map_ring(rings->socket, &rings->out, &at.tx, XDP_PGOFF_TX_RING, sizeof(struct xdp_desc));
}

static bool make_memory(struct rings *rings) {
    rings->memory =
        mmap(NULL, (size_t)FRAMES * FRAME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (rings->memory == MAP_FAILED) return false;
    struct xdp_umem_reg memory = {
        .addr = (uintptr_t)rings->memory, .len = (uint64_t)FRAMES * FRAME_BYTES, .chunk_size = FRAME_BYTES};
    return !setsockopt(rings->socket, SOL_XDP, XDP_UMEM_REG, &memory, sizeof(memory));
}

static bool enter_map(int socket, const char *path) {
    union bpf_attr attributes = {.pathname = (uintptr_t)path};
    int map = (int)syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes));
    if (map < 0) return false;
    uint32_t queue = 0;
    memset(&attributes, 0, sizeof(attributes));
    attributes.map_fd = (uint32_t)map;
    attributes.key = (uintptr_t)&queue;
    attributes.value = (uintptr_t)&socket;
    bool entered = !syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attributes, sizeof(attributes));
    close(map);
    return entered;
}

struct rings *rings_open(const char *device, const char *map) {
    struct rings *rings = calloc(1, sizeof(*rings));
    if (!rings) return NULL;
    rings->socket = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (rings->socket < 0 || !make_memory(rings) || !make_rings(rings)) return NULL;
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_ifindex = if_nametoindex(device)};
    if (bind(rings->socket, (struct sockaddr *)&address, sizeof(address))) return NULL;
    const uint32_t budget = 256; /* where the kernel knows it: fewer calls */
    setsockopt(rings->socket, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
    for (uint32_t i = 0; i < FRAMES; i++)
        rings_return(rings, i);
    rings_flush(rings);
    return enter_map(rings->socket, map) ? rings : NULL;
}

int rings_descriptor(const struct rings *rings) {
    return rings->socket;
}

int rings_receive(struct rings *rings, const uint8_t **data, uint32_t *length) {
    if (rings->in.here == load(rings->in.producer)) return -1;
    const struct xdp_desc *found = (struct xdp_desc *)rings->in.entries + rings->in.here % FRAMES;
    uint32_t frame = (uint32_t)(found->addr / FRAME_BYTES);
    rings->frame[frame] = *found;
    *data = rings->memory + found->addr;
    *length = found->len;
    store(rings->in.consumer, ++rings->in.here);
    return (int)frame;
}

/* There is room: no ring has fewer entries than there are frames. */
void rings_send(struct rings *rings, uint32_t frame) {
    struct xdp_desc *entry = (struct xdp_desc *)rings->out.entries + rings->out.here++ % FRAMES;
    *entry = rings->frame[frame];
    entry->options = 0;
    rings->unsent++;
}

void rings_return(struct rings *rings, uint32_t frame) {
    ((uint64_t *)rings->fill.entries)[rings->fill.here++ % FRAMES] = (uint64_t)frame * FRAME_BYTES;
}

bool rings_flush(struct rings *rings) {
    store(rings->out.producer, rings->out.here);
    for (int turn = 0; turn < FRAMES && rings->out.here != load(rings->out.consumer); turn++) {
        /* The kernel sends a few at each call. EBUSY: one was dropped, which the device counts. */
        if (sendto(rings->socket, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EBUSY) break;
    }
    uint32_t done = load(rings->done.producer);
    for (; rings->done.here != done; rings->unsent--) {
        uint64_t address = ((uint64_t *)rings->done.entries)[rings->done.here++ % FRAMES];
        rings_return(rings, (uint32_t)(address / FRAME_BYTES));
    }
    store(rings->done.consumer, rings->done.here);
    store(rings->fill.producer, rings->fill.here);
    return rings->unsent;
}

uint64_t rings_overrun(const struct rings *rings) {
    struct xdp_statistics counted;
    socklen_t length = sizeof(counted);
    if (getsockopt(rings->socket, SOL_XDP, XDP_STATISTICS, &counted, &length)) return 0;
    return counted.rx_dropped + counted.rx_ring_full;
}
