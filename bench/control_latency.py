"""How long a word takes between instances and back, over the control network and by the data path."""

from __future__ import annotations

import asyncio
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterator

import dipronn
from bench.registry import Result, measurement, noise
from dipronn.node import starter
from dipronn.node.config import NodeConfig
from dipronn.node.namespaces import NAMESPACES

ROUNDS = 1000
SESSION = """
session word {
  cycle ok;
  input  go   : udp to 192.0.2.1:5300;
  output told to 198.51.100.7:6300;
  program ping { bundle "ping.tar"; in go, back; out told, there; needs cpu PING_CPU; }
  program pong { bundle "pong.tar"; in hear; out say; needs cpu PING_CPU; }
  data go -> ping.go;            data ping.told -> told;
  data ping.there -> pong.hear;  data pong.say -> ping.back;
  control ping.ask <-> pong.reply;
}
"""
PING = """#!/usr/bin/env python3
import json, time
import dipronn_guest as dipronn
go, back, told, there = (dipronn.register(name) for name in ("go", "back", "told", "there"))
ask = dipronn.register("ask")
for endpoint in (back, ask):
    endpoint.settimeout(5)
while True:
    rounds = int(dipronn.receive(go)[0])
    seconds = {"data": [], "control": []}
    for number in range(rounds):  # turn by turn
        for name, out, heard in (("data", there, back), ("control", ask, ask)):
            start = time.perf_counter()
            dipronn.send(out, b"%d" % number)
            try:
                while int(dipronn.receive(heard)[0]) != number:
                    pass
            except OSError:
                continue
            seconds[name].append(round(1e6 * (time.perf_counter() - start)))
    for name, each in seconds.items():
        for first in range(0, len(each), 100):
            dipronn.send(told, json.dumps([name, each[first:first + 100]]).encode())
    dipronn.send(told, b"[]")
"""
PONG = """#!/usr/bin/env python3
import selectors
import dipronn_guest as dipronn
hear, say, reply = (dipronn.register(name) for name in ("hear", "say", "reply"))
ready = selectors.DefaultSelector()
for endpoint, out in ((hear, say), (reply, reply)):
    ready.register(endpoint, selectors.EVENT_READ, out)
while True:
    for key, _ in ready.select():
        dipronn.send(key.data, dipronn.receive(key.fileobj)[0])
"""
RECEIVE = """
import json, socket, sys
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("198.51.100.7", 6300))
receiver.settimeout(300)
print("ready", flush=True)
while message := json.loads(receiver.recv(65536)):
    print(json.dumps(message), flush=True)
"""
START = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), ("192.0.2.1", 5300))
"""


@measurement
def control_latency() -> Iterator[Result]:
    """Round trip between programs on two units, in their machines: by a control channel, by data channels."""
    seconds = asyncio.run(_measure())
    for name, other in (("control", "data"), ("data", "control")):
        mine, theirs = sorted(seconds[name]), sorted(seconds[other])
        conditions = (
            f"Python in two machines on two units of an all-in-one node, turn by turn, {len(mine)} times; "
            f"noise ±{noise(seconds[name]):.1%}"
        )
        for share, value in (("p50", statistics.median(mine)), ("p99", mine[int(len(mine) * 0.99)])):
            peer = statistics.median(theirs) if share == "p50" else theirs[int(len(theirs) * 0.99)]
            yield Result(f"{name}_round_trip_{share}_us", value, "us", None, {other: peer}, conditions)


async def _measure() -> dict[str, list[float]]:
    name = f"bench{os.getpid()}"
    await starter.up(NodeConfig(name=name), lambda _: None)
    try:
        async with dipronn.connect(f"unix:{starter.Places(name).socket}") as node:
            offered = max(unit.total.cpu for unit in await node.units())
            text = SESSION.replace("PING_CPU", f"{0.6 * offered:.2f}")  # two do not fit on one unit
            bundles = {"ping.tar": _tar(PING), "pong.tar": _tar(PONG)}
            session = await node.establish(text, bundles, registration_timeout=120)
            assert len({instance.unit for instance in session.instances}) == 2
            async with asyncio.timeout(60):
                while not await _control_is_wired(node):  # noqa: ASYNC110 - the node tells no such event
                    await asyncio.sleep(0.1)
            return await asyncio.to_thread(_round_trips, name)
    finally:
        starter.down(name, lambda _: None)


async def _control_is_wired(node: dipronn.Node) -> bool:
    instances = (await node.session("word")).instances
    return {"ask", "reply"} <= {each.port for instance in instances for each in instance.names}


def _round_trips(node: str) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"data": [], "control": []}
    receiver = subprocess.Popen(_inside(node, "receiver1", RECEIVE), stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout and receiver.stdout.readline() == "ready\n"
        subprocess.run(_inside(node, "source", START, str(ROUNDS)), check=True)
        for line in receiver.stdout:
            path, some = json.loads(line)
            seconds[path] += some
    finally:
        receiver.kill()
        receiver.wait()
    return seconds


def _inside(node: str, place: str, code: str, *arguments: str) -> list[str]:
    return ["nsenter", f"--net={NAMESPACES / f'{node}-{place}'}", sys.executable, "-c", code, *arguments]


def _tar(script: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("run")
        info.size, info.mode = len(script), 0o755
        tar.addfile(info, io.BytesIO(script.encode()))
    return packed.getvalue()
