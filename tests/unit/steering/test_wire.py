"""Steering tables survive the API, and no malformed message gets through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.steering.model import Endpoint, EndpointKind, Mac, Socket, Tables
from controller.steering.wire import NO_MAC, MalformedTables, decode, encode, unresolved
from dipronn.v1 import steering_pb2 as pb
from tests.conformance.golden.tables import with_guests
from tests.conformance.network import LAN_MAC, UNIT_MAC, socket
from tests.conformance.strategies import tables

RECEIVER = Endpoint(EndpointKind.RECEIVER, "", NO_MAC, NO_MAC, socket("198.51.100.7", 6000))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tables())
def test_tables_come_back_as_they_went(rows: Tables) -> None:
    rows.next_hop.clear()  # the unit's own, in no message
    carried = pb.Tables.FromString(encode(rows).SerializeToString())
    assert decode(carried) == rows


def test_an_endpoint_without_a_next_hop_is_found_and_completed() -> None:
    rows = Tables(endpoint={1: RECEIVER, 2: replace(RECEIVER, device="lan", source_mac=LAN_MAC)})
    message = encode(rows)
    assert (message.endpoint[0].device, message.endpoint[0].source_mac) == ("", b"")
    decoded = decode(message)
    assert unresolved(decoded) == {1: RECEIVER}
    found = replace(RECEIVER, device="lan", source_mac=LAN_MAC, destination_mac=UNIT_MAC)
    decoded.endpoint[1] = found
    assert unresolved(decoded) == {}
    assert decode(encode(decoded)).endpoint[1] == found


def _change(table: str, **fields: object) -> Callable[[pb.Tables], None]:
    def change(message: pb.Tables) -> None:
        row = getattr(message, table)[0]
        for name, value in fields.items():
            if isinstance(value, pb.Socket | pb.TargetRef):
                getattr(row, name).CopyFrom(value)
            elif isinstance(value, list):
                getattr(row, name)[:] = value
            else:
                setattr(row, name, value)

    return change


def _clear(table: str, name: str) -> Callable[[pb.Tables], None]:
    return lambda message: getattr(message, table)[0].ClearField(name)


def _twice(table: str) -> Callable[[pb.Tables], None]:
    def repeat(message: pb.Tables) -> None:
        rows = getattr(message, table)
        rows.add().CopyFrom(rows[0])

    return repeat


FOUR, SIX = bytes(4), bytes(16)
MALFORMED: dict[str, tuple[Callable[[pb.Tables], None], str]] = {
    "empty device": (_change("link", device=""), "link row 0: device ''"),
    "device is a path": (_change("link", device="../x"), "is no interface name"),
    "device too long": (_change("binding", device="x" * 16), "binding row 0"),
    "device of dots": (_change("peer", device=".."), "peer row 0"),
    "vlan": (_change("link", vlan=4095), "vlan 4095"),
    "kind": (_change("link", kind=9), "unknown kind 9"),
    "unmatched": (_change("link", unmatched=3), "unknown unmatched 3"),
    "mac": (_change("link", mac=b"12345"), "mac has 5 octets, not 6"),
    "addresses of no guest": (_change("link", addresses=[FOUR]), "only a guest"),
    "flow protocol": (_change("flow", protocol=6), "protocol 6 is not UDP"),
    "flow without destination": (_clear("flow", "destination"), "flow row 0: destination is missing"),
    "flow without target": (_clear("flow", "target"), "target is missing"),
    "flow links": (_change("flow", links=0), "links 0x0"),
    "flow from guests": (_change("flow", links=1 << 3), "links 0x8"),
    "address length": (_change("flow", destination=pb.Socket(address=b"123")), "has 3 bytes, not 4 or 16"),
    "port": (_change("flow", destination=pb.Socket(address=FOUR, port=65536)), "port 65536"),
    "family": (_change("flow", source=pb.Socket(address=SIX, port=1)), "source is of another family"),
    "prefix bits": (
        _change("flow", permitted_source=b"\1\2\3\4", permitted_prefix_length=8),
        "host bits set",
    ),
    "prefix length": (_change("flow", permitted_source=FOUR, permitted_prefix_length=33), "flow row 0"),
    "prefix family": (_change("flow", permitted_source=SIX, permitted_prefix_length=8), "another family"),
    "length alone": (_change("flow", permitted_prefix_length=8), "length without permitted_source"),
    "target kind": (_change("binding", target=pb.TargetRef(kind=3, id=1)), "unknown target kind 3"),
    "target id": (_change("binding", target=pb.TargetRef(kind=0, id=0)), "target must be positive"),
    "peer families": (_change("peer", remote=pb.Socket(address=SIX)), "remote is of another family"),
    "peer mtu": (_change("peer", mtu=0), "mtu 0"),
    "fork": (_change("fork", fork=0), "fork must be positive"),
    "mask": (_change("channel", mask=5), "mask 0x5"),
    "selector": (_change("channel", selector=5), "unknown selector 5"),
    "group": (_change("channel", group=0), "group must be positive"),
    "backup": (_change("slot", backup=0), "backup must be positive"),
    "one slot twice": (_change("slot", group=16, index=1), "are one slot"),
    "endpoint kind": (_change("endpoint", kind=0), "unknown kind 0"),
    "endpoint macs": (_change("endpoint", source_mac=b""), "source_mac has 0 octets"),
    "macs without device": (_change("endpoint", device=""), "without a device"),
    "endpoint public": (_change("endpoint", public=pb.Socket(address=SIX)), "public is of another family"),
    "unit": (_change("unit", unit=0), "unit must be positive"),
    **{
        f"{name} twice": (_twice(name), f"{name} row .* stands twice")
        for name in ("link", "flow", "endpoint")
    },
}


def _message() -> pb.Tables:
    rows = with_guests()
    wire = encode(rows)
    wire.peer.add(
        local=pb.Socket(address=FOUR, port=1),
        remote=pb.Socket(address=FOUR, port=2),
        device="wan",
        source_mac=bytes(6),
        destination_mac=bytes(6),
        mtu=1500,
    )
    wire.fork.add(fork=1, copy=0, channel=1)
    wire.unit.add(unit=1, alive=True)
    decode(wire)  # well-formed, so that each case below has one fault
    return wire


@pytest.mark.parametrize("fault", list(MALFORMED))
def test_a_malformed_message_is_refused_with_its_row(fault: str) -> None:
    change, message = MALFORMED[fault]
    wire = _message()
    change(wire)
    with pytest.raises(MalformedTables, match=message):
        decode(wire)


@pytest.mark.parametrize(
    "change",
    [{"guest_mac": b""}, {"unmatched": 1}, {"gateways": [FOUR, FOUR]}, {"addresses": [FOUR] * 5}],
    ids=str,
)
def test_a_guest_link_needs_what_confines_the_guest(change: dict[str, object]) -> None:
    wire = _message()
    guest = next(row for row in wire.link if row.device == "vm0")
    wire.link.insert(0, guest)
    del wire.link[1:]
    _change("link", **change)(wire)
    with pytest.raises(MalformedTables):
        decode(wire)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_well_formed(noise: bytes) -> None:
    try:
        message = pb.Tables.FromString(noise)
    except DecodeError:
        return
    try:
        rows = decode(message)
    except MalformedTables:
        return
    assert decode(encode(rows)) == rows


def test_the_model_says_what_a_socket_and_a_mac_are() -> None:
    assert str(Socket(RECEIVER.destination.address, 1)) == "198.51.100.7:1"
    assert Mac.parse(str(LAN_MAC)) == LAN_MAC
