"""The demonstration: a whole node, a session of four programs in virtual machines, a real stream, and proof.

Everything is real: ffmpeg streams live from the source's namespace, XDP or P4 steers, the programs run in
virtual machines, and what the receivers recorded is compared with what the source sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dipronn
from controller.steering.drops import Drop
from dipronn.demo import bundles, media
from dipronn.demo.capture import read_capture
from dipronn.demo.result import ChannelCount, Delivery, DemoResult, MachineStart
from dipronn.errors import AlreadyExists, DipronnError
from dipronn.node import namespaces, processes, starter
from dipronn.node.config import NodeConfig
from dipronn.node.topology import Topology
from dipronn.v1 import session_pb2, unit_pb2

NODE = "demo"
SESSION_FILE = Path(__file__).parents[2] / "examples" / "demo" / "demo.dpn"
INPUT = "192.0.2.1:5004"
HIGH, SAFE, LOW = "high", "safe", "low"
OUTPUTS = {HIGH: (0, "198.51.100.7", 6000), SAFE: (0, "198.51.100.7", 6002), LOW: (1, "198.51.100.8", 6000)}
"""Output → its receiver's place in the topology, address and port, as the session's text states them."""
LOW_BYTES_AT_MOST = 0.8
SETTLE_SECONDS = 10.0
REGISTRATION_SECONDS = 150.0
"""Four machines start at once, by emulation and on few cores."""
HOUSEKEEPING_PACKETS = 20
"""By how much the taps of two instances may differ: ARP and the name protocol also go there."""

Progress = Callable[[str], None]


async def run_demo(
    progress: Progress, dataplane: str = "xdp", build: starter.Build = namespaces.build
) -> DemoResult:
    """Run the whole demonstration and remove everything again.  Raises DipronnError when it cannot run.

    ``dataplane``: what distribution and aggregation are made of; ``build``: what makes the network.
    """
    result = DemoResult()
    with _one_demo_at_a_time():
        if starter.down(NODE, lambda _: None):
            progress("removed what an interrupted run had left")
        try:
            topology = await starter.up(NodeConfig(name=NODE, dataplane=dataplane), progress, build)
            await _show(topology, result, progress)
        finally:
            progress("removing the node")
            starter.down(NODE, lambda _: None)
    left = starter.residue(NODE)
    result.check("nothing is left behind", not left, ", ".join(left) or "no namespace, process, pin or file")
    return result


async def _show(topology: Topology, result: DemoResult, progress: Progress) -> None:
    places = starter.Places(NODE)
    scratch = places.run / "demo"
    scratch.mkdir()
    progress("compiling the session's programs")
    programs = await asyncio.to_thread(bundles.build, scratch)
    async with dipronn.connect(f"unix:{places.socket}") as node:
        progress("establishing the session: virtual machines start, programs register their names")
        session = await node.establish(
            SESSION_FILE.read_text(), bundles=programs, registration_timeout=REGISTRATION_SECONDS
        )
        result.machines = [
            MachineStart(
                f"{each.program}-{each.index}", each.unit, each.start_time.ToTimedelta().total_seconds()
            )
            for each in session.instances
        ]
        seals = {each.unit for each in session.instances if each.program == "seal"}
        result.check("the parallel instances run on two units", len(seals) == 2, ", ".join(sorted(seals)))
        sent, received = await _stream(topology, scratch, progress)
        result.sent_datagrams, result.sent_bytes = len(sent), sum(map(len, sent))
        for output, (_, address, port) in OUTPUTS.items():
            payloads = received[output]
            receiver = f"{address}:{port}"
            result.delivered.append(Delivery(output, receiver, len(payloads), sum(map(len, payloads))))
        await _count(node, session.name, len(received[LOW]), result)
        progress("decoding what arrived")
        await asyncio.to_thread(_verify, sent, received, scratch, result)
        await node.close_session(session.name)


async def _stream(
    topology: Topology, scratch: Path, progress: Progress
) -> tuple[list[bytes], dict[str, list[bytes]]]:
    """Stream from the source to the receivers; payloads sent, and received by output."""
    captures = {output: scratch / f"{output}.pcap" for output in OUTPUTS}
    sent = scratch / "sent.pcap"
    async with asyncio.TaskGroup() as receivers:
        running = []
        for place, namespace in enumerate(topology.receivers):
            mine = {output: at for output, at in OUTPUTS.items() if at[0] == place}
            ports = [f"--port={port}={captures[output]}" for output, (_, _, port) in mine.items()]
            address = next(iter(mine.values()))[1]
            ready = asyncio.Event()
            arguments = ["receive", "--address", address, *ports]
            receivers.create_task(_traffic(namespace, arguments, ready))
            running.append(ready.wait())
        async with asyncio.timeout(30):
            await asyncio.gather(*running)
        progress(f"streaming {media.Recipe.seconds:.0f} s of H.264 and AAC over RTP")
        await _traffic(topology.source, ["send", "--to", INPUT, "--capture", str(sent)], asyncio.Event())
        progress("waiting for the receivers to fall quiet")
    return (
        [datagram.payload for datagram in read_capture(sent)],
        {output: [datagram.payload for datagram in read_capture(path)] for output, path in captures.items()},
    )


async def _traffic(namespace: str, arguments: list[str], ready: asyncio.Event) -> None:
    """Run one end of the traffic in a namespace to its end; ``ready`` is set when it says so."""
    process = await asyncio.create_subprocess_exec(
        *("nsenter", f"--net=/run/netns/{namespace}", "--"),
        *(sys.executable, "-m", "dipronn.demo.traffic", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, processes.MARK: NODE},
    )
    assert process.stdout and process.stderr
    try:
        async for line in process.stdout:
            if json.loads(line)["event"] == "ready":
                ready.set()
        complaint = (await process.stderr.read()).decode(errors="replace").strip()
        if await process.wait() != 0:
            raise DipronnError(f"the demonstration's traffic in {namespace} failed: {complaint}")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _count(node: dipronn.Node, name: str, low: int, result: DemoResult) -> None:
    """Take the counters of channels and units, once no packet is under way any more."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        session, status = await asyncio.gather(node.session(name), node.status())
        steered = {each.channel: each.packets for each in session.channels}
        balances = {unit.name: _imbalance(unit.counters) for unit in status.units}
        settled = not any(balances.values()) and steered.get("thin.thinned -> low", 0) >= low
        if settled or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    result.channels = [ChannelCount(each.channel, each.packets, each.bytes) for each in session.channels]
    result.drops = {unit.name: dict(unit.counters.drops) for unit in status.units if unit.counters.drops}
    found = ", ".join(f"{unit} {balance:+d}" for unit, balance in balances.items() if balance)
    result.check(
        "in + copies = out + named drops on every unit", not any(balances.values()), found or "exact"
    )
    high = steered.get("stream -> high", 0)
    result.check(
        "every datagram sent was steered", high == result.sent_datagrams, f"{high} of {result.sent_datagrams}"
    )
    active = session.state == session_pb2.SESSION_STATE_ACTIVE
    result.check("the session stayed active", active, session_pb2.SessionState.Name(session.state))
    turns = await _received_by_machines(node, "seal-")
    fair = len(turns) == 2 and max(turns.values()) - min(turns.values()) <= HOUSEKEEPING_PACKETS
    found = ", ".join(f"{machine} {packets}" for machine, packets in sorted(turns.items()))
    result.check("the parallel instances took turns", fair, f"packets: {found}")


