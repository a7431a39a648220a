"""The thinning program on the host: a real stream of ffmpeg in, what remains decoded by ffmpeg."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dipronn.demo.media import decode, transport_stream

THIN = Path(__file__).resolve().parents[3] / "examples" / "demo" / "thin"
B_FRAMES = 3


@dataclass(frozen=True)
class Thin:
    """The program's modules, which lie in the bundle's folder and not in a package."""

    mpegts: ModuleType
    thinner: ModuleType

    def run(self, keep: str, datagrams: Sequence[bytes]) -> tuple[list[bytes], Any]:
        stream = self.thinner.RtpThinner(self.thinner.Keep(keep))
        out = [kept for datagram in datagrams for kept in stream.push(datagram)]
        return out + stream.settle(), stream

    def packets(self, stream: bytes) -> list[Any]:
        return [self.mpegts.TsPacket.parse(stream[at : at + 188]) for at in range(0, len(stream), 188)]


@pytest.fixture(scope="module")
def thin() -> Iterator[Thin]:
    sys.path.insert(0, str(THIN))
    try:
        yield Thin(importlib.import_module("mpegts"), importlib.import_module("thinner"))
    finally:
        sys.path.remove(str(THIN))
        for name in ("mpegts", "rtp", "thinner"):
            sys.modules.pop(name, None)


@pytest.mark.req("D54")
def test_pictures_that_none_needs_are_left_out(thin: Thin, stream: list[bytes], tmp_path: Path) -> None:
    full = decode(transport_stream(stream), tmp_path)
    assert full.sound, full.complaints

    kept, program = thin.run("reference", stream)
    low = decode(transport_stream(kept), tmp_path)

    assert low.complaints == ""
    assert (low.width, low.height) == (full.width, full.height)
    assert (low.video_codec, low.audio_codec) == ("h264", "aac")
    assert low.frames == program.thinner.units_kept == full.frames - program.thinner.units_dropped
    assert low.frames == pytest.approx(full.frames / (1 + B_FRAMES), rel=0.2)
    assert sum(map(len, kept)) < 0.6 * sum(map(len, stream))


@pytest.mark.req("D54")
def test_key_pictures_alone_still_decode(thin: Thin, stream: list[bytes], tmp_path: Path) -> None:
    reference, _ = thin.run("reference", stream)
    kept, program = thin.run("key", stream)
    low = decode(transport_stream(kept), tmp_path)

    assert low.complaints == ""
    assert 2 <= low.frames == program.thinner.units_kept
    assert sum(map(len, kept)) < 0.7 * sum(map(len, reference))


@pytest.mark.parametrize("keep", ["reference", "key"])
def test_what_stays_is_a_flawless_transport_stream(thin: Thin, stream: list[bytes], keep: str) -> None:
    kept, _ = thin.run(keep, stream)
    before = thin.packets(transport_stream(stream))
    after = thin.packets(transport_stream(kept))

    last: dict[int, int] = {}
    for packet in after:
        if packet.pid in last:
            step = 1 if packet.payload else 0
            assert packet.continuity == (last[packet.pid] + step) % 16, f"PID {packet.pid:#x}"
        last[packet.pid] = packet.continuity

    clocks = [packet.pcr for packet in after if packet.pcr]
    assert clocks == [packet.pcr for packet in before if packet.pcr]
    assert clocks == sorted(clocks)

    video = {packet.pid for packet in before if packet.pcr}
    others = [packet.data for packet in before if packet.pid not in video]
    assert [packet.data for packet in after if packet.pid not in video] == others


def test_rtp_is_numbered_anew_and_filled(thin: Thin, stream: list[bytes]) -> None:
    kept, _ = thin.run("reference", stream)
    first = int.from_bytes(stream[0][2:4], "big")

    assert [int.from_bytes(each[2:4], "big") for each in kept] == [
        (first + number) % 65536 for number in range(len(kept))
    ]
    assert {each[8:12] for each in kept} == {stream[0][8:12]}
    assert {len(each) for each in kept[:-1]} == {12 + 7 * 188}
    assert {each[4:8] for each in kept} <= {each[4:8] for each in stream}


def test_a_pause_delays_nothing_for_good(thin: Thin, stream: list[bytes], tmp_path: Path) -> None:
    """Pauses may fall anywhere, also inside a picture: what came is sent, and the stream stays sound."""
    choose = random.Random(5)
    program = thin.thinner.RtpThinner(thin.thinner.Keep.REFERENCE)
    kept = []
    for datagram in stream:
        kept += program.push(datagram)
        if choose.random() < 0.05:
            kept += program.settle()
            assert program.settle() == []
    kept += program.settle()

    assert decode(transport_stream(kept), tmp_path).complaints == ""
    assert len(kept) < len(stream)


def test_a_loss_before_the_program_still_shows_behind_it(thin: Thin, stream: list[bytes]) -> None:
    """A whole reference picture's datagram is missing: some PID's counter must jump in what goes on."""
    whole = thin.packets(transport_stream(thin.run("reference", stream)[0]))
    kept = {packet.data[4:] for packet in whole}
    lost = next(
        number
        for number, datagram in enumerate(stream)
        if number > 20 and all(packet.data[4:] in kept for packet in thin.packets(datagram[12:]))
    )
    after = thin.packets(transport_stream(thin.run("reference", stream[:lost] + stream[lost + 1 :])[0]))

    last: dict[int, int] = {}
    jumps = 0
    for packet in after:
        if packet.payload:
            jumps += packet.continuity != (last.get(packet.pid, packet.continuity - 1) + 1) % 16
            last[packet.pid] = packet.continuity
    assert jumps >= 1


def test_another_stream_begins_cleanly(thin: Thin, stream: list[bytes], tmp_path: Path) -> None:
    """A source that starts again has another SSRC; nothing of the first stream leaks into the second."""
    again = [each[:8] + b"\x12\x34\x56\x78" + each[12:] for each in stream]
    once, _ = thin.run("reference", stream)
    both, _ = thin.run("reference", stream + again)
    first = [each for each in both if each[8:12] == stream[0][8:12]]
    second = [each for each in both if each[8:12] == b"\x12\x34\x56\x78"]

    assert first == once
    assert [each[12:] for each in second] == [each[12:] for each in once]


def test_a_stream_without_video_passes_whole(thin: Thin, stream: list[bytes]) -> None:
    """Without tables no PID is known to be video, so nothing is left out."""
    packets = thin.packets(transport_stream(stream))
    program = thin.thinner.Thinner(thin.thinner.Keep.REFERENCE)
    others = [packet.data for packet in packets if packet.pid >= 0x20 and packet.pid != 0x1000]
    kept = [out for data in others for out in program.push(data)] + program.settle()
    assert [each[4:] for each in kept] == [each[4:] for each in others]


@given(st.lists(st.binary(max_size=400), max_size=20))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(thin: Thin, noise: list[bytes]) -> None:
    kept, program = thin.run("reference", noise)
    assert len(kept) <= len(noise)
    assert program.refused <= len(noise)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_damaged_stream_never_stops_the_program(
    thin: Thin, stream: list[bytes], data: st.DataObject
) -> None:
    damaged = list(map(bytearray, stream[:120]))
    for _ in range(data.draw(st.integers(1, 60))):
        victim = damaged[data.draw(st.integers(0, len(damaged) - 1))]
        victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    kept, _ = thin.run("key", [bytes(each) for each in damaged])
    for datagram in kept:
        transport_stream([datagram])  # raises if it is not whole transport packets in RTP
