/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What the kernel and Python both know: reasons, rows and counters. `layout.py` repeats the rows, and a test
 * compares every size and offset with what the compiler made. Addresses and ports stand in network order. */

/* From DROP_NO_PUT on five stand in the order in which compiled programs number them. */
enum drop {
    DROP_MALFORMED_ETHERNET = 1,
    DROP_DOUBLE_TAGGED,
    DROP_NOT_FOR_US,
    DROP_MALFORMED_IP,
    DROP_BAD_IP_CHECKSUM,
    DROP_IP_OPTIONS,
    DROP_IP_FRAGMENT,
    DROP_IPV6_EXTENSION,
    DROP_BAD_ADDRESS,
    DROP_MALFORMED_UDP,
    DROP_UDP6_ZERO_CHECKSUM,
    DROP_NOT_IP,
    DROP_NO_LINK,
    DROP_NO_FLOW,
    DROP_WRONG_LINK,
    DROP_SOURCE_REFUSED,
    DROP_REQUESTED,
    DROP_SPOOFED_MAC,
    DROP_SPOOFED_ADDRESS,
    DROP_NO_BINDING,
    DROP_GUEST_FORBIDDEN,
    DROP_GUEST_RATE,
    DROP_NO_SUCH_INSTANCE,
    DROP_NO_LIVE_ENDPOINT,
    DROP_TTL_EXPIRED,
    DROP_TOO_BIG,
    DROP_FAMILY_MISMATCH,
    DROP_NO_RULE,
    DROP_DEVICE_DROP,
    DROP_NOT_REWRITABLE,
    DROP_RATE_LIMITED,
    DROP_MALFORMED_ARTP,
    DROP_OVERRIDE_REFUSED,
    DROP_NO_NEXT_HOP,
    DROP_OWN_CONTROL,
    DROP_MULTICAST_LISTENER,
    DROP_CONTROL_RATE,
    DROP_NO_PUT = 38,
    DROP_EMPTY_PACKET,
    DROP_RANGE_ERROR,
    DROP_ARITHMETIC_ERROR,
    DROP_TARGET_LIMIT,
    DROP_CHAIN_TOO_LONG,
};
#define DROPS 64 /* room to append */

enum link_kind { OUTSIDE = 1, NODE, GUEST, FORK, CONTROL };
enum unmatched { UNMATCHED_DROP, UNMATCHED_HOST, UNMATCHED_REQUEST };
enum selector { SELECT_ZERO, SELECT_COUNTER, SELECT_HASH, SELECT_DATAGRAM, SELECT_INSTANCE };
enum service { BEST_EFFORT, ASSURED, REALTIME };
enum endpoint_kind {
    ENDPOINT_GUEST = 1,
    ENDPOINT_KERNEL,
    ENDPOINT_NODE,
    ENDPOINT_RECEIVER,
    ENDPOINT_CONTROL
};

#define GUEST_ADDRESSES 4
#define NAME_PORT 7070
#define TARGET_FORK 0x80000000u /* of a target: the rest is a fork's number */
#define TARGET_ARTP 0x40000000u /* an artp row's; with neither a channel's */
#define UNIT_DEAD 1
#define UNIT_ALIVE 2 /* 0: no row, which is dead too */

struct link_key {
    u32 ifindex;
    u32 vlan;
};

/* kind 0: no row. An address of zeros is none. */
struct link_row {
    u8 kind;
    u8 unmatched;
    u8 mac[6];
    u8 guest_mac[6];
    u8 has_guest_mac;
    u8 families; /* bit i: address i in the controller's order is IPv6 */
    u32 slice;
    u32 gateway4;
    u32 address4[GUEST_ADDRESSES];
    u32 gateway6[4];
    u32 address6[GUEST_ADDRESSES][4];
    u32 scope;    /* 1 << kind where flows may come in, else 0 */
    u16 instance; /* a guest's, in network order; 0: none */
    u16 fill;
};

