"""Source and receiver as the processes that they are in the demonstration, over the loopback."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import pytest

from dipronn.demo.capture import Datagram, read_capture
from dipronn.demo.media import compare
from dipronn.demo.traffic import SendCounts, main

DEADLINE = 60


async def traffic(*arguments: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dipronn.demo.traffic", *arguments), stdout=PIPE, stderr=PIPE
    )


async def event(process: Process) -> Any:
    assert process.stdout
    async with asyncio.timeout(DEADLINE):
        return json.loads(await process.stdout.readline())


async def end(process: Process) -> tuple[int | None, str]:
    async with asyncio.timeout(DEADLINE):
        _, complaints = await process.communicate()
    return process.returncode, complaints.decode()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def child_of(process: Process) -> int:
    """A descriptor of a process's only child; it stays that child's, whoever gets its number later."""
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return os.pidfd_open(int(child))


def has_ended(pidfd: int) -> bool:
    """Waits for the end of a process, up to the deadline."""
    try:
        return bool(select.select([pidfd], [], [], DEADLINE)[0])
    finally:
        os.close(pidfd)


def test_the_record_of_the_source_is_the_stream(recorded: tuple[SendCounts, list[Datagram]]) -> None:
    counts, datagrams = recorded
    assert counts.sent == len(datagrams) > 100
    assert counts.bytes == sum(len(each.payload) for each in datagrams)
    assert (counts.refused, counts.lost_before) == (0, 0)
    assert (counts.first, counts.last) == (datagrams[0].time, datagrams[-1].time)
    numbers = [int.from_bytes(each.payload[2:4], "big") for each in datagrams]
    assert numbers == [(numbers[0] + step) % 65536 for step in range(len(numbers))]


async def test_what_is_sent_arrives_and_both_say_so(tmp_path: Path) -> None:
    port, sent, got = free_port(), tmp_path / "sent.pcap", tmp_path / "got.pcap"
    receiver = await traffic("receive", "--address=127.0.0.1", f"--port={port}={got}", "--idle=30")
    assert await event(receiver) == {"event": "ready", "ports": [port]}
    sender = await traffic("send", f"--to=127.0.0.1:{port}", f"--capture={sent}", "--seconds=2", "--speed=4")
    assert await event(sender) == {"event": "ready"}
    counts = await event(sender)
    assert await end(sender) == (0, "")
    receiver.terminate()  # over the loopback all has arrived by now
    arrived = await event(receiver)
    assert await end(receiver) == (0, "")

    left, came = read_capture(sent), read_capture(got)
    assert compare([each.payload for each in left], [each.payload for each in came]).identical
    assert counts["sent"] == arrived["ports"][str(port)]["received"] == len(left)
    assert all(after.time >= before.time for before, after in zip(left, came, strict=True))
    assert {each.source for each in came} == {left[0].source}
    assert {each.destination for each in came} == {("127.0.0.1", port)}
    assert files_in(tmp_path) == ["got.pcap", "sent.pcap"]


async def test_the_receiver_ends_when_all_ports_were_served_and_are_quiet(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    wanted = [f"--port={port}={tmp_path / str(port)}" for port in ports]
    receiver = await traffic("receive", "--address=127.0.0.1", "--idle=0.1", *wanted)
    await event(receiver)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"one", ("127.0.0.1", ports[0]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await receiver.wait()
        sender.sendto(b"two", ("127.0.0.1", ports[1]))
    counts = await event(receiver)
    assert await end(receiver) == (0, "")
    assert [counts["ports"][str(port)]["received"] for port in ports] == [1, 1]


async def test_the_receiver_ends_at_its_deadline(tmp_path: Path) -> None:
    receiver = await traffic(
        "receive", "--address=127.0.0.1", f"--port={free_port()}={tmp_path / 'x.pcap'}", "--timeout=0.2"
    )
    await event(receiver)
    assert (await event(receiver))["event"] == "counts"
    assert await end(receiver) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_receiver_with_its_counts(tmp_path: Path, number: signal.Signals) -> None:
    ports = [free_port(), free_port()]
    files = [tmp_path / "one.pcap", tmp_path / "two.pcap"]
    wanted = [f"--port={port}={file}" for port, file in zip(ports, files, strict=True)]
    receiver = await traffic("receive", "--address=127.0.0.1", *wanted)
    await event(receiver)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"one", ("127.0.0.1", ports[0]))
    receiver.send_signal(number)
    counts = await event(receiver)
    assert await end(receiver) == (0, "")
    assert [counts["ports"][str(port)]["received"] for port in ports] == [1, 0]
    assert [[each.payload for each in read_capture(file)] for file in files] == [[b"one"], []]


async def test_a_signal_ends_the_source_and_its_ffmpeg(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        to = "{}:{}".format(*target.getsockname())
        sender = await traffic("send", f"--to={to}", f"--capture={tmp_path / 'sent.pcap'}", "--seconds=600")
        assert await event(sender) == {"event": "ready"}
        ffmpeg = child_of(sender)
        sender.terminate()
        counts = await event(sender)
        assert await end(sender) == (0, "")
    assert counts["sent"] == len(read_capture(tmp_path / "sent.pcap")) > 0
    assert has_ended(ffmpeg)


async def test_ffmpeg_ends_with_a_source_that_is_killed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        to = "{}:{}".format(*target.getsockname())
        sender = await traffic("send", f"--to={to}", f"--capture={tmp_path / 'sent.pcap'}", "--seconds=600")
        await event(sender)
        ffmpeg = child_of(sender)
        sender.kill()
        await end(sender)
    assert has_ended(ffmpeg)


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        receiver = await traffic("receive", "--address=127.0.0.1", f"--port={port}={tmp_path / 'x.pcap'}")
        code, complaints = await end(receiver)
    assert code == 1
    assert f"127.0.0.1:{port}" in complaints and "already in use" in complaints


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    receiver = await traffic("receive", "--address=127.0.0.1", f"--port={free_port()}=/dev/full")
    assert (await event(receiver))["event"] == "ready"
    receiver.terminate()
    code, complaints = await end(receiver)
    assert code == 1
    assert "No space left" in complaints


@pytest.mark.parametrize("arguments", [["send", "--to=nowhere"], ["receive"], ["receive", "--port=0=x"], []])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err
