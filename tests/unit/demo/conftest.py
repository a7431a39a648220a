"""One real stream of ffmpeg, made once, for all tests of the demonstration."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from dipronn.demo.capture import Datagram, read_capture
from dipronn.demo.media import Recipe
from dipronn.demo.traffic import SendCounts, send

SECONDS = 4.0


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[SendCounts, list[Datagram]]:
    """What `send` told and recorded of a stream that it sent to a port where nobody reads."""
    capture: Path = tmp_path_factory.mktemp("stream") / "sent.pcap"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        recipe = Recipe(seconds=SECONDS, speed=4.0)
        counts = asyncio.run(send(recipe, nobody.getsockname(), capture, lambda: None))
    return counts, read_capture(capture)


@pytest.fixture(scope="session")
def stream(recorded: tuple[SendCounts, list[Datagram]]) -> list[bytes]:
    """The payloads of that stream: RTP with MPEG-TS."""
    return [datagram.payload for datagram in recorded[1]]
