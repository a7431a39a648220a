"""Kernel programs of a unit: Phonepl from a session's user, compiled here and put into the steering.

Nothing but what the project's own compiler makes of a source reaches the kernel.  Programs outlive the agent
in pinned maps; ``programs/<number>.json`` tells the next one whose they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from controller.steering.model import MAX_STREAMS
from dipronn.errors import InvalidProgram, InvalidSession, Unavailable
from dipronn.unit.slices import set_aside, unlink, write_whole
from dipronn.v1 import kernel_pb2
from ebpf.loader import SteeringProgram
from phonepl import ir
from phonepl.compiler import Compiled, compile_source
from phonepl.diagnostics import PhoneplError
from phonepl.targets import NotAvailable
from phonepl.targets.xdp.program import accepted
from phonepl.types import Type

_LONGEST_SOURCE = 1 << 20
_STRING_BYTES, _NUMBER_BYTES = 72, 8
"""Of an element of an array; docs/phonepl/targets.md."""


@dataclass(frozen=True)
class KernelProgram:
    """``source``: SHA-256 in hexadecimal.  ``streams``: by the numbers of the rows; so many bring packets as
    there are ``inputs``.  ``memory``: bytes that its arrays may have.
    """

    session: int
    number: int
    name: str
    source: str
    file: str
    streams: tuple[str, ...]
    inputs: int
    memory: int


def ordered(session: int, message: kernel_pb2.KernelProgram) -> KernelProgram:
    """The program that a slice asks for.  Raises InvalidSession."""
    if not message.number or len(message.streams) > MAX_STREAMS or message.inputs > len(message.streams):
        raise InvalidSession(f"session {session}: kernel program {message.name} makes no sense")
    return KernelProgram(
        session,
        message.number,
        message.name,
        message.source_sha256.hex(),
        message.file_name,
        tuple(message.streams),
        message.inputs,
        message.memory_bytes,
    )


class KernelPrograms:
    """``folder``: where it is written down which programs are at work."""

    def __init__(self, steering: SteeringProgram, folder: Path) -> None:
        self._steering = steering
        self._folder = folder
        self._held: dict[int, KernelProgram] = {}

    def adopt(self) -> list[KernelProgram]:
        """Programs that an earlier agent left at work; what it left half-done is removed."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        in_kernel = self._steering.kernel.held()
        for path in sorted(self._folder.glob("*.json")):
            try:
                read = json.loads(path.read_text())
                program = KernelProgram(**{**read, "streams": tuple(read["streams"])})
            except (ValueError, TypeError, KeyError) as error:
                set_aside(path, error)
                continue
            if program.number in in_kernel:
                self._held[program.number] = program
            else:
                unlink(path)
        for number in in_kernel - self._held.keys():
            self._steering.kernel.remove(number)
        return list(self._held.values())

    def install(self, program: KernelProgram, source: Path) -> None:
        """Compile and put to work; takes half a second.  Raises InvalidProgram, Unavailable."""
        if program.number in self._held:
            return
        compiled = _compiled(program, source.read_bytes())
        kernel = self._steering.kernel
        try:
            _, _, loaded = accepted(compiled, shared=kernel.shared)
        except NotAvailable as error:
            raise Unavailable(f"program {program.name}: {error}") from error
        except PhoneplError as error:
            raise InvalidProgram(str(error)) from error
        with loaded:
            streams = loaded.manifest.streams
            functions = {streams.index(name): function for name, function in loaded.functions.items()}
            puts = max(handler.maximum_puts for handler in compiled.program.handlers)
            kernel.install(program.number, functions, loaded.copy, loaded.maps["drops"], puts)
        text = json.dumps(asdict(program))
        write_whole(self._folder / f"{program.number}.json", text.encode())
        self._held[program.number] = program

    def remove(self, program: KernelProgram) -> None:
        """Its arrays and counts go with it."""
        self._steering.kernel.remove(program.number)
        unlink(self._folder / f"{program.number}.json")
        self._held.pop(program.number, None)

    def reports(self) -> list[kernel_pb2.KernelProgramReport]:
        return [
            kernel_pb2.KernelProgramReport(number=number, drops=self._steering.kernel.drops(number, ir.DROPS))
            for number in self._held
        ]


def _compiled(program: KernelProgram, source: bytes) -> Compiled:
    """The front end's work, with the streams in the order of the rows' numbers."""
    if len(source) > _LONGEST_SOURCE:
        raise InvalidProgram(f"{program.file}: more than {_LONGEST_SOURCE} bytes")
    try:
        compiled = compile_source(source.decode(), program.file)
    except UnicodeDecodeError as error:
        raise InvalidProgram(f"{program.file}: not UTF-8 ({error})") from error
    except PhoneplError as error:
        raise InvalidProgram(str(error)) from error
    imported, handled = compiled.program.streams, {one.stream for one in compiled.program.handlers}
    for number, stream in enumerate(program.streams):
        if stream not in imported:
            known = ", ".join(imported)
            raise InvalidProgram(
                f"{program.file}: the port `{stream}` is no stream of it; it imports {known}"
            )
        if number < program.inputs and stream not in handled:
            raise InvalidProgram(
                f"{program.file}: packets of `{stream}` go to no method, so it is no `in` port"
            )
    _require_memory(program, compiled.program.arrays)
    rest = [stream for stream in imported if stream not in program.streams]
    streams = (*program.streams, *rest)
    if len(streams) > MAX_STREAMS:
        raise InvalidProgram(f"{program.file}: {len(streams)} streams; a program in a node has {MAX_STREAMS}")
    return replace(compiled, program=replace(compiled.program, streams=streams))


def _require_memory(program: KernelProgram, arrays: tuple[ir.Array, ...]) -> None:
    sizes: Mapping[str, int] = {
        one.name: one.length * (_STRING_BYTES if one.element is Type.STRING else _NUMBER_BYTES)
        for one in arrays
    }
    if sum(sizes.values()) > program.memory:
        parts = " + ".join(f"{name} {size}" for name, size in sizes.items())
        raise InvalidProgram(
            f"{program.file}: its arrays take {parts} = {sum(sizes.values())} bytes, more than the "
            f"{program.memory} that the session gives it; write `needs memory …` or shorten them"
        )
