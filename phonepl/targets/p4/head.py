"""The head of an arriving packet: what of it is parsed, in how many headers, by which fields.

Nothing behind the last byte that the program touches is parsed. A header that the packet is too short for
is not extracted and stays payload; so a header may only hold bytes that every operation on one of them has
proved to be there, and a packet can only be cut where a header ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phonepl.targets.p4.values import Piece, Pieces


@dataclass(frozen=True, slots=True)
class Header:
    """Bytes `begin` to `end` of the arrived packet; `fields` are their borders."""

    name: str
    begin: int
    end: int
    fields: tuple[int, ...]

    @property
    def declaration(self) -> list[str]:
        sizes = zip(self.fields, self.fields[1:], strict=False)
        inner = [f"    bit<{8 * (end - begin)}> b{begin};" for begin, end in sizes]
        return [f"header {self.name}_t {{", *inner, "}"]


@dataclass
class Needs:
    """What a handler does with the head. An access knows how long the packet at least is when it is made."""

    accesses: set[tuple[int, int, int]] = field(default_factory=set)
    """Begin, end, least length."""
    cuts: set[int] = field(default_factory=set)
    """Where packets are cut."""

    def headers(self) -> tuple[Header, ...]:
        """As few headers as can be; those of the same borders have the same name in every handler."""
        borders = {0, *self.cuts}
        for begin, end, _ in self.accesses:
            borders |= {begin, end}
        marks = sorted(borders)
        out: list[Header] = []
        first = 0
        while first < len(marks) - 1:
            last = first + 1
            while last < len(marks) - 1 and self._may_join(marks[first], marks[last], marks[last + 1]):
                last += 1
            begin, end = marks[first], marks[last]
            fields = tuple(marks[first : last + 1])
            out.append(Header(f"head_{'_'.join(map(str, fields))}", begin, end, fields))
            first = last
        return tuple(out)

    def _may_join(self, begin: int, border: int, end: int) -> bool:
        if border in self.cuts:
            return False
        return all(least >= end for _, last, least in self.accesses if begin < last <= end)


class Head:
    """Gives the pieces of the head. Without headers (the first time) it only finds out what is needed."""

    def __init__(self, headers: tuple[Header, ...] | None) -> None:
        self.needs = Needs()
        self.headers = headers or ()
        self._is_known = headers is not None

    def bytes(self, begin: int, end: int, least: int) -> Pieces:
        """Bytes that are there: the packet has `least` bytes or more when they are used."""
        if begin == end:
            return ()
        self.needs.accesses.add((begin, end, max(end, least)))
        return self._pieces(begin, end)

    def region(self, begin: int, end: int) -> Pieces:
        """Bytes of which those behind the packet's end are not there (and hold anything)."""
        for at in range(begin, end):
            self.needs.accesses.add((at, at + 1, at + 1))
        return self._pieces(begin, end)

    def cut(self, begin: int, end: int) -> None:
        """A packet begins at one of the bytes `begin` to `end`, included."""
        self.needs.cuts |= set(range(begin, end + 1))

    def _pieces(self, begin: int, end: int) -> Pieces:
        if not self._is_known:
            return (Piece.whole("unknown", end - begin),) if end > begin else ()
        return tuple(
            Piece.whole(f"hdr.{header.name}.b{low}", high - low)
            for header in self.headers
            for low, high in zip(header.fields, header.fields[1:], strict=False)
            if begin <= low and high <= end
        )
