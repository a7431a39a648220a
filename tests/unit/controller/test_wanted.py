"""A session as a placement problem: whose traffic goes where, and what of it was promised."""

from __future__ import annotations

import pytest

from controller.placement import Problem
from controller.placement.wanted import problem, promised_output
from controller.program import check_text

SESSION = """
session s {{
  input video : udp rate 12Mbps; input audio : udp;
  output y to 192.0.2.1:6000, 192.0.2.2:6000; output raw to 192.0.2.1:7000, 192.0.2.2:7000;
  program a {{ bundle "a"; in v; out o; parallelizable {a}; }}
  program b {{ bundle "b"; in i; out o; parallelizable {b}; {needs} }}
  program c {{ bundle "c"; in i; out o; }}
  data video -> a.v; data a.o -> b.i; data b.o -> y; data video -> raw;
  data audio -> c.i; data c.o -> y;
}}
"""


def wanted(a: str = "1", b: str = "1", needs: str = "") -> Problem:
    parsed = check_text(SESSION.format(a=a, b=b, needs=needs))
    assert not parsed.diagnostics
    counts = {one.name: one.min_instances for one in parsed.program.programs}
    units = {"video": "in", "audio": "in"}, {"y": "out", "raw": "out"}
    return problem(parsed.program, counts, *units, [])


def inflow(found: Problem) -> dict[str, tuple[tuple[str, int], ...]]:
    return {one.name: one.inflow for one in found.demands if one.inflow}


@pytest.mark.req("A60")
def test_a_promised_rate_is_split_over_the_instances() -> None:
    assert inflow(wanted()) == {"a-0": (("in", 12_000_000),)}
    assert inflow(wanted(a="3")) == {f"a-{i}": (("in", 4_000_000),) for i in range(3)}
    assert inflow(wanted(a="2 by duplicate")) == {f"a-{i}": (("in", 12_000_000),) for i in range(2)}
    assert inflow(wanted(a="2 by weighted 3:1")) == {"a-0": (("in", 9_000_000),), "a-1": (("in", 3_000_000),)}


@pytest.mark.req("A60")
def test_what_goes_straight_through_is_promised_at_the_exit_for_every_receiver() -> None:
    program = check_text(SESSION.format(a="1", b="1", needs="")).program
    assert [promised_output(program, output) for output in program.outputs] == [0, 24_000_000]


def test_traffic_follows_the_graph() -> None:
    found = wanted(a="2", b="3")
    assert {(one, other): bps for one, other, bps in found.between} == {
        (f"a-{i}", f"b-{j}"): 2_000_000 for i in range(2) for j in range(3)
    }
    assert ("b-1", "out", 4_000_000) in found.with_units
    assert ("c-0", "in", 1_000_000) in found.with_units, "what states no rate weighs a little"


def test_a_stated_bandwidth_is_what_a_program_sends() -> None:
    found = wanted(b="2 by duplicate", needs="needs bandwidth 1Mbps;")
    assert {(one, other): bps for one, other, bps in found.between} == {
        ("a-0", "b-0"): 12_000_000,
        ("a-0", "b-1"): 12_000_000,
    }
    assert [bps for one, _, bps in found.with_units if one.startswith("b")] == [1_000_000, 1_000_000]


def test_a_cycle_and_a_crowd_are_no_trouble() -> None:
    text = """session s { input x : udp; output y to 192.0.2.1:1; cycle ok;
        program p { bundle "p"; in i, back; out o, again; parallelizable 60; }
        program q { bundle "q"; in i; out o; parallelizable 60; }
        data x -> p.i; data p.o -> q.i; data q.o -> p.back; data p.again -> p.back; data q.o -> y; }"""
    parsed = check_text(text)
    assert not parsed.diagnostics
    found = problem(parsed.program, {"p": 60, "q": 60}, {"x": "in"}, {"y": "out"}, [])
    assert len(found.demands) == 120 and found.between == []
