"""The sequencers of one unit: started, found again after the agent died, started again after they died.

::

    <state>/order/<session>.json    what was ordered, and the process; stored before anything is touched
    <state>/order/<session>.counts  the page that it counts in

A sequencer outlives the agent. While none runs its packets go on in no order (``far_end.py``).
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import structlog

from dipronn.errors import Unavailable
from dipronn.unit.slices import set_aside, unlink, write_whole
from vmhost.order import far_end, statistics
from vmhost.order.build import sequencer_binary
from vmhost.order.rules import Merge, Order, OrderedOutput, Sequencer, Token
from vmhost.vm.rundir import Process

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class OutputCounts:
    """``counts``: those of ``statistics.COUNTERS``, and ``bypassed``."""

    session: int
    output: str
    counts: dict[str, int]


@dataclass(frozen=True)
class SequencerCounts:
    """``losses``: packets of all outputs that are gone, by name: ``overrun`` found no room on the way in,
    ``lost`` were with a process that died, ``returned_lost`` found no room on the way out, ``foreign`` were
    of no output."""

    session: int
    running: bool
    restarts: int
    outputs: tuple[OutputCounts, ...]
    losses: dict[str, int]


@dataclass
class _Held:
    spec: Sequencer
    process: Process | None = None
    child: subprocess.Popen[bytes] | None = None
    restarts: int = 0

    @property
    def runs(self) -> bool:
        if self.child is not None:
            return self.child.poll() is None
        return self.process is not None and Process.of(self.process.pid) == self.process

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        self.process = self.child = None


class Sequencers:
    """``state``: the unit's folder. ``cache``: where binaries are kept. All calls from the unit's namespace;
    they block for moments."""

    def __init__(self, state: Path, pins: Path, cache: Path) -> None:
        self._folder = state / "order"
        self._pins = pins
        self._cache = cache
        self._held: dict[int, _Held] = {}
        self._lock = threading.Lock()
        self._last: list[SequencerCounts] = []

    def adopt(self) -> list[Sequencer]:
        """Those that an earlier agent started. One that does not run is started again, or left out."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                raw = json.loads(path.read_text())
                process = Process(**raw["process"]) if raw["process"] else None
                held = _Held(_spec(raw["spec"]), process, restarts=int(raw["restarts"]))
                self._held[held.spec.session] = held
            except (ValueError, TypeError, KeyError) as error:
                set_aside(path, error)
        self.revive()
        return [held.spec for held in self._held.values() if held.runs]

    def start(self, spec: Sequencer) -> None:
        """Have this sequencer run. Nothing happens when it does. Raises Unavailable."""
        with self._lock:
            held = self._held.get(spec.session)
            if held and held.spec != spec:
                self._stop(spec.session, spec.device)
                held = None
            if held and held.runs:
                return
            held = held or _Held(spec)
            self._held[spec.session] = held
            self._start(held)

    def stop(self, session: int, device: str) -> None:
        """End it and its veth; nothing happens when there is none."""
        with self._lock:
            self._stop(session, device)

    def revive(self) -> list[int]:
        """Start those again that died; gives their sessions. What does not start is tried again."""
        revived = []
        with self._lock:
            for session, held in self._held.items():
                if held.runs:
                    continue
                try:
                    held.restarts += 1
                    self._start(held)
                except Unavailable as error:
                    _log.error("a sequencer does not start again", session=session, error=str(error))
                else:
                    revived.append(session)
        return revived

    def counts(self) -> list[SequencerCounts]:
        """Of now; those of before while one is being started or stopped, which may take long."""
        if self._lock.acquire(blocking=False):
            try:
                self._last = [self._counts(held) for held in self._held.values()]
            finally:
                self._lock.release()
        return self._last

    def _start(self, held: _Held) -> None:
        spec = held.spec
        binary = sequencer_binary(self._cache)
        held.end()
        self._write(held)
        far_end.make(spec, self._pins)
        page = self._page(spec.session)
        self._count_lost(spec, page)
        if not page.exists():
            page.write_bytes(bytes(statistics.BYTES))
        arguments = [str(output.argument()) for output in spec.outputs]
        xsks = far_end.pin_of(self._pins, spec.session, "xsks")
        held.child = subprocess.Popen(
            [str(binary), spec.far_device, str(xsks), str(page), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            start_new_session=True,  # a terminal's Ctrl-C is for the agent
        )
        child = held.child
        assert child.stdin and child.stdout and child.stderr
        held.process = Process.of(child.pid)
        self._write(held)
        try:
            child.stdin.write(b"\n")
            child.stdin.close()
            ready = child.stdout.readline() == b"ready\n"
        except BrokenPipeError:
            ready = False
        if not ready:
            said = child.stderr.read().decode(errors="replace").strip()
            held.end()
            raise Unavailable(f"the sequencer of session {spec.session} does not start: {said}")
        child.stdout.close()
        child.stderr.close()

    def _stop(self, session: int, device: str) -> None:
        if held := self._held.get(session):
            held.end()
        far_end.remove(session, device, self._pins)
        unlink(self._page(session))
        unlink(self._record(session))
        self._held.pop(session, None)

    def _count_lost(self, spec: Sequencer, path: Path) -> None:
        """What was offered to a process that died and neither left it nor was counted otherwise."""
        page = statistics.read_page(path)
        if page is not None and page.beat:
            known = page.ended + page.overrun + page.foreign
            taken = far_end.taken(spec.session, self._pins)
            statistics.write_lost(path, max(page.lost, taken - known))

    def _counts(self, held: _Held) -> SequencerCounts:
        spec = held.spec
        page = statistics.read_page(self._page(spec.session))
        bypassed = far_end.bypassed(spec.session, self._pins)
        outputs = []
        for index, output in enumerate(spec.outputs):
            counts = dict(page.outputs[index]) if page else dict.fromkeys(statistics.COUNTERS, 0)
            counts["bypassed"] = bypassed.get(output.port, 0)
            outputs.append(OutputCounts(spec.session, output.name, counts))
        losses = {
            "overrun": page.overrun if page else 0,
            "lost": page.lost if page else 0,
            "foreign": page.foreign if page else 0,
            "returned_lost": far_end.returned_lost(spec.far_device),
        }
        return SequencerCounts(spec.session, held.runs, held.restarts, tuple(outputs), losses)

    def _write(self, held: _Held) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = {
            "spec": dataclasses.asdict(held.spec),
            "process": dataclasses.asdict(held.process) if held.process else None,
            "restarts": held.restarts,
        }
        write_whole(self._record(held.spec.session), json.dumps(record).encode())

    def _record(self, session: int) -> Path:
        return self._folder / f"{session}.json"

    def _page(self, session: int) -> Path:
        return self._folder / f"{session}.counts"


def _spec(raw: dict[str, object]) -> Sequencer:
    """Raises KeyError, TypeError or ValueError for what is none."""
    outputs = raw.pop("outputs")
    if not isinstance(outputs, list):
        raise TypeError("no list of outputs")
    read = tuple(
        OrderedOutput(
            **{
                **one,
                "token": Token(one["token"]),
                "order": Order(one["order"]),
                "merge": Merge(one["merge"]),
            }
        )
        for one in outputs
    )
    return Sequencer(outputs=read, **raw)  # type: ignore[arg-type]


def end_all(state: Path, pins: Path) -> None:
    """Take every sequencer of a unit down, and what is written of them."""
    sequencers = Sequencers(state, pins, state)
    for spec in sequencers.adopt():
        sequencers.stop(spec.session, spec.device)
    folder = state / "order"
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
