"""DHCP for one guest: its own address to it alone, and no answer to what is malformed or another's.

Packets are made and read by Scapy.
"""

from __future__ import annotations

import time
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.packet import Raw

from vmhost import bucket
from vmhost.dhcp import MAX_PACKET, Answer, Kind, Lease, answer

MAC = bytes.fromhex("026464400002")
LEASE = Lease(MAC, IPv4Address("100.64.0.2"), IPv4Address("100.64.0.1"), 1500, "tv-0")
EVERYONE = IPv4Address("255.255.255.255")


def packet(kind: str, *options: object, flags: int = 0, **fields: Any) -> bytes:
    head = {"chaddr": MAC + bytes(10), "xid": 7, "flags": flags, **fields}
    return bytes(BOOTP(**head) / DHCP(options=[("message-type", kind), *options, "end"]))


def told(reply: Answer | None) -> dict[str, Any]:
    """The options of an answer, and its own address as `yours`."""
    assert reply is not None and len(reply.packet) >= 300
    read = BOOTP(reply.packet)
    assert (read.op, read.xid, read.chaddr[:6]) == (2, 7, MAC)
    options = {one[0]: one[1:] for one in read[DHCP].options if isinstance(one, tuple)}
    return {"yours": read.yiaddr, **{key: value[0] for key, value in options.items()}}


@pytest.mark.req("D5")
def test_a_guest_learns_its_address_gateway_and_mtu() -> None:
    offered = answer(packet("discover"), LEASE)
    assert offered is not None and offered.destination == LEASE.address
    read = told(offered)
    assert read["yours"] == "100.64.0.2" and read["message-type"] == Kind.OFFER
    assert (read["subnet_mask"], read["router"], read["server_id"]) == (
        "255.255.255.255",
        "100.64.0.1",
        "100.64.0.1",
    )
    assert read["interface-mtu"] == 1500 and read["lease_time"] == 86400 and read["hostname"] == b"tv-0"
    # RFC 3442: the gateway on the link, then everything by it.
    routes = bytes.fromhex("20 64400001 00000000 00 64400001")
    assert bytes([121, len(routes)]) + routes in offered.packet

    chosen = packet("request", ("requested_addr", "100.64.0.2"), ("server_id", "100.64.0.1"), flags=0x8000)
    bound = answer(chosen, LEASE)
    assert told(bound)["message-type"] == Kind.ACK and bound and bound.destination == EVERYONE


def test_a_lease_is_renewed_and_information_is_given_to_the_address_that_has_it() -> None:
    renewed = answer(packet("request", ciaddr="100.64.0.2", flags=0x8000), LEASE)
    assert told(renewed)["message-type"] == Kind.ACK and renewed and renewed.destination == LEASE.address
    informed = told(answer(packet("inform", ciaddr="100.64.0.2"), LEASE))
    assert (informed["yours"], informed["message-type"]) == ("0.0.0.0", Kind.ACK)
    assert "lease_time" not in informed
    assert answer(packet("inform", ciaddr="100.64.0.9"), LEASE) is None


@pytest.mark.req("D27")
def test_another_address_is_refused() -> None:
    for wanted in (
        packet("request", ("requested_addr", "100.64.0.9")),
        packet("request", ciaddr="10.0.0.1"),
        packet("request"),
    ):
        refused = answer(wanted, LEASE)
        read = told(refused)
        assert read["message-type"] == Kind.NAK and read["yours"] == "0.0.0.0" and "router" not in read
        assert refused and refused.destination == EVERYONE


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        bytes(1500),
        bytes(MAX_PACKET + 1),
        packet("discover", chaddr=bytes.fromhex("02646440000f") + bytes(10)),
        packet("discover", giaddr="192.0.2.1"),
        packet("discover", op=2),
        packet("discover", htype=6),
        packet("discover", hlen=16),
        packet("release"),
        packet("decline"),
        packet("offer"),
        packet("request", ("requested_addr", "100.64.0.2"), ("server_id", "192.0.2.1")),
        bytes(BOOTP(chaddr=MAC + bytes(10))),  # BOOTP, no DHCP
        bytes(BOOTP(chaddr=MAC + bytes(10)) / Raw(b"\x35\xff\x01")),
        packet("discover")[:236] + b"\x00\x00\x00\x00" + packet("discover")[240:],
    ],
)
def test_what_is_malformed_or_not_its_own_is_not_answered(hostile: bytes) -> None:
    assert answer(hostile, LEASE) is None


def test_only_the_first_of_an_option_counts_and_a_broken_rest_none() -> None:
    whole = packet("discover")
    twice = whole[:240] + b"\x35\x01\x01" + b"\x35\x01\x03" + b"\xff"
    assert told(answer(twice, LEASE))["message-type"] == Kind.OFFER
    assert told(answer(whole[:240] + b"\0\0\x35\x01\x01\x32\xff\x01", LEASE))["message-type"] == Kind.OFFER


@given(st.binary(max_size=400))
def test_no_options_break_the_server(options: bytes) -> None:
    reply = answer(packet("discover")[:240] + options, LEASE)
    if reply:
        assert BOOTP(reply.packet).yiaddr in ("100.64.0.2", "0.0.0.0")
        assert reply.destination in (LEASE.address, EVERYONE)


def test_a_guest_that_floods_is_answered_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    tokens = bucket.Bucket(burst=3, per_second=2)
    assert [tokens.take() for _ in range(5)] == [True, True, True, False, False]
    now += 1.0
    assert [tokens.take() for _ in range(3)] == [True, True, False]
