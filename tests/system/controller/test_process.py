"""The control unit as a process: killed at every step, ended, locked out, on a full disk, over TLS."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dipronn import certs
from dipronn.client import Node, Unreachable, connect
from dipronn.errors import AlreadyExists, DipronnError, InsufficientResources
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2
from tests.unit.controller.agents import Agent, Cluster, agents_at, eventually, links, spawn

TEXT = """
session s {
  input x : udp; output y to 198.51.100.7:6000;
  program p { bundle "p.tar"; in i; out o; parallelizable 2; }
  data x -> p.i; data p.o -> y;
}
"""


def bundle(size: int = 10) -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("run")
        member.size = size
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    return {"p.tar": buffer.getvalue()}


class Control:
    """A control unit's process; started as often as one likes over the same state."""

    def __init__(self, directory: Path, *extra: str, limit: int = 0) -> None:
        self.address = f"unix:{directory / 'c.sock'}"
        self.log = directory / "log"
        prefix = ["prlimit", f"--fsize={limit}"] if limit else []
        state = ["--state", str(directory / "state"), "--socket", str(directory / "c.sock")]
        self.command = [*prefix, sys.executable, "-m", "controller", *state, *extra]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self.command, stderr=log)
        async with connect(self.address) as node:

            async def answers() -> bool:
                try:
                    await node.status()
                except Unreachable:
                    assert self.process and self.process.returncode is None, self.log.read_text()
                    return False
                return True

            await eventually(answers, 60)

    async def end(self, number: signal.Signals) -> int:
        assert self.process
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def running(directory: Path, *extra: str, limit: int = 0) -> AsyncIterator[Control]:
    control = Control(directory, *extra, limit=limit)
    await control.start()
    try:
        yield control
    finally:
        await control.end(signal.SIGKILL)


async def _nothing_left(node: Cluster) -> bool:
    return node.nothing_held() and not await node.node.sessions()


async def _state(node: Node) -> pb.Session | None:
    sessions = await node.sessions()
    return sessions[0] if sessions else None


@pytest.mark.parametrize("order", [1, 2, 3, 5, 6])
async def test_killed_during_establishment_it_undoes_or_goes_on_after_a_restart(
    tmp_path: Path, order: int
) -> None:
    """Given a control unit that is killed when the n-th order of an establishment arrives at its unit.
    When it starts again, then the session is gone everywhere, and a new one can be had."""
    async with running(tmp_path) as control, agents_at(control.address) as node:
        seen = 0

        def count(what: unit_pb2.UnitOrder) -> None:
            nonlocal seen
            seen += what.apply.session != 0
            if seen == order and control.process and control.process.returncode is None:
                control.process.kill()

        for agent in node.agents.values():
            agent.on_order = count
        waiting = spawn(node.node.establish(TEXT, bundle()))
        with pytest.raises(DipronnError):
            await waiting
        await control.end(signal.SIGKILL)
        for agent in node.agents.values():
            agent.on_order = lambda _: None
        await control.start()
        await node.joined()
        await eventually(lambda: _nothing_left(node))
        assert all(unit.reserved.cpu == 0 for unit in await node.node.units())
        session = await node.node.establish(TEXT, bundle())
        assert session.state == pb.SESSION_STATE_ACTIVE


async def test_killed_with_an_active_session_it_takes_it_up_without_touching_a_unit(tmp_path: Path) -> None:
    async with running(tmp_path) as control, agents_at(control.address) as node:
        before = await node.node.establish(TEXT, bundle())
        await control.end(signal.SIGKILL)
        for agent in node.agents.values():
            agent.log.clear()
        await control.start()
        await node.joined()
        after = await node.node.session("s")
        assert after.state == pb.SESSION_STATE_ACTIVE
        assert after.instances == before.instances and after.inputs == before.inputs
        assert after.established == before.established
        for agent in node.agents.values():
            assert not [line for line in agent.log if line == f"apply {before.id}"]
            assert not [line for line in agent.log if line.startswith("set_alive") and "False" in line]
            assert all(agent.alive[number] for number in range(2, 6)), "nobody was told that another is dead"
        assert (await node.node.close_session("s")).state == pb.SESSION_STATE_CLOSED
        assert node.nothing_held()


async def test_what_happened_while_it_was_away_is_seen_when_units_join_again(tmp_path: Path) -> None:
    async with running(tmp_path) as control, agents_at(control.address) as node:
        session = await node.node.establish(TEXT, bundle())
        await control.end(signal.SIGKILL)
        node["u2"].dead.add((session.id, "p-1"))
        await control.start()

        async def degraded() -> bool:
            found = await _state(node.node)
            return found is not None and found.state == pb.SESSION_STATE_DEGRADED and "p-1" in found.message

        await eventually(degraded)
        await node["u2"].until(lambda: session.id not in node["u2"].held)


