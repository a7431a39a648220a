"""The control unit over real gRPC, with agents that follow a script."""

from __future__ import annotations

import asyncio
import io
import tarfile
import threading
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import ANY

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from controller.placement import BestPlacer, Problem
from controller.program import check_text
from controller.steering.model import Socket
from dipronn.client import Unreachable, connect
from dipronn.errors import (
    AlreadyExists,
    DipronnError,
    InsufficientResources,
    InvalidSession,
    NotFound,
    TimedOut,
)
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import session_pb2_grpc

from .agents import UNITS, Cluster, cluster, eventually, spawn, watched
from .nodes import datagram

TEXT = """
session s {
  input x : udp rate 1Mbps;
  output y to 198.51.100.7:6000;
  param KEY "k";
  program p { bundle "p.tar"; in i; out o; parallelizable 2; needs cpu 0.5, memory 64MiB; param gain 3; }
  program q { bundle "q.tar"; in i; out o; }
  data x -> p.i; data p.o -> q.i; data q.o -> y;
}
"""


def tar(name: str = "run") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


BUNDLES = {"p.tar": tar(), "q.tar": tar()}


@pytest.mark.req("D48")
@pytest.mark.req("D58")
@pytest.mark.req("A30")
@pytest.mark.req("D12")
@pytest.mark.req("D21")
@pytest.mark.req("D59")
@pytest.mark.req("D62")
async def test_a_session_is_established_watched_and_closed(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        assert session.state == pb.SESSION_STATE_ACTIVE and session.name == "s"
        assert {one.state for one in session.instances} == {pb.INSTANCE_STATE_RUNNING}
        placed = {f"{one.program}-{one.index}": one.unit for one in session.instances}
        assert {placed["p-0"], placed["p-1"]} == {"u1", "u2"}, "instances of one program are kept apart"
        assert all(one.start_time.ToMilliseconds() >= 1500 for one in session.instances)
        assert session.inputs[0].address.address == "192.0.2.1"
        assert session.outputs[0].public_address.address == "192.0.2.4"
        # Machines first, distribution's flows last.
        assert node["u1"].log.count(f"apply {session.id}") == 2 and f"apply {session.id}" in node["dist"].log
        assert list(node["dist"].held) == [0, session.id] and not node["dist"].held[session.id].vms
        (vm,) = [vm for vm in node["u2"].held[session.id].vms if vm.name == "p-1"]
        assert dict(vm.programs[0].environment) == {
            "DIPRONN_PARAM_KEY": "k",
            "DIPRONN_PARAM_gain": "3",
            "DIPRONN_SESSION": "s",
            "DIPRONN_INSTANCE": "1",
            "DIPRONN_ARTP_KEY": ANY,
        }
        events = node.node.watch("s")
        assert (await anext(events)).session.state == pb.SESSION_STATE_ACTIVE
        assert [one.name for one in await node.node.sessions()] == ["s"]
        closed = await node.node.close_session("s")
        assert closed.state == pb.SESSION_STATE_CLOSED and node.nothing_held()
        async with asyncio.timeout(60):
            states = [event.session.state async for event in events]
        assert states == [pb.SESSION_STATE_CLOSING, pb.SESSION_STATE_CLOSED]
        with pytest.raises(NotFound, match="no session `s`"):
            await node.node.session("s")
        assert all(unit.reserved.cpu == 0 for unit in await node.node.units())


async def test_one_unit_with_all_roles_is_enough(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node:
        session = await node.node.establish(check_text(TEXT).program, BUNDLES)
        assert session.state == pb.SESSION_STATE_ACTIVE
        assert {one.unit for one in session.instances} == {"solo"}


@pytest.mark.req("D49")
@pytest.mark.req("A31")
@pytest.mark.req("A32")
@pytest.mark.req("D60")
async def test_a_session_that_does_not_fit_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    async with cluster(tmp_path, cpu=0.55) as node:
        text = TEXT.replace("cpu 0.5,", "cpu 0.4,")
        await node.node.establish(text, BUNDLES)
        with pytest.raises(InsufficientResources) as refused:
            await node.node.establish(text.replace("session s", "session t"), BUNDLES)
        message = str(refused.value)
        assert message.startswith("session:6:11: error: no unit can take p-0, ")
        assert "\n            ^\n" in message
        assert "no unit can take p-0, which needs cpu 0.4, memory 64 MiB" in message
        assert "u1: cpu 0.55 - 0.5 reserved = 0.05 free < 0.4 needed" in message
        assert "u2: cpu 0.55 - 0.4 reserved = 0.15 free < 0.4 needed" in message
        units = {unit.name: unit.reserved.cpu for unit in await node.node.units()}
        assert units["u1"] == pytest.approx(0.5) and units["u2"] == pytest.approx(0.4), "nothing of it stays"
        with pytest.raises(AlreadyExists, match="a session `s` already"):
            await node.node.establish(text, BUNDLES)


class SlowPlacer(BestPlacer):
    """Searches until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.searching, self.go_on = threading.Event(), threading.Event()

    def at_once(self, problem: Problem) -> None:
        return None

    def place(self, problem: Problem) -> dict[str, str]:
        self.searching.set()
        assert self.go_on.wait(60)
        return super().place(problem)


async def test_the_node_answers_while_a_session_is_placed_and_admits_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placer = SlowPlacer()
    monkeypatch.setattr("controller.server.BestPlacer", lambda: placer)
    async with cluster(tmp_path, cpu=1.0) as node:
        two = [TEXT.replace("session s", f"session {name}") for name in ("s", "t")]
        tasks = [spawn(node.node.establish(text, BUNDLES)) for text in two]
        await asyncio.to_thread(placer.searching.wait, 60)
        assert await node.node.sessions() == [] and len(await node.node.units()) == 4
        placer.go_on.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(type(one).__name__ for one in done) == ["InsufficientResources", "Session"]


@pytest.mark.req("D71")
async def test_an_assured_program_is_only_where_others_are_held_to_their_share(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        assured = TEXT.replace("data x", "quality p { class assured; } data x")
        await node["u1"].stop()
        node["u1"].unheld = {"CPU": "no cpu controller"}
        node["u1"].start()

        await eventually(lambda: unheld_on(node, 1))
        session = await node.node.establish(assured, BUNDLES)
        assert {one.unit for one in session.instances if one.program == "p"} == {"u2"}
        await node["u2"].stop()
        node["u2"].unheld = {"memory": "no memory controller"}
        node["u2"].start()
        await eventually(lambda: unheld_on(node, 2))
        with pytest.raises(InsufficientResources) as refused:
            await node.node.establish(assured.replace("session s", "session t"), BUNDLES)
        assert "u1: CPU cannot be assured: no cpu controller" in str(refused.value)
        assert "u2: memory cannot be assured: no memory controller" in str(refused.value)
        relaxed = assured.replace("session s", "session t").replace("class assured", "class best_effort")
        assert (await node.node.establish(relaxed, BUNDLES)).state == pb.SESSION_STATE_ACTIVE


async def unheld_on(node: Cluster, units: int) -> bool:
    return sum(bool(unit.unheld) for unit in await node.node.units()) == units


@pytest.mark.req("D60")
@pytest.mark.req("A60")
async def test_a_promised_rate_is_reserved_on_every_unit_that_carries_it(tmp_path: Path) -> None:
    async with cluster(tmp_path, bandwidth=10_000_000) as node:
        text = TEXT.replace("rate 1Mbps", "rate 6Mbps")
        await node.node.establish(text, BUNDLES)
        reserved = {unit.name: unit.reserved.bandwidth_bps for unit in await node.node.units()}
        assert reserved == {"dist": 6_000_000, "u1": 3_000_000, "u2": 3_000_000, "agg": 0}
        with pytest.raises(InsufficientResources) as refused:
            await node.node.establish(text.replace("session s", "session t"), BUNDLES)
        assert "dist: bandwidth 10 Mbps - 6 Mbps reserved = 4 Mbps free < 6 Mbps needed" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "bundles", "expected"),
    [
        ("session s { data }", {}, "s.dpn:1:18: error: unexpected `}`"),
        (TEXT.replace("q.i;", "z.i;"), BUNDLES, "unknown program `z`"),
        (
            TEXT.replace("lizable 2;", "lizable 2 by chosen;"),
            BUNDLES,
            "`chosen` (program `p`) without ARTP",
        ),
        (TEXT, {"p.tar": tar()}, "its bundle `q.tar` was not sent along"),
        (TEXT, {**BUNDLES, "r.tar": tar()}, "no program names it"),
        (TEXT, {**BUNDLES, "q.tar": b"junk"}, "no plain tar file"),
        (TEXT, {**BUNDLES, "q.tar": tar("main")}, "has no file `run`"),
        (
            TEXT.replace("x : udp", "x : udp to 203.0.113.1:5"),
            BUNDLES,
            "is no address of a distribution unit",
        ),
        (TEXT.replace("198.51.100.7:", "[2001:db8::7]:"), BUNDLES, "not of the session's family"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(
    tmp_path: Path, text: str, bundles: dict[str, bytes], expected: str
) -> None:
    async with cluster(tmp_path) as node:
        with pytest.raises(InvalidSession) as refused:
            await node.node.establish(text, bundles, file_name="s.dpn")
        assert expected in str(refused.value)
        assert await node.node.sessions() == [] and node.nothing_held()


@pytest.mark.req("D45")
async def test_a_program_that_never_registers_is_named(tmp_path: Path) -> None:
    async with cluster(tmp_path, mute={"p-1"}) as node:
        with pytest.raises(TimedOut) as late:
            await node.node.establish(TEXT, BUNDLES, registration_timeout=0.5)
        assert "s/p/i (instance 1 on u2), s/p/o (instance 1 on u2)" in str(late.value)
        assert "q" not in str(late.value).split("registered:")[1]
        assert await node.node.sessions() == [] and node.nothing_held()
        # And nothing stands in the way of the next.
        node["u2"].mute = set()
        assert (await node.node.establish(TEXT, BUNDLES)).state == pb.SESSION_STATE_ACTIVE


async def test_a_foreign_name_counts_for_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path, mute={"p-1"}) as node:
        waiting = spawn(node.node.establish(TEXT, BUNDLES, registration_timeout=1))
        await node["u2"].until(lambda: any(one for one in node["u2"].held))
        session = next(iter(await node.node.sessions())).id
        node["u2"].register(session, "p-1", "q", "i")
        node["u2"].register(session, "p-1", "p", "nonsense")
        with pytest.raises(TimedOut, match=r"s/p/i \(instance 1 on u2\)"):
            await waiting


async def test_a_client_that_vanishes_leaves_nothing(tmp_path: Path) -> None:
    async with cluster(tmp_path, mute={"p-1"}) as node:
        waiting = spawn(node.node.establish(TEXT, BUNDLES))
        await node["u2"].until(lambda: len(node["u2"].held) == 2)
        assert (await node.node.session("s")).state == pb.SESSION_STATE_STARTING
        events = node.node.watch("s")
        await anext(events)
        waiting.cancel()
        last = [event async for event in events][-1]
        assert last.session.state == pb.SESSION_STATE_FAILED
        assert "cancelled by its user" in last.message
        assert node.nothing_held() and await node.node.sessions() == []


async def test_a_deadline_undoes_what_was_done(tmp_path: Path) -> None:
    async with cluster(tmp_path, mute={"p-1"}) as node:
        with pytest.raises(TimedOut):
            await node.node.establish(TEXT, BUNDLES, timeout=0.5)
        for agent in node.agents.values():
            await agent.until(lambda agent=agent: set(agent.held) <= {0})  # type: ignore[misc]

        async def gone() -> bool:
            return not await node.node.sessions()

        await eventually(gone)


async def test_a_unit_that_refuses_undoes_the_session_everywhere(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        node["agg"].refuse = "receiver 198.51.100.7 does not answer"
        with pytest.raises(DipronnError, match=r"unit agg: receiver 198\.51\.100\.7 does not answer"):
            await node.node.establish(TEXT, BUNDLES)
        assert node.nothing_held() and await node.node.sessions() == []


async def test_a_program_that_ends_before_it_registers_fails_the_session_at_once(tmp_path: Path) -> None:
    async with cluster(tmp_path, mute={"q-0"}) as node:
        waiting = spawn(node.node.establish(TEXT, BUNDLES))
        for agent in (node["u1"], node["u2"]):
            await agent.until(lambda agent=agent: len(agent.held) == 2)  # type: ignore[misc]
        unit = next(one for one in (await node.node.session("s")).instances if one.program == "q").unit
        node[unit].program_ends((await node.node.session("s")).id, "q-0", "q", 3)
        with pytest.raises(DipronnError, match=rf"q-0 on {unit}: program q ended with status 3, before"):
            await waiting


@pytest.mark.req("D22")
async def test_a_machine_that_dies_is_shown_and_left_out(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        before = len(node["dist"].held[session.id].tables.endpoint)
        events = node.node.watch("s")
        await anext(events)
        node["u2"].vm_dies(session.id, "p-1")
        async with asyncio.timeout(60):
            event = await anext(events)
        assert event.message == "p-1 on u2: killed" and event.session.state == pb.SESSION_STATE_DEGRADED
        (dead,) = [one for one in event.session.instances if one.state == pb.INSTANCE_STATE_DEAD]
        assert (dead.program, dead.index) == ("p", 1)
        # Distribution's slots fall to the other instance.
        await node["dist"].until(lambda: len(node["dist"].held[session.id].tables.endpoint) == before - 1)
        await node["u2"].until(lambda: session.id not in node["u2"].held)


@pytest.mark.req("D63")
@pytest.mark.req("D64")
async def test_rows_follow_the_names_that_programs_register(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        dist, u2 = node["dist"], node["u2"]

        def ports() -> set[int]:
            return {row.destination.port for row in dist.held[session.id].tables.endpoint if row.kind == 3}

        assert ports() == {5000}
        u2.register(session.id, "p-1", "p", "i", 6001)
        await dist.until(lambda: ports() == {5000, 6001})
        # A name that is given back: nothing is sent there, and the session says so.
        u2.register(session.id, "p-1", "p", "i", 0)
        await dist.until(lambda: ports() == {5000})
        event = await watched(node.node, "s", pb.SESSION_STATE_DEGRADED)
        assert event.session.message == "p-1 has not registered all its names"
        u2.register(session.id, "p-1", "p", "i", 5000)
        await watched(node.node, "s", pb.SESSION_STATE_ACTIVE)
        # A guest that changes its mind all the time is planned for as a whole.
        dist.log.clear()
        for port in range(6000, 6200):
            u2.register(session.id, "p-1", "p", "i", port)
        await dist.until(lambda: 6199 in ports())
        assert len(dist.log) < 100


async def test_a_unit_that_returns_while_a_session_is_closed_is_cleaned(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        agent = node["u1"]
        await agent.stop()
        closing = spawn(node.node.close_session("s"))
        agent.start()
        await closing
        await agent.until(lambda: session.id not in agent.held)

        async def nothing_reserved() -> bool:
            return all(unit.reserved.cpu == 0 for unit in await node.node.units())

        await eventually(nothing_reserved)


@pytest.mark.req("D18")
async def test_a_unit_whose_heartbeats_stop_is_dead_by_one_write_on_every_other(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        await node.node.establish(TEXT, BUNDLES)
        number = 2 + UNITS.index("u2")
        node["u2"].beating = False
        for name in ("dist", "u1", "agg"):
            await node[name].until(lambda name=name: node[name].alive[number] is False)  # type: ignore[misc]
            assert node[name].log.count(f"set_alive {number} False") == 1
        event = await watched(node.node, "s", pb.SESSION_STATE_DEGRADED)
        assert "unit u2 is dead" in event.session.message
        assert [unit.name for unit in await node.node.units() if not unit.alive] == ["u2"]
        node["u2"].beating = True
        await watched(node.node, "s", pb.SESSION_STATE_ACTIVE)
        await node["dist"].until(lambda: node["dist"].alive[number])


async def test_an_agent_that_joins_again_is_compared_and_not_disturbed(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        agent = node["u1"]
        await agent.stop()
        agent.log.clear()
        agent.held[99] = type(agent.held[0])(session=99, name="stranger")
        agent.start()
        await agent.until(lambda: "remove 99" in agent.log)
        await node.joined()
        assert f"apply {session.id}" not in agent.log, "what it holds is what it should hold"
        # One that lost everything gets it again.
        await agent.stop()
        agent.held.clear()
        agent.start()
        await agent.until(lambda: session.id in agent.held)


async def test_a_unit_that_comes_back_with_other_links_is_reached_by_its_new_mac(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        agent = node["u1"]
        await agent.stop()
        agent.links[0].mac = bytes.fromhex("02aabbccddee")
        agent.start()

        def known() -> bool:
            rows = node["dist"].held[session.id].tables.endpoint
            return any(row.destination_mac == bytes.fromhex("02aabbccddee") for row in rows)

        await node["dist"].until(known)
        await node.joined()
        assert (await node.node.session("s")).state == pb.SESSION_STATE_ACTIVE


async def test_explain_names_every_rule_to_the_end(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(TEXT, BUNDLES)
        to = session.inputs[0].address
        destination = Socket(ip_address(to.address), to.port)
        packet = datagram("203.0.113.5", 4000, destination, b"x", destination_mac="02:00:00:00:02:01")
        frame = bytes(packet)
        steps = await node.node.explain("dist", "out0", frame)
        assert steps[0].unit == "dist" and steps[-1].unit in ("u1", "u2")
        assert steps[-1].verdict.startswith("sent")
        assert any(step.table == "channel" and "s: x -> p.i" in step.rule for step in steps)
        with pytest.raises(NotFound, match="no unit `nobody`"):
            await node.node.explain("nobody", "out0", frame)
        assert {one.session for one in (await node.node.desired())["dist"]} == {0, session.id}


async def test_health_and_reflection_answer(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node, grpc.aio.insecure_channel(node.address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="dipronn.v1.Sessions")
        )
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)

        async def ask() -> object:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        async for answer in stub.ServerReflectionInfo(ask()):
            names = {service.name for service in answer.list_services_response.service}
            assert {
                "dipronn.v1.Sessions",
                "dipronn.v1.Units",
                "dipronn.v1.Node",
                "grpc.health.v1.Health",
            } <= names
            break
        # Status codes as gRPC users expect them.
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await session_pb2_grpc.SessionsStub(channel).Get(pb.GetSessionRequest(name="none"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_node_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with connect(f"unix:{tmp_path}/nothing.sock") as node:
        with pytest.raises(Unreachable, match="no node answers at"):
            await node.status()
