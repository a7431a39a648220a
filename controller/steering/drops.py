"""Why a packet was dropped: the one list of reasons, shared with the kernel (``ebpf/steering.h``) and P4.

The numbers are an interface: append, never renumber.  Each comment tells an operator whether to expect it.
"""

from __future__ import annotations

from enum import IntEnum


class Drop(IntEnum):
    # Malformed or unsupported frames: expected in small numbers on any open network.
    MALFORMED_ETHERNET = 1  # shorter than an Ethernet header; a broken sender
    DOUBLE_TAGGED = 2  # two VLAN tags; a misconfigured switch port
    NOT_FOR_US = 3  # unicast to another MAC; expected behind a flooding switch
    MALFORMED_IP = 4  # version, header length or total length inconsistent; a broken or hostile sender
    BAD_IP_CHECKSUM = 5  # IPv4 header checksum wrong; a broken link, or offload left on at a veth sender
    IP_OPTIONS = 6  # IPv4 options; never expected in media traffic
    IP_FRAGMENT = 7  # a sender that exceeds the path's MTU; ask it to send smaller packets
    IPV6_EXTENSION = 8  # an IPv6 extension header; never expected in media traffic
    BAD_ADDRESS = 9  # a multicast, broadcast, loopback or zero source; a hostile or broken sender
    MALFORMED_UDP = 10  # UDP length disagrees with the IP length; a broken or hostile sender
    UDP6_ZERO_CHECKSUM = 11  # forbidden by RFC 8200; a broken sender
    NOT_IP = 12  # neither IP nor ARP on a link whose unmatched packets are dropped; expected (LLDP, STP)
    # No rule
    NO_LINK = 13  # the device or the VLAN on it is not ours; a misconfigured unit
    NO_FLOW = 14  # no session wants it; expected on open networks
    WRONG_LINK = 15  # a flow entered by a kind of link that it is not valid for; hostile, or miswired
    SOURCE_REFUSED = 16  # outside the session's permitted prefix; hostile or misconfigured sender
    REQUESTED = 17  # unknown flow, reported so that a session may be asked for; expected by policy
    # Guests: never expected from a well-behaved guest.
    SPOOFED_MAC = 18  # a guest used a MAC that is not its own
    SPOOFED_ADDRESS = 19  # a guest used an address that is not its own
    NO_BINDING = 20  # a guest sent from a port that it registered under no name
    GUEST_FORBIDDEN = 21  # a guest sent something else than bound, answering or housekeeping packets
    GUEST_RATE = 22  # a guest exceeded the rate of housekeeping packets to the host
    # Choosing and rewriting
    NO_SUCH_INSTANCE = 23  # the chosen slot is empty
    NO_LIVE_ENDPOINT = 24  # unit and backup's unit dead, or no backup; expected during a failure
    TTL_EXPIRED = 25  # TTL or hop limit used up; a loop, or traceroute
    TOO_BIG = 26  # larger than the endpoint's MTU; the sender must send smaller packets
    FAMILY_MISMATCH = 27  # the endpoint is of the other IP family; a fault of the control unit
    NO_RULE = 28  # a row points to a row that is not there; a fault of the control unit
    DEVICE_DROP = 29  # the device refused the frame after the redirect; full queue or link down
    NOT_REWRITABLE = 30  # a kernel program left a frame that is not plain UDP before a guest or receiver
    RATE_LIMITED = 31  # over the session's reservation
    # ARTP
    MALFORMED_ARTP = 32  # no ARTP header where the session has ARTP; a broken or hostile sender
    OVERRIDE_REFUSED = 33  # a destination outside what the output permits; a program's fault
    NO_NEXT_HOP = 34  # a destination whose next hop is being found; expected once for each new destination
    OWN_CONTROL = 35  # control information does not return to its sender; expected
    MULTICAST_LISTENER = 36  # MLD: every IPv6 host tells which groups it hears; expected on any link
    # Control channels
    CONTROL_RATE = 37  # an instance, or all of a unit, sent more over the control network than they may
    # Programs in the kernel
    NO_PUT = 38  # the program put it nowhere; often what the program is for
    EMPTY_PACKET = 39  # an empty packet was put; a program's fault
    RANGE_ERROR = 40  # the program read or cut outside of it; a short packet, or a program's fault
    ARITHMETIC_ERROR = 41  # the program divided by zero; a program's fault
    TARGET_LIMIT = 42  # a limit of docs/phonepl/targets.md was exceeded
    CHAIN_TOO_LONG = 43  # it had been through as many programs as a packet may; a loop

    @property
    def label(self) -> str:
        """The name that counters, Watch and tables show."""
        return self.name.lower()
