"""Sums of counters, whoever restarts: nothing twice, nothing lost, nothing for the wrong session."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from controller.accounting import Entry, Ledger
from controller.accounting.ledger import Machine, Pair
from controller.accounting.store import LedgerStore


def ledger(*numbers: int) -> Ledger:
    return Ledger({number: Entry(number, f"s{number}", "ann", 1.0) for number in numbers})


def test_differences_are_added_and_a_counter_that_fell_has_begun_again() -> None:
    book = ledger(7)
    book.name_channels(7, {"x -> p.i": [3], "p.o -> y": [4, 5]})
    book.count_channels("u1", {3: (10, 1000), 4: (1, 100), 5: (2, 200), 99: (5, 5)})
    book.count_channels("u1", {3: (15, 1500), 4: (1, 100), 5: (2, 200)})
    book.count_channels("u2", {3: (100, 9)})
    assert book.entries[7].channels == {"x -> p.i": (115, 1509), "p.o -> y": (3, 300)}
    book.count_channels("u1", {3: (2, 20)})  # its row was made anew
    book.count_channels("u1", {})
    book.count_channels("u1", {3: (2, 20)})  # and once more, up to the same number
    assert book.entries[7].channels["x -> p.i"] == (119, 1549)


def test_a_number_counts_for_whose_it_was_until_it_is_anothers() -> None:
    book = ledger(7, 8)
    book.name_channels(7, {"a": [3]})
    book.name_channels(7, {"a": [4]})  # a new generation has another number; the old one ends later
    book.count_channels("u1", {3: (1, 1), 4: (2, 2)})
    assert book.entries[7].channels == {"a": (3, 3)}
    book.count_channels("u1", {})
    book.name_channels(8, {"b": [3]})
    book.count_channels("u1", {3: (5, 5)})
    assert book.entries[7].channels == {"a": (3, 3)} and book.entries[8].channels == {"b": (5, 5)}
    book.forget_channels(8)
    book.count_channels("u1", {3: (9, 9)})
    assert book.entries[8].channels == {"b": (5, 5)}


def test_a_machine_that_was_started_again_is_added() -> None:
    book = ledger(7)
    others: dict[Machine, Pair] = {(7, "q-0", 100): (1e9, 1.0), (9, "r-0", 1): (1, 1)}
    book.count_machines("u1", {(7, "p-0", 100): (1e9, 5.0), **others})
    book.count_machines("u1", {(7, "p-0", 100): (2e9, 6.0)})
    book.count_machines("u1", {(7, "p-0", 200): (5e8, 0.5)})
    book.count_machines("u1", {(7, "p-0", 200): (5e8, 0.5)})
    assert (book.entries[7].cpu_ns, book.entries[7].memory_byte_seconds) == (3_500_000_000, 7.5)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans()), max_size=30))
def test_no_restart_changes_a_sum(steps: list[tuple[int, bool, bool]]) -> None:
    """``steps``: packets, whether the counter begins again after them, whether the control unit does."""
    book, total, counter = ledger(7), 0, 0
    store = LedgerStore(Path(":memory:"))
    try:
        for packets, begins_again, restart in steps:
            book.name_channels(7, {"a": [3]})
            counter += packets
            total += packets
            book.count_channels("u1", {3: (counter, counter * 10)} if counter else {})
            if begins_again:
                counter = 0
                book.count_channels("u1", {})
            if restart:
                store.write(book, {7})
                book = store.read()
        assert book.entries[7].channels.get("a", (0, 0)) == (total, total * 10)
    finally:
        store.close()
