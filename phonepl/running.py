"""`run`: captures in, captures and counters out, by any target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phonepl import capture
from phonepl.compiler import Compiled
from phonepl.diagnostics import PhoneplError
from phonepl.targets import Arrival, Outcome, Target

Binding = tuple[str, Path]
"""An imported stream and the capture file bound to it."""


class UsageError(PhoneplError):
    """The command line asks for something that there is not. Exit code 2."""


@dataclass(frozen=True)
class Report:
    """What a run counted; `as_dict` is what is printed."""

    target: str
    streams: dict[str, dict[str, int]]
    drops: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        return {"target": self.target, "streams": self.streams, "drops": self.drops}


def run(
    compiled: Compiled, name: str, target: Target, inputs: Sequence[Binding], outputs: Sequence[Binding]
) -> Report:
    """Run the packets of all inputs, merged by timestamp (ties in the order of `inputs`), and write the
    outputs.

    Raises UsageError for unknown streams and unreadable captures, and what the target raises.
    """
    streams = compiled.program.streams
    _check_names(streams, inputs, outputs)
    captures = [(stream, _read(path)) for stream, path in inputs]
    tagged = [(record, stream, part) for stream, part in captures for record in part.records]
    # The sort is stable: ties stay in the order of the inputs, and of the file within each.
    tagged.sort(key=lambda item: item[0].timestamp)
    arrivals = [Arrival(stream, record.timestamp, record.data) for record, stream, _ in tagged]
    outcome = target.run(compiled, arrivals)
    origins = [part for _, _, part in tagged]
    for stream, path in outputs:
        _write(stream, path, outcome, arrivals, origins, [part for _, part in captures])
    counts = {stream: {"in": 0, "out": 0} for stream in streams}
    for arrival in arrivals:
        counts[arrival.stream]["in"] += 1
    for departure in outcome.departures:
        counts[departure.stream]["out"] += 1
    return Report(name, counts, dict(outcome.drops))


def binding(text: str, option: str) -> Binding:
    """NAME=FILE as given on the command line; raises UsageError."""
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise UsageError(f"{option} {text}: write {option} NAME=FILE.pcap, where NAME is an imported stream")
    return name, Path(path)


def _check_names(streams: tuple[str, ...], inputs: Sequence[Binding], outputs: Sequence[Binding]) -> None:
    for option, bindings in (("--in", inputs), ("--out", outputs)):
        for name, path in bindings:
            if name not in streams:
                known = ", ".join(streams) or "nothing"
                raise UsageError(
                    f"{option} {name}={path}: the program does not import {name}; it imports {known}"
                )
    names = [name for name, _ in outputs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--out {name} is given twice; a stream is written to one file")


def _read(path: Path) -> capture.Capture:
    try:
        return capture.read(path)
    except OSError as wrong:
        raise UsageError(f"{path}: {wrong.strerror}") from wrong
    except capture.CaptureError as wrong:
        raise UsageError(str(wrong)) from wrong


def _write(
    stream: str,
    path: Path,
    outcome: Outcome,
    arrivals: Sequence[Arrival],
    origins: Sequence[capture.Capture],
    captures: Sequence[capture.Capture],
) -> None:
    mine = [departure for departure in outcome.departures if departure.stream == stream]
    links = {origins[departure.arrival].link_type for departure in mine}
    if len(links) > 1:
        listed = ", ".join(map(str, sorted(links)))
        raise UsageError(f"--out {stream}={path}: packets of link types {listed} do not fit one capture")
    link = links.pop() if links else captures[0].link_type if captures else capture.ETHERNET
    records = [capture.Record(arrivals[d.arrival].timestamp, d.data) for d in mine]
    try:
        capture.write(path, link, records, any(part.nanoseconds for part in captures))
    except OSError as wrong:
        raise UsageError(f"{path}: {wrong.strerror}") from wrong
