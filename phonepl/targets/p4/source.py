"""A whole program as P4_16 for v1model, in the document's five parts: data, what moves bytes (parser and
deparser), packet processors, output, and the initialiser: the controller's part, which stands in comments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.diagnostics import Diagnostic
from phonepl.targets import NotExpressible
from phonepl.targets.p4.handlers import Processor, processor
from phonepl.targets.p4.head import Header
from phonepl.targets.p4.puts import front_name
from phonepl.targets.p4.refusals import Refused
from phonepl.targets.p4.straight import straight
from phonepl.targets.p4.strings import array_name
from phonepl.types import MAXIMUM_STORED_STRING, Type

_CELL = {Type.INT: 32, Type.LONG: 64, Type.STRING: 8 * MAXIMUM_STORED_STRING + 8}


@dataclass(frozen=True)
class Manifest:
    """What a controller must know.

    `ports` of the streams; multicast `groups` from 1 on, each with the ports of its copies, whose replication
    ids count from 1; whether it must set the clock.
    """

    name: str
    ports: dict[str, int]
    groups: tuple[tuple[int, ...], ...]
    uses_clock: bool

    def to_json(self) -> str:
        """For a file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The reverse."""
        raw = json.loads(text)
        groups = tuple(tuple(group) for group in raw["groups"])
        return cls(raw["name"], dict(raw["ports"]), groups, bool(raw["uses_clock"]))


@dataclass(frozen=True)
class Generated:
    """A program in P4, and what its controller must know."""

    text: str
    manifest: Manifest


def generate(compiled: Compiled) -> Generated:
    """The program in P4, self-contained; raises NotExpressible."""
    refused: list[Diagnostic] = []
    made: list[Processor] = []
    try:
        program = straight(compiled)
    except Refused as wrong:
        raise NotExpressible([wrong.diagnostic], compiled.source, compiled.file) from wrong
    for handler in program.handlers:
        try:
            made.append(processor(program, handler, 1 + sum(len(each.groups) for each in made)))
        except Refused as wrong:
            refused.append(wrong.diagnostic)
    if refused:
        raise NotExpressible(refused, compiled.source, compiled.file)
    ports = {stream: number for number, stream in enumerate(program.streams, 1)}
    groups = tuple(tuple(ports[stream] for stream in group) for each in made for group in each.groups)
    manifest = Manifest(program.name, ports, groups, any(each.uses_clock for each in made))
    return Generated("\n".join(_text(compiled, program, made, manifest)) + "\n", manifest)


def _text(
    compiled: Compiled, program: ir.Program, made: Sequence[Processor], manifest: Manifest
) -> Iterable[str]:
    yield f"/* {program.name}, compiled from {Path(compiled.file).name}. Generated. */"
    yield "#include <core.p4>"
    yield "#include <v1model.p4>"
    yield from _banner("data: constants, the parts of packets, what is known of one")
    yield from _data(made)
    yield from _banner("parser and deparser: no byte behind the last that the program touches")
    yield from _parser(made, manifest)
    yield from _banner("packet processors, each with the output of what it put")
    yield from _ingress(program, made, manifest)
    yield from _banner("output of several puts")
    yield from _egress(made)
    yield from _banner("initialiser")
    yield from _initialiser(manifest)


def _banner(title: str) -> list[str]:
    return ["", f"/* ═══ {title} ═══ */", ""]


def _fronts(made: Sequence[Processor]) -> list[tuple[int, int]]:
    """In the order in which they stand in packets."""
    return sorted({front for each in made for front in each.fronts}, key=lambda front: (front[0], -front[1]))


def _headers(made: Sequence[Processor]) -> list[Header]:
    """Those of arrived packets, likewise."""
    return sorted({header for each in made for header in each.headers}, key=lambda header: header.fields)


def _data(made: Sequence[Processor]) -> Iterable[str]:
    yield "/* Why packets are dropped. */"
    for number, name in enumerate(ir.DROPS, 1):
        yield f"const bit<32> {name.upper()} = {number};"
    yield ""
    for size in sorted({size for _, size in _fronts(made)}):
        yield f"header front_{size}_t {{"
        yield f"    bit<{8 * size}> bytes;"
        yield "}"
    for header in _headers(made):
        yield from header.declaration
    yield "struct headers {"
    for position, size in _fronts(made):
        yield f"    front_{size}_t {front_name(position, size)}; // what a packet is given in front"
    yield from (f"    {header.name}_t {header.name};" for header in _headers(made))
    yield "}"
    yield "struct metadata {"
    if any(each.uses_clock for each in made):
        yield "    bit<64> now;"
    if any(each.groups for each in made):
        yield "    bit<16> puts; // which puts the path of the packet has gathered, if several"
        yield "    bit<32> length; // of the arrived packet"
    for each in made:
        yield from (f"    {each.variables[name]} {name};" for name in sorted(each.kept))
    yield "}"


def _parser(made: Sequence[Processor], manifest: Manifest) -> Iterable[str]:
    yield "parser Cut(packet_in packet, out headers hdr, inout metadata meta, inout standard_metadata_t sm) {"
    heads = list(dict.fromkeys(each.headers for each in made))
    yield "    state start {"
    if not made:
        yield "        transition accept;"
    elif len(heads) == 1:
        yield "        transition head0;"
    else:
        yield "        transition select(sm.ingress_port) {"
        for each in made:
            yield f"            {manifest.ports[each.stream]}: head{heads.index(each.headers)};"
        yield "            default: accept;"
        yield "        }"
    yield "    }"
    for number, headers in enumerate(heads):
        yield f"    state head{number} {{ // what a packet is too short for stays payload"
        yield from (f"        packet.extract(hdr.{header.name});" for header in headers)
        yield "        transition accept;"
        yield "    }"
    yield "}"
    yield "control Join(packet_out packet, in headers hdr) {"
    yield "    apply {"
    for position, size in _fronts(made):
        yield f"        packet.emit(hdr.{front_name(position, size)});"
    yield from (f"        packet.emit(hdr.{header.name});" for header in _headers(made))
    yield "    }"
    yield "}"
    for name in ("Verify", "Update"):
        yield f"control {name}(inout headers hdr, inout metadata meta) {{"
        yield "    apply { }"
        yield "}"


def _ingress(program: ir.Program, made: Sequence[Processor], manifest: Manifest) -> Iterable[str]:
    yield "control Process(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {"
    yield f"    counter({len(ir.DROPS) + 1}, CounterType.packets) drops;"
    if manifest.groups:
        most = max(map(len, manifest.groups)) + 1
        yield f"    counter({most}, CounterType.packets) copies; // packets that were put so often"
    for array in program.arrays:
        yield f"    register<bit<{_CELL[array.element]}>>({array.length}) {array_name(array)};"
    yield "    action drop(bit<32> kind) {"
    yield "        drops.count(kind);"
    yield "        mark_to_drop(sm);"
    yield "        exit;"
    yield "    }"
    if manifest.uses_clock:
        yield "    action running(bit<64> start) { // nanoseconds since the epoch when the switch was started"
        yield "        meta.now = start + (bit<64>)sm.ingress_global_timestamp * 1000;"
        yield "    }"
        yield "    action standing(bit<64> now) {"
        yield "        meta.now = now;"
        yield "    }"
        yield "    table clock {"
        yield "        actions = { running; standing; }"
        yield "        default_action = running(0);"
        yield "    }"
    yield "    apply {"
    if manifest.uses_clock:
        yield "        clock.apply();"
    for number, each in enumerate(made):
        yield f"        {'} else ' if number else ''}if (sm.ingress_port == {manifest.ports[each.stream]}) {{"
        yield from (
            f"            {kind} {name};" for name, kind in each.variables.items() if name not in each.kept
        )
        yield from (f"    {line}" for line in each.ingress)
    yield "        } else {" if made else "        {"
    yield "            drop(NO_PUT); // no method takes what comes in there"
    yield "        }"
    yield "    }"
    yield "}"


def _egress(made: Sequence[Processor]) -> Iterable[str]:
    yield "control Output(inout headers hdr, inout metadata meta, inout standard_metadata_t sm) {"
    several = [each for each in made if each.egress]
    if several:
        yield "    counter(1, CounterType.packets) empties;"
        yield "    action empty() {"
        yield "        empties.count(0);"
        yield "        mark_to_drop(sm);"
        yield "    }"
    yield "    apply {"
    for each in several:
        yield from (f"        {kind} {name};" for name, kind in each.egress_variables.items())
        yield from each.egress
        yield "        }"
    yield "    }"
    yield "}"
    yield "V1Switch(Cut(), Verify(), Process(), Output(), Update(), Join()) main;"


def _initialiser(manifest: Manifest) -> Iterable[str]:
    yield "/* main() runs once, in the controller. Registers are 0 or empty at first. Streams, by port:"
    yield from (f" *   {port} {stream}" for stream, port in manifest.ports.items())
    if manifest.groups:
        yield " * Multicast groups, each with the ports of its copies, whose replication ids count from 1:"
        yield from (f" *   {n}: {', '.join(map(str, ports))}" for n, ports in enumerate(manifest.groups, 1))
    if manifest.uses_clock:
        yield " * The default action of `clock` is running(nanoseconds since the epoch at its start)."
    yield " */"
