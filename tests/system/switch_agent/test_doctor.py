"""``dipronn doctor`` on a switch: what was changed behind its agent's back is found, with the remedy."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from typer.testing import CliRunner

from controller.drivers.p4runtime.apply import Change
from controller.drivers.p4runtime.entries import Action, EntryKey, encode_peer, encode_peer_key
from controller.drivers.p4runtime.switch import Switch
from controller.steering.model import Peer, PeerKey, Socket, Tables
from dipronn.cli import doctor
from dipronn.cli.main import app
from dipronn.v1 import unit_pb2
from tests.system.switch_agent.conftest import LAN_MAC, PIPELINE, Edge, Network, read_back
from tests.system.switch_agent.rows import base, public, resolved, session, slice_
from tests.system.switch_agent.test_switch_agent import RECEIVER_MAC, other

pytestmark = pytest.mark.timeout(180)

PUBLIC = public(1)
FLOW = EntryKey("flow_wild", (int(PUBLIC.address), PUBLIC.port))


class Doctor:
    """The command, with what the control unit would say it wants."""

    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        self._edge = edge
        self.wanted: list[unit_pb2.Slice] = []
        monkeypatch.setattr(doctor, "_fetch", self._fetch)

    async def _fetch(self, _: object) -> dict[str, list[unit_pb2.Slice]]:
        return {"edge": self.wanted}

    async def says(self, *options: str) -> tuple[int, str]:
        command = ["doctor", "--state", str(self._edge.config.state), *options]
        result = await asyncio.to_thread(CliRunner().invoke, app, command, catch_exceptions=False)
        return result.exit_code, result.stdout

    async def finds(self) -> list[dict[str, Any]]:
        status, text = await self.says("--json")
        told = json.loads(text)
        assert told["units"] == ["edge"]
        assert status == (1 if told["findings"] else 0)
        findings: list[dict[str, Any]] = told["findings"]
        return findings


@pytest.fixture
def examined(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    return Doctor(edge, monkeypatch)


@contextlib.asynccontextmanager
async def stranger(edge: Edge) -> AsyncIterator[Switch]:
    """Another controller, which is primary while it is there."""
    switch = other(edge, 1000)
    working = asyncio.create_task(switch.run())
    await switch.require_up(60)
    try:
        yield switch
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def established(edge: Edge, examined: Doctor) -> Tables:
    """A session; its entries in the switch."""
    await edge.start()
    for number, rows in enumerate((base(), session(1))):
        assert await edge.control.order(slice_(number, rows)) == ""
        examined.wanted.append(slice_(number, rows))
    return resolved(session(1), RECEIVER_MAC, LAN_MAC)


async def test_missing_foreign_and_different_entries_are_found(
    edge: Edge, network: Network, examined: Doctor
) -> None:
    """Given a session, when a stranger writes to the switch, then each entry is named, until it is repaired.

    A peer is learnt from packets and a receiver's next hop is the agent's to find: neither is a finding.
    """
    await established(edge, examined)
    assert await examined.finds() == []
    held = read_back(edge.switch.address)
    endpoint, slot = EntryKey("endpoint", (100,)), EntryKey("slot", (999, 0))
    before = held[endpoint]
    ruined = replace(before, parameters=(*before.parameters[:-2], 576, before.parameters[-1]))
    asker = PeerKey(PUBLIC, Socket(ip_address("192.0.2.20"), 40000))
    learnt = encode_peer(asker, Peer("lan0", 0, LAN_MAC, RECEIVER_MAC, None, 1500), edge.config.ports)
    async with stranger(edge) as hand:
        changes = [
            Change(FLOW, held[FLOW], None),
            Change(endpoint, before, ruined),
            Change(slot, None, Action("set_slot", (100, 0))),
            Change(encode_peer_key(asker), None, learnt),
        ]
        for change in changes:
            assert not await hand.write([change])
        found = await examined.finds()
        flow = f"flow_wild entry destination 192.0.2.1, destination_port {PUBLIC.port}"
        assert [(one["unit"], one["kind"], one["what"]) for one in found] == [
            ("edge", "drift", "endpoint entry endpoint 100: mtu 576, not 1500"),
            ("edge", "drift", f"{flow} is missing"),
            ("edge", "residue", "slot entry group 999, index 0 is nobody's"),
        ]
        assert all("restart the switch's agent" in one["remedy"] for one in found)
        status, text = await examined.says()
        assert status == 1 and "is missing" in text and "edge: restart the switch's agent" in text
    await edge.until(lambda: slot not in read_back(edge.switch.address))
    assert await examined.finds() == []


async def test_a_switch_is_looked_into_without_its_agent(
    edge: Edge, network: Network, examined: Doctor
) -> None:
    """What is not ordered yet is missing, whoever should have written it; a receiver's endpoint, too."""
    await established(edge, examined)
    await edge.stop()
    examined.wanted.append(slice_(2, session(2)))
    told = [one["what"] for one in await examined.finds()]
    assert "endpoint entry endpoint 202 is missing" in told
    assert "channel entry channel 200 is missing" in told
    assert all(text.endswith("is missing") for text in told)
    assert len(told) == len(edge.expected(resolved(session(2), RECEIVER_MAC, LAN_MAC))) - len(edge.expected())
    edge.switch.stop()
    (finding,) = await examined.finds()
    assert finding["kind"] == "drift" and edge.switch.address in finding["what"]
    assert "start the switch" in finding["remedy"]


async def test_another_pipeline_is_told(edge: Edge, network: Network, examined: Doctor) -> None:
    await established(edge, examined)
    await edge.stop()
    thief = other(edge, 1000)
    thief.pipeline = type(PIPELINE)(PIPELINE.info, PIPELINE.config, PIPELINE.cookie + 1)
    working = asyncio.create_task(thief.run())
    try:
        await thief.require_up(60)
        (finding,) = await examined.finds()
        assert finding["what"].endswith("runs another pipeline than ours")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
