"""How the generated C holds numbers, Strings and Packets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Number:
    """A C expression of type s32, and its value where that is known."""

    text: str
    value: int | None = None

    @classmethod
    def of(cls, value: int) -> Number:
        return cls(str(value), value)

    def plus(self, other: Number) -> Number:
        """The sum; it does not overflow, for what is added are lengths."""
        if self.value is not None and other.value is not None:
            return Number.of(self.value + other.value)
        if self.value == 0:
            return other
        return self if other.value == 0 else Number(f"({self.text} + {other.text})")

    def minus(self, other: Number) -> Number:
        """The difference, likewise."""
        if self.value is not None and other.value is not None:
            return Number.of(self.value - other.value)
        if self.text == other.text:
            return Number.of(0)
        return self if other.value == 0 else Number(f"({self.text} - {other.text})")


ZERO = Number.of(0)


@dataclass(frozen=True, slots=True)
class Text:
    """Bytes in the program's memory: a String, or what a packet was given in front.

    `address` is the C expression for where they are, `constant` what they are; `most` bounds the length.
    `indexed`: in a map's memory, where the verifier allows an offset that it does not know.
    `stable`: set once, so that it may be read later than now.
    """

    address: str
    length: Number
    most: int
    constant: bytes | None = None
    indexed: bool = False
    stable: bool = True

    @classmethod
    def literal(cls, value: bytes) -> Text:
        return cls("", Number.of(len(value)), len(value), value)

    def part(self, begin: int, end: int) -> Text:
        """A part at constant borders of a text whose length is constant."""
        if self.constant is not None:
            return Text.literal(self.constant[begin:end])
        at = f"{self.address} + {begin}" if begin else self.address
        return Text(at, Number.of(end - begin), end - begin, None, self.indexed, self.stable)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A Packet: texts in front, then the arrived packet from `begin` to `end`.

    Without texts it is the document's cached or mixed packet, with them a gathered one.
    """

    texts: tuple[Text, ...]
    begin: Number
    end: Number

    @property
    def size(self) -> Number:
        """The bytes in front."""
        total = ZERO
        for text in self.texts:
            total = total.plus(text.length)
        return total

    @property
    def most(self) -> int:
        """The most bytes in front."""
        return sum(text.most for text in self.texts)

    @property
    def length(self) -> Number:
        return self.size.plus(self.end.minus(self.begin))

    @property
    def is_stable(self) -> bool:
        return all(text.stable for text in self.texts)

    def cut(self, begin: Number, end: Number) -> Gathered | None:
        """The part from `begin` to `end`, or None if which texts it takes is known at run time only."""
        if not self.texts:
            return Gathered((), self.begin.plus(begin), self.begin.plus(end))
        size = self.size.value
        if size is None or begin.value is None:
            return None
        to_end = end.text == self.length.text
        if begin.value >= size:
            start = self.begin.plus(Number.of(begin.value - size))
            return Gathered((), start, self.end if to_end else self.begin.plus(end.minus(Number.of(size))))
        if end.value is None and not to_end:
            return None
        last = size if end.value is None else min(end.value, size)
        texts: list[Text] = []
        at = 0
        for text in self.texts:
            assert text.length.value is not None
            low, high = max(begin.value - at, 0), min(last - at, text.length.value)
            if low < high:
                texts.append(text.part(low, high))
            at += text.length.value
        if to_end:
            return Gathered(tuple(texts), self.begin, self.end)
        assert end.value is not None
        return Gathered(tuple(texts), self.begin, self.begin.plus(Number.of(max(0, end.value - size))))
