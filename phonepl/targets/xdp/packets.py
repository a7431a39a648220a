"""Packets: parts of the arrived packet and texts in front of them, by reference where that can be."""

from __future__ import annotations

from phonepl import ir
from phonepl.targets.xdp.limits import HEADROOM, MAXIMUM_FRONT
from phonepl.targets.xdp.places import NeedsScratch
from phonepl.targets.xdp.strings import Strings
from phonepl.targets.xdp.values import ZERO, Gathered, Number


class Packets(Strings):
    """Operations that give a Packet."""

    def _subpacket(self, target: ir.Local, value: ir.Subpacket) -> None:
        source = self._packets[value.source.name]
        begin, end = self._formulas.number(value.begin), self._formulas.number(value.end)
        part = source.cut(begin, end)
        if part is not None:
            self._keep(target, part)
            return
        if len(source.texts) > 1 or not source.texts[0].indexed:
            raise NeedsScratch(value.source.name)
        if not self._is_declared(target):
            raise NeedsScratch(target.name)
        self._cut(self._packets[target.name], source, begin, end)

    def _cut(self, into: Gathered, source: Gathered, begin: Number, end: Number) -> None:
        """A part whose borders and texts are known at run time only."""
        first, last = self._own("first", "s32"), self._own("last", "s32")
        size, from_ = self._own("n", "s32"), self._own("from", "s32")
        self._emit(f"{first} = {begin.text};")
        self._emit(f"{last} = {end.text};")
        self._emit(f"{size} = {source.size.text};")
        self._emit(f"{from_} = {source.begin.text};")
        own, target = source.texts[0], into.texts[0]
        self._emit(f"{into.end.text} = {from_} + ({last} > {size} ? {last} - {size} : 0);")
        self._emit(f"{into.begin.text} = {from_} + ({first} > {size} ? {first} - {size} : 0);")
        self._emit(f"{size} = ({last} < {size} ? {last} : {size}) - {first};")
        self._emit(f"if ({size} < 0)")
        self._emit(f"    {size} = 0;")
        if own.address == target.address:
            aside = self._buffer("assembly", MAXIMUM_FRONT)
            self._emit(f"copy({aside}, 0, {own.address} + offset({first}), {size});")
            self._emit(f"copy({target.address}, 0, {aside}, {size});")
        else:
            self._emit(f"copy({target.address}, 0, {own.address} + offset({first}), {size});")
        self._emit(f"{target.length.text} = {size};")

    def _new_packet(self, target: ir.Local, value: ir.NewPacket) -> None:
        texts = tuple(text for part in value.parts if (text := self._text(part)).most)
        if value.tail is not None:
            tail = self._packets[value.tail.name]
            made = Gathered((*texts, *tail.texts), tail.begin, tail.end)
        else:
            # Nothing of the arrived packet but the memory that it lies in.
            made = Gathered(texts, ZERO, ZERO)
        if made.most > MAXIMUM_FRONT:
            size = made.size
            if size.value is None or size.value > MAXIMUM_FRONT:
                self._emit(f"if ({size.text} > {MAXIMUM_FRONT})")
                self._trap("    ", "target_limit")
        self._keep(target, made)

    def _keep(self, target: ir.Local, packet: Gathered) -> None:
        """A packet as the value of a local: by reference where that can be, else by a copy of its texts."""
        held = self._packets[target.name] if self._is_declared(target) else None
        if held is None:
            if not packet.is_stable:
                raise NeedsScratch(target.name)
            begin = self._fixed(target, "begin", packet.begin)
            end = self._fixed(target, "end", packet.end)
            self._packets[target.name] = Gathered(packet.texts, begin, end)
            return
        front = held.texts[0]
        begin, end = packet.begin, packet.end
        if held.begin.text != begin.text or held.end.text != end.text:
            # The borders may be computed from the length of what they replace.
            first, last = self._own("first", "s32"), self._own("last", "s32")
            self._emit(f"{first} = {begin.text};")
            self._emit(f"{last} = {end.text};")
            self._emit(f"{held.begin.text} = {first};")
            self._emit(f"{held.end.text} = {last};")
        if packet.texts != held.texts:
            self._assemble(front, list(packet.texts))

    def _fixed(self, target: ir.Local, what: str, number: Number) -> Number:
        if number.value is not None or number.text == self._arrived_length:
            return number
        variable = self._own(f"{target.name}_{what}", "s32")
        self._emit(f"{variable} = {number.text};")
        return Number(variable)


def may_lack_room(packet: Gathered) -> bool:
    """Can there be more in front of the arrived part than the driver surely leaves room for?"""
    return packet.begin != packet.end and packet.most - (packet.begin.value or 0) > HEADROOM
