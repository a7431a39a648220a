// The one file of sizes: rows per table and cells per counter array. bmv2 has memory; a Tofino has its stages.
#ifndef SIZES_P4
#define SIZES_P4

#ifdef __TARGET_TOFINO__
#define LINK_SIZE 1024
#define FLOW_SIZE 16384
#define FLOW6_SIZE 4096
#define PEER_SIZE 16384
#define PEER6_SIZE 4096
#define FORK_SIZE 4096
#define CHANNEL_SIZE 4096
#define SLOT_SIZE 8192
#define ENDPOINT_SIZE 8192
#define UNIT_SIZE 1024
#define GROUP_SIZE 4096
#define ARTP_SIZE 1024
#define NEXT_HOP_SIZE 1024
#else
#define LINK_SIZE 1024
#define FLOW_SIZE 65536
#define FLOW6_SIZE 65536
#define PEER_SIZE 65536
#define PEER6_SIZE 65536
#define FORK_SIZE 65536
#define CHANNEL_SIZE 16384
#define SLOT_SIZE 65536
#define ENDPOINT_SIZE 65536
#define UNIT_SIZE 1024
// Numbers of groups, which index the counters of round robin, lie below this.
#define GROUP_SIZE 65536
#define ARTP_SIZE 16384
#define NEXT_HOP_SIZE 2048
#endif

// Copies of one fork, and cells of the counter array that is indexed by their number.
#define FORK_BRANCHES 256
// Five-tuples whose latest digest is remembered (by hash; a collision costs a digest more).
#define LEARNT_SIZE 8192

#endif
