"""What doctor finds between what is wanted and what is there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from controller.steering.identifiers import Identifiers
from controller.steering.model import Link, LinkKey, LinkKind, Mac, Socket, Tables
from controller.steering.wire import decode, encode
from dipronn.cli.doctor import Seen, compare
from dipronn.v1 import unit_pb2
from tests.unit.controller.nodes import SPREAD, Node, lay

TEXT = """session s { input x : udp; output y to 198.51.100.7:6000;
  program p { bundle "b"; in i; out o; } data x -> p.i; data p.o -> y; }"""


@pytest.fixture
def wanted() -> unit_pb2.Slice:
    tables = Node(lay(TEXT, SPREAD, ["u1"]), Identifiers()).compiled.tables["u1"]
    return unit_pb2.Slice(session=7, tables=encode(tables), vms=[unit_pb2.Vm(name="p-0", device="dt2")])


def seen(wanted: unit_pb2.Slice) -> Seen:
    """All as it should be; the unit's own link besides."""
    rows: Tables = decode(wanted.tables)
    rows.link[LinkKey("data0")] = Link(LinkKind.NODE, Mac(bytes(6)))
    return Seen(rows, {"lo": None, "data0": 5, "dt2": 5}, {(7, "p-0"): True})


def found(wanted: unit_pb2.Slice, what: Seen) -> list[tuple[str, str]]:
    return [(one.kind, one.what) for one in compare("u1", [wanted], what)]


def test_a_unit_as_it_should_be_has_nothing_to_tell(wanted: unit_pb2.Slice) -> None:
    assert found(wanted, seen(wanted)) == []


def test_every_difference_is_told(wanted: unit_pb2.Slice) -> None:
    what = seen(wanted)
    key = next(iter(what.rows.flow))
    row = what.rows.flow.pop(key)
    what.rows.flow[replace(key, destination=Socket(ip_address("10.0.0.9"), 9))] = row
    number, endpoint = next(iter(what.rows.endpoint.items()))
    what.rows.endpoint[number] = replace(endpoint, mtu=576)
    told = found(wanted, what)
    assert ("drift", f"flow row {key} is missing") in told
    assert ("drift", f"endpoint row {number}: mtu is 576, not 1500") in told
    assert any(kind == "residue" and "10.0.0.9" in text for kind, text in told)
    assert len(told) == 3


def test_devices_and_machines_are_looked_at(wanted: unit_pb2.Slice) -> None:
    good = seen(wanted)
    devices = {"data0": None, "dt9": 5}
    told = found(
        wanted, Seen(good.rows, devices, {(7, "p-0"): False, (8, "q-0"): True}, {(7, "p-0"), (9, "r-0")})
    )
    assert set(told) == {
        ("drift", "no steering program is attached to data0"),
        ("drift", "device dt2 is gone, but has a link row"),
        ("drift", "machine p-0 of session 7 does not run"),
        ("drift", "tap dt2 of machine p-0 is gone"),
        ("residue", "machine q-0 of session 8 runs"),
        ("residue", "control group of machine r-0 of session 9"),
        ("residue", "tap dt9 is nobody's"),
    }
