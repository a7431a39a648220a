"""The planner: order of steps, undo, and what a plan does to a state."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.steering import addressing
from controller.steering.model import Endpoint, EndpointKind, Link, LinkKey, LinkKind, Socket, Tables
from dipronn.errors import InvalidSession
from dipronn.v1 import unit_pb2
from tests.unit.agent import orders
from tests.unit.agent.paper import Paper, copied
from vmhost.agent.desired import desired_state
from vmhost.agent.plan import (
    Attach,
    ChangeRows,
    CloseTap,
    Detach,
    EndNames,
    OpenTap,
    ServeNames,
    SliceState,
    StartSequencer,
    StartVm,
    Step,
    StopSequencer,
    StopVm,
    plan,
)
from vmhost.order.rules import Order, OrderedOutput, Sequencer, Token


def wanted(order: unit_pb2.Slice) -> SliceState:
    own = {LinkKey("lo"): Link(LinkKind.NODE, orders.OUTSIDE)}
    return desired_state(order, lambda sha256: Path("/bundles") / sha256.hex(), own)


def kinds(steps: list[Step]) -> list[str]:
    return [
        ("delete " if all(change.after is None for change in step.changes) else "put ") + step.table
        if isinstance(step, ChangeRows)
        else type(step).__name__
        for step in steps
    ]


def ordered(window_ns: int) -> SliceState:
    """A slice with an output that is put in order."""
    state = wanted(orders.steered(7, 2))
    mac = addressing.ORDER_MAC
    device = addressing.order_device(7)
    output = OrderedOutput("y", 20002, Token.RTP, Order.WINDOW, window_ns)
    state.sequencer = Sequencer(7, device, str(mac), (output,))
    state.rows.link[LinkKey(device)] = Link(LinkKind.NODE, mac)
    socket = Socket(ip_address("192.0.2.1"), 20002)
    state.rows.endpoint[99] = Endpoint(EndpointKind.NODE, device, mac, mac, socket)
    state.attached.add(device)
    return state


STATES = [
    SliceState(),
    wanted(orders.starting(7, 2)),
    wanted(orders.steered(7, 2)),
    wanted(orders.steered(7, 2, generation=2)),
    wanted(orders.starting(7, 2, memory=256 << 20)),
    wanted(orders.steered(7, 3)),
    ordered(5_000_000),
    ordered(9_000_000),
]


def test_nothing_to_do() -> None:
    for state in STATES:
        assert plan(copied(state), state) == []


@pytest.mark.req("D30")
def test_a_slice_is_built_from_the_ground_up() -> None:
    steps = plan(STATES[2], SliceState())
    assert kinds(steps) == [
        "FetchBundles",
        "OpenTap",
        "put link",
        "ServeNames",
        "StartVm",
        "put endpoint",
        "put slot",
        "put channel",
        "put fork",
        "put flow",
        "put binding",
    ]


def test_a_slice_is_taken_down_from_its_entrances_on() -> None:
    steps = plan(SliceState(), STATES[2])
    assert kinds(steps) == [
        "delete binding",
        "delete flow",
        "delete fork",
        "delete channel",
        "delete slot",
        "delete endpoint",
        "delete link",
        "EndNames",
        "StopVm",
    ]


def test_a_sequencer_comes_before_the_rows_that_name_its_device_and_goes_after_them() -> None:
    steps = kinds(plan(STATES[6], STATES[2]))
    assert steps == ["StartSequencer", "put link", "put endpoint"]
    steps = kinds(plan(STATES[2], STATES[6]))
    assert steps == ["delete endpoint", "delete link", "StopSequencer"]


def test_another_order_is_another_sequencer_behind_another_device() -> None:
    steps = plan(STATES[7], STATES[6])
    assert kinds(steps) == [
        "delete endpoint",
        "delete link",
        "StopSequencer",
        "StartSequencer",
        "put link",
        "put endpoint",
    ]
    assert [step.sequencer for step in steps if isinstance(step, StopSequencer | StartSequencer)] == [
        STATES[6].sequencer,
        STATES[7].sequencer,
    ]


def test_registered_names_touch_no_machine() -> None:
    assert not {"StartVm", "StopVm", "OpenTap", "put link"} & set(kinds(plan(STATES[2], STATES[1])))


def test_changed_rows_are_replaced_in_place() -> None:
    (step,) = plan(STATES[3], STATES[2])
    assert isinstance(step, ChangeRows)
    assert step.table == "endpoint"
    assert all(change.before and change.after for change in step.changes)


def test_rows_that_name_a_tap_are_written_anew_with_it() -> None:
    """The kernel's rows name interfaces by number, and the tap of the same name gets another."""
    changed = wanted(orders.steered(7, 2))
    bigger = wanted(orders.starting(7, 2, memory=256 << 20))
    changed.machines = bigger.machines
    steps = kinds(plan(changed, STATES[2]))
    for table in ("link", "endpoint", "binding"):
        assert steps.index(f"delete {table}") < steps.index("StopVm") < steps.index("OpenTap")
        assert steps.index("OpenTap") < steps.index(f"put {table}")
    assert "put slot" not in steps


