from __future__ import annotations

import random
from pathlib import Path

import pytest

from dipronn.demo.media import BadStream, Recipe, compare, decode, transport_stream

SECONDS = 4  # of the recorded stream


def test_the_stream_is_what_the_demonstration_promises(stream: list[bytes], tmp_path: Path) -> None:
    assert {len(each) for each in stream} == {1328}
    assert {each[1] & 0x7F for each in stream} == {33}
    decoded = decode(transport_stream(stream), tmp_path)
    assert decoded.sound, decoded.complaints
    assert decoded.frames == SECONDS * Recipe.rate
    assert (decoded.width, decoded.height) == (640, 360)
    assert (decoded.video_codec, decoded.audio_codec) == ("h264", "aac")
    assert not list(tmp_path.iterdir())


def test_the_end_of_the_picture_does_not_depend_on_the_datagram_that_ffmpeg_keeps_back(
    stream: list[bytes], tmp_path: Path
) -> None:
    """Not even one more datagram lost at the end, full of silence, is missed."""
    decoded = decode(transport_stream(stream[:-1]), tmp_path)
    assert decoded.sound, decoded.complaints
    assert decoded.frames == SECONDS * Recipe.rate


@pytest.mark.parametrize("lost", [10, 50, 90])
def test_a_lost_datagram_is_not_sound(stream: list[bytes], tmp_path: Path, lost: int) -> None:
    """The judge must be able to say no."""
    at = len(stream) * lost // 100
    decoded = decode(transport_stream(stream[:at] + stream[at + 3 :]), tmp_path)
    assert not decoded.sound


def test_nothing_is_not_sound(tmp_path: Path) -> None:
    assert not decode(b"", tmp_path).sound


def test_comparison_of_what_is_the_same(stream: list[bytes]) -> None:
    same = compare(stream, list(stream))
    assert same.identical and same.identical_as_set
    assert (same.sent, same.received) == (len(stream), len(stream))


def test_comparison_of_what_is_shuffled(stream: list[bytes]) -> None:
    shuffled = random.Random(1).sample(stream, len(stream))
    result = compare(stream, shuffled)
    assert result.identical_as_set and not result.identical


def test_comparison_of_what_is_altered_lost_and_repeated(stream: list[bytes]) -> None:
    altered = bytes([*stream[3][:-1], stream[3][-1] ^ 1])
    result = compare(stream, [*stream[:3], altered, *stream[5:], stream[0]])
    assert (result.missing, result.extra, result.same_order) == (2, 2, True)
    assert not result.identical_as_set and not result.identical


def test_what_is_not_a_stream_is_refused(stream: list[bytes]) -> None:
    with pytest.raises(BadStream, match="datagram 1 "):
        transport_stream([stream[0], b"hello"])
    with pytest.raises(BadStream, match="datagram 0 "):
        transport_stream([stream[0][:-1]])
