"""What every part of the type checker for expressions does: complain, look names up, convert."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.members import Members
from phonepl.types import Local, StreamField, Symbol, Type


class Conversions:
    """The names in reach, and what may stand where something else is due."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._checked = members.checked
        self._scopes: list[dict[str, Local]] = []
        self._poisoned: set[str] = set()
        members.coerce = self.coerce

    def _say(self, diagnostic: d.Diagnostic) -> None:
        self._members.say(diagnostic)

    def _text(self, node: s.Node) -> str:
        """How a short expression is written, for hints."""
        span = node.span
        if span.line != span.end_line:
            return "…"
        text = self._checked.source.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]
        return text if len(text) <= 40 else "…"

    def coerce(self, e: s.Expression, found: Type, expected: Type) -> bool:
        """May `e` stand where `expected` is due? Says why not."""
        if found is expected or (found is Type.INT and expected is Type.LONG):
            return True
        if found is Type.LONG and expected is Type.INT:
            self._say(d.Narrowing(e.span))
        elif found is Type.PACKET and expected is Type.STRING:
            self._say(d.PacketWhereString(e.span, packet=self._text(e)))
        elif found is Type.STRING and expected is Type.PACKET:
            self._say(d.StringWherePacket(e.span, string=self._text(e)))
        else:
            advice = ""
            if expected is Type.BOOLEAN and found.is_number:
                advice = f"write {self._text(e)} != 0"
            elif expected is Type.STRING and found.is_number:
                call = "ofInt" if found is Type.INT else "ofLong"
                advice = f"write String.{call}({self._text(e)}) for its bytes"
            elif expected.is_number and found is Type.STRING:
                advice = f"write {self._text(e)}.intAt(0) to read a number from its bytes"
            elif expected.is_number and found is Type.PACKET:
                advice = f"write {self._text(e)}.intAt(OFFSET) to read a number from it"
            self._say(
                d.WrongType(e.span, found=with_article(found), expected=with_article(expected), advice=advice)
            )
        return False

    def _lookup(self, name: str) -> Symbol | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._field(name)

    def _field(self, name: str) -> Symbol | None:
        field = self._members.field(name)
        if field is None and name in self._members.stream_fields:
            return StreamField(name, name, self._members.stream_fields[name])
        return field


def with_article(kind: Type) -> str:
    """`an int`, `a Packet`."""
    return f"{'an' if kind.value[0] in 'aei' else 'a'} {kind.value}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f"did you mean `{near[0]}`?" if near else None
