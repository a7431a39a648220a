"""Phonepl programs in sessions: what is refused, where they run, and packets through them across units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from controller.placement.kernel import kernel_places
from controller.program import check_text, render_all, unsupported
from controller.steering.deployment import NodeUnit
from controller.steering.model import EndpointKind, PutKey
from controller.steering.oracle import Handled
from dipronn.errors import InvalidSession, NotFound, Unavailable

from .agents import cluster
from .nodes import ALONE, SPREAD, Node, headers, lay

CHAIN = """
session chain {
  input x : udp to 192.0.2.2:5004;
  output y to 198.51.100.7:6000;
  program opening { phonepl "opening.phonepl"; in In; out Out, Spare; }
  program guest { bundle "g"; in i; out o; }
  program closing { phonepl "closing.phonepl"; in In; out Out; }
  data x -> opening.In; data opening.Out -> guest.i; data opening.Spare -> closing.In;
  data guest.o -> closing.In; data closing.Out -> y;
}
"""
ONE = """
session s { input x : udp; output y to 198.51.100.7:6000;
  program p { phonepl "p.phonepl"; in In; out Out; %s }
  data x -> p.In; data p.Out -> y; }
"""
SOURCE = b"import In; import Out; \xc5\xbe"
KERNEL = {"opening": 11, "closing": 12}
IN, OUT, SPARE = range(3)


def laid(units: Sequence[NodeUnit], places: Sequence[str]) -> Node:
    """The chain; its kernel programs put what they get to their first output."""
    deployment = lay(CHAIN, units, places)
    instances = tuple(replace(one, kernel=KERNEL.get(one.program, 0)) for one in deployment.instances)
    node = Node(replace(deployment, instances=instances))
    for oracle in node.oracles.values():
        oracle.programs = dict.fromkeys(KERNEL.values(), lambda stream, frame, now: Handled(((OUT, frame),)))
    return node


@pytest.mark.req("R8")
@pytest.mark.parametrize(
    ("units", "places"),
    [
        (SPREAD, ["dist", "u1", "agg"]),
        (SPREAD, ["u1", "u1", "u2"]),
        (SPREAD, ["u2", "u1", "dist"]),
        (ALONE, ["solo"]),
    ],
    ids=["edges", "inside", "back and forth", "alone"],
)
def test_packets_cross_kernel_programs_wherever_they_run(
    units: Sequence[NodeUnit], places: list[str]
) -> None:
    node = laid(units, places)
    way = node.arrive("203.0.113.9", node.deployment.entrances["x"].socket)
    ((name, packet),) = node.reached(way)
    guest = node.instance("guest-0")
    assert name == "guest-0" and headers(packet)[3] == guest.ports["i"]
    way = node.program_sends("guest-0", "o", b"result")
    ((name, packet),) = node.reached(way)
    assert name == "outside" and headers(packet)[2:] == ("198.51.100.7", 6000)


@pytest.mark.req("R8")
def test_only_the_unit_of_a_kernel_program_has_rows_of_it() -> None:
    node = laid(SPREAD, ["u1", "u2", "agg"])
    for name, tables in node.compiled.tables.items():
        puts = {key for key in tables.binding if isinstance(key, PutKey)}
        met = {row.program for row in tables.endpoint.values() if row.kind is EndpointKind.KERNEL}
        assert puts == {
            "u1": {PutKey(11, OUT), PutKey(11, SPARE)},
            "agg": {PutKey(12, OUT)},
        }.get(name, set())
        assert met == {"u1": {11}, "agg": {12}}.get(name, set())


def test_another_source_has_rows_of_its_own_and_leaves_the_others_rows() -> None:
    """Between the two sets of rows one channel changes: packets meet the one program or the other."""
    node = laid(ALONE, ["solo"])
    instances = tuple(
        replace(one, kernel=13) if one.kernel == 11 else one for one in node.deployment.instances
    )
    other = Node(replace(node.deployment, instances=instances), node.identifiers)
    before, after = node.compiled.tables["solo"], other.compiled.tables["solo"]
    assert before.flow == after.flow and before.fork == after.fork
    changed = {number for number, row in before.channel.items() if after.channel[number] != row}
    assert len(changed) == 1
    for table in ("endpoint", "slot"):
        mine, theirs = getattr(before, table), getattr(after, table)
        assert {key: row for key, row in theirs.items() if mine.get(key, row) != row} == {}


def test_a_kernel_program_runs_where_it_is_fed_else_where_it_feeds_else_anywhere() -> None:
    program = check_text(CHAIN).program
    where = {"x": "dist"}, {"y": "agg"}, {"guest": "u1"}
    assert {
        name: units[0] for name, units in kernel_places(program, *where, ["agg", "dist", "u1"]).items()
    } == {
        "opening": "dist",
        "closing": "dist",
    }
    assert kernel_places(program, *where, ["agg", "u2"])["opening"] == ["agg", "u2"]
    assert kernel_places(program, *where, ["u1", "u2"])["opening"] == ["u1", "u2"]
    assert kernel_places(program, *where, []) == {"opening": [], "closing": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ONE % "parallelizable 2;", "several instances of the Phonepl program `p`"),
        ((ONE % "").replace("x : udp", "x : artp"), "the Phonepl program `p` beside ARTP (input `x`)"),
        (
            (ONE % "").replace("data x", "quality p { class assured; } data x"),
            "quality of the Phonepl program `p`",
        ),
    ],
)
def test_what_a_session_cannot_ask_of_a_kernel_program_is_refused_by_name(text: str, said: str) -> None:
    parsed = check_text(text)
    assert not parsed.diagnostics, render_all(parsed.diagnostics, "s.dpn", text)
    told = render_all(unsupported(parsed.program, parsed.places), "s.dpn", text)
    assert said in told and "s.dpn:" in told


@pytest.mark.req("R8")
async def test_without_a_unit_that_has_a_kernel_for_it_a_program_is_refused(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        with pytest.raises(Unavailable, match=r"program `p` is Phonepl.*are P4 switches"):
            await node.node.establish(ONE % "", {"p.phonepl": SOURCE})
        with pytest.raises(InvalidSession, match=r"its source `p\.phonepl` was not sent along"):
            await node.node.establish(ONE % "")
        assert await node.node.sessions() == []
        with pytest.raises(NotFound):
            await node.node.replace_program("s", "p", SOURCE)
