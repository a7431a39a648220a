/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* sequencer DEVICE XSKMAP COUNTERS OUTPUT...
 *
 * Takes what the steering program sends to DEVICE's other end, and gives it back in order. One session, one
 * process; an OUTPUT is PORT:TOKEN:ORDER:WINDOW:MERGE:COPIES in decimal: the UDP port that its packets go to,
 * the numbers of the enumerations, nanoseconds, and how many copies must agree. COUNTERS is a file of the
 * size of `struct page`. It runs until it is killed; the rings are the kernel's until the last packet is out.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "reorder.h"
#include "rings.h"
#include "token.h"

#define OUTPUTS 16
#define NOBODY 65534
#define BATCH 64
#define MOST_HELD 6144
#define BEAT_NS 200000000u /* it shows that it lives at least this often */
#define RETRY_NS 100000u   /* until frames are offered again that the device did not take */

/* What the agent reads (statistics.py): counts of the outputs in the order of the arguments. `foreign`:
 * packets of no output. */
struct page {
    uint64_t beat; /* ns, of the monotonic clock: when the process last looked */
    uint64_t overrun, foreign;
    uint64_t lost; /* written by the agent, of processes that died */
    struct counters output[OUTPUTS];
};

struct served {
    uint16_t port;
    enum token_kind token;
    bool merges;
    struct output *output;
};

static struct rings *rings;

static void send_frame(void *context, uint32_t frame) {
    (void)context;
    rings_send(rings, frame);
}

static void drop_frame(void *context, uint32_t frame) {
    (void)context;
    rings_return(rings, frame);
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "sequencer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct page *open_page(const char *path) {
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || ftruncate(file, sizeof(struct page))) fail(path);
    void *page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page == MAP_FAILED) fail(path);
    close(file);
    return page;
}

static void read_output(const char *text, struct served *served, struct counters *counters) {
    unsigned port, token, order, merge, copies;
    unsigned long long window;
    if (sscanf(text, "%u:%u:%u:%llu:%u:%u", &port, &token, &order, &window, &merge, &copies) != 6 ||
        port > 65535 || token > TOKEN_RTP || order > ORDER_STRICT || merge > MERGE_K_OF_N) {
        fprintf(stderr, "sequencer: %s is no output\n", text);
        exit(2);
    }
    struct rules rules = {(enum order)order, (enum merge)merge, copies, window};
    served->port = (uint16_t)port;
    served->token = (enum token_kind)token;
    served->merges = merge != MERGE_NONE;
    served->output = output_new(&rules, counters, (struct sink){send_frame, drop_frame, NULL});
    if (!served->output) fail("memory");
}

/* Machines that compute must not stall it; nor may it stall them, whatever comes in: hence no real-time
 * class. The kernel may weigh whole login sessions against each other first, so both are told. */
static void gain_priority(void) {
    int group = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (group >= 0) {
        if (write(group, "-20", 3) < 0) perror("sequencer: autogroup");
        close(group);
    }
    if (setpriority(PRIO_PROCESS, 0, -20)) perror("sequencer: priority");
}

/* Packets are untrusted, and root is needed no more. */
static void drop_privileges(void) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        fail("privileges");
}

static void take(struct served *served, int count, struct page *page, uint32_t frame, const uint8_t *data,
                 uint32_t length, uint64_t now) {
    struct datagram datagram;
    struct packet packet = {.frame = frame};
    if (!find_datagram(data, length, &datagram)) {
        page->foreign++;
        rings_return(rings, frame);
        return;
    }
    for (int i = 0; i < count; i++) {
        if (served[i].port != datagram.port) continue;
        if (!find_token(served[i].token, &datagram, &packet)) {
            output_pass(served[i].output, frame);
            return;
        }
        if (served[i].merges) packet.digest = digest_of(served[i].token, &datagram);
        output_take(served[i].output, &packet, now);
        return;
    }
    page->foreign++;
    rings_return(rings, frame);
}

static void wait_for(uint64_t due, bool sending, uint64_t now) {
    struct pollfd waiting = {.fd = rings_descriptor(rings), .events = POLLIN};
    uint64_t nap = due <= now ? 0 : due - now;
    if (nap > BEAT_NS) nap = BEAT_NS;
    if (sending && nap > RETRY_NS) nap = RETRY_NS;
    struct timespec time = {.tv_sec = 0, .tv_nsec = (long)nap};
    ppoll(&waiting, 1, &time, NULL);
}

/* Of many packets that wait, those of the output that holds most leave first. */
static void make_room(struct served *served, int count, const struct page *page, uint64_t now) {
    int fullest = 0;
    uint64_t held = 0;
    for (int i = 0; i < count; i++) {
        held += page->output[i].held;
        if (page->output[i].held > page->output[fullest].held) fullest = i;
    }
    if (held > MOST_HELD) output_force(served[fullest].output, now);
}

int main(int arguments, char **argument) {
    int count = arguments - 4;
    if (count < 1 || count > OUTPUTS) {
        fprintf(stderr, "usage: sequencer DEVICE XSKMAP COUNTERS OUTPUT... (at most %d)\n", OUTPUTS);
        return 2;
    }
    static struct served served[OUTPUTS];
    struct page *page = open_page(argument[3]);
    const uint64_t overrun = page->overrun; /* of those before it: the counts go on */
    for (int i = 0; i < count; i++) {
        page->output[i].held = 0;
        read_output(argument[4 + i], &served[i], &page->output[i]);
    }
    /* Whoever starts this writes its number down first, and then a byte: nobody leaves an unknown process
     * behind. */
    char go;
    if (read(STDIN_FILENO, &go, 1) != 1) return 1;
    page->beat = now_ns();
    rings = rings_open(argument[1], argument[2]);
    if (!rings) fail(argument[1]);
    gain_priority();
    drop_privileges();
    puts("ready");
    fflush(stdout);
    for (uint64_t asked = 0;;) {
        const uint8_t *data;
        uint32_t length;
        int frame, taken = 0;
        uint64_t now = page->beat = now_ns(), due = UINT64_MAX;
        for (; taken < BATCH && (frame = rings_receive(rings, &data, &length)) >= 0; taken++)
            take(served, count, page, (uint32_t)frame, data, length, now);
        for (int i = 0; i < count; i++) {
            uint64_t next = output_expire(served[i].output, now);
            if (next < due) due = next;
        }
        make_room(served, count, page, now);
        bool sending = rings_flush(rings);
        if (now - asked > BEAT_NS) {
            page->overrun = overrun + rings_overrun(rings);
            asked = now;
        }
        if (taken < BATCH) wait_for(due, sending, now);
    }
}
