"""Sessions that speak ARTP, over real gRPC: what is registered, what units are ordered, what is refused."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from controller.explain import Left, follow, oracles
from controller.steering import addressing, wire
from controller.steering.model import Socket
from controller.steering.node_rows import link_rows
from controller.store import StoredUnit
from controller.units import node_unit
from dipronn.errors import InvalidSession, TimedOut
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2
from tests.conformance.artp_packet import ACK, CHOSEN, CONTROL, artp

from .agents import Cluster, cluster
from .nodes import datagram
from .test_server import BUNDLES, TEXT

SPOKEN = TEXT.replace(": udp", ": artp").replace(":6000;", ":6000 override 198.51.100.0/24;")


def way(node: Cluster, unit: str, frame: bytes, device: str) -> list[tuple[str, str, bytes]]:
    """Through the rows that the agents hold: the unit, device and frame of what leaves."""
    units, tables = {}, {}
    for number, agent in enumerate(node.agents.values(), start=2):
        hello = unit_pb2.Hello(unit=agent.name, links=agent.links)
        units[agent.name] = node_unit(StoredUnit(number, hello, True))
        rows = link_rows(units[agent.name])
        for slice_ in agent.held.values():
            rows.merge(wire.decode(slice_.tables))
        tables[agent.name] = rows
    left = follow(units, oracles(units, tables), Left(unit, device, frame)).left
    return [(one.unit, one.device, one.frame) for one in left]


@pytest.mark.req("D37", "D38", "D47")
async def test_a_session_over_artp_is_established(tmp_path: Path) -> None:
    async with cluster(tmp_path, speaks="artp") as node:
        session = await node.node.establish(SPOKEN, BUNDLES)
        assert session.state == pb.SESSION_STATE_ACTIVE
        taps = {
            addressing.tap_device(int(ip_address(one.address)) - int(addressing.instance_address(0, 4))): one
            for one in session.instances
        }
        assigned = session.inputs[0].address
        mac = node["dist"].links[1].mac.hex(":")
        public = Socket(ip_address(assigned.address), assigned.port)

        def arrives(**fields: object) -> list[str]:
            frame = bytes(datagram("203.0.113.9", 4000, public, artp(**fields), destination_mac=mac))
            reached = [taps[device] for _, device, _ in way(node, "dist", frame, "out0")]
            return sorted(f"{one.program}-{one.index}" for one in reached)

        assert [arrives(number=number) for number in range(4)] == [["p-0"], ["p-1"], ["p-0"], ["p-1"]]
        assert arrives(flags=CONTROL) == ["p-0", "p-1"]
        assert arrives(version=2) == []
        numbers = {
            row.instance
            for agent in node.agents.values()
            for slice_ in agent.held.values()
            for row in slice_.tables.link
            if row.instance
        }
        assert len(numbers) == 3
        named = sorted(arrives(type=ACK, flags=CHOSEN, instance=each) for each in numbers)
        assert named == [
            [],
            ["p-0"],
            ["p-1"],
        ]
        keys = {
            (vm.name, vm.programs[0].environment["DIPRONN_ARTP_KEY"])
            for agent in node.agents.values()
            for slice_ in agent.held.values()
            for vm in slice_.vms
        }
        by_name = dict(keys)
        assert by_name["p-0"] == by_name["p-1"] != by_name["q-0"], (
            "instances answer for each other, others not"
        )
        assert len(by_name["p-0"]) == 32
        closed = await node.node.close_session("s")
        assert closed.state == pb.SESSION_STATE_CLOSED and node.nothing_held()


@pytest.mark.req("D63")
@pytest.mark.parametrize(
    ("text", "speaks", "expected"),
    [
        (SPOKEN, "udp", "registered as udp, but `x` at the other end of its line speaks artp"),
        (TEXT, "artp", "registered as artp, but `x` at the other end of its line speaks udp"),
        (TEXT, "quic", "registered as quic; ports speak udp or artp"),
    ],
)
async def test_a_port_that_speaks_another_transport_is_told(
    tmp_path: Path, text: str, speaks: str, expected: str
) -> None:
    async with cluster(tmp_path, speaks=speaks) as node:
        with pytest.raises(TimedOut) as failed:
            await node.node.establish(text, BUNDLES, registration_timeout=1)
        assert expected in str(failed.value)
        assert node.nothing_held()


CHOSEN_TWICE = SPOKEN.replace("parallelizable 2;", "parallelizable 2 by chosen;").replace(
    "data x -> p.i;",
    'program r { bundle "p.tar"; in i; out o; parallelizable 2 by chosen; }'
    "data x -> p.i; data x -> r.i; data r.o -> y;",
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT.replace("lizable 2;", "lizable 2 by chosen;"), "without ARTP (input `x`)"),
        (CHOSEN_TWICE, "where another such program is fed by `x` too"),
        (
            SPOKEN.replace("data q.o -> y;", "data q.o -> y; data q.o -> p.i; cycle ok;"),
            "other lines leave `q.o` too",
        ),
    ],
)
async def test_what_cannot_be_steered_is_refused_by_name(tmp_path: Path, text: str, expected: str) -> None:
    async with cluster(tmp_path, speaks="artp") as node:
        with pytest.raises(InvalidSession) as refused:
            await node.node.establish(text, BUNDLES)
        assert expected in str(refused.value)
