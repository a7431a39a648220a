"""Strings: reading, cutting, joining and comparing bytes."""

from __future__ import annotations

from phonepl import ir
from phonepl.targets.xdp.formulas import C_TYPE
from phonepl.targets.xdp.limits import MAXIMUM_FRONT
from phonepl.targets.xdp.places import NeedsScratch, Places, words
from phonepl.targets.xdp.values import ZERO, Gathered, Number, Text
from phonepl.types import Type

_HEAD = 2048
"""Bytes at the front of the arrived packet that are read in place."""


class Strings(Places):
    """Operations that give a String, or a number made of bytes."""

    def _source(self, operand: ir.Bytes) -> Gathered:
        """What is read: a Packet, or a String as a packet of nothing else."""
        if isinstance(operand, ir.Local) and operand.type is Type.PACKET:
            return self._packets[operand.name]
        return Gathered((self._text(operand),), ZERO, ZERO)

    def _fetch(self, to: str, operand: ir.Bytes, at: Number, n: Number) -> None:
        """Bytes `at` to `at + n` of a Packet or String to memory; whether they are there was tested."""
        source = self._source(operand)
        if n.value == 0:
            return
        part = source.cut(at, at.plus(n))
        if part is not None and n.value is not None:
            self._fetch_known(to, part, n.value)
            return
        if not source.texts:
            self._emit(f"if (load(ctx, {to}, {source.begin.plus(at).text}, {n.text}))")
            self._trap("    ", "target_limit")
            return
        if isinstance(operand, ir.Constant) or operand.type is Type.STRING:
            text = self._in_memory(operand)
            if n.value is not None:
                self._emit(f"move({to}, {text.address} + offset({at.text}), {n.value});")
            else:
                self._emit(f"copy({to}, 0, {text.address} + offset({at.text}), {n.text});")
            return
        if len(source.texts) > 1 or not source.texts[0].indexed:
            raise NeedsScratch(operand.name)
        front = source.texts[0]
        into = to if n.value is None else self._buffer("window", 512)
        self._emit(
            f"if (gather(ctx, {into}, {front.address}, {front.length.text}, {source.begin.text}, "
            f"{at.text}, {n.text}))"
        )
        self._trap("    ", "target_limit")
        if n.value is not None:
            self._emit(f"move({to}, {into}, {n.value});")

    def _fetch_known(self, to: str, part: Gathered, n: int) -> None:
        at = 0
        for text in part.texts:
            self._write(f"{to} + {at}" if at else to, text)
            at += text.most
        if at < n:
            self._from_arrived(f"{to} + {at}" if at else to, part.begin, n - at)

    def _from_arrived(self, to: str, at: Number, n: int) -> None:
        if at.value is not None and 0 <= at.value <= _HEAD - n:
            self._emit(f"if (take(ctx, {to}, {at.value}, {n}))")
        else:
            self._emit(f"if (load(ctx, {to}, {at.text}, {n}))")
        self._trap("    ", "target_limit")

    def _read(self, target: ir.Local, value: ir.ReadNumber) -> None:
        bits = 8 * value.width
        variable = self._variable(target)
        self._emit("{")
        self.depth += 1
        self._emit(f"u{bits} raw = 0;")
        self._fetch("&raw", value.source, self._formulas.number(value.offset), Number.of(value.width))
        read = "raw" if bits == 8 else f"({C_TYPE[target.type]})swap{bits}(raw)"
        self._emit(f"{variable} = {read};")
        self.depth -= 1
        self._emit("}")

    def _substring(self, target: ir.Local, value: ir.Substring) -> None:
        text = self._texts[target.name]
        begin, end = self._formulas.number(value.begin), self._formulas.number(value.end)
        n = end.minus(begin)
        if text.length.value is not None:
            n = text.length
        aliased = isinstance(value.source, ir.Local) and value.source.name == target.name
        into = self._buffer("assembly", 256) if aliased else text.address
        if n.value is None:
            # The length may be that of the source, which is the target.
            length = self._own("n", "s32")
            self._emit(f"{length} = {n.text};")
            n = Number(length)
        self._fetch(into, value.source, begin, n)
        if aliased:
            self._emit(f"move({text.address}, {into}, {-(-text.most // 8) * 8});")
        if text.length.value is None:
            self._emit(f"{text.length.text} = {n.text};")

    def _of_number(self, text: Text, value: ir.OfNumber) -> None:
        bits = 8 * value.width
        operand = self._formulas.text(value.operand)
        number = f"(u{bits})({operand})"
        self._emit(f"*(u{bits} *){text.address} = {number if bits == 8 else f'swap{bits}({number})'};")
        self._set_length(text, Number.of(value.width))

    def _equal(self, value: ir.Equals) -> str:
        left, right = self._text(value.left), self._text(value.right)
        if left.length.value is not None and right.length.value is not None:
            if left.length.value != right.length.value:
                return "false"
            if left.length.value == 0:
                return "true"
        if left.constant is not None and right.constant is not None:
            return "true" if left.constant == right.constant else "false"
        if left.constant is not None:
            left, right = right, left
            value = ir.Equals(value.right, value.left)
        if right.constant is not None and left.constant is None:
            tests = [f"{left.length.text} == {len(right.constant)}"] if left.length.value is None else []
            tests += _word_tests(left.address, right.constant)
            return " && ".join(tests)
        first, second = self._in_memory(value.left), self._in_memory(value.right)
        alike = f"same({first.address}, {second.address}, {first.length.text})"
        return f"{first.length.text} == {second.length.text} && {alike}"

    def _set_length(self, text: Text, length: Number) -> None:
        if text.length.value is None:
            self._emit(f"{text.length.text} = {length.text};")

    def _write(self, to: str, text: Text) -> None:
        """A text of constant length."""
        assert text.length.value is not None
        if text.constant is not None:
            self._store_constant(to, text.constant)
        elif text.length.value:
            self._emit(f"move({to}, {text.address}, {text.length.value});")

    def _assemble(self, target: Text, texts: list[Text]) -> None:
        """The texts, joined, into the target's memory, and the length."""
        own = [text.constant is None and text.address == target.address for text in texts]
        if own[:1] == [True] and not any(own[1:]):
            # What comes first is in its place already.
            self._append(target, texts[0].length, texts[1:])
            return
        if any(own):
            aside = Text(self._buffer("assembly", MAXIMUM_FRONT), target.length, target.most, None, True)
            self._append(aside, ZERO, texts)
            self._emit(f"copy({target.address}, 0, {aside.address}, {target.length.text});")
            return
        self._append(target, ZERO, texts)

    def _append(self, target: Text, at: Number, texts: list[Text]) -> None:
        known = at.value is not None and all(text.length.value is not None for text in texts)
        if not known and not target.indexed:
            raise NeedsScratch(target.address.removesuffix("_bytes"))
        total = at
        for text in texts:
            if text.length.value is not None:
                if total.value is not None:
                    place = f"{target.address} + {total.value}" if total.value else target.address
                else:
                    place = f"{target.address} + offset({total.text})"
                self._write(place, text)
            else:
                self._emit(f"copy({target.address}, {total.text}, {text.address}, {text.length.text});")
            total = total.plus(text.length)
        self._set_length(target, total)


def _word_tests(bytes_: str, value: bytes) -> list[str]:
    return [
        f"*(u{8 * width} *)({f'{bytes_} + {at}' if at else bytes_}) == {word}"
        for at, width, word in words(value)
    ]
