"""Changes to a switch: in an order in which nothing dangles, and all of them or none."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.p4runtime.apply import Change, Refused, diff, execute, with_groups
from controller.drivers.p4runtime.entries import Action, Entries, EntryKey, Ports, encode
from controller.steering.model import Tables
from tests.conformance.network import LAN, WAN
from tests.conformance.strategies import tables as generated

PORTS = Ports({WAN: 1, LAN: 2})


class PaperSwitch:
    """Stores what a switch would, and refuses what it would; goes on after a refusal, as bmv2 does."""

    def __init__(self, entries: Entries, refuse: int | None = None) -> None:
        self.entries = dict(entries)
        self.sizes: Mapping[str, int] = {}
        self.history: list[Entries] = []
        self._refuse = refuse

    def prepare(self, changes: Sequence[Change]) -> None:
        pass

    async def write(self, changes: Sequence[Change]) -> Mapping[int, str]:
        refused = {}
        for index, change in enumerate(changes):
            if self._refuse is not None:
                self._refuse -= 1
                if self._refuse < 0:
                    self._refuse = None
                    refused[index] = "no"
                    continue
            assert self.entries.get(change.key) == change.before, "insert of a row that is there, or the like"
            if change.after is None:
                del self.entries[change.key]
            else:
                self.entries[change.key] = change.after
            self.history.append(dict(self.entries))
        return refused


def entries(rows: Tables) -> Entries:
    return with_groups(encode(rows, PORTS))


def dangling(have: Entries) -> set[EntryKey]:
    """References to entries that are not there, of the kinds that stand in an entry itself."""
    wanted = set()
    for key, action in have.items():
        match key.table:
            case "flow" | "flow_wild" | "flow6" | "flow6_wild":
                target = action.parameters[0]
                forked = action.name.startswith("to_fork")
                wanted.add(EntryKey("fork", (target, 0)) if forked else EntryKey("channel", (target,)))
            case "fork":
                wanted.add(EntryKey("channel", (action.parameters[0],)))
                copies = action.parameters[1]
                wanted |= {EntryKey("fork", (key.match[0], copy)) for copy in range(copies)}
                if copies > 1:
                    wanted.add(EntryKey("multicast_group", (copies,)))
            case "slot" | "channel" if action.name in ("set_slot", "lead"):
                wanted |= {EntryKey("endpoint", (number,)) for number in action.parameters[:2] if number}
    return wanted - have.keys()


@given(generated(guests=False), generated(guests=False))
async def test_the_changes_lead_from_any_state_to_any_other(before: Tables, after: Tables) -> None:
    switch, mirror = PaperSwitch(entries(before)), entries(before)
    await execute(diff(entries(after), mirror), switch, mirror)
    assert switch.entries == mirror == entries(after)
    assert diff(entries(after), mirror) == []


@given(generated(guests=False), st.booleans())
async def test_nothing_refers_to_what_is_not_there(rows: Tables, install: bool) -> None:
    """Neither while a session comes nor while it goes; what its rows lack from the start does not count."""
    full = entries(rows)
    before, after = ({}, full) if install else (full, {})
    switch = PaperSwitch(before)
    await execute(diff(after, before), switch, dict(before))
    assert all(dangling(state) <= dangling(full) for state in switch.history)


@given(generated(guests=False), generated(guests=False), st.integers(0, 40))
async def test_a_refusal_undoes_all(before: Tables, after: Tables, refuse: int) -> None:
    switch, mirror = PaperSwitch(entries(before), refuse), entries(before)
    changes = diff(entries(after), mirror)
    if refuse >= len(changes):
        return
    with pytest.raises(Refused, match=": no"):
        await execute(changes, switch, mirror)
    assert switch.entries == mirror == entries(before)


async def test_a_fork_that_grows_shows_its_new_copies_at_once() -> None:
    def fork(copies: int) -> Entries:
        rows = {
            EntryKey("fork", (1, copy)): Action("branch", (copy + 1, copies if copy == 0 else 0))
            for copy in range(copies)
        }
        return with_groups(rows)

    for before, after in itertools.permutations((2, 3, 5), 2):
        switch, mirror = PaperSwitch(fork(before)), fork(before)
        await execute(diff(fork(after), mirror), switch, mirror)
        channels = {EntryKey("channel", (number,)) for number in range(1, 6)}
        assert all(dangling(state) <= channels for state in switch.history)


async def test_a_full_table_is_named() -> None:
    switch = PaperSwitch({EntryKey("unit", (1,)): Action("alive")}, refuse=0)
    switch.sizes = {"unit": 1}
    mirror = dict(switch.entries)
    with pytest.raises(Refused, match="table unit is full: it holds 1 entries"):
        await execute([Change(EntryKey("unit", (2,)), None, Action("alive"))], switch, mirror)
