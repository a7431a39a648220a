// Why a packet was dropped: the numbers of controller/steering/drops.py, as far as an edge can meet them.
#ifndef DROPS_P4
#define DROPS_P4

typedef bit<32> drop_t;

const drop_t MALFORMED_ETHERNET = 1;
const drop_t DOUBLE_TAGGED = 2;
const drop_t NOT_FOR_US = 3;
const drop_t MALFORMED_IP = 4;
const drop_t BAD_IP_CHECKSUM = 5;
const drop_t IP_OPTIONS = 6;
const drop_t IP_FRAGMENT = 7;
const drop_t IPV6_EXTENSION = 8;
const drop_t BAD_ADDRESS = 9;
const drop_t MALFORMED_UDP = 10;
const drop_t UDP6_ZERO_CHECKSUM = 11;
const drop_t NOT_IP = 12;
const drop_t NO_LINK = 13;
const drop_t NO_FLOW = 14;
const drop_t WRONG_LINK = 15;
const drop_t SOURCE_REFUSED = 16;
const drop_t REQUESTED = 17;
const drop_t NO_BINDING = 20;
const drop_t NO_SUCH_INSTANCE = 23;
const drop_t NO_LIVE_ENDPOINT = 24;
const drop_t TTL_EXPIRED = 25;
const drop_t TOO_BIG = 26;
const drop_t FAMILY_MISMATCH = 27;
const drop_t NO_RULE = 28;
const drop_t MALFORMED_ARTP = 32;
const drop_t OVERRIDE_REFUSED = 33;
const drop_t NO_NEXT_HOP = 34;
const drop_t OWN_CONTROL = 35;
const drop_t MULTICAST_LISTENER = 36;

#define DROP_SIZE 64

#endif
