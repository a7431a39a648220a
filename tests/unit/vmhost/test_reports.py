"""Reports of a guest that may say anything."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from vmhost.vm.reports import MAX_LINE, GuestReports
from vmhost.vm.spec import ProgramExit, ProgramStarted, VmChanged, VmState

UP = VmChanged("v", VmState.RUNNING, "the guest is up")


def line(**report: object) -> bytes:
    return json.dumps(report).encode() + b"\n"


def test_a_life_in_any_pieces() -> None:
    text = line(event="up") + line(event="started", program="p") + line(event="exit", program="p", status=-9)
    for size in (1, 7, len(text)):
        reports = GuestReports("v", ["p"])
        events = [e for at in range(0, len(text), size) for e in reports.feed(text[at : at + size])]
        assert events == [UP, ProgramStarted("v", "p"), ProgramExit("v", "p", -9)]
        assert reports.programs == {"p": -9}


def test_each_thing_counts_once() -> None:
    reports = GuestReports("v", ["p"])
    everything = (
        line(event="up") + line(event="started", program="p") + line(event="exit", program="p", status=0)
    )
    assert len(reports.feed(everything)) == 3
    assert reports.feed(everything * 100) == []
    assert reports.feed(line(event="exit", program="p", status=1)) == []


def test_nonsense_counts_nothing_and_harms_nothing() -> None:
    reports = GuestReports("v", ["p"])
    for nonsense in (
        b"\n\n\xff\xfe\n[]\n1\nnull\n{\n" + b"[" * 500 + b"\n",
        line(event="started", program="other"),
        line(event="started", program=["p"]),
        line(event="exit", program="p", status=0),  # it never started
        line(event="boom", program="p"),
    ):
        assert reports.feed(nonsense) == []
    assert len(reports.feed(line(event="started", program="p"))) == 1
    for status in ("0", 1.5, True, None, 256, -65, 10**300):
        assert reports.feed(line(event="exit", program="p", status=status)) == []
    assert reports.feed(line(event="exit", program="p", status=0)) == [ProgramExit("v", "p", 0)]


def test_a_line_that_is_too_long_is_skipped_to_its_end() -> None:
    reports = GuestReports("v", ["p"])
    assert reports.feed(b" " * MAX_LINE) == []
    assert reports.feed(b" " * 10_000_000) == []
    assert reports.feed(line(event="up")) == []  # still the same line
    assert reports.feed(line(event="up")) == [UP]


@given(st.lists(st.binary(max_size=600)))
def test_whatever_comes_memory_and_events_stay_bounded(pieces: list[bytes]) -> None:
    reports = GuestReports("v", ["p", "q"])
    events = [event for piece in pieces for event in reports.feed(piece)]
    assert len(events) <= 5
    assert len(reports._buffer) < MAX_LINE
