"""Rows belong to sessions: what RowOwners refuses is what a look at every session would refuse."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.steering.model import (
    UDP,
    Flow,
    FlowKey,
    LinkScope,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from dipronn.errors import InvalidSession
from dipronn.unit.owners import RowOwners

SESSIONS = st.integers(1, 4)
NUMBERS = st.frozensets(st.integers(0, 5), max_size=3)
ORDERS = st.lists(st.tuples(SESSIONS, NUMBERS, NUMBERS, st.sampled_from(["done", "undone"])), max_size=20)


def rows(flows: frozenset[int], slots: frozenset[int]) -> Tables:
    """The same numbers in two tables are different rows."""
    target = Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE)
    return Tables(
        flow={FlowKey(UDP, Socket(ip_address("192.0.2.1"), 5000 + number)): target for number in flows},
        slot={SlotKey(number, 0): Slot(1) for number in slots},
    )


def keys(tables: Tables) -> set[tuple[str, object]]:
    return {(table, key) for table, key, _ in tables.rows()}


@given(orders=ORDERS)
def test_what_another_session_has_is_refused_and_nothing_else(
    orders: list[tuple[int, frozenset[int], frozenset[int], str]],
) -> None:
    """Given any orders, carried out or undone, when a row is claimed, then only its owner may have it."""
    owners, held = RowOwners(), dict[int, Tables]()
    for session, flows, slots, end in orders:
        wanted = rows(flows, slots)
        foreign = {
            other for other, theirs in held.items() if other != session and keys(theirs) & keys(wanted)
        }
        try:
            owners.claim(session, wanted)
        except InvalidSession as error:
            assert any(str(error).endswith(f"belongs to session {other}") for other in foreign)
            continue
        assert not foreign
        if end == "done":
            held[session] = wanted
        owners.settle(session, held.get(session, Tables()))


def test_what_is_claimed_is_kept_until_it_is_clear_who_has_it() -> None:
    """Two orders under way at once: the second to ask is refused, though the first has no rows yet."""
    owners, wanted = RowOwners(), rows(frozenset({1}), frozenset())
    owners.claim(1, wanted)
    with pytest.raises(InvalidSession, match=r"session 2: flow row .* belongs to session 1"):
        owners.claim(2, wanted)
    owners.settle(1, Tables())
    owners.claim(2, wanted)


def test_a_refused_claim_leaves_nothing() -> None:
    owners = RowOwners()
    owners.claim(1, rows(frozenset({1}), frozenset()))
    with pytest.raises(InvalidSession):
        owners.claim(2, rows(frozenset({1, 2}), frozenset({1})))
    owners.claim(3, rows(frozenset({2}), frozenset({1})))
