"""Representation inference (P40–P58): how each packet is held, and which checks of tags remain at run time.

* cached: all of it in fast memory · mixed: its head in fast memory, the whole in slow
* gathered: fragments, in fast or slow memory · uncached: the whole in slow memory

A packet that arrives is cached if it is short and mixed if it is long. Both are read and cut in the same
way as long as the head holds what is touched, so telling them apart needs no check; gathered and uncached
packets are handled otherwise.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from phonepl import ir
from phonepl.ir import MAXIMUM_PACKET, Range
from phonepl.syntax import Span

HEAD = 256
"""Bytes at the front of an arriving packet that are in fast memory, on any target."""


class Representation(enum.Enum):
    """One of the document's four; the value is its name."""

    CACHED = "cached"
    MIXED = "mixed"
    GATHERED = "gathered"
    UNCACHED = "uncached"


_C, _M, _G, _U = Representation
_NOTHING = Range(0, 0)
Kinds = frozenset[Representation]


@dataclass(frozen=True)
class Held:
    """How a packet may be held.

    `head`: bytes at its front that are in fast memory; `tail`: what a gathered one ends in.
    """

    kinds: Kinds
    head: Range
    tail: Kinds = frozenset()
    tail_head: Range = _NOTHING

    def join(self, other: Held) -> Held:
        """Either."""
        return Held(
            self.kinds | other.kinds,
            self.head.join(other.head),
            self.tail | other.tail,
            self.tail_head.join(other.tail_head),
        )


@dataclass(frozen=True)
class Use:
    """An operation on a packet.

    Where, what, how its packet may be held, and whether that is checked at run time.
    """

    span: Span
    operation: str
    kinds: Kinds
    checked: bool
    result: Kinds = frozenset()
    last_byte: int | None = None
    """The last byte that it reads; None if it reads none."""
    stays_fast: bool = True
    """Is all that it reads surely in fast memory?"""


def representations(handler: ir.Handler, optimized: bool) -> tuple[Use, ...]:
    """Every use of a packet in a handler, in source order; copies of one place are joined."""
    inference = _Inference(handler, optimized)
    inference.run()
    merged: dict[tuple[Span, str], Use] = {}
    for use in inference.uses:
        key = (use.span, use.operation)
        if key in merged:
            before = merged[key]
            both = [b for b in (before.last_byte, use.last_byte) if b is not None]
            use = replace(
                use,
                kinds=before.kinds | use.kinds,
                result=before.result | use.result,
                last_byte=max(both, default=None),
                stays_fast=before.stays_fast and use.stays_fast,
            )
            use = replace(use, checked=_needs_check(use.kinds, optimized))
        merged[key] = use
    return tuple(sorted(merged.values(), key=lambda use: (use.span.line, use.span.column)))


def _needs_check(kinds: Kinds, optimized: bool) -> bool:
    families = {_M if kind is _C else kind for kind in kinds}
    return not optimized or len(families) > 1


_Environment = dict[str, Held]


