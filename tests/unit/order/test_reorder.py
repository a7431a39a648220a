"""What may leave an ordered output, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.order.machine import MS, NEVER, Machine
from vmhost.order.rules import Merge, Order

Make = Callable[..., Machine]


@pytest.fixture
def make(library: Path) -> Iterator[Make]:
    made: list[Machine] = []

    def one(*arguments: object, **options: object) -> Machine:
        made.append(Machine(library, *arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for machine in made:
        assert machine.unaccounted() == 0
        machine.close()


@contextmanager
def started(machine: Machine) -> Iterator[Machine]:
    """Its stream begins with 0, which has left."""
    machine.take_all([0])
    machine.wait(5 * MS)
    assert machine.released == [0]
    yield machine


def test_the_first_packets_wait_for_those_before_them(make: Make) -> None:
    machine = make(Order.WINDOW, 5 * MS)
    machine.take_all([7, 6, 5, 8])
    assert machine.released == []
    assert machine.wait(5 * MS) == NEVER
    assert machine.released == [5, 6, 7, 8]
    assert machine.counts["depth_before"] == 2 and machine.counts["depth_after"] == 0
    assert machine.counts["reordered"] == 2 and machine.counts["reordered_after"] == 0


def test_in_order_nothing_waits(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all([1, 2, 3])
        assert machine.released == [0, 1, 2, 3]
        assert machine.counts["held_most"] == 1


def test_a_gap_is_waited_for_and_then_given_up(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all([2, 3])
        due = machine.wait(3 * MS)
        assert due == machine.now + 2 * MS and machine.released == [0]
        machine.take_all([5])
        machine.wait(2 * MS)
        assert machine.released == [0, 2, 3]
        assert machine.counts["timeouts"] == 1 and machine.counts["delay_most_ns"] == 5 * MS
        machine.wait(3 * MS)
        assert machine.released == [0, 2, 3, 5]


def test_the_gap_is_filled(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all([3, 2, 4, 1])
        assert machine.released == [0, 1, 2, 3, 4]
        assert machine.counts["timeouts"] == 0 and machine.counts["depth_before"] == 3


@pytest.mark.parametrize("order", [Order.WINDOW, Order.STRICT])
def test_late_packets_are_counted_under_a_window_and_dropped_when_strict(make: Make, order: Order) -> None:
    with started(make(order, 5 * MS)) as machine:
        machine.take_all([3])
        machine.wait(5 * MS)
        machine.take_all([1, 2, 4])
        strict = order is Order.STRICT
        assert machine.released == ([0, 3, 4] if strict else [0, 3, 1, 2, 4])
        assert machine.dropped == ([1, 2] if strict else [])
        assert machine.counts["late_dropped" if strict else "late_released"] == 2
        assert machine.counts["depth_after"] == (0 if strict else 1)


def test_repetitions_of_what_left_in_its_turn_are_not_late(make: Make) -> None:
    with started(make(Order.STRICT, 5 * MS)) as machine:
        machine.take_all([1, 2, 1, 0])
        assert machine.released == [0, 1, 2, 1, 0] and machine.counts["repeats"] == 2


def test_fragments_follow_each_other(make: Make) -> None:
    machine = make(Order.WINDOW, 5 * MS)
    for value, part in [(8, 1), (7, 2), (7, 0), (8, 0), (9, 0), (7, 1), (8, 2)]:
        machine.take(value, 10 * value + part, part=part, parts=3)
    machine.wait(5 * MS)
    machine.wait(5 * MS)
    assert machine.released == [70, 71, 72, 80, 81, 82, 90]


def test_sequence_numbers_of_16_bits_wrap(make: Make) -> None:
    machine = make(Order.WINDOW, 5 * MS)
    for frame, value in enumerate([65534, 0, 65535, 1]):
        machine.take(value, frame, narrow=True)
    machine.wait(5 * MS)
    assert machine.released == [0, 2, 1, 3]


def test_streams_do_not_wait_for_each_other(make: Make) -> None:
    machine = make(Order.WINDOW, 5 * MS)
    machine.take(5, 5, stream=1)
    machine.wait(5 * MS)
    machine.take(900, 900, stream=2)
    machine.take(6, 6, stream=1)
    assert machine.released == [5, 6]
    machine.wait(5 * MS)
    assert machine.released == [5, 6, 900]


def test_more_streams_than_there_is_room_for_pass_unordered(make: Make) -> None:
    machine = make(Order.WINDOW, 5 * MS)
    for stream in range(17):
        machine.take(1, stream, stream=stream + 1)
    assert machine.released == [16] and machine.counts["unordered"] == 1
    machine.wait(11_000 * MS)  # idle streams make room
    machine.take(1, 99, stream=99)
    assert machine.counts["unordered"] == 1 and machine.counts["held"] == 1
    machine.wait(5 * MS)


def test_a_stream_that_begins_anew_is_followed(make: Make) -> None:
    with started(make(Order.STRICT, 5 * MS)) as machine:
        machine.take_all([100_000])
        machine.wait(5 * MS)
        for value in range(10, 60):
            machine.wait(4 * MS)
            machine.take_all([value])
        machine.wait(5 * MS)
        assert machine.counts["restarts"] == 1 and machine.counts["late_dropped"] == 31
        assert machine.released == [0, 100_000, *range(41, 60)]


def test_the_burst_of_an_instance_that_stood_still_is_no_new_stream(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all([200])
        machine.wait(5 * MS)
        machine.take_all([*range(1, 101), 201])
        assert machine.counts["late_released"] == 100 and machine.counts["restarts"] == 0
        assert machine.released[-1] == 201


def test_what_carries_no_token_goes_on_at_once(make: Make) -> None:
    with started(make(Order.STRICT, 5 * MS)) as machine:
        machine.take_all([2])
        machine.pass_on(77)
        assert machine.released == [0, 77] and machine.counts["unordered"] == 1
        machine.wait(5 * MS)


def test_a_full_output_lets_its_first_packets_go(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all(list(range(2, 2 * 6200, 2)))
        assert machine.counts["held"] == 6144 and machine.counts["forced"] == 6199 - 6144
        assert machine.released == sorted(machine.released)
        machine.wait(5 * MS)
        assert machine.released == [0, *range(2, 2 * 6200, 2)]


def test_room_is_made_on_demand(make: Make) -> None:
    with started(make(Order.WINDOW, 5 * MS)) as machine:
        machine.take_all([2, 3, 5])
        machine.force()
        assert machine.released == [0, 2, 3] and machine.counts["forced"] == 1
        machine.wait(5 * MS)


@given(
    delays=st.lists(st.integers(0, 40), min_size=2, max_size=60),
    losses=st.sets(st.integers(0, 59)),
    order=st.sampled_from([Order.WINDOW, Order.STRICT]),
)
@pytest.mark.req("A35")
def test_within_the_window_all_leave_in_order(
    library: Path, delays: list[int], losses: set[int], order: Order
) -> None:
    """Packets sent 1 ms apart by ways of up to 40 ms, some lost: a window of 41 ms puts all in order, and no
    packet waits longer."""
    machine = Machine(library, order, 41 * MS)
    arrivals = sorted((i + delay, i) for i, delay in enumerate(delays) if i not in losses)
    machine.now = 0
    for time, number in arrivals:
        machine.until(time * MS + 1)
        machine.take(number, number)
    machine.until(machine.now + 41 * MS)
    assert machine.released == sorted(number for _, number in arrivals)
    assert machine.counts["delay_most_ns"] <= 41 * MS and machine.counts["held"] == 0
    assert machine.counts["reordered_after"] == 0 and not machine.dropped and machine.unaccounted() == 0
    machine.close()


def test_nothing_is_lost_by_any_sequence_of_events(library: Path) -> None:
    chance = random.Random(11)
    for merge in Merge:
        for order in Order:
            machine = Machine(library, order, 3 * MS, merge, 2)
            for frame in range(4000):
                what = chance.random()
                if what < 0.03:
                    machine.wait(chance.randrange(4 * MS))
                elif what < 0.05:
                    machine.force()
                else:
                    value = chance.choice(
                        [frame // 3, frame // 3 + chance.randrange(9), chance.randrange(1 << 20)]
                    )
                    machine.take(value, frame, digest=chance.randrange(2), stream=chance.randrange(3))
                assert machine.unaccounted() == 0
            machine.wait(100_000 * MS)
            assert machine.counts["held"] == 0
            assert sorted(machine.released + machine.dropped) == sorted(
                set(machine.released) | set(machine.dropped)
            ), "a frame left twice"
            assert len(machine.released) + len(machine.dropped) == machine.counts["arrived"]
            machine.close()
