"""Prometheus scrapes the control unit, and reads what `dipronn account` says."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.server import ControlUnit, Settings
from dipronn.errors import Unavailable
from dipronn.v1 import unit_pb2

from .agents import agents_at, eventually
from .test_accounts import TEXT, channels, count, use
from .test_server import tar

Samples = dict[tuple[str, ...], float]


def scrape(port: int) -> Samples:
    """Values by name and labels in the order of their names."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = answer.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.req("D32", "A57")
async def test_a_scrape_agrees_with_the_accounts_and_the_counters_of_units(tmp_path: Path) -> None:
    control = ControlUnit(Settings(tmp_path / "state", tmp_path / "c.sock", metrics="127.0.0.1:0"))
    await control.start()
    try:
        async with agents_at(f"unix:{tmp_path / 'c.sock'}", ("solo",)) as node:
            session = await node.node.establish(TEXT, {"p.tar": tar()})
            count(node["solo"], channels(node, session.id), 25)
            use(node["solo"], session.id, 2.5, 1e9)

            async def told() -> bool:
                (account,) = await node.node.accounts()
                return account.cpu_seconds == 2.5

            await eventually(told)
            drops = {"rate_limited": 7, "no_flow": 3}
            refused = {"dt1": unit_pb2.Refused(received=7)}
            counters = unit_pb2.UnitCounters(received=50, copies=1, sent=40, drops=drops, refused=refused)
            node["solo"].report(counters=counters)
            found: Samples = {}

            async def scraped() -> bool:
                found.update(await asyncio.to_thread(scrape, control.metrics.port))
                return ("dipronn_unit_received_packets_total", "solo") in found and (
                    found["dipronn_unit_received_packets_total", "solo"] == 50
                )

            await eventually(scraped)
            (account,) = await node.node.accounts()
    finally:
        await control.stop()
    who = (str(account.number), account.owner, account.session)
    assert found["dipronn_session_cpu_seconds_total", *who] == account.cpu_seconds == 2.5
    assert found["dipronn_session_memory_byte_seconds_total", *who] == account.memory_byte_seconds
    for channel in account.channels:
        assert channel.packets > 0
        labels = (channel.channel, *who)
        assert found["dipronn_channel_packets_total", *labels] == channel.packets
        assert found["dipronn_channel_bytes_total", *labels] == channel.bytes
    assert found["dipronn_sessions", "active"] == 1
    assert found["dipronn_unit_alive", "solo"] == 1
    assert found["dipronn_unit_dropped_packets_total", "rate_limited", "solo"] == 7
    assert found["dipronn_unit_dropped_packets_total", "no_flow", "solo"] == 3
    assert found["dipronn_unit_sent_packets_total", "solo"] == 40
    assert found["dipronn_unit_limited_packets_total", "dt1", "received", "solo"] == 7
    assert control.metrics.port == 0


@pytest.mark.parametrize("where", ["nowhere", "127.0.0.1:http", ":9464", "127.0.0.1:70000"])
async def test_an_address_that_is_none_is_refused(where: str, tmp_path: Path) -> None:
    control = ControlUnit(Settings(tmp_path / "state", tmp_path / "c.sock", metrics=where))
    try:
        with pytest.raises(Unavailable, match="is no ADDRESS:PORT"):
            await control.start()
    finally:
        await control.stop()


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        control = ControlUnit(Settings(tmp_path / "state", tmp_path / "c.sock", metrics=where))
        try:
            with pytest.raises(Unavailable, match=f"cannot listen at {where}"):
                await control.start()
        finally:
            await control.stop()
