"""Shared state of sessions: versions, watches, barriers, limits; who may ask; what outlives what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from controller.api import sharing as service
from controller.sharing import Answer, SessionState, SharedStates
from controller.sharing import state as limits
from controller.sharing.state import Content
from dipronn.v1 import state_pb2, state_pb2_grpc

from .agents import cluster
from .test_server import tar

pytestmark = pytest.mark.req("D19")

SOON = 60.0
"""Seconds; nobody waits that long unless something is wrong."""


@pytest.fixture
def states(tmp_path: Path) -> SharedStates:
    return SharedStates(tmp_path / "shared.db")


@pytest.fixture
def state(states: SharedStates) -> SessionState:
    return states.of(7)


def test_versions_grow_and_are_never_used_twice(state: SessionState) -> None:
    assert state.get("k").code == 404
    first = state.put("k", b"one")
    assert state.get("k") == Answer(0, first.version, b"one")
    assert state.delete("k") == Answer() and state.delete("k").code == 404
    again = state.put("k", b"one")
    assert again.version > first.version
    assert state.put("other", b"").version > again.version


def test_compare_and_set_takes_one_of_several(state: SessionState) -> None:
    assert state.put("leader", b"a", expected=0).code == 0
    lost = state.put("leader", b"b", expected=0)
    assert lost.code == 409 and lost.version == state.get("leader").version
    assert state.put("leader", b"b", expected=lost.version).code == 0
    assert state.put("leader", b"c", expected=lost.version).code == 409
    assert state.get("leader").value == b"b"


def test_keys_values_and_barriers_are_bounded(state: SessionState) -> None:
    assert state.put("k", bytes(limits.MAX_VALUE + 1)).code == 413
    for number in range(limits.MAX_KEYS):
        assert state.put(f"k{number}", bytes(limits.MAX_VALUE)).code == 0
    assert state.put("more", b"").code == 429 and state.put("k0", b"").code == 0


async def test_a_watch_is_answered_by_a_change_of_its_key_only(state: SessionState) -> None:
    version = state.put("k", b"1").version
    assert (await state.watch("k", 0, SOON)).version == version
    watching = asyncio.create_task(state.watch("k", version, SOON))
    await asyncio.sleep(0)
    state.put("other", b"x")
    assert not (await asyncio.wait({watching}, timeout=0.01))[0]
    state.put("k", b"2")
    assert (await watching).value == b"2"
    gone = asyncio.create_task(state.watch("k", state.get("k").version, SOON))
    await asyncio.sleep(0)
    state.delete("k")
    assert await gone == Answer(0, 0)
    assert (await state.watch("k", 0, 0.001)).code == 408


async def test_a_barrier_opens_when_all_are_there_and_not_before(state: SessionState) -> None:
    first = asyncio.create_task(state.barrier("go", 2, 1, "a", SOON))
    await asyncio.sleep(0)
    assert (await state.barrier("go", 2, 1, "a", 0.001)).code == 408, "one instance counts once"
    assert (await state.barrier("go", 3, 1, "b", SOON)).code == 409, "of another size"
    assert (await state.barrier("go", 2, 3, "b", SOON)).code == 409, "a round that nobody can be in"
    assert await state.barrier("go", 2, 1, "b", SOON) == Answer(0, 1)
    assert await first == Answer(0, 1)
    assert await state.barrier("go", 2, 1, "a", SOON) == Answer(0, 1), "who asks again passes"
    for number in range(limits.MAX_BARRIERS - 1):
        assert (await state.barrier(f"b{number}", 2, 1, "a", 0)).code == 408
    assert (await state.barrier("more", 2, 1, "a", 0)).code == 429


async def test_all_outlives_the_control_unit_and_goes_with_the_session(tmp_path: Path) -> None:
    states = SharedStates(tmp_path / "shared.db")
    version = states.of(7).put("k", b"kept").version
    assert (await states.of(7).barrier("go", 2, 1, "a", 0)).code == 408
    states.of(8).put("k", b"of another session")
    states.close()
    later = SharedStates(tmp_path / "shared.db")
    later.start([7])
    assert later.of(7).get("k") == Answer(0, version, b"kept")
    assert await later.of(7).barrier("go", 2, 1, "b", SOON) == Answer(0, 1), "to have come lasts"
    assert later.of(8).get("k").code == 404
    later.end(7)
    assert later.of(7).get("k").code == 404


def test_a_change_that_cannot_be_kept_is_none() -> None:
    class FullDisk:
        def keep_key(self, *_: object) -> None:
            raise OSError("full")

        def keep_barrier(self, *_: object) -> None:
            raise OSError("full")

    state = SessionState(Content(), FullDisk())
    with pytest.raises(OSError, match="full"):
        state.put("k", b"1")
    assert state.get("k").code == 404


TEXT = """
session {name} {{
  input x : udp; output y to 198.51.100.7:6000;
  program p {{ bundle "p.tar"; in i; out o; }}
  data x -> p.i; data p.o -> y;
}}
"""


@asynccontextmanager
async def asking(directory: Path) -> AsyncIterator[state_pb2_grpc.SharedStateAsyncStub]:
    async with grpc.aio.insecure_channel(f"unix:{directory / 'c.sock'}") as channel:
        yield state_pb2_grpc.SharedStateStub(channel)


def request(session: int, unit: str = "solo", vm: str = "p-0") -> state_pb2.StateRequest:
    return state_pb2.StateRequest(unit=unit, session=session, vm=vm, address="100.64.0.2")


@pytest.mark.req("D27")
async def test_programs_of_a_session_share_what_others_cannot_see(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node, asking(tmp_path) as shared:
        one = (await node.node.establish(TEXT.format(name="one"), {"p.tar": tar()})).id
        two = (await node.node.establish(TEXT.format(name="two"), {"p.tar": tar()})).id
        put = request(one)
        put.put.key, put.put.value = "k", b"of one"
        assert (await shared.Ask(put)).code == 0
        get = request(one)
        get.get.key = "k"
        assert (await shared.Ask(get)).value == b"of one"
        get.session = two
        assert (await shared.Ask(get)).code == 404
        for foreign in (request(one, unit="elsewhere"), request(one, vm="q-0"), request(99)):
            foreign.get.key = "k"
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await shared.Ask(foreign)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        nonsense = request(one)
        nonsense.get.key = "no key"
        for wrong in (nonsense, request(one)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await shared.Ask(wrong)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await node.node.close_session("one")
        with pytest.raises(grpc.aio.AioRpcError):
            await shared.Ask(put)


async def test_who_waits_is_answered_in_time_to_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "HOLD_SECONDS", 0.05)
    async with cluster(tmp_path, ("solo",)) as node, asking(tmp_path) as shared:
        session = (await node.node.establish(TEXT.format(name="one"), {"p.tar": tar()})).id
        barrier = request(session)
        barrier.barrier.name, barrier.barrier.count, barrier.barrier.round = "go", 2, 1
        assert (await shared.Ask(barrier)).code == 408
        watch = request(session)
        watch.watch.key = "k"
        assert (await shared.Ask(watch)).code == 408
