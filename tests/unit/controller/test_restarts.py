"""Machines that die are started again where they were: seen by users, bounded, not when they have ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.restarts import RestartPolicy
from controller.server import ControlUnit, Settings
from dipronn.v1 import session_pb2 as pb
from tests.unit.controller.test_server import BUNDLES, TEXT

from .agents import Cluster, agents_at, cluster, eventually, watched

AT_ONCE = RestartPolicy(delays=(0.01, 0.01))


async def instance(node: Cluster) -> pb.Instance:
    """The second of `p`, on u2."""
    return next(
        one for one in (await node.node.session("s")).instances if (one.program, one.index) == ("p", 1)
    )


@pytest.mark.req("D18")
@pytest.mark.req("D22")
async def test_it_is_started_again_and_registers_anew_but_not_for_ever(
    tmp_path: Path,
) -> None:
    async with cluster(tmp_path, restarts=AT_ONCE) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        for turn in (1, 2):
            events = node.node.watch("s")
            await anext(events)
            node["u2"].vm_dies(session.id, "p-1")
            told = []
            async with asyncio.timeout(60):
                async for event in events:
                    told.append(event.message)
                    if len(told) > 2 and event.session.state == pb.SESSION_STATE_ACTIVE:
                        break
            assert f"p-1 on u2: it is started again in 0.01 s ({turn} of 2)" in told
            assert f"p-1 on u2 is started again ({turn} of 2)" in told
            running = await instance(node)
            assert (running.state, running.restarts) == (pb.INSTANCE_STATE_RUNNING, turn)
        node["u2"].vm_dies(session.id, "p-1")
        event = await watched(node.node, "s", pb.SESSION_STATE_DEGRADED)

        async def given_up() -> bool:
            return "stays dead" in (await instance(node)).message

        await eventually(given_up)
        assert (await instance(node)).state == pb.INSTANCE_STATE_DEAD and event.session.id == session.id
        await node["u2"].until(lambda: session.id not in node["u2"].held)


async def test_a_program_that_ended_is_not_started_again(tmp_path: Path) -> None:
    async with cluster(tmp_path, restarts=AT_ONCE) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        node["u2"].program_ends(session.id, "p-1", "p", 0)
        await node["u2"].until(lambda: session.id not in node["u2"].held)
        ended = await instance(node)
        assert (ended.state, ended.restarts) == (pb.INSTANCE_STATE_EXITED, 0)


async def test_a_restart_that_waits_outlives_the_control_unit(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "state", tmp_path / "c.sock", restarts=RestartPolicy(delays=(3600.0,) * 2))
    control = ControlUnit(settings)
    await control.start()
    async with agents_at(f"unix:{tmp_path / 'c.sock'}", ("dist", "u1", "u2", "agg")) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        node["u2"].vm_dies(session.id, "p-1")
        await node["u2"].until(lambda: session.id not in node["u2"].held)
        await control.stop()
        control = ControlUnit(
            Settings(tmp_path / "state", tmp_path / "c.sock", restarts=RestartPolicy(delays=(0.01,) * 2))
        )
        await control.start()
        try:

            async def back() -> bool:
                return (await instance(node)).state == pb.INSTANCE_STATE_RUNNING

            await eventually(back)
        finally:
            await control.stop()