/* What may pass a device in one direction, as a token bucket that is kept as the time at which it is full. */
struct meter {
    u64 rate;    /* bit/s; 0: unlimited */
    u64 depth;   /* ns that the bucket takes to fill */
    u64 full;    /* ns; the rest is the kernel's */
    u64 refused; /* packets */
};

/* By ifindex: what enters by a device and what leaves by it. */
struct limit_row {
    struct meter received;
    struct meter sent;
    u64 burst; /* bytes; 0: no row */
};

struct flow4_key {
    u32 source;
    u32 destination;
    u16 source_port;
    u16 destination_port;
    u8 protocol;
    u8 pad[3];
};

struct flow6_key {
    u32 source[4];
    u32 destination[4];
    u16 source_port;
    u16 destination_port;
    u8 protocol;
    u8 pad[3];
};

#define ANY_SOURCE 255 /* prefix length of a flow that permits every source */

struct flow4_row {
    u32 target;
    u8 links; /* bit per link kind */
    u8 prefix_length;
    u8 common; /* links, if an exact flow's own source is permitted and no bad address; else 0 */
    u8 pad;
    u32 prefix;
    u32 mask;
};

struct flow6_row {
    u32 target;
    u8 links;
    u8 prefix_length;
    u16 pad;
    u32 prefix[4];
    u32 mask[4];
};

/* Targets: 0 is none. Addresses as ARTP writes them, IPv4 mapped into IPv6. */
struct artp_row {
    u32 present;
    u32 target;
    u32 control;
    u32 everyone;
    u32 named;
    u32 channel; /* 0: destinations pass unread */
    u8 family;   /* of the permitted prefix; 0: none is permitted */
    u8 prefix_length;
    u8 has_source;
    u8 pad;
    u16 source_port;
    u16 fill;
    u32 prefix[4];
    u32 mask[4];
    u32 source[4]; /* IPv4 in the first word */
};

struct next_hop_key {
    u32 address[4]; /* as above */
};

struct next_hop_row {
    u32 ifindex;
    u16 vlan;
    u16 mtu;
    u8 source_mac[6];
    u8 destination_mac[6];
};

struct binding4_key {
    u32 ifindex;
    u32 vlan;
    u32 source;
    u16 source_port;
    u16 pad;
};

struct binding6_key {
    u32 ifindex;
    u32 vlan;
    u32 source[4];
    u16 source_port;
    u16 pad;
};

struct binding_row {
    u32 target;
};

struct peer4_key {
    u32 local;
    u32 remote;
    u16 local_port;
    u16 remote_port;
};

struct peer6_key {
    u32 local[4];
    u32 remote[4];
    u16 local_port;
    u16 remote_port;
};

struct peer_row {
    u64 seen; /* ns; of learnt rows */
    u32 ifindex;
    u16 vlan;
    u16 mtu;
    u8 source_mac[6];
    u8 destination_mac[6];
    u32 source[4]; /* IPv4 in the first word */
    u16 source_port;
    u8 has_source;
    u8 artp;
    u64 control; /* it leaves over the control network, at its rate */
};

/* A fork's rows are compiled into a plan; two numbers take turns (4 × fork, 4 × fork + 2), so that a change
 * is one write here. plan + 1 is the same by the fork veth, for packets longer than `mtu`, which some
 * branch's device may not take. Plans 1 to 3 are nobody's: 2 to 4 copies by the fork veth, for destinations
 * that ARTP names. */
#define OVERRIDE_PLANS 4
#define FORK_UNLIMITED 0xffff
struct fork_row {
    u32 copies;
    u32 plan; /* 0: no row */
    u32 mtu;
    u32 pad;
};

struct branch_key {
    u32 plan;
    u32 copy;
};

/* The n-th copy of a plan that leaves by one device; several branches may share a device. */
struct clone_key {
    u32 plan;
    u32 ifindex;
    u32 ordinal;
};

struct channel_row {
    u32 present;
    u32 selector;
    u32 mask;
    u32 group;
    u32 session;
    u32 member;
    /* The hop to the endpoint of its only slot, as the common path needs it, kept here by the loader. mtu 0:
     * none, because there is a choice, or the endpoint is missing, tagged or IPv6. */
    u32 endpoint;
    u32 ifindex;
    u32 address;
    u32 source;
    u32 unit;
    u16 mtu;
    u16 port;
    u16 source_port;
    u8 writes_source;
    u8 service;
    u8 destination_mac[6];
    u8 source_mac[6];
};

