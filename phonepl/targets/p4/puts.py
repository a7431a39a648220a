"""What becomes of a packet at the end of a path: nothing, one packet, or several by multicast."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from phonepl.targets.p4.limits import WIDEST
from phonepl.targets.p4.packets import Packets
from phonepl.targets.p4.values import Form, Pieces, Text, joined, literal, part


@dataclass(frozen=True)
class Gathered:
    """A put that takes effect when the handler ends."""

    stream: str
    form: Form


@dataclass
class Puts(Packets):
    """Makes packets of what is in their texts, and of the arrived packet by taking headers away."""

    streams: tuple[str, ...] = ()
    first_group: int = 1
    puts: list[Gathered] = field(default_factory=list)
    groups: list[tuple[str, ...]] = field(default_factory=list)
    fronts: set[tuple[int, int]] = field(default_factory=set)
    egress: list[str] = field(default_factory=list)
    egress_variables: dict[str, str] = field(default_factory=dict)

    def needed_behind(self) -> frozenset[str]:
        """The variables of ingress that egress reads."""
        names = set(re.findall(r"\w+", "\n".join(self.egress)))
        return frozenset(names & self.variables.keys())

    def end(self) -> None:
        """The end of a path."""
        if not self.puts:
            self.emit("drop(NO_PUT);")
        elif len(self.puts) == 1:
            self._alone(self.puts[0])
        else:
            self._several(self.puts)

    def _alone(self, put: Gathered) -> None:
        length = put.form.length(self.arrived)
        if length.value == 0:
            self.emit("drop(EMPTY_PACKET);")
            return
        if length.range.low == 0:
            self.emit(f"if ({put.form.is_empty(self.arrived)}) {{")
            self.emit("    drop(EMPTY_PACKET);")
            self.emit("}")
        self._make(put.form, self.variables)
        self.emit(f"sm.egress_spec = {self._port(put.stream)};")

    def _several(self, puts: list[Gathered]) -> None:
        """Copies by multicast; each becomes what it must be in egress."""
        number = self.first_group + len(self.groups)
        self.groups.append(tuple(put.stream for put in reversed(puts)))
        self.emit(f"copies.count({len(puts)});")
        self.emit(f"meta.puts = {number};")
        self.emit(f"sm.mcast_grp = {number};")
        inside, depth, self.lines, self.depth = self.lines, self.depth, self.egress, 2
        self.emit(f"{'} else ' if self.lines else ''}if (meta.puts == {number}) {{")
        for position, put in enumerate(puts):
            # bmv2 makes the copy of the highest replication id first.
            self.depth = 3
            self.emit(f"{'} else ' if position else ''}if (sm.egress_rid == {len(puts) - position}) {{")
            self.depth = 4
            self._copy(put.form)
        self.depth = 3
        self.emit("}")
        self.lines, self.depth = inside, depth

    def _copy(self, form: Form) -> None:
        length = form.length(self.arrived)
        if length.range.low > 0:
            self._make(form, self.egress_variables)
            return
        self.emit(f"if ({form.is_empty(self.arrived)}) {{")
        self.emit("    empty();")
        if length.value != 0:
            self.emit("} else {")
            self.depth += 1
            self._make(form, self.egress_variables)
            self.depth -= 1
        self.emit("}")

    def _port(self, stream: str) -> int:
        return self.streams.index(stream) + 1

    # ── one packet ──

    def _make(self, form: Form, variables: dict[str, str]) -> None:
        """Of the arrived packet, by headers; `variables`: where new ones are declared."""
        for position, text in enumerate(_merged(form.texts)):
            if text.is_static:
                self._give(position, text.most, joined(text.pieces))
            else:
                self._give_as_long_as_it_is(position, text, variables)
        begin = form.begin
        self.head.cut(begin.range.low, begin.range.high)
        for header in self.head.headers:
            if header.end <= begin.range.low:
                self.emit(f"hdr.{header.name}.setInvalid();")
            elif header.end <= begin.range.high:
                self.emit(f"if ({begin.text} >= {literal(header.end, 32)}) {{")
                self.emit(f"    hdr.{header.name}.setInvalid();")
                self.emit("}")
        if form.end is not None:
            self.emit(f"truncate({form.length(self.arrived).text});")

    def _give(self, position: int, size: int, value: str) -> None:
        self.fronts.add((position, size))
        name = front_name(position, size)
        self.emit(f"hdr.{name}.setValid();")
        self.emit(f"hdr.{name}.bytes = {value};")

    def _give_as_long_as_it_is(self, position: int, text: Text, variables: dict[str, str]) -> None:
        """A header for each power of two in the length, the greatest first."""
        most = text.most
        rest = f"{self.prefix}_rest_{len(variables)}"
        variables[rest] = f"bit<{8 * most}>"
        self.emit(f"{rest} = {joined(text.pieces)};")
        size = 1 << (most.bit_length() - 1)
        while size:
            self.emit(f"if (({text.length.text} & {literal(size, 32)}) != 0) {{")
            self.depth += 1
            self._give(position, size, f"{rest}[{8 * most - 1}:{8 * (most - size)}]" if size < most else rest)
            if size < most:
                self.emit(f"{rest} = {rest}[{8 * (most - size) - 1}:0] ++ {literal(0, 8 * size)};")
            self.depth -= 1
            self.emit("}")
            size >>= 1


def front_name(position: int, size: int) -> str:
    """The header of `size` bytes that stands there in front of packets."""
    return f"front{position}_{size}"


def _merged(texts: tuple[Text, ...]) -> list[Text]:
    """Texts of constant length that stand side by side as one, as long as a field can be."""
    out: list[Text] = []
    for text in texts:
        if not text.is_static:
            out.append(text)
            continue
        pieces: Pieces = text.pieces
        if out and out[-1].is_static:
            pieces = (*out.pop().pieces, *pieces)
        size = sum(piece.length for piece in pieces)
        out += [Text.static(part(pieces, at, min(at + WIDEST, size))) for at in range(0, size, WIDEST)]
    return out
