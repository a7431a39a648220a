"""The demonstration's stream, made by ffmpeg, and what is verified about what arrived of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dipronn.demo.capture import Address
from dipronn.errors import DipronnError, Unavailable

RTP_HEADER_LENGTH = 12  # ffmpeg and the thinning program send neither contributing sources nor extensions
_PACKETS_PER_DATAGRAM = 7
_TS_PACKET_SIZE = 188
_DECODE_TIMEOUT = 120.0


class BadStream(DipronnError):
    """What should be an RTP or transport stream is none."""


@dataclass(frozen=True)
class Recipe:
    """What ffmpeg makes: an MPEG transport stream of a moving test picture, H.264, and a tone, AAC.

    Three of four pictures are B-frames that no other picture refers to, so there is something to leave out.
    ffmpeg's RTP muxer never sends its last, partly filled datagram, up to six transport packets. So that no
    picture is cut in two there, the sound outlasts the picture by some silence, each AAC frame of which goes
    into a transport packet of its own: a PES packet of one frame, by the small payload and delay.
    """

    seconds: float = 8.0
    width: int = 640
    height: int = 360
    rate: int = 25
    video_kbps: int = 1400
    audio_kbps: int = 96
    b_frames: int = 3
    gop_seconds: float = 1.0
    silence_seconds: float = 0.5
    speed: float = 1.0  # 2.0 sends twice as fast as the stream plays

    def ffmpeg_arguments(self, to: Address) -> list[str]:
        """ffmpeg's command line to send the stream by RTP (payload type 33) to an IPv4 address and port."""
        gop = max(1, round(self.gop_seconds * self.rate))
        picture = (
            f"testsrc2=size={self.width}x{self.height}:rate={self.rate}:duration={self.seconds},"
            f"realtime=speed={self.speed}"
        )
        tone = (
            f"sine=frequency=440:sample_rate=48000:duration={self.seconds},"
            f"apad=pad_dur={self.silence_seconds},arealtime=speed={self.speed}"
        )
        host, port = to
        datagram = RTP_HEADER_LENGTH + _PACKETS_PER_DATAGRAM * _TS_PACKET_SIZE
        return [
            *("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error"),
            *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone),
            *("-c:v", "libx264", "-preset", "veryfast", "-profile:v", "main", "-pix_fmt", "yuv420p"),
            *("-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"),
            *("-bf", str(self.b_frames), "-b_strategy", "0", "-x264-params", "b-pyramid=none:pbratio=1.0"),
            *("-b:v", f"{self.video_kbps}k", "-maxrate", f"{self.video_kbps}k"),
            *("-bufsize", f"{self.video_kbps // 2}k"),
            *("-c:a", "aac", "-b:a", f"{self.audio_kbps}k"),
            *("-muxdelay", "0.04", "-muxpreload", "0"),
            *("-f", "rtp_mpegts", "-mpegts_muxer_options", "pes_payload_size=170"),
            f"rtp://{host}:{port}?pkt_size={datagram}",
        ]


@dataclass(frozen=True)
class Comparison:
    """How received datagrams stand to those sent. Counts are of datagrams.

    `missing` were sent and not received, `extra` received more often than sent (altered ones are both);
    `same_order` tells whether those that are in both came in the order in which they were sent.
    """

    sent: int
    received: int
    missing: int
    extra: int
    same_order: bool

    @property
    def identical_as_set(self) -> bool:
        """Every datagram arrived unaltered, as often as it was sent, in whatever order."""
        return self.missing == 0 and self.extra == 0

    @property
    def identical(self) -> bool:
        """Byte for byte the same sequence of datagrams."""
        return self.identical_as_set and self.same_order


def compare(sent: Sequence[bytes], received: Sequence[bytes]) -> Comparison:
    """Compares the payloads of two lists of datagrams."""
    wanted, got = Counter(map(_digest, sent)), Counter(map(_digest, received))
    both = wanted & got
    return Comparison(
        sent=len(sent),
        received=len(received),
        missing=(wanted - got).total(),
        extra=(got - wanted).total(),
        same_order=_of(both, sent) == _of(both, received),
    )


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()


def _of(wanted: Counter[bytes], payloads: Iterable[bytes]) -> list[bytes]:
    """The digests of the payloads that are in `wanted`, each as often as it is there, in order."""
    left = wanted.copy()
    found = []
    for digest in map(_digest, payloads):
        if left[digest] > 0:
            left[digest] -= 1
            found.append(digest)
    return found


def transport_stream(datagrams: Iterable[bytes]) -> bytes:
    """The transport stream that RTP datagrams carry, in the order given; raises BadStream."""
    pieces = []
    for number, datagram in enumerate(datagrams):
        payload = datagram[RTP_HEADER_LENGTH:]
        if len(datagram) <= RTP_HEADER_LENGTH or datagram[0] != 0x80 or datagram[1] & 0x7F != 33:
            raise BadStream(f"datagram {number} of {len(datagram)} bytes is no plain RTP of type 33")
        if len(payload) % _TS_PACKET_SIZE or any(byte != 0x47 for byte in payload[::_TS_PACKET_SIZE]):
            raise BadStream(f"datagram {number} does not carry whole transport packets")
        pieces.append(payload)
    return b"".join(pieces)


@dataclass(frozen=True)
class Decoded:
    """What ffmpeg says of a transport stream. `complaints`: its errors and warnings, or empty."""

    bytes: int
    width: int
    height: int
    video_codec: str
    audio_codec: str
    frames: int
    complaints: str

    @property
    def sound(self) -> bool:
        """Every picture and every sound was decoded, and nothing was missed."""
        return not self.complaints and self.frames > 0


def decode(stream: bytes, scratch: Path) -> Decoded:
    """Has ffmpeg decode a transport stream strictly. Writes a file in `scratch` and removes it."""
    path = scratch / "decoded.ts"
    path.write_bytes(stream)
    try:
        strict = ["-v", "warning", "-xerror", "-err_detect", "explode"]  # a gap is but a warning
        decoding = _run(["ffmpeg", "-nostdin", *strict, "-i", str(path), "-f", "null", "-"])
        entries = "stream=codec_type,codec_name,width,height,nb_read_frames"
        probing = _run(
            ["ffprobe", "-v", "error", "-count_frames", "-show_entries", entries, "-of", "json", str(path)]
        )
    finally:
        path.unlink()
    complaints = decoding.stderr.strip()
    if decoding.returncode and not complaints:
        complaints = f"ffmpeg ended with exit code {decoding.returncode}"
    streams = json.loads(probing.stdout or "{}").get("streams", [])
    of_type = {each["codec_type"]: each for each in streams}
    video, audio = of_type.get("video", {}), of_type.get("audio", {})
    return Decoded(
        bytes=len(stream),
        width=int(video.get("width", 0)),
        height=int(video.get("height", 0)),
        video_codec=str(video.get("codec_name", "")),
        audio_codec=str(audio.get("codec_name", "")),
        frames=int(video.get("nb_read_frames", 0)),
        complaints=complaints,
    )


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(arguments, capture_output=True, text=True, timeout=_DECODE_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise Unavailable(f"{arguments[0]} is not installed; `make setup` installs it") from error
