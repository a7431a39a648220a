"""Admission's arithmetic and the placer: what fits, what is best, and why something is refused."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.placement import BestPlacer, Demand, Offer, Problem
from controller.placement.admission import Amount
from controller.placement.candidates import narrowed
from controller.placement.exact import search
from controller.placement.greedy import greedy
from controller.placement.recreate import recreate
from controller.placement.solver import solve
from controller.placement.table import Table
from dipronn.errors import InsufficientResources

MIB = 1 << 20


def offer(
    unit: str, cpu: float = 4, memory: int = 1024, bandwidth: int = 0, used: Amount | None = None
) -> Offer:
    return Offer(unit, Amount(cpu, memory * MIB, bandwidth), used or Amount())


def demand(program: str, index: int, cpu: float = 1, memory: int = 128, bandwidth: int = 0) -> Demand:
    return Demand(program, index, Amount(cpu, memory * MIB, bandwidth))


def placed(problem: Problem) -> dict[str, str]:
    return BestPlacer(search_seconds=60).place(problem)  # the machine may be busy


def refused(problem: Problem) -> list[str]:
    with pytest.raises(InsufficientResources) as error:
        placed(problem)
    assert BestPlacer().at_once(problem) is None
    return str(error.value).split("\n")


@pytest.mark.req("D58")
def test_instances_of_a_program_are_kept_apart_and_the_rest_is_together() -> None:
    problem = Problem(
        [demand("a", 0), demand("b", 0), demand("b", 1), demand("b", 2), demand("c", 0)],
        [offer("u1"), offer("u2")],
        [("a-0", "c-0", 1000)],
    )
    for found in (placed(problem), BestPlacer().at_once(problem)):
        assert found is not None
        assert {found["b-0"], found["b-1"], found["b-2"]} == {"u1", "u2"}
        assert found["a-0"] == found["c-0"]


@pytest.mark.req("D72")
def test_what_exchanges_most_comes_together() -> None:
    chain = [("a-0", "b-0", 10), ("b-0", "c-0", 900), ("c-0", "d-0", 20)]
    problem = Problem(
        [demand(name, 0, cpu=2) for name in "abcd"], [offer("u1"), offer("u2")], chain, [("a-0", "u2", 5)]
    )
    found = placed(problem)
    assert found["b-0"] == found["c-0"] != found["a-0"]
    assert found["a-0"] == "u2", "it hears from that unit"
    assert BestPlacer().at_once(problem) == found


@pytest.mark.req("D57")
@pytest.mark.req("A32")
def test_a_refusal_shows_the_arithmetic_of_every_unit_and_resource() -> None:
    offers = [
        offer("u1", cpu=2, used=Amount(1.5, 100 * MIB, 0)),
        offer("u2", memory=64),
        offer("u3", bandwidth=10_000_000, used=Amount(0, 0, 8_000_000)),
    ]
    assert refused(Problem([demand("a", 0, bandwidth=3_000_000)], offers)) == [
        "no unit can take a-0, which needs cpu 1, memory 128 MiB, bandwidth 3 Mbps:",
        "  u1: cpu 2 - 1.5 reserved = 0.5 free < 1 needed",
        "  u2: memory 64 MiB - 0 MiB reserved = 64 MiB free < 128 MiB needed",
        "  u3: bandwidth 10 Mbps - 8 Mbps reserved = 2 Mbps free < 3 Mbps needed",
    ]
    stored = Demand("a", 0, Amount(1, 128 * MIB, 0, 5 << 30))
    assert refused(Problem([stored], [offer("u1")]))[1] == (
        "  u1: storage 0 MiB - 0 MiB reserved = 0 MiB free < 5120 MiB needed"
    )
    assert refused(Problem([demand("a", 0)], []))[1] == "  no processing unit is alive"


def test_what_this_session_takes_itself_is_counted_and_said() -> None:
    lines = refused(Problem([demand("a", 0), demand("a", 1)], [offer("u1", cpu=1.5)]))
    assert "  u1: cpu 1.5 - 1 reserved = 0.5 free < 1 needed" in lines
    assert "  reserved counts this session's own: a-0 on u1" in lines
    assert "  in all: cpu 1.5 free < 2 needed" in lines


@pytest.mark.req("A60")
def test_a_promised_rate_is_reserved_where_it_crosses_and_nowhere_else() -> None:
    video = Demand("tv", 0, Amount(1, 128 * MIB), inflow=(("dist", 6_000_000),))
    assert placed(
        Problem([video], [offer("dist", bandwidth=10_000_000), offer("u1", bandwidth=5_000_000)])
    ) == {"tv-0": "dist"}, "it does not cross a link there"
    lines = refused(Problem([video], [offer("u1", bandwidth=5_000_000)]))
    assert lines[1] == "  u1: bandwidth 5 Mbps - 0 Mbps reserved = 5 Mbps free < 6 Mbps needed"
    stated = Demand("tv", 0, Amount(1, 128 * MIB, 2_000_000), inflow=(("dist", 6_000_000),))
    assert placed(Problem([stated], [offer("u1", bandwidth=5_000_000)])) == {"tv-0": "u1"}


def test_the_solver_finds_what_filling_up_misses() -> None:
    """6 + 4 and 5 + 3 + 2 fit into two units of 10; largest first makes 6 + 3 and 5 + 4, and 2 is left."""
    sizes = {"a": 6, "b": 5, "c": 4, "d": 3, "e": 2}
    problem = Problem(
        [demand(name, 0, cpu=size, memory=1) for name, size in sizes.items()],
        [offer("u1", 10), offer("u2", 10)],
    )
    best, proven = solve(Table(problem), None, 30)
    assert best is not None and proven
    found = Table(problem).named(best)
    assert {sum(sizes[name[0]] for name, unit in found.items() if unit == one) for one in ("u1", "u2")} == {
        10
    }
    assert placed(problem).keys() == found.keys()


def test_a_refusal_of_the_solver_says_whether_all_was_tried() -> None:
    """Nine in all, each fits alone, but 3 + 3 does not fit into 5: only three of four find room."""
    lines = refused(Problem([demand(name, 0, cpu=3) for name in "abc"], [offer("u1", 5), offer("u2", 5)]))
    assert lines[0] == "no unit can take c-0, which needs cpu 3, memory 128 MiB:"
    assert not any("not all tried" in line for line in lines)


_DEMANDS = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0.1, 2), st.integers(1, 512), st.booleans()), max_size=7
)
_UNITS = st.lists(st.tuples(st.floats(0, 4), st.integers(0, 2048)), min_size=1, max_size=3)
_TRAFFIC = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 100)), max_size=8)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    demands = [
        Demand(name, index, Amount(cpu, memory * MIB), inflow=(("u0", 40),) if fed else ())
        for index, (name, cpu, memory, fed) in enumerate(draw(_DEMANDS))
    ]
    offers = [
        offer(f"u{index}", cpu, memory, bandwidth=100) for index, (cpu, memory) in enumerate(draw(_UNITS))
    ]
    known = [one.name for one in demands]
    traffic = [(a, b, bps) for a, b, bps in draw(_TRAFFIC) if max(a, b) < len(known)]
    between = [(known[a], known[b], bps) for a, b, bps in traffic]
    return Problem(demands, offers, between, [(known[a], f"u{b}", bps) for a, b, bps in traffic])


def cheapest(table: Table) -> int | None:
    """By looking at every placement there is."""
    every = itertools.product(range(table.units), repeat=len(table.near))
    return min((table.cost(list(one)) for one in every if table.fits(list(one))), default=None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(problems())
def test_no_unit_is_overfilled_and_nothing_is_cheaper(problem: Problem) -> None:
    table = Table(problem)
    truth = cheapest(table)
    exact, complete = search(table, None, 1 << 40)
    assert complete and (exact is None) == (truth is None)
    start = greedy(table)
    if start is not None:
        assert table.fits(start) and table.fits(recreate(table, start, 3))
        assert table.cost(recreate(table, start, 3)) <= table.cost(start)
    if truth is None:
        assert start is None
        with pytest.raises(InsufficientResources):
            placed(problem)
        return
    assert exact is not None and table.fits(exact) and table.cost(exact) == truth
    assert table.bound() <= truth
    found = BestPlacer(60, 60).place(problem)
    names = [one.unit for one in problem.offers]
    by_solver = [names.index(found[one.name]) for one in problem.demands]
    assert table.fits(by_solver) and table.cost(by_solver) == truth


def test_of_many_units_few_are_looked_at_and_none_that_matters_is_missed() -> None:
    offers = [offer(f"u{index}", cpu=index % 7, memory=2048) for index in range(100)]
    demands = [demand("a", index, cpu=1, memory=512) for index in range(4)]
    few = narrowed(Problem(demands, offers, (), [("a-0", "u8", 5)]))
    assert len(few.offers) <= 10 and {"u6", "u8"} <= {one.unit for one in few.offers}
    found = placed(Problem(demands, offers))
    assert len(set(found.values())) == 4
    scarce = [offer(f"u{index}", cpu=1, memory=512 if index > 97 else 1) for index in range(100)]
    assert set(placed(Problem(demands[:2], scarce)).values()) == {"u98", "u99"}


@pytest.mark.req("A32")
def test_a_small_session_needs_no_solver() -> None:
    """The control unit starts without loading it, and a session of the demo's size is placed without it."""
    script = (
        "import sys; import controller.server\n"
        "from tests.unit.controller.test_placement import *\n"
        "problem = Problem([demand('thin', 0), demand('seal', 0), demand('seal', 1), demand('open', 0)],\n"
        "    [offer('u1'), offer('u2')], [('seal-0', 'open-0', 5), ('seal-1', 'open-0', 5)],\n"
        "    [('thin-0', 'agg', 3)])\n"
        "found = BestPlacer().at_once(problem)\n"
        "assert found and found['seal-0'] != found['seal-1'], found\n"
        "assert not any(name.startswith('ortools') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
