"""Copies of one packet, from duplicated branches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.order.machine import MS, Machine
from vmhost.order.rules import Merge, Order


@pytest.fixture
def machine(library: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    made = Machine(library, *request.param)
    yield made
    assert made.unaccounted() == 0
    made.close()


def with_rules(*rules: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("machine", [rules], indirect=True)


@with_rules(Order.NONE, 5 * MS, Merge.FIRST)
def test_the_first_copy_goes_on_and_others_are_compared(machine: Machine) -> None:
    machine.take(1, 10, digest=5)
    machine.take(1, 11, digest=5)
    machine.take(1, 12, digest=6)
    machine.take(2, 20, digest=1)
    assert machine.released == [10, 20] and machine.dropped == [11, 12]
    assert machine.counts["duplicates"] == 2 and machine.counts["disagreements"] == 1


@with_rules(Order.NONE, 5 * MS, Merge.ALL)
def test_all_copies_go_on_and_are_compared(machine: Machine) -> None:
    machine.take(1, 10, digest=5)
    machine.take(1, 11, digest=6)
    assert machine.released == [10, 11] and machine.counts["disagreements"] == 1


@with_rules(Order.NONE, 5 * MS, Merge.K_OF_N, 2)
def test_two_of_three_must_be_the_same(machine: Machine) -> None:
    machine.take(1, 10, digest=5)
    machine.take(1, 11, digest=6)
    assert machine.released == [] and machine.counts["held"] == 2
    machine.take(1, 12, digest=6)
    assert machine.released == [11] and sorted(machine.dropped) == [10, 12]
    machine.take(1, 13, digest=5)
    assert machine.counts["duplicates"] == 3 and machine.counts["disagreements"] == 2


@with_rules(Order.NONE, 5 * MS, Merge.K_OF_N, 2)
def test_what_too_few_agree_on_ends_after_the_window(machine: Machine) -> None:
    machine.take(1, 10, digest=5)
    assert machine.wait(2 * MS) == machine.now + 3 * MS
    machine.take(1, 11, digest=6)
    machine.wait(3 * MS)
    assert machine.released == [] and machine.dropped == [10, 11] and machine.counts["unagreed"] == 2


@with_rules(Order.WINDOW, 5 * MS, Merge.FIRST)
def test_merged_packets_leave_in_order(machine: Machine) -> None:
    for value, frame in [(2, 20), (1, 10), (2, 21), (3, 30), (1, 11)]:
        machine.take(value, frame)
    machine.wait(5 * MS)
    machine.take(3, 31)
    assert machine.released == [10, 20, 30] and machine.counts["duplicates"] == 3
    assert machine.counts["late_released"] == 0


@with_rules(Order.STRICT, 5 * MS, Merge.ALL)
def test_copies_that_all_go_on_are_not_late(machine: Machine) -> None:
    for value, frame in [(1, 10), (2, 20), (1, 11)]:
        machine.take(value, frame)
    machine.wait(5 * MS)
    machine.take(2, 21)
    assert machine.released == [10, 11, 20, 21] and machine.counts["repeats"] == 1