def test_a_dead_machine_is_started_again() -> None:
    paper = Paper(copied(STATES[2]))
    paper.kill("7.echo-0")
    steps = plan(STATES[2], paper.state)
    assert kinds(steps).index("StopVm") < kinds(steps).index("StartVm")
    paper.do_all(steps)
    assert paper.state == STATES[2]


@pytest.mark.parametrize("desired", STATES)
@pytest.mark.parametrize("observed", STATES)
def test_a_plan_leads_to_what_is_desired_and_its_undo_back(observed: SliceState, desired: SliceState) -> None:
    steps = plan(desired, observed)
    paper = Paper(copied(observed))
    paper.do_all(steps)
    assert paper.state == desired
    paper.do_all([back for step in reversed(steps) if (back := step.undo())])
    assert paper.state == observed


@given(st.integers(0, 30), st.sampled_from(STATES), st.sampled_from(STATES))
def test_after_a_crash_anywhere_a_new_plan_leads_to_what_is_desired(
    done: int, observed: SliceState, desired: SliceState
) -> None:
    paper = Paper(copied(observed))
    paper.do_all(plan(desired, observed)[:done])
    paper.do_all(plan(desired, copied(paper.state)))
    assert paper.state == desired


def test_every_step_has_an_undo_whose_undo_it_is() -> None:
    (machine,) = STATES[1].machines.values()
    steps: list[Step] = [
        OpenTap(machine),
        CloseTap(machine),
        Attach("d"),
        Detach("d"),
        ServeNames(machine),
        EndNames(machine),
        StartVm(machine),
        StopVm(machine),
        *(step for step in plan(STATES[3], STATES[2])),
    ]
    for step in steps:
        back = step.undo()
        assert back is not None
        assert back != step
        assert back.undo() == step


def test_a_machine_without_its_link_row_is_refused() -> None:
    order = orders.steered(7, 2)
    del order.tables.link[:]
    with pytest.raises(InvalidSession, match="link dt2 has no row for a guest"):
        wanted(order)


def test_a_link_row_without_its_machine_is_refused() -> None:
    order = orders.steered(7, 2)
    del order.vms[:]
    with pytest.raises(InvalidSession, match="dt2: links of no machine"):
        wanted(order)


def test_a_link_row_that_permits_more_than_the_machine_has_is_refused() -> None:
    order = orders.steered(7, 2)
    order.tables.link[0].addresses.append(bytes([10, 0, 0, 1]))
    with pytest.raises(InvalidSession, match=r"differ in 10\.0\.0\.1"):
        wanted(order)


def test_an_own_link_belongs_to_the_base_slice_alone() -> None:
    own = {LinkKey("dt2"): Link(LinkKind.OUTSIDE, orders.OUTSIDE)}
    with pytest.raises(InvalidSession, match="is a link of the unit itself"):
        desired_state(orders.starting(7, 2), lambda _: Path("/"), own)
    assert desired_state(orders.base(), lambda _: Path("/"), own).rows.link == own


def test_the_base_slice_alone_attaches_own_links() -> None:
    state = desired_state(orders.base(), lambda _: Path("/"), {})
    assert (state.machines, state.attached) == ({}, set())
    assert state.rows == Tables(unit=state.rows.unit)