struct slot_row {
    u32 group;
    u32 endpoint; /* 0: no row */
    u32 backup;   /* 0: none */
    u32 pad;
};

struct endpoint_row {
    u32 ifindex;
    u8 kind; /* 0: no row */
    u8 family;
    u8 has_source;
    u8 has_public;
    u16 vlan;
    u16 mtu;
    u16 port;
    u16 source_port;
    u16 public_port;
    u8 source_mac[6];
    u8 destination_mac[6];
    u16 pad;
    u32 unit;
    u32 address[4]; /* IPv4 in the first word */
    u32 source[4];
    u32 public[4];
    u32 program; /* a kernel program's number, */
    u32 stream;  /* and which of its streams */
    u32 fill[9]; /* rows of 2^k bytes are found without a multiplication */
};

/* Only grows: what the channels counted and the full path did not is what the common path carried. */
struct traffic {
    u64 packets;
    u64 bytes;
};

/* Per CPU. Copies are `forked` when they are ordered and `arrived` when they are steered: what lies between
 * for long was refused by a device without a word (BROADCAST skips what is down or too small). */
struct totals {
    u64 received;
    u64 copies;
    u64 sent;
    u64 steered; /* counted at a channel, but not on the common path: that counts there alone */
    u64 to_host;
    u64 forked;
    u64 arrived;
    u64 drops[DROPS];
    u64 egress_drops; /* copies dropped by name on their way out, since the device's last flush */
    u64 requested;    /* ns; see event.h */
    u64 serial;       /* of the last packet that was forked */
};

/* Numbers the clones of one packet that leave by one device; per CPU and device. */
struct numbering {
    u64 serial;
    u64 ordinal;
};

struct config {
    u32 netns;   /* inode of the unit's network namespace */
    u32 fork_tx; /* ifindex of the end of the fork veth that copies are sent into */
    u32 tx;      /* id of the map tx */
    u32 offset_ifindex;
    u32 offset_net;
    u32 offset_inum;
    u64 guest_interval;      /* ns per packet that a guest sends to the host */
    u64 guest_burst;         /* packets */
    u64 control_interval[2]; /* ns per packet over the control network: of a sender, of a device */
    u64 control_burst[2];
};

struct crc_table {
    u32 entry[4][256];
};

#define EVENT_FRAME 192 /* an ARTP packet's destinations stand in it */
struct event {
    u64 time;
    u32 ifindex;
    u32 reason;
    u32 length;
    u32 captured;
    u8 frame[EVENT_FRAME];
};

/* In front of a copy, as XDP metadata. */
#define FORK_MAGIC 0xd1f07c09u
struct copy_meta {
    u32 magic;
    u32 plan;
    u32 copy;
    u32 ifindex; /* where the packet came in */
    u64 serial;
    u16 vlan;
    u8 wild;
    u8 programs; /* that it has passed */
    u32 artp;    /* the row that the packet met, or 0; of several puts, where the program wrote them down */
};

/* Kernel programs: docs/steering.md, section 9. */
#define CHAIN 8    /* programs that a packet may pass */
#define STREAMS 32 /* of a program; in `programs` the last is its function for copies */
#define MOST_PUTS 32
#define PLAN_PUTS 0x80000000u /* of a copy's plan: one of several puts of the program with this number */

/* The test build only: what the program is to believe, and what it did. */
struct trace {
    u64 now; /* ns; 0: ask the clock */
    u32 ifindex;
    u32 reason;
    u32 channel;
    u32 endpoint;
    u32 device;
    u32 fork;
    u32 copies;
    u32 wild;
    u32 artp;
    u32 program; /* that put several */
    u32 programs;
    u32 puts; /* where it wrote them down */
    u32 vlan;
    u32 empty; /* as in the passage */
    u32 beyond;
};
