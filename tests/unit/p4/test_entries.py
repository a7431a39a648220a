"""Rows become entries and messages and come back as they were; what a switch cannot hold is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from finsy.proto import p4r
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.drivers.p4runtime.entries import (
    CHANNEL_SIZE,
    FORK_BRANCHES,
    GROUP_SIZE,
    Action,
    EntryKey,
    NotForSwitches,
    Ports,
    decode,
    encode,
    groups,
    representable,
)
from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT, Pipeline, encode_number, multicast_group
from controller.steering.model import (
    Artp,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Override,
    Selector,
    Tables,
    Target,
    TargetKind,
    Unit,
)
from controller.steering.wire import NO_MAC
from tests.conformance.network import LAN, LAN_MAC, UNIT_MAC, VM0, WAN, links, socket
from tests.conformance.strategies import tables as generated
from tests.conformance.strategies import worlds

PORTS = Ports({WAN: 1, LAN: 511})
PIPELINE = Pipeline.load()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(generated(guests=False, artp=True))
def test_rows_come_back_as_they_were(rows: Tables) -> None:
    entries = encode(rows, PORTS)
    assert decode(entries, PORTS) == representable(rows)
    sent = [PIPELINE.message(key, action).SerializeToString() for key, action in entries.items()]
    assert PIPELINE.entries(map(p4r.Entity.FromString, sent)) == entries


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds(guests=True))
def test_an_entry_is_encoded_or_refused_by_name(world: tuple[Tables, object]) -> None:
    """With guests' rows in it: never anything but entries or a refusal."""
    try:
        encode(world[0], PORTS)
    except NotForSwitches as error:
        assert str(error)


@given(st.integers(0, (1 << 128) - 1))
def test_numbers_are_canonical_byte_strings(number: int) -> None:
    encoded = encode_number(number)
    assert int.from_bytes(encoded, "big") == number
    assert len(encoded) == 1 or encoded[0] != 0


def test_a_flow_without_a_source_stands_in_a_table_of_its_own() -> None:
    flow = Flow(Target(TargetKind.CHANNEL, 7), LinkScope.OUTSIDE)
    public, source = socket("192.0.2.1", 5000), socket("198.51.100.7", 4000)
    rows = Tables(flow={FlowKey(17, public): flow, FlowKey(17, public, source): flow})
    assert set(encode(rows, PORTS)) == {
        EntryKey("flow_wild", (0xC0000201, 5000)),
        EntryKey("flow", (0xC0000201, 5000, 0xC6336407, 4000)),
    }


def _fork(*copies: int) -> Tables:
    return Tables(fork={ForkKey(3, copy): ForkBranch(copy + 1) for copy in copies})


@pytest.mark.req("R1")
@pytest.mark.parametrize(
    ("copies", "size"), [((0,), 1), ((0, 1), 2), ((0, 1, 2), 3), ((0, 2), 1), ((1, 2), 0)]
)
def test_a_fork_is_as_large_as_it_has_copies_without_a_gap(copies: tuple[int, ...], size: int) -> None:
    entries = encode(_fork(*copies), PORTS)
    first = entries.get(EntryKey("fork", (3, 0)))
    assert (first.parameters[1] if first else 0) == size
    assert groups(entries.items()) == ({size} if size > 1 else set())


@pytest.mark.req("R7")
def test_an_override_needs_a_group_for_each_number_of_destinations() -> None:
    rows = Tables(artp={1: Artp(Target(TargetKind.CHANNEL, 1))})
    assert not groups(encode(rows, PORTS).items())
    rows.artp[2] = Artp(override=Override(None, 1))
    assert groups(encode(rows, PORTS).items()) == {2, 3, 4}


def test_a_group_makes_each_copy_once() -> None:
    group = multicast_group(4).packet_replication_engine_entry.multicast_group_entry
    assert group.multicast_group_id == 4
    assert [replica.instance for replica in group.replicas] == [0, 1, 2, 3]


def test_copies_share_no_queue_with_many_others() -> None:
    """A port's queue in bmv2 holds 64 packets."""
    group = multicast_group(FORK_BRANCHES - 1).packet_replication_engine_entry.multicast_group_entry
    queues = Counter(replica.egress_port for replica in group.replicas)
    assert max(queues.values()) <= 2
    assert min(queues) > 255 and max(queues) < CONTROLLER_PORT


def test_a_fork_that_is_too_large_is_refused() -> None:
    encode(_fork(*range(FORK_BRANCHES - 1)), PORTS)
    with pytest.raises(NotForSwitches, match="fork 3: 256 copies"):
        encode(_fork(*range(FORK_BRANCHES)), PORTS)


def test_numbers_past_the_counters_are_refused() -> None:
    last = Channel(Selector.COUNTER, 0, GROUP_SIZE - 1, 1)
    encode(Tables(channel={CHANNEL_SIZE - 1: last}), PORTS)
    for rows in ({CHANNEL_SIZE: last}, {1: replace(last, group=GROUP_SIZE)}):
        with pytest.raises(NotForSwitches, match="channels below 16384 and groups below 65536"):
            encode(Tables(channel=rows), PORTS)


def test_what_is_a_units_is_refused() -> None:
    for rows, message in (
        (Tables(link={LinkKey(VM0): links()[LinkKey(VM0)]}), "guest"),
        (Tables(link={LinkKey(WAN): Link(LinkKind.NODE, LAN_MAC, instance=3)}), "no instance 3"),
        (Tables(link={LinkKey("elsewhere"): Link(LinkKind.NODE, LAN_MAC)}), "no port named 'elsewhere'"),
        (
            Tables(endpoint={1: Endpoint(EndpointKind.GUEST, LAN, LAN_MAC, UNIT_MAC, socket("10.0.3.2", 1))}),
            "guest",
        ),
    ):
        with pytest.raises(NotForSwitches, match=message):
            encode(rows, PORTS)


def test_an_endpoint_without_a_next_hop_is_left_out() -> None:
    resolved = Endpoint(EndpointKind.RECEIVER, LAN, LAN_MAC, UNIT_MAC, socket("198.51.100.7", 1))
    rows = Tables(
        endpoint={1: resolved, 2: replace(resolved, device="", source_mac=NO_MAC, destination_mac=NO_MAC)}
    )
    assert set(encode(rows, PORTS)) == {EntryKey("endpoint", (1,))}


@pytest.mark.req("R3")
def test_one_entry_is_the_whole_failover() -> None:
    rows = Tables(unit={5: Unit(True)})
    alive, dead = encode(rows, PORTS), encode(replace(rows, unit={5: Unit(False)}), PORTS)
    key = EntryKey("unit", (5,))
    assert (alive, dead) == ({key: Action("alive")}, {key: Action("dead")})
