// What the switch tells its controller of its own accord. Each is one field that is put together when it is sent: for each field
// p4c keeps a place, which bmv2 sets to 0 for every packet. What stands in it, from the first bit on, says the comment;
// controller/drivers/p4runtime/readings.py takes it apart.
#ifndef DIGESTS_P4
#define DIGESTS_P4

// A peer to be learnt [20]; the controller writes the row. IPv6 (1 bit), ARTP (1), port (9), VLAN (12), its MAC (48), own UDP
// port (16), its (16), own address (128), its (128); IPv4 addresses in the low 32 bits.
struct learn_t {
    bit<359> peer;
}

// A packet of no session, on a link whose policy is to ask [14]. IPv6 (1 bit), port (9), VLAN (12), destination's UDP port (16),
// source's (16), destination (128), source (128).
struct request_t {
    bit<310> packet;
}

// A destination of an ARTP packet whose next hop is not known [14f]; the controller finds it. IPv6 (1 bit), address (128).
struct next_hop_t {
    bit<129> destination;
}

#endif