class _Inference:
    def __init__(self, handler: ir.Handler, optimized: bool) -> None:
        self._handler = handler
        self._optimized = optimized
        self._left: dict[str, list[_Environment]] = {}
        self._quiet = 0
        self.uses: list[Use] = []

    def run(self) -> None:
        name = self._handler.packet.name
        self._block(self._handler.body, {name: Held(frozenset({_C, _M}), Range(HEAD, HEAD))})

    def _held(self, local: ir.Local, env: _Environment) -> Held:
        held = env.get(local.name)
        if held is None:
            return Held(frozenset(), Range(0, 0))
        # All of a cached packet is in its head, so a longer one is held otherwise.
        if local.range.low > held.head.high:
            held = replace(held, kinds=held.kinds - {_C})
        if local.range.low - held.head.high > held.tail_head.high:
            held = replace(held, tail=held.tail - {_C})
        # What arrives mixed is longer than its head.
        if local.name == self._handler.packet.name and local.range.high <= HEAD:
            held = replace(held, kinds=held.kinds - {_M})
        return held

    def _use(
        self, span: Span, operation: str, held: Held, result: Kinds = frozenset(), read: Range | None = None
    ) -> None:
        if self._quiet:
            return
        last = None if read is None or read.high <= 0 else read.high - 1
        # What the tests let pass in a cached packet is in fast memory, however long it is.
        fast = last is None or held.kinds == {_C} or last < held.head.low
        if held.kinds <= {_C, _M} and last is not None and last < HEAD and held.head.low == HEAD:
            fast = True
        checked = _needs_check(held.kinds, self._optimized)
        self.uses.append(Use(span, operation, held.kinds, checked, result, last, fast))

    # ── flow ──

    def _block(self, block: ir.Block, env: _Environment | None) -> _Environment | None:
        for statement in block:
            if env is None:
                return None
            env = self._statement(statement, env)
        return env

    def _statement(self, statement: ir.Statement, env: _Environment) -> _Environment | None:
        match statement:
            case ir.Set():
                self._set(statement, env)
            case ir.Put():
                self._use(statement.span, "put", self._held(statement.packet, env))
            case ir.If():
                then = self._block(statement.then, dict(env))
                return _join(then, self._block(statement.otherwise, dict(env)))
            case ir.Leave():
                self._left[statement.label].append(dict(env))
                return None
            case ir.Scope():
                self._left[statement.label] = []
                after = self._block(statement.body, env)
                for left in self._left.pop(statement.label):
                    after = _join(after, left)
                return after
            case ir.Loop():
                return self._loop(statement, env)
            case ir.TrapIf(condition=ir.Constant(value=True)):
                return None
        return env

    def _loop(self, statement: ir.Loop, env: _Environment) -> _Environment | None:
        entered = dict(env)
        self._quiet += 1
        for turn in range(6):
            self._left[statement.label] = []
            again = _join(dict(entered), self._block(statement.body, dict(entered)))
            self._left.pop(statement.label)
            assert again is not None
            if turn > 2:
                again = {
                    name: held if held == entered.get(name) else replace(held, head=Range(0, MAXIMUM_PACKET))
                    for name, held in again.items()
                }
            if again == entered:
                break
            entered = again
        self._quiet -= 1
        self._left[statement.label] = []
        self._block(statement.body, dict(entered))
        after: _Environment | None = None
        for left in self._left.pop(statement.label):
            after = _join(after, left)
        return after

    # ── operations ──

    def _set(self, statement: ir.Set, env: _Environment) -> None:
        value, span, name = statement.value, statement.span, statement.target.name
        match value:
            case ir.Local() if value.name in env:
                env[name] = self._held(value, env)
            case ir.ReadNumber(source=ir.Local() as source) if source.name in env:
                last = Range(
                    value.offset.range.low, min(value.offset.range.high + value.width, source.range.high)
                )
                self._use(span, "read", self._held(source, env), read=last)
            case ir.Substring(source=ir.Local() as source) if source.name in env:
                last = Range(0, min(value.end.range.high, source.range.high))
                self._use(span, "substring", self._held(source, env), read=last)
            case ir.Subpacket():
                held = self._held(value.source, env)
                whole_end = str(value.end) == f"length({value.source})"
                result = _cut(held, value.begin.range, None if whole_end else value.end.range)
                self._use(span, "subpacket", held, result.kinds)
                env[name] = result
            case ir.NewPacket():
                env[name] = self._new(value, span, env)

    def _new(self, value: ir.NewPacket, span: Span, env: _Environment) -> Held:
        size = Range(sum(p.range.low for p in value.parts), sum(p.range.high for p in value.parts))
        if value.tail is None:
            kind = _C if len(value.parts) < 2 else _G
            return Held(frozenset({kind}), size)
        tail = self._held(value.tail, env)
        kinds, tail_head = tail.kinds, tail.head
        if _G in tail.kinds:
            size = Range(size.low, size.high + tail.head.high)
            kinds, tail_head = (tail.kinds - {_G}) | tail.tail, tail.tail_head
        result = Held(frozenset({_G}), size, kinds, tail_head)
        self._use(span, "new Packet", tail, result.kinds)
        return result


def _cut(held: Held, begin: Range, end: Range | None) -> Held:
    """How a part of a packet may be held; `end` None means to its end."""
    kinds: set[Representation] = set()
    head = Range(max(0, held.head.low - begin.high), max(0, held.head.high - begin.low))
    tail, tail_head = held.tail, held.tail_head
    if _C in held.kinds:
        kinds.add(_C)
    if _U in held.kinds:
        kinds.add(_U)
    if _M in held.kinds:
        if end is not None and end.low <= held.head.high:
            kinds.add(_C)
        if begin.high >= held.head.low:
            kinds.add(_U)
        if begin.low < held.head.high and not (end is not None and end.high <= held.head.low):
            kinds.add(_M)
    if _G in held.kinds:
        if begin.low < held.head.high or not held.tail:
            kinds.add(_G)
        if begin.high >= held.head.low and held.tail:
            inner = Range(max(0, begin.low - held.head.high), max(0, begin.high - held.head.low))
            beyond = _cut(Held(held.tail, held.tail_head), inner, None)
            kinds |= beyond.kinds
            head = beyond.head if begin.low >= held.head.high else head.join(beyond.head)
    if kinds == {_G}:
        return Held(frozenset(kinds), head, tail, tail_head)
    return Held(frozenset(kinds), head, tail if _G in kinds else frozenset(), tail_head)


def _join(one: _Environment | None, other: _Environment | None) -> _Environment | None:
    if one is None or other is None:
        return other if one is None else one
    joined = dict(one)
    for name, held in other.items():
        joined[name] = joined[name].join(held) if name in joined else held
    return joined
