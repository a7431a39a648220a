"""The steering program of one unit: loaded, attached, filled with rows and read back.

The rows are those of ``controller.steering.model``; what the kernel holds instead of them is the business of
``layout.py`` (bytes), ``rows.py`` (translation) and ``forks.py`` (forks).
"""

from __future__ import annotations

import contextlib
import ctypes
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from controller.steering.drops import Drop
from controller.steering.model import PEER_LIFETIME, ForkKey, Peer, PeerKey, Tables, Unit
from dipronn.errors import Unavailable
from ebpf import layout, rows
from ebpf.attachment import TRACEPOINTS, Attachment, DeviceNames
from ebpf.bpf import XDP_DEVMAP, Map, ProgramType, close_all, run_program
from ebpf.compiler import compile
from ebpf.counters import CounterReader
from ebpf.events import RingBuffer
from ebpf.flow_batch import FlowBatch
from ebpf.fork_tables import ForkTables
from ebpf.graph import GRAPH, Graph
from ebpf.kernel import KernelPrograms
from ebpf.layout import MAPS, Sizes
from ebpf.maps import close_maps, new_devmap, open_maps, remove_pins
from ebpf.outcome import (
    Counters,
    Event,
    OverrideCopy,
    PutCopy,
    PutsAt,
    Refused,
    TestOutcome,
    Traffic,
    Verdict,
)

__all__ = ["Counters", "Event", "Refused", "Sizes", "SteeringProgram", "TestOutcome", "Traffic", "Verdict"]

SOURCE = Path(__file__).with_name("steering.bpf.c")
FUNCTIONS = ("steer", "steer_copy", "steer_put", *TRACEPOINTS)
_ORDER = (
    "unit",
    "limit",
    "endpoint",
    "slot",
    "channel",
    "fork",
    "next_hop",
    "artp",
    "link",
    "peer",
    "flow",
    "binding",
)
"""Rows are written in this order, and deleted in the reverse: what is pointed to stands first."""
_IN_MAPS = {
    "link": ("link", "link_vlan"),
    "limit": ("limit",),
    "flow": ("flow4", "flow6"),
    "artp": ("artp",),
    "next_hop": ("next_hop",),
    "binding": ("binding4", "binding6", "binding_put"),
    "peer": ("peer4", "peer6"),
    "channel": ("channel",),
    "slot": ("slot",),
    "endpoint": ("endpoint",),
    "unit": ("unit",),
}
_DEFAULT_SIZES = Sizes()


