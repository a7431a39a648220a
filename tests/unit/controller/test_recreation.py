"""Fail-over: machines of a unit that stays dead are made anew elsewhere, and taken off it when it is back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dipronn.v1 import session_pb2 as pb
from tests.unit.controller.test_server import BUNDLES, TEXT

from .agents import Cluster, cluster, eventually


async def places(node: Cluster) -> dict[str, tuple[str, int]]:
    """Unit and state of every instance."""
    session = await node.node.session("s")
    return {f"{one.program}-{one.index}": (one.unit, one.state) for one in session.instances}


@pytest.mark.req("D18")
@pytest.mark.req("A33")
async def test_machines_of_a_dead_unit_are_made_anew_elsewhere(tmp_path: Path) -> None:
    async with cluster(tmp_path, recreate_after=0.05) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        before = await places(node)
        lost = {name for name, (unit, _) in before.items() if unit == "u2"}
        assert lost and {unit for unit, _ in before.values()} == {"u1", "u2"}
        node["u2"].beating = False

        async def all_on_u1() -> bool:
            shown = await node.node.session("s")
            now = {(one.unit, one.state) for one in shown.instances}
            well = (shown.state, shown.message) == (pb.SESSION_STATE_ACTIVE, "")
            return now == {("u1", pb.INSTANCE_STATE_RUNNING)} and well

        await eventually(all_on_u1, 120)
        assert lost <= {vm.name for vm in node["u1"].held[session.id].vms}

        # The unit is back, and still holds what lives elsewhere now: that is taken off, and misleads nobody.
        assert session.id in node["u2"].held
        node["u2"].beating = True
        node["u2"].vm_dies(session.id, next(iter(lost)))
        await node["u2"].until(lambda: session.id not in node["u2"].held)
        await eventually(all_on_u1, 120)
        await node.node.close_session("s")
        assert session.id not in node["u1"].held


async def test_where_no_unit_has_room_it_is_said(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=0.9, recreate_after=0.05) as node:
        await node.node.establish(TEXT, BUNDLES)
        before = await places(node)
        events = node.node.watch("s")
        await anext(events)
        node["u2"].beating = False
        async with asyncio.timeout(120):
            async for event in events:
                if "u2 stays dead; p-" in event.message:
                    break
        assert event.message.endswith("no unit has room")
        assert {name: unit for name, (unit, _) in (await places(node)).items()} == {
            name: unit for name, (unit, _) in before.items()
        }
