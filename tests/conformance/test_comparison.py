"""The comparison notices every kind of difference: a conformance suite that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.l2 import Ether

from controller.steering.drops import Drop
from controller.steering.model import FlowKey, SlotKey, Tables
from tests.conformance.golden import flows
from tests.conformance.golden.tables import PUBLIC
from tests.conformance.network import LAN_MAC, VM0, WAN, socket
from tests.conformance.plane import Arrival, OraclePlane, Run, Sent, check, observation, scapy_line
from tests.conformance.script import Script

script: Script = flows.a_lost_copy_does_not_touch_the_others()


def _sent(run: Run) -> Sent:
    return run.observations[0].sent[0]


def _with_first(run: Run, sent: tuple[Sent, ...], drops: tuple[Drop, ...], to_host: bool = False) -> Run:
    return replace(run, observations=[observation(sent, drops, to_host), *run.observations[1:]])


def _other_byte(run: Run, offset: int) -> Run:
    sent, drops = _sent(run), run.observations[0].drops
    frame = bytearray(sent.frame)
    frame[offset] ^= 1
    return _with_first(run, (Sent(sent.device, bytes(frame)),), drops)


def _other_counter(run: Run, name: str) -> Run:
    counters = deepcopy(run.counters)
    setattr(counters, name, getattr(counters, name) + 1)
    return replace(run, counters=counters)


def _other_reason_counted(run: Run) -> Run:
    counters = deepcopy(run.counters)
    counters.drops[Drop.TOO_BIG] -= 1
    counters.drops[Drop.NO_RULE] += 1
    return replace(run, counters=counters)


def _other_channel(run: Run, packets: int, size: int) -> Run:
    counters = deepcopy(run.counters)
    counters.channels[3].packets += packets
    counters.channels[3].bytes += size
    return replace(run, counters=counters)


MUTATIONS: dict[str, Callable[[Run], Run]] = {
    **{f"byte {i}": lambda run, i=i: _other_byte(run, i) for i in range(len(_sent(script.expected).frame))},  # type: ignore[misc]
    "a byte more": lambda run: _with_first(
        run, (Sent(_sent(run).device, _sent(run).frame + b"\0"),), run.observations[0].drops
    ),
    "another device": lambda run: _with_first(run, (Sent(VM0, _sent(run).frame),), run.observations[0].drops),
    "nothing sent": lambda run: _with_first(run, (), run.observations[0].drops),
    "sent twice": lambda run: _with_first(run, (_sent(run), _sent(run)), run.observations[0].drops),
    "another reason": lambda run: _with_first(run, run.observations[0].sent, (Drop.NO_RULE, Drop.TOO_BIG)),
    "a drop less": lambda run: _with_first(run, run.observations[0].sent, (Drop.TOO_BIG,)),
    "also to the host": lambda run: _with_first(
        run, run.observations[0].sent, run.observations[0].drops, True
    ),
    **{
        f"{name} counted": lambda run, name=name: _other_counter(run, name)  # type: ignore[misc]
        for name in ("received", "copies", "sent", "to_host")
    },
    "another reason counted": _other_reason_counted,
    "a packet more in a channel": lambda run: _other_channel(run, 1, 0),
    "a byte more in a channel": lambda run: _other_channel(run, 0, 1),
    "a frame less": lambda run: replace(run, observations=run.observations[:-1]),
}


def test_the_truth_passes() -> None:
    check(script.tables, script.events, script.expected, script.expected, "itself")


@pytest.mark.parametrize("mutation", list(MUTATIONS))
def test_a_difference_is_noticed(mutation: str) -> None:
    mutated = MUTATIONS[mutation](script.expected)
    with pytest.raises(AssertionError, match="mutant"):
        check(script.tables, script.events, script.expected, mutated, "mutant")


def _row_mutations() -> dict[str, Tables]:
    """The case's tables with one row less, for each row that its packets meet."""
    met: dict[str, list[Any]] = {
        "link": [key for key in script.tables.link if key.device == WAN and not key.vlan],
        "flow": [FlowKey(17, PUBLIC)],
        "fork": list(script.tables.fork),
        "channel": [1, 3, 4],
        "slot": [SlotKey(1, 0), SlotKey(16, 0), SlotKey(17, 0)],
        "endpoint": [1, 3, 4],
    }
    mutations = {}
    for table, keys in met.items():
        for key in keys:
            tables = deepcopy(script.tables)
            del getattr(tables, table)[key]
            mutations[f"{table} {key} missing"] = tables
    for name, fields in {
        "another device": {"device": VM0},
        "another MAC": {"destination_mac": LAN_MAC},
        "another VLAN": {"vlan": 9},
        "another port": {"destination": socket("10.9.0.2", 6001)},
        "another unit": {"unit": 9},
    }.items():
        tables = deepcopy(script.tables)
        tables.endpoint[1] = replace(tables.endpoint[1], **fields)  # type: ignore[arg-type]
        mutations[name] = tables
    return mutations


@pytest.mark.parametrize("mutation", list(_row_mutations()))
def test_another_row_is_noticed(mutation: str) -> None:
    """A data plane that held other rows than it was given would be found out."""
    actual = OraclePlane().run(_row_mutations()[mutation], script.events)
    with pytest.raises(AssertionError, match="mutant disagrees on frame"):
        check(script.tables, script.events, script.expected, actual, "mutant")


def test_a_failure_can_be_reproduced_from_its_text() -> None:
    mutated = MUTATIONS["another device"](script.expected)
    with pytest.raises(AssertionError) as failure:
        check(script.tables, script.events, script.expected, mutated, "mutant")
    text = str(failure.value)
    first = script.events[0]
    assert isinstance(first, Arrival)
    assert scapy_line(first) in text
    assert "oracle: link wan: outside | flow udp 192.0.2.1:5000 from anywhere → fork 1" in text
    for table, key, row in script.tables.rows():
        assert f"{table} {key}: {row}" in text
    sent: list[tuple[str, bytes]] = []

    def sendp(packet: Ether, iface: str) -> None:
        sent.append((iface, bytes(packet)))

    exec(scapy_line(first), {"Ether": Ether, "sendp": sendp})
    assert sent == [(first.device, first.frame)]
