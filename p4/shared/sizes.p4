// The one file of sizes: rows per table and cells per counter array, for every target.
#ifndef SIZES_P4
#define SIZES_P4

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

// Copies of one fork, and cells of the counter array that is indexed by their number.
#define FORK_BRANCHES 256
// Round robin counters: indexed by a group's number modulo this.
#define GROUP_SIZE 65536
// Five-tuples whose latest digest is remembered (by hash; a collision costs a digest more).
#define LEARNT_SIZE 65536

#endif