async def _received_by_machines(node: dipronn.Node, prefix: str) -> dict[str, int]:
    """Packets that the kernel handed to machines of this session, by machine, as their taps counted."""
    packets = {}
    for unit, slices in (await node.desired()).items():
        for vm in (vm for one in slices for vm in one.vms if vm.name.startswith(prefix)):
            command = ("nsenter", f"--net=/run/netns/{NODE}-{unit}", "ip", "-json", "-stats", "link", "show")
            process = await asyncio.create_subprocess_exec(
                *command, "dev", vm.device, stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            packets[vm.name] = int(json.loads(output)[0]["stats64"]["tx"]["packets"])
    return packets


def _imbalance(counters: unit_pb2.UnitCounters) -> int:
    """Packets unaccounted for; what a device refused was counted as sent before."""
    dropped = sum(count for reason, count in counters.drops.items() if reason != Drop.DEVICE_DROP.label)
    return counters.received + counters.copies - counters.sent - counters.to_host - dropped


def _verify(sent: list[bytes], received: dict[str, list[bytes]], scratch: Path, result: DemoResult) -> None:
    high, safe = media.compare(sent, received[HIGH]), media.compare(sent, received[SAFE])
    result.check("high: the stream unchanged, in order", high.identical, _compared(high))
    result.check("safe: sealed, opened, the same datagrams", safe.identical_as_set, _compared(safe))
    original = media.decode(media.transport_stream(received[HIGH]), scratch)
    thinned = media.decode(media.transport_stream(received[LOW]), scratch)
    result.check("high decodes without error", original.sound, _decoded(original))
    result.check("low decodes without error", thinned.sound, _decoded(thinned))
    sizes = ((original.width, original.height), (thinned.width, thinned.height))
    result.check("low has the same resolution", sizes[0] == sizes[1], f"{sizes[1][0]}x{sizes[1][1]}")
    share = thinned.bytes / max(1, original.bytes)
    result.check("low has clearly fewer bytes", 0 < share <= LOW_BYTES_AT_MOST, f"{share:.0%} of high")


def _compared(comparison: media.Comparison) -> str:
    return (
        f"{comparison.sent} sent, {comparison.received} received, {comparison.missing} missing, "
        f"{comparison.extra} extra{'' if comparison.same_order else ', other order'}"
    )


def _decoded(decoded: media.Decoded) -> str:
    return decoded.complaints or (
        f"{decoded.frames} pictures, {decoded.video_codec} and {decoded.audio_codec}, {decoded.bytes:,} bytes"
    )


@contextmanager
def _one_demo_at_a_time() -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind("\0dipronn-demonstration")
        except OSError as error:
            raise AlreadyExists("another demonstration runs on this machine; wait for its end") from error
        yield
