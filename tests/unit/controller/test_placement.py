"""Admission's arithmetic and first fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.placement import Demand, FirstFit, Offer
from controller.placement.admission import Amount
from dipronn.errors import InsufficientResources

MIB = 1 << 20


def offer(
    unit: str, cpu: float = 4, memory: int = 1024, bandwidth: int = 0, used: Amount | None = None
) -> Offer:
    return Offer(unit, Amount(cpu, memory * MIB, bandwidth), used or Amount())


def demand(program: str, index: int, cpu: float = 1, memory: int = 128, bandwidth: int = 0) -> Demand:
    return Demand(program, index, Amount(cpu, memory * MIB, bandwidth))


@pytest.mark.req("D58")
def test_first_fit_fills_the_first_unit_but_keeps_instances_of_a_program_apart() -> None:
    placed = FirstFit().place(
        [demand("a", 0), demand("b", 0), demand("b", 1), demand("b", 2), demand("c", 0)],
        [offer("u1"), offer("u2")],
    )
    assert placed == {"a-0": "u1", "b-0": "u1", "b-1": "u2", "b-2": "u1", "c-0": "u1"}


def test_a_refusal_shows_the_arithmetic_of_every_unit_and_resource() -> None:
    offers = [
        offer("u1", cpu=2, used=Amount(1.5, 100 * MIB, 0)),
        offer("u2", memory=64),
        offer("u3", bandwidth=10_000_000, used=Amount(0, 0, 8_000_000)),
    ]
    with pytest.raises(InsufficientResources) as refused:
        FirstFit().place([demand("a", 0, bandwidth=3_000_000)], offers)
    assert str(refused.value).split("\n") == [
        "no unit can take a-0, which needs cpu 1, memory 128 MiB, bandwidth 3 Mbps:",
        "  u1: cpu 2 - 1.5 reserved = 0.5 free < 1 needed",
        "  u2: memory 64 MiB - 0 MiB reserved = 64 MiB free < 128 MiB needed",
        "  u3: bandwidth 10 Mbps - 8 Mbps reserved = 2 Mbps free < 3 Mbps needed",
    ]
    with pytest.raises(InsufficientResources, match="no processing unit is alive"):
        FirstFit().place([demand("a", 0)], [])


def test_what_this_session_takes_itself_is_counted_and_said() -> None:
    with pytest.raises(InsufficientResources) as refused:
        FirstFit().place([demand("a", 0), demand("a", 1)], [offer("u1", cpu=1.5)])
    assert "cpu 1.5 - 1 reserved = 0.5 free < 1 needed" in str(refused.value)
    assert "reserved counts this session's own: a-0 on u1" in str(refused.value)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 2), st.integers(1, 512)), max_size=12),
    st.lists(st.tuples(st.floats(0, 4), st.integers(0, 2048)), min_size=1, max_size=4),
)
def test_no_unit_is_ever_overfilled(
    wanted: list[tuple[str, float, int]], units: list[tuple[float, int]]
) -> None:
    demands = [demand(name, index, cpu, memory) for index, (name, cpu, memory) in enumerate(wanted)]
    offers = [offer(f"u{index}", cpu, memory) for index, (cpu, memory) in enumerate(units)]
    try:
        placed = FirstFit().place(demands, offers)
    except InsufficientResources:
        return
    assert placed.keys() == {one.name for one in demands}
    for one in offers:
        mine = [each.needs for each in demands if placed[each.name] == one.unit]
        assert sum(need.cpu for need in mine) <= one.total.cpu + 0.001 * (len(mine) + 1)
        assert sum(need.memory_bytes for need in mine) <= one.total.memory_bytes
