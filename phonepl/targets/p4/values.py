"""How the generated P4 holds numbers, Strings and Packets."""

from __future__ import annotations

from dataclasses import dataclass

from phonepl.ir import Range


def literal(value: int, bits: int) -> str:
    """A constant of type bit<bits>, two's complement."""
    return f"{bits}w{value & ((1 << bits) - 1)}"


@dataclass(frozen=True, slots=True)
class Number:
    """A P4 expression of type bit<32> that holds an int, and the range of its values."""

    text: str
    range: Range

    @classmethod
    def of(cls, value: int) -> Number:
        return cls(literal(value, 32), Range(value, value))

    @property
    def value(self) -> int | None:
        return self.range.low if self.range.is_single else None

    def plus(self, other: Number) -> Number:
        """The sum; it does not overflow, for what is added are lengths."""
        if self.value is not None and other.value is not None:
            return Number.of(self.value + other.value)
        if self.value == 0:
            return other
        if other.value == 0:
            return self
        known = Range(self.range.low + other.range.low, self.range.high + other.range.high)
        return Number(f"({self.text} + {other.text})", known)

    def minus(self, other: Number) -> Number:
        """The difference, likewise; it is not negative."""
        if self.text == other.text:
            return Number.of(0)
        if self.value is not None and other.value is not None:
            return Number.of(self.value - other.value)
        if other.value == 0:
            return self
        known = Range(max(0, self.range.low - other.range.high), max(0, self.range.high - other.range.low))
        return Number(f"({self.text} - {other.text})", known)

    def within(self, known: Range) -> Number:
        """The same, of which more is known."""
        met = self.range.meet(known) or known
        return Number.of(met.low) if met.is_single else Number(self.text, met)


ZERO = Number.of(0)


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes `begin` to `end` of `base`, a P4 variable, field or literal of `size` bytes."""

    base: str
    size: int
    begin: int
    end: int
    constant: bytes | None = None
    """The base's bytes, where they are known."""

    @classmethod
    def whole(cls, base: str, size: int) -> Piece:
        return cls(base, size, 0, size)

    @classmethod
    def literal(cls, value: bytes) -> Piece:
        return cls("", len(value), 0, len(value), value)

    @property
    def length(self) -> int:
        return self.end - self.begin

    @property
    def text(self) -> str:
        if self.constant is not None:
            return f"{8 * self.length}w0x{self.constant[self.begin : self.end].hex()}"
        if self.length == self.size:
            return self.base
        return f"{self.base}[{8 * (self.size - self.begin) - 1}:{8 * (self.size - self.end)}]"

    def part(self, begin: int, end: int) -> Piece:
        return Piece(self.base, self.size, self.begin + begin, self.begin + end, self.constant)

    def joined(self, other: Piece) -> Piece | None:
        """Both as one, if `other` continues this."""
        if self.constant is not None and other.constant is not None:
            return Piece.literal(
                self.constant[self.begin : self.end] + other.constant[other.begin : other.end]
            )
        if (self.base, self.size) == (other.base, other.size) and self.end == other.begin:
            return Piece(self.base, self.size, self.begin, other.end, self.constant)
        return None


Pieces = tuple[Piece, ...]


def part(pieces: Pieces, begin: int, end: int) -> Pieces:
    """The bytes `begin` to `end` of pieces in a row."""
    out: list[Piece] = []
    at = 0
    for piece in pieces:
        low, high = max(begin - at, 0), min(end - at, piece.length)
        if low < high:
            out.append(piece.part(low, high))
        at += piece.length
    return tuple(out)


def joined(pieces: Pieces) -> str:
    """Pieces in a row as one value."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and (both := merged[-1].joined(piece)):
            merged[-1] = both
        else:
            merged.append(piece)
    if len(merged) == 1:
        return merged[0].text
    return f"({' ++ '.join(piece.text for piece in merged)})"


@dataclass(frozen=True, slots=True)
class Text:
    """A String. Of constant length, `pieces` are its bytes; else they are as long as it can get, its bytes
    come first and zeros behind them."""

    pieces: Pieces
    length: Number

    @classmethod
    def static(cls, pieces: Pieces) -> Text:
        return cls(pieces, Number.of(sum(piece.length for piece in pieces)))

    @classmethod
    def literal(cls, value: bytes) -> Text:
        return cls.static((Piece.literal(value),) if value else ())

    @property
    def is_static(self) -> bool:
        return self.length.value is not None

    @property
    def most(self) -> int:
        return sum(piece.length for piece in self.pieces)

    def padded(self, size: int) -> str:
        """Its bytes and zeros behind, `size` (more than 0) in all; what is cut off is zero."""
        pieces = part(self.pieces, 0, size)
        short = size - sum(piece.length for piece in pieces)
        return joined((*pieces, Piece.literal(bytes(short))) if short else pieces)


@dataclass(frozen=True, slots=True)
class Form:
    """A Packet: texts in front, then the arrived packet from `begin` to `end` (None: to its end)."""

    texts: tuple[Text, ...]
    begin: Number
    end: Number | None

    @property
    def size(self) -> Number:
        """The bytes in front."""
        total = ZERO
        for text in self.texts:
            total = total.plus(text.length)
        return total

    def is_empty(self, arrived: Number) -> str:
        """The condition that it has no bytes."""
        if not self.texts:
            return f"{(self.end or arrived).text} == {self.begin.text}"
        return f"{self.length(arrived).text} == 0"

    def length(self, arrived: Number) -> Number:
        """All its bytes, where `arrived` is the arrived packet's length."""
        return self.size.plus((self.end or arrived).minus(self.begin))
