"""Packets: parts of the arrived packet and texts in front of them, by reference."""

from __future__ import annotations

from phonepl import ir
from phonepl.ir import Range
from phonepl.syntax import Span
from phonepl.targets.p4.limits import HEAD, MAXIMUM_FRONT, REACH
from phonepl.targets.p4.refusals import Refused
from phonepl.targets.p4.strings import Strings
from phonepl.targets.p4.values import ZERO, Form, Number, Pieces, Text, literal, part


class Packets(Strings):
    """Operations that read or give a Packet."""

    def substring(self, value: ir.Substring, statement: ir.Set) -> Text:
        begin, end = self.number(value.begin, statement), self.number(value.end, statement)
        if isinstance(value.source, ir.Constant) or isinstance(self.held[value.source.name], Text):
            return self.sliced(self.text_of(value.source), begin, end, value.range)
        form = self.form_of(value.source)
        high = min(end.range.high, begin.range.high + value.range.high)
        is_fixed = begin.value is not None and end.value is not None
        pieces = self._bytes(form, begin.range.low, high, value.source.range.low, is_fixed, statement.span)
        low = Number.of(begin.range.low)
        return self.sliced(Text.static(pieces), begin.minus(low), end.minus(low), value.range)

    def read_number(self, value: ir.ReadNumber, statement: ir.Set) -> str:
        offset = self.number(value.offset, statement)
        if isinstance(value.source, ir.Constant) or isinstance(self.held[value.source.name], Text):
            return self.read(self.text_of(value.source), offset, value.width)
        form = self.form_of(value.source)
        low, high = offset.range.low, offset.range.high + value.width
        is_fixed = offset.value is not None
        pieces = self._bytes(form, low, high, value.source.range.low, is_fixed, statement.span)
        return self.read(Text.static(pieces), offset.minus(Number.of(low)), value.width)

    def _bytes(self, form: Form, low: int, high: int, least: int, is_fixed: bool, span: Span) -> Pieces:
        """The bytes `low` to `high` of a packet of at least `least` bytes.

        Unless `is_fixed`, those behind its end are anything.
        """
        if low >= high:
            return ()
        if not is_fixed and high - low > REACH:
            raise Refused(
                span,
                f"a read of bytes {low} to {high - 1} of a packet at a place known at run time only",
                f"the parser cuts headers where the program says; such a read may reach over {REACH} bytes",
                "read at a constant place, or say before how far it can be: if (n > 40) return;",
            )
        size, begin = form.size.value, form.begin
        if size is None or (high > size and begin.value is None):
            if size == 0 and high - low + begin.range.high - begin.range.low <= REACH:
                return self._behind(form, low, high, span)
            raise Refused(
                span,
                "a read from a packet whose head has a length known at run time only",
                "the place of these bytes in the arrived packet is not known to the parser",
                "read from the String or the packet that it was made of",
            )
        front = tuple(piece for text in form.texts for piece in text.pieces)
        pieces = part(front, low, min(high, size))
        if high <= size:
            return pieces
        assert begin.value is not None
        first, last = begin.value + max(low - size, 0), begin.value + high - size
        _require_head(last, span)
        if is_fixed:
            return (*pieces, *self.head.bytes(first, last, begin.value + least - size))
        return (*pieces, *self.head.region(first, last))

    def _behind(self, form: Form, low: int, high: int, span: Span) -> Pieces:
        """Bytes of a part that begins at a place known at run time only."""
        begin = form.begin
        first, last = begin.range.low + low, begin.range.high + high
        _require_head(last, span)
        source = Text.static(self.head.region(first, last))
        offset = begin.minus(Number.of(begin.range.low))
        return self.sliced(
            source, offset, offset.plus(Number.of(high - low)), Range(high - low, high - low)
        ).pieces

    def subpacket(self, value: ir.Subpacket, statement: ir.Set) -> Form:
        source = self.form_of(value.source)
        begin, end = self.number(value.begin, statement), self.number(value.end, statement)
        length = source.length(self.arrived)
        to_end = end.text == length.text
        if not source.texts:
            first = source.begin.plus(begin)
            self._require_cut(first, statement.span)
            first = self.atom("begin", first)
            last = source.end if to_end else self.atom("end", source.begin.plus(end))
            return Form((), first, last)
        size = source.size.value
        if (
            size is None
            or begin.value is None
            or not (to_end or end.value is not None or end.range.low >= size)
        ):
            raise Refused(
                statement.span,
                "a part of a composed packet whose borders are known at run time only",
                "which headers it takes must be known when the program is compiled",
                "compose the packet of the parts that are wanted",
            )
        texts: list[Text] = []
        at = 0
        last_text = size if end.value is None else min(end.value, size)
        for text in source.texts:
            low, high = max(begin.value - at, 0), min(last_text - at, text.most)
            if low < high:
                texts.append(Text.static(part(text.pieces, low, high)))
            at += text.most
        first = source.begin.plus(Number.of(max(0, begin.value - size)))
        self._require_cut(first, statement.span)
        if to_end:
            return Form(tuple(texts), first, source.end)
        if end.value is not None:
            return Form(tuple(texts), first, source.begin.plus(Number.of(max(0, end.value - size))))
        return Form(tuple(texts), first, self.atom("end", source.begin.plus(end.minus(Number.of(size)))))

    def new_packet(self, value: ir.NewPacket, statement: ir.Set) -> Form:
        texts = tuple(text for each in value.parts if (text := self.text_of(each)).most)
        form = Form(texts, ZERO, ZERO)
        if value.tail is not None:
            tail = self.form_of(value.tail)
            form = Form((*texts, *tail.texts), tail.begin, tail.end)
        size = form.size
        if size.range.high > MAXIMUM_FRONT:
            self.emit(f"if ({size.text} > {literal(MAXIMUM_FRONT, 32)}) {{")
            self.emit("    drop(TARGET_LIMIT);")
            self.emit("}")
        return form

    def _require_cut(self, begin: Number, span: Span) -> None:
        low, high = begin.range.low, begin.range.high
        if begin.value is None and high - low > REACH:
            raise Refused(
                span,
                f"a packet that begins at one of the bytes {low} to {high} of another",
                f"each place where one may begin is a header of its own; they may lie {REACH} bytes apart",
                "cut at a constant place, or say before how far it can be: if (n > 40) return;",
            )
        _require_head(high, span)


def _require_head(end: int, span: Span) -> None:
    if end > HEAD:
        raise Refused(
            span,
            f"a use of the first {end} bytes of a packet",
            f"P4 parses the first {HEAD} bytes at most; what lies behind is payload and is never touched",
            "use what stands at the front, or run the program on XDP",
        )
