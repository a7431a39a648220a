"""How many instances are offered between the least and the most."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.placement.counting import Shortage, count, with_counts
from dipronn.v1 import session_pb2 as pb


def program(**spans: tuple[int, int]) -> pb.Program:
    made = pb.Program(name="s")
    for name, (least, most) in spans.items():
        made.programs.add(name=name, min_instances=least, max_instances=most)
    return made


def room_for(instances: int) -> Shortage:
    def shortage(counts: Mapping[str, int]) -> str:
        wanted = sum(counts.values())
        return f"{wanted} do not fit into {instances}" if wanted > instances else ""

    return shortage


@pytest.mark.req("D51")
def test_all_that_is_accepted_is_offered_where_it_fits() -> None:
    counted = count(program(a=(1, 8), b=(2, 2)), room_for(10))
    assert counted is not None and counted.counts == {"a": 8, "b": 2} and counted.cuts == {}


@pytest.mark.req("D51")
def test_what_is_short_is_shared_alike_and_said() -> None:
    counted = count(program(a=(1, 9), b=(1, 9)), room_for(10))
    assert counted is not None and counted.counts == {"a": 5, "b": 5}
    assert counted.cuts == {"a": "11 do not fit into 10", "b": "11 do not fit into 10"}
    odd = count(program(a=(1, 9), b=(1, 3)), room_for(9))
    assert odd is not None and sum(odd.counts.values()) == 9, "nothing is left over"


def test_too_little_for_the_least_is_nothing() -> None:
    assert count(program(a=(3, 8)), room_for(2)) is None


@given(
    st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 9), st.integers(0, 1000)), min_size=1),
    st.integers(1, 3000),
)
def test_the_offer_lies_in_what_is_accepted_and_nothing_more_fits(
    spans: dict[str, tuple[int, int]], room: int
) -> None:
    ranges = {name: (least, least + more) for name, (least, more) in spans.items()}
    asked = 0

    def shortage(counts: Mapping[str, int]) -> str:
        nonlocal asked
        asked += 1
        return room_for(room)(counts)

    counted = count(program(**ranges), shortage)
    if counted is None:
        assert sum(least for least, _ in ranges.values()) > room
        return
    assert asked < 80, "halving, not counting"
    assert sum(counted.counts.values()) == min(room, sum(most for _, most in ranges.values()))
    for name, (least, most) in ranges.items():
        assert least <= counted.counts[name] <= most
        assert (name in counted.cuts) == (counted.counts[name] < most)


def test_weights_are_those_of_the_instances_that_there_are() -> None:
    asked = program(a=(1, 3))
    asked.programs[0].weights.extend([3, 2, 1])
    fixed = with_counts(asked, {"a": 2})
    assert list(fixed.programs[0].weights) == [3, 2] and fixed.programs[0].max_instances == 2
    assert list(asked.programs[0].weights) == [3, 2, 1]
