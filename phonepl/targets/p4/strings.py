"""Strings: constant parts of them by name, what is known at run time only by shifts of one wide number."""

from __future__ import annotations

from phonepl import ir
from phonepl.ir import Range
from phonepl.targets.p4.values import Number, Piece, Text, joined, literal, part
from phonepl.targets.p4.writer import Writer
from phonepl.types import MAXIMUM_STORED_STRING

_SHIFTED_AT_ONCE = 32
"""Bytes below which a shift is one step: p4c takes shifts of at most 8 bits, so below 256 bits."""


class Strings(Writer):
    """Operations that give a String, or read one."""

    def sliced(self, source: Text, begin: Number, end: Number, known: Range) -> Text:
        """The bytes `begin` to `end`; `known` is the range of their number."""
        length = end.minus(begin).within(known)
        most = min(length.range.high, source.most)
        if most == 0:
            return Text.literal(b"")
        if begin.value is not None:
            pieces = part(source.pieces, begin.value, begin.value + most)
        else:
            pieces = self._from(source, begin, most)
        most = sum(piece.length for piece in pieces)
        if length.value is not None or not most:  # nothing is left where a test before it has failed
            return Text.static(pieces)
        length = self.atom("n", length)
        return Text((self._cut(pieces, most, length),), length)

    def _from(self, source: Text, begin: Number, most: int) -> tuple[Piece, ...]:
        """`most` bytes from a place that is known at run time only."""
        size = source.most
        kind = f"bit<{8 * size}>"
        whole = self.assigned("from", kind, joined(source.pieces))
        self._shift(whole, size, self.atom("at", begin), "<<")
        return (Piece.whole(whole, size).part(0, most),)

    def _cut(self, pieces: tuple[Piece, ...], most: int, length: Number) -> Piece:
        """The first `length` bytes, and zeros behind them."""
        kind = f"bit<{8 * most}>"
        mask = self.assigned("mask", kind, f"{8 * most}w0x{'ff' * most}")
        self._shift(mask, most, length, ">>")
        return Piece.whole(self.assigned("s", kind, f"{joined(pieces)} & ~{mask}"), most)

    def _shift(self, variable: str, size: int, by: Number, direction: str) -> None:
        """A variable of `size` bytes, shifted in place by `by` bytes."""
        most = min(by.range.high, size)
        if by.range.low < _SHIFTED_AT_ONCE:
            few = by.text if most < _SHIFTED_AT_ONCE else f"({by.text} & {literal(_SHIFTED_AT_ONCE - 1, 32)})"
            if by.value is not None:
                amount = literal(8 * (by.value % _SHIFTED_AT_ONCE), 8)
            else:
                amount = f"((bit<8>){few} << 8w3)"
            self.emit(f"{variable} = {variable} {direction} {amount};")
        step = _SHIFTED_AT_ONCE
        while step <= most:
            self.emit(f"if (({by.text} & {literal(step, 32)}) != 0) {{")
            self.emit(f"    {variable} = {_by_constant(variable, size, step, direction)};")
            self.emit("}")
            step *= 2

    def concatenated(self, parts: list[Text], known: Range) -> Text:
        """Strings joined; `known` is the range of the number of bytes."""
        parts = [text for text in parts if text.most]
        if all(text.is_static for text in parts):
            return Text.static(tuple(piece for text in parts for piece in text.pieces))
        if len(parts) == 1:
            return parts[0]
        most = min(known.high, sum(text.most for text in parts))
        kind = f"bit<{8 * most}>"
        whole = self.assigned("s", kind, parts[0].padded(most))
        length = parts[0].length
        for text in parts[1:]:
            length = self.atom("n", length)
            moved = self.assigned("part", kind, text.padded(most))
            self._shift(moved, most, length.within(Range(0, most)), ">>")
            self.emit(f"{whole} = {whole} | {moved};")
            length = length.plus(text.length)
        return Text((Piece.whole(whole, most),), self.atom("n", length.within(known)))

    def equal(self, left: Text, right: Text) -> str:
        """Have they the same length and bytes?"""
        most = max(left.most, right.most)
        if left.is_static and right.is_static:
            if left.most != right.most:
                return "false"
            return f"({left.padded(most)} == {right.padded(most)})" if most else "true"
        lengths = f"({left.length.text} == {right.length.text})"
        return f"({lengths} && {left.padded(most)} == {right.padded(most)})" if most else lengths

    def read(self, source: Text, offset: Number, width: int) -> str:
        """A number of `width` bytes, as an int or a long."""
        if source.most < offset.range.low + width:  # so it is never executed: a test before it has failed
            return literal(0, 8 * max(width, 4))
        if offset.value is not None:
            pieces = part(source.pieces, offset.value, offset.value + width)
        else:
            pieces = self._from(source, offset, width)
        value = joined(pieces)
        return f"((bit<32>){value})" if width == 1 else value

    def of_number(self, operand: str, operand_bits: int, width: int) -> Text:
        """The low `width` bytes of a number."""
        if 8 * width == operand_bits:
            return Text.static((Piece.whole(self.assigned("b", f"bit<{operand_bits}>", operand), width),))
        if 8 * width > operand_bits:
            operand = f"(bit<{8 * width}>)(int<{8 * width}>)(int<{operand_bits}>){operand}"
        return Text.static(
            (Piece.whole(self.assigned("b", f"bit<{8 * width}>", f"(bit<{8 * width}>){operand}"), width),)
        )

    # ── in arrays ──

    def loaded(self, array: ir.Array, index: str) -> Text:
        """An element: its bytes, and its length in the last byte."""
        size = MAXIMUM_STORED_STRING
        element = self.variable("element", f"bit<{8 * size + 8}>")
        self.emit(f"{array_name(array)}.read({element}, {index});")
        held = self.assigned("s", f"bit<{8 * size}>", f"{element}[{8 * size + 7}:8]")
        length = self.assigned("n", "bit<32>", f"(bit<32>){element}[7:0]")
        return Text((Piece.whole(held, size),), Number(length, ir.STORED_STRING))

    def stored(self, array: ir.Array, index: str, value: Text) -> None:
        """The reverse."""
        length = f"(bit<8>){value.length.text}"
        self.emit(f"{array_name(array)}.write({index}, {value.padded(MAXIMUM_STORED_STRING)} ++ {length});")


def array_name(array: ir.Array) -> str:
    """The register that holds an array."""
    return f"array_{array.name}"


def _by_constant(variable: str, size: int, by: int, direction: str) -> str:
    """Shifted by so many bytes."""
    if by >= size:
        return literal(0, 8 * size)
    if direction == "<<":
        return f"{variable}[{8 * (size - by) - 1}:0] ++ {literal(0, 8 * by)}"
    return f"{literal(0, 8 * by)} ++ {variable}[{8 * size - 1}:{8 * by}]"
