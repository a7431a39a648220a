"""Golden cases about section 7 of ``docs/steering.md``: policies, backups, rewriting."""

from __future__ import annotations

import zlib
from dataclasses import replace

from controller.steering.drops import Drop
from controller.steering.model import (
    Flow,
    FlowKey,
    LinkScope,
    Selector,
    Slot,
    SlotKey,
    Unit,
)
from tests.conformance.golden.tables import (
    GOOD,
    GOOD_OUT,
    INSTANCE,
    LOW,
    PUBLIC,
    PUBLIC6,
    RECEIVER_MAC,
    SOURCE,
    SOURCE6,
    channel,
    from_outside,
    group,
    node,
    receiver,
    steered,
    to_unit,
)
from tests.conformance.network import (
    LAN,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.script import Script, case, ethernet, ip, lost, out


@case("R2", "D52", "A21", edge=True)
def round_robin_takes_the_instances_in_turn() -> Script:
    tables = steered()
    instances = [socket(f"10.9.0.{10 + i}", 6000) for i in range(4)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 1, 32, Selector.COUNTER, *(Slot(10 + i) for i in range(4)))
    script = Script(tables)
    for turn in range(9):
        sent = to_unit(ip(SOURCE, instances[turn % 4], ttl=63))
        script.arrives(WAN, GOOD, out(LAN, sent, channel=1))
    return script


@case("R2", edge=True)
def weights_are_shares_of_the_slots() -> Script:
    tables = steered()
    tables.endpoint[10], tables.endpoint[11] = node(INSTANCE), node(replace(INSTANCE, port=1))
    group(tables, 1, 32, Selector.COUNTER, Slot(10), Slot(10), Slot(10), Slot(11))
    script = Script(tables)
    once = to_unit(ip(SOURCE, replace(INSTANCE, port=1), ttl=63))
    for turn in range(8):
        script.arrives(WAN, GOOD, out(LAN, once if turn % 4 == 3 else GOOD_OUT, channel=1))
    return script


@case("R2", "A20", edge=True)
def a_hash_keeps_a_five_tuple_together() -> Script:
    tables = steered()
    instances = [socket(f"10.9.0.{10 + i}", 6000) for i in range(8)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 1, 32, Selector.HASH, *(Slot(10 + i) for i in range(8)))
    script = Script(tables)
    chosen = set()
    for port in (4000, 4001, 4002, 4003, 4000):
        source = replace(SOURCE, port=port)
        addresses = bytes([198, 51, 100, 7, 192, 0, 2, 1])
        index = zlib.crc32(addresses + bytes([17]) + port.to_bytes(2, "big") + (5000).to_bytes(2, "big")) % 8
        chosen.add(index)
        sent = to_unit(ip(source, instances[index], ttl=63))
        script.arrives(WAN, from_outside(ip(source, PUBLIC)), out(LAN, sent, channel=1))
    assert len(chosen) > 1, "the case must tell a hash from a constant"
    return script


@case("R3", "D18", edge=True)
def a_dead_units_backup_takes_over() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, unit=1)
    tables.endpoint[2] = node(replace(INSTANCE, port=2), unit=2)
    tables.slot[SlotKey(1, 0)] = Slot(1, backup=2)
    tables.unit = {1: Unit(True), 2: Unit(True)}
    script = Script(tables)
    backup = to_unit(ip(SOURCE, replace(INSTANCE, port=2), ttl=63))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    script.becomes(1, alive=False)
    script.arrives(WAN, GOOD, out(LAN, backup, channel=1))
    script.becomes(2, alive=False)
    script.arrives(WAN, GOOD, lost(Drop.NO_LIVE_ENDPOINT, 1))
    script.becomes(1, alive=True)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    return script


@case("R3", edge=True)
def without_a_backup_a_dead_unit_costs_the_packet() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, unit=5)  # a unit without a row is dead
    script = Script(tables)
    script.arrives(WAN, GOOD, lost(Drop.NO_LIVE_ENDPOINT, 1))
    script.becomes(5, alive=True)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    return script


@case("R9", edge=True)
def hop_limit_size_and_family_are_checked() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, mtu=35)
    tables.flow[FlowKey(17, PUBLIC6)] = Flow(channel(1), LinkScope.OUTSIDE)
    script = Script(tables)
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=1)), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=0)), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    last = to_unit(ip(SOURCE, INSTANCE, ttl=1))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=2)), out(LAN, last, channel=1))
    big = ip(SOURCE, PUBLIC, load=b"payload+")
    script.arrives(WAN, from_outside(big), lost(Drop.TOO_BIG, 1))
    big_and_old = ip(SOURCE, PUBLIC, load=b"payload+", ttl=1)
    script.arrives(WAN, from_outside(big_and_old), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6, ttl=1)), lost(Drop.FAMILY_MISMATCH, 1))
    return script


@case("R4", "D23", edge=True)
def a_source_is_written_where_the_endpoint_states_one() -> Script:
    tables = steered()
    tables.endpoint[1] = receiver(LOW, source=socket("192.0.2.1", 5001))
    script = Script(tables)
    sent = ethernet(WAN_MAC, RECEIVER_MAC, ip(socket("192.0.2.1", 5001), LOW, ttl=63))
    script.arrives(WAN, GOOD, out(WAN, sent, channel=1))
    return script