async def test_a_session_closed_while_a_unit_was_away_is_removed_when_it_returns(tmp_path: Path) -> None:
    async with running(tmp_path) as control, agents_at(control.address) as node:
        session = await node.node.establish(TEXT, bundle())
        entrance = session.inputs[0].address
        await node["u2"].stop()

        async def away() -> bool:
            return not next(unit for unit in await node.node.units() if unit.name == "u2").alive

        await eventually(away)
        closed = await node.node.close_session("s")
        assert closed.message == "u2 will be cleaned when they join again"
        again = TEXT.replace(
            "input x : udp;", f"input x : udp to {entrance.address}:{entrance.port};"
        ).replace("session s", "session t")
        with pytest.raises(
            AlreadyExists, match="session `s`, which is closed but still to be removed from u2"
        ):
            await node.node.establish(again, bundle())
        # What it still holds stays reserved, also over a restart.
        await control.end(signal.SIGKILL)
        await control.start()
        assert {unit.name: unit.reserved.cpu > 0 for unit in await node.node.units()}["u2"]
        node["u2"].start()
        await node["u2"].until(lambda: session.id not in node["u2"].held)
        await eventually(lambda: _nothing_left(node))
        await eventually(lambda: _nothing_reserved(node.node))


async def _nothing_reserved(node: Node) -> bool:
    return all(unit.reserved.cpu == 0 for unit in await node.units())


async def test_it_ends_in_good_order_and_undoes_what_is_under_way(tmp_path: Path) -> None:
    async with running(tmp_path) as control, agents_at(control.address, mute={"p-1"}) as node:
        waiting = spawn(node.node.establish(TEXT, bundle()))
        await node["u2"].until(lambda: len(node["u2"].held) == 2)
        assert await control.end(signal.SIGTERM) == 0
        with pytest.raises(DipronnError):
            await waiting
        assert node.nothing_held()
        assert not (tmp_path / "c.sock").exists()
        assert "Traceback" not in control.log.read_text()


async def test_a_second_one_over_the_same_state_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as control:
        second = await asyncio.create_subprocess_exec(*control.command, stderr=asyncio.subprocess.PIPE)
        _, complaint = await second.communicate()
        assert second.returncode == 1 and b"another control unit works on" in complaint
        async with connect(control.address) as node:
            assert (await node.status()).sessions == 0, "the first goes on"


async def test_a_full_disk_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    async with running(tmp_path, limit=400_000) as control, agents_at(control.address) as node:
        with pytest.raises(
            InsufficientResources, match=r"control\.db cannot be written .*nothing was changed"
        ):
            await node.node.establish(TEXT, bundle(1_000_000))
        assert await _nothing_left(node) and await _nothing_reserved(node.node)
        # What fits goes on.
        session = await node.node.establish(TEXT, bundle(1000))
        assert session.state == pb.SESSION_STATE_ACTIVE
        await node.node.close_session("s")


async def test_tcp_is_served_by_mutual_tls_only(tmp_path: Path) -> None:
    certs.make(tmp_path / "certs", ["solo"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    async with running(tmp_path, "--tcp", address, "--certs", str(tmp_path / "certs")):
        async with connect(address, tmp_path / "certs") as node:
            assert (await node.status()).sessions == 0
            roles = [unit_pb2.ROLE_PROCESSING]
            # A unit joins by the name that its certificate states, and by no other.
            good = Agent("solo", address, roles, links(1, False), certs=tmp_path / "certs")
            bad = Agent("other", address, roles, links(2, False), certs=tmp_path / "certs")
            good.start()
            bad.start()
            try:

                async def refused() -> bool:
                    return any("PERMISSION_DENIED the certificate is not for" in line for line in bad.log)

                async def joined() -> bool:
                    return [unit.name for unit in await node.units() if unit.alive] == ["solo"]

                await eventually(refused)
                await eventually(joined)
            finally:
                await good.stop()
                await bad.stop()
        certs.make(tmp_path / "strangers", ["solo"])
        async with connect(address, tmp_path / "strangers") as stranger:
            with pytest.raises(Unreachable):
                await stranger.status()


async def test_tcp_without_certificates_is_refused(tmp_path: Path) -> None:
    control = Control(tmp_path, "--tcp", "127.0.0.1:0")
    process = await asyncio.create_subprocess_exec(*control.command, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    assert process.returncode == 1 and b"mutual TLS only" in complaint