class SteeringProgram:
    """One per unit. Not thread-safe: one thread, or the caller's lock.

    All calls must come from the network namespace that it was loaded in (checked); device names are resolved
    there.
    """

    def __init__(
        self, maps: dict[str, Map], pins: Path | None, sizes: Sizes, names: DeviceNames, *, trace: bool
    ) -> None:
        self._maps = maps
        self._pins = pins
        self.sizes = sizes
        self._names = names
        self._trace = trace
        self._programs: dict[str, int] = {}
        self._attachment = Attachment(maps, names, sizes, pins, trace)
        self._graph = Graph()
        self._forks = ForkTables(maps, self._attachment, self._graph, self._write, trace=trace)
        self._kernel = KernelPrograms(maps, self._attachment, pins, sizes, trace=trace)
        self._counters = CounterReader(maps)
        self._ring: RingBuffer | None = None

    @classmethod
    def load(
        cls,
        *,
        pin_directory: Path | None,
        trace: bool = False,
        sizes: Sizes = _DEFAULT_SIZES,
        devices: Mapping[str, int] | None = None,
    ) -> SteeringProgram:
        """Compile (once per source, then from a cache) and load into the kernel; nothing is attached yet.

        ``pin_directory``: a folder in a bpffs; maps pinned there are adopted with their rows, so that a
        restart goes on where its predecessor ended; None pins nothing.  ``trace``: the test build for
        ``run``, which sends nothing; only there ``devices`` may name interfaces that need not exist, with
        numbers of their own. Unavailable when the host cannot do it, or when pinned maps have another layout
        or other sizes.
        """
        if devices is not None and not trace:
            raise ValueError("devices by number are for the test build only")
        compiled = compile(SOURCE, FUNCTIONS, flags=("-DTRACE",) if trace else ())
        maps = open_maps(pin_directory, sizes, trace)
        program = cls(maps, pin_directory, sizes, DeviceNames(devices), trace=trace)
        try:
            program._attachment.configure()
            program._fill_crc()
            with contextlib.closing(new_devmap(1)) as template:
                every = {**maps, "plan_devices": template}
                for function in FUNCTIONS:
                    kind = ProgramType.RAW_TRACEPOINT if function in TRACEPOINTS else ProgramType.XDP
                    attach = XDP_DEVMAP if function == "steer_copy" else 0
                    program._programs[function] = compiled.load(function, kind, every, expected_attach=attach)
            program._attachment.start(program._programs)
            program._kernel.start(program._programs["steer_put"], program._programs["steer_copy"])
            held = program.rows((*GRAPH, "artp"))
            for table in GRAPH:
                program._graph.insert(table, getattr(held, table))
            program._forks.adopt(program._programs["steer_copy"], held)
        except OSError as error:
            program.close(unpin=False)
            raise Unavailable(f"the steering program does not load: {error}") from error
        except BaseException:
            program.close(unpin=False)
            raise
        return program

    def _fill_crc(self) -> None:
        table = layout.CrcTable()
        for byte in range(256):
            # What CRC-32 makes of a byte, and of one with up to three zeros behind it, from the state 0.
            for behind in range(4):
                done = zlib.crc32(bytes([byte, *bytes(behind)]), 0xFFFFFFFF)
                table.entry[behind][byte] = done ^ 0xFFFFFFFF
        self._maps["crc"].update(rows.number(0), bytes(table))

    def attach(self, device: str) -> None:
        """Native XDP; atomically replaces what is there; survives the process."""
        self._attachment.attach(device)

    def detach(self, device: str) -> None:
        """Nothing happens when nothing of ours is attached, or the device is gone."""
        self._attachment.detach(device)

    # Rows

    def apply(self, wanted: Tables) -> None:
        """Make the kernel hold ``wanted`` and nothing else.

        New rows come first, flows and bindings last, then the deletions; a failure in between leaves rows
        that nothing points to, and the next call repairs it.
        """
        held = self.rows()
        for table in _ORDER:
            mine: dict[Any, Any] = getattr(held, table)
            theirs: dict[Any, Any] = getattr(wanted, table)
            self._insert_all(table, {key: row for key, row in theirs.items() if mine.get(key) != row})
        for table in reversed(_ORDER):
            self._delete_all(table, getattr(held, table).keys() - getattr(wanted, table).keys())

    def insert(self, table: str, key: object, row: object) -> None:
        """Write one row, replacing an older one in one step.

        ValueError for a row that cannot be, Unavailable for a device that is missing or would lose what is
        sent there, and for a full table.
        """
        self._insert_all(table, {key: row})

    def insert_all(self, new: Tables) -> None:
        """Write many rows, in batches and in the right order."""
        for table in _ORDER:
            self._insert_all(table, getattr(new, table))

    def insert_flows(self, flows: FlowBatch) -> None:
        """Install many IPv4 flows by few system calls; Unavailable when the table is full."""
        self._write_batch("flow4", flows.keys(), flows.rows(), flows.count)

    def delete(self, table: str, key: object) -> None:
        """Delete one row; nothing happens when it is not there."""
        self._delete_all(table, [key])

    def set_alive(self, unit: int, alive: bool) -> None:
        """The whole of a fail-over: one write."""
        self.insert("unit", unit, Unit(alive))

    def _insert_all(self, table: str, new: Mapping[Any, Any]) -> None:
        if not new:
            return
        self._attachment.require_namespace()
        encoded: list[rows.Encoded] = []
        for key, row in new.items():
            if table == "fork":
                self._check_number("fork", key.fork)
                continue
            if table in ("endpoint", "peer", "next_hop") and row.device:
                self._attachment.prepare(row.device, row.mtu)
            elif table == "link":
                self._attachment.index(key.device)
            elif table == "artp" and row.override is not None:
                self._forks.prepare_override()
            encoded.append(self._encode(table, key, row))
            if MAPS[encoded[-1][0]].key is None:
                self._check_number(encoded[-1][0], int.from_bytes(encoded[-1][1], "little"))
        self._write(encoded)
        if table in GRAPH:
            self._graph.insert(table, new)
            self._follow(table, new)

    def _encode(self, table: str, key: Any, row: Any) -> rows.Encoded:
        if table == "channel":
            return rows.encode_channel(self._names, key, row, *self._graph.only_endpoint(row))
        return rows.ENCODE[table](self._names, key, row)

    def _follow(self, table: str, keys: Iterable[Any]) -> None:
        """Rewrite what is derived from rows of ``table`` at ``keys``: channels' endpoints, forks' plans."""
        channels = self._graph.channels_of(table, keys)
        self._write([self._encode("channel", key, self._graph.rows.channel[key]) for key in channels])
        self._forks.changed(table, keys)

    def _check_number(self, name: str, number: int) -> None:
        size = MAPS[name].entries(self.sizes)
        if not 0 < number < size:
            raise ValueError(
                f"{name} {number}: numbers run from 1 to {size - 1}; raise Sizes.{MAPS[name].size}"
            )

    def _write(self, encoded: list[rows.Encoded]) -> None:
        by_map: dict[str, list[rows.Encoded]] = {}
        for each in encoded:
            by_map.setdefault(each[0], []).append(each)
        for name, some in by_map.items():
            keys, values = b"".join(key for _, key, _ in some), b"".join(value for *_, value in some)
            self._write_batch(name, keys, values, len(some))

    def _write_batch(self, name: str, keys: bytes, values: bytes, count: int) -> None:
        try:
            if count == 1:
                self._maps[name].update(keys, values)
            else:
                self._maps[name].update_batch(keys, values, count)
        except OSError as error:
            raise Unavailable(
                f"table {name} takes no more rows ({error}); it has {self._maps[name].info.max_entries} "
                f"entries, which Sizes.{MAPS[name].size} changes"
            ) from None

    def _delete_all(self, table: str, keys: Iterable[Any]) -> None:
        self._attachment.require_namespace()
        keys = list(keys)
        for key in keys:
            if table in GRAPH:
                self._graph.delete(table, key)
            if table == "fork":
                continue
            try:
                name, raw = rows.encode_key(self._names.former(), table, key)
            except Unavailable:
                continue  # the device, and with it the name, is gone; such rows read #number
            if MAPS[name].key is not None:
                self._maps[name].delete(raw)
                continue
            self._maps[name].update(raw, bytes(self._maps[name].value_bytes))
            if table == "channel":  # its number may be given to another
                self._counters.retire(raw)
        self._follow(table, keys)

    def rows(self, tables: tuple[str, ...] = _ORDER) -> Tables:
        """What the kernel holds, without what it learnt itself. A device that is gone reads ``#ifindex``."""
        self._attachment.require_namespace()
        held = Tables()
        for table in tables:
            found = getattr(held, table)
            if table == "fork":
                found.update(self._forks.rows())
                continue
            for name in _IN_MAPS[table]:
                found.update(rows.decode(self._names, table, name, self._present(name)))
        return held

    def _present(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """A map's items; of an array those that are not all zeros."""
        source = self._maps[name]
        size, width = source.info.key_size, source.value_bytes
        for keys, values, count in source.batches():
            chosen: Iterable[int] = range(count)
            if MAPS[name].key is None:
                cells = np.frombuffer(values, np.uint8, count * width).reshape(count, width)
                chosen = np.flatnonzero(cells.any(1)).tolist()
            for i in chosen:
                yield keys[i * size : (i + 1) * size], values[i * width : (i + 1) * width]

    def learnt(self) -> dict[PeerKey, Peer]:
        """Outside sources that were learnt and may still be answered (R5)."""
        self._attachment.require_namespace()
        oldest = time.monotonic_ns() - int(PEER_LIFETIME * 1e9)
        return {
            key: row
            for name, family in (("learnt4", 4), ("learnt6", 6))
            for raw, value in self._maps[name].items()
            if layout.PeerRow.from_buffer_copy(value).seen >= oldest
            for key, row in [rows.decode_peer(self._names, raw, value, family)]
        }

    @property
    def kernel(self) -> KernelPrograms:
        """The compiled programs that packets may pass."""
        return self._kernel

    # Observation

    def counters(self) -> Counters:
        """Since the maps were made; a channel's since its row was."""
        return self._counters.read()

    def refused(self) -> dict[str, Refused]:
        """What each limited device refused."""
        found = {}
        for device in self._graph.rows.limit:
            with contextlib.suppress(Unavailable):  # a tap that went with its machine
                raw = self._maps["limit"].lookup(rows.number(self._names.former().index(device)))
                row = layout.LimitRow.from_buffer_copy(raw or bytes(ctypes.sizeof(layout.LimitRow)))
                found[device] = Refused(row.received.refused, row.sent.refused)
        return found

    def events(self) -> Iterator[Event]:
        """Those that wait now; never blocks. ``events_fd`` becomes readable when there are any."""
        if self._ring is None:
            self._ring = RingBuffer(self._maps["events"])
        for record in self._ring.records():
            raw = layout.Event.from_buffer_copy(record)
            device = self._names.name(raw.ifindex)
            yield Event(
                Drop(raw.reason), device, raw.length, bytes(raw.frame)[: raw.captured], raw.time / 1e9
            )

    @property
    def programs(self) -> Mapping[str, int]:
        """Descriptors of the loaded programs, by function."""
        return self._programs

    @property
    def events_fd(self) -> int:
        return self._maps["events"].fd

    def run(
        self,
        device: str,
        frame: bytes,
        *,
        copy: ForkKey | OverrideCopy | PutCopy | None = None,
        first: TestOutcome | None = None,
        now: float | None = None,
    ) -> TestOutcome:
        """BPF_PROG_RUN, in the test build only: one frame of at least 14 bytes enters, nothing leaves.

        ``copy``: the frame, having come in by ``device`` and become several, is steered as that copy;
        ``first`` is the outcome of the run that said so, and ``frame`` the frame that it left.  ``now``:
        seconds instead of CLOCK_MONOTONIC, for lifetimes and rates.
        """
        if not self._trace:
            raise ValueError("run needs the test build: SteeringProgram.load(trace=True)")
        if len(frame) < 14:
            raise ValueError("BPF_PROG_RUN takes no frame shorter than an Ethernet header")
        index = self._attachment.index(device)
        asked = layout.Trace(now=int((now or 0) * 1e9), ifindex=index)
        data, context = frame, None
        if copy is not None:
            assert first is not None, "a copy is one of a packet that was run before"
            asked.ifindex = self._attachment.fork_index
            meta = layout.CopyMeta(
                magic=layout.FORK_MAGIC,
                plan=self._plan_of(copy),
                copy=copy.copy,
                ifindex=index,
                vlan=first.vlan,
                wild=first.wild,
                programs=copy.at.programs if isinstance(copy, PutCopy) else first.programs,
                artp=copy.at.written if isinstance(copy, PutCopy) else first.artp or 0,
            )
            data = bytes(meta) + frame
            context = struct.pack("=6I", ctypes.sizeof(meta), len(data), 0, 0, 0, 0)
        self._maps["trace"].update(rows.number(0), bytes(asked))
        done = run_program(self._programs["steer"], data, context=context)
        told = layout.Trace.from_buffer_copy(self._maps["trace"].lookup(rows.number(0)) or b"")
        return TestOutcome(
            Verdict(done.verdict),
            done.frame,
            reason=Drop(told.reason) if told.reason else None,
            channel=told.channel or None,
            endpoint=told.endpoint or None,
            device=self._names.name(told.device) if told.device else None,
            fork=told.fork or None,
            copies=told.copies,
            wild=bool(told.wild),
            artp=told.artp or None,
            programs=told.programs,
            vlan=told.vlan,
            unmade=(Drop.EMPTY_PACKET,) * told.empty + (Drop.TARGET_LIMIT,) * told.beyond,
            puts=PutsAt(told.program, told.programs, told.puts) if told.program else None,
        )

    def _plan_of(self, copy: ForkKey | OverrideCopy | PutCopy) -> int:
        match copy:
            case ForkKey():
                return self._forks.plan_in_use(copy.fork)
            case OverrideCopy():
                return copy.copies - 1
            case PutCopy():
                return layout.PLAN_PUTS | copy.at.program

    def close(self, unpin: bool) -> None:
        """Free what this process holds.

        Attached programs and pinned maps stay, unless ``unpin``: then they are detached, and the pins
        removed.
        """
        try:
            if unpin and self._maps:
                self._attachment.undo()
                if self._pins is not None:
                    remove_pins(self._pins)
        finally:
            if self._ring is not None:
                self._ring.close()
                self._ring = None
            self._attachment.close()
            close_all(list(self._programs.values()))
            self._programs.clear()
            close_maps(self._maps)

    def __enter__(self) -> SteeringProgram:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close(unpin=True)
