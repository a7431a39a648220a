"""Which forks may be broadcast to their devices at once, and which must choose copy by copy."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.steering.model import (
    Channel,
    Endpoint,
    EndpointKind,
    ForkBranch,
    ForkKey,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
)
from ebpf.forks import plan_fork

MAC = Mac(b"\2\0\0\0\0\1")


def endpoint(device: str, mtu: int = 1500, unit: int = 0) -> Endpoint:
    return Endpoint(
        EndpointKind.NODE, device, MAC, MAC, Socket(ip_address("192.0.2.1"), 1), mtu=mtu, unit=unit
    )


@pytest.fixture
def tables() -> Tables:
    """Fork 1 of two branches, by ``a`` and ``b``."""
    return Tables(
        fork={ForkKey(1, 0): ForkBranch(1), ForkKey(1, 1): ForkBranch(2)},
        channel={1: Channel(Selector.ZERO, 0, 10, 1), 2: Channel(Selector.HASH, 0, 20, 1)},
        slot={SlotKey(10, 0): Slot(1), SlotKey(20, 0): Slot(2)},
        endpoint={1: endpoint("a"), 2: endpoint("b", mtu=1400)},
    )


@pytest.mark.req("D52")
def test_branches_with_one_slot_each_go_straight_to_their_devices(tables: Tables) -> None:
    plan = plan_fork(1, tables)
    assert (plan.copies, plan.devices, plan.mtu) == (2, ("a", "b"), 1400)


def test_a_branch_that_chooses_sends_all_through_the_fork_veth(tables: Tables) -> None:
    tables.channel[2] = Channel(Selector.COUNTER, 1, 20, 1)
    assert plan_fork(1, tables).devices is None


def test_a_backup_by_the_same_device_leaves_nothing_to_choose(tables: Tables) -> None:
    tables.slot[SlotKey(20, 0)] = Slot(2, backup=3)
    tables.endpoint[3] = endpoint("b", mtu=1300, unit=2)
    plan = plan_fork(1, tables)
    assert (plan.devices, plan.mtu) == (("a", "b"), 1300)
    tables.endpoint[3] = endpoint("c", unit=2)
    assert plan_fork(1, tables).devices is None


@pytest.mark.parametrize("table", ["channel", "slot", "endpoint"])
def test_a_missing_row_is_left_to_the_path_that_drops_by_name(tables: Tables, table: str) -> None:
    rows = getattr(tables, table)
    del rows[next(iter(rows))]
    assert plan_fork(1, tables).devices is None


def test_copies_end_at_the_first_gap_but_all_branches_are_kept(tables: Tables) -> None:
    tables.fork[ForkKey(1, 3)] = ForkBranch(1)
    plan = plan_fork(1, tables)
    assert (plan.copies, set(plan.branches)) == (2, {0, 1, 3})


def test_a_plan_knows_the_rows_that_it_depends_on(tables: Tables) -> None:
    tables.slot[SlotKey(10, 0)] = Slot(1, backup=9)
    found = plan_fork(1, tables).references
    assert {("channel", 1), ("slot", SlotKey(10, 0)), ("endpoint", 1), ("endpoint", 9)} <= found
