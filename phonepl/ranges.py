"""Range analysis: annotates every expression with what is known, proves loop bounds, and folds what is
decided.

A forward pass over the structured code. The environment maps a local's name to the range of its value
(numbers and booleans) or of its length (Strings, Packets); a missing name means that nothing is known.
"""

from __future__ import annotations

import re
from dataclasses import replace

from phonepl import diagnostics as d
from phonepl import intervals, ir, traversal
from phonepl.ir import WHOLE, Range
from phonepl.loops import LoopFacts, bound_of, increment
from phonepl.simplify import simplified, simplified_operation
from phonepl.trees import negated, scope
from phonepl.types import MAXIMUM_TURNS, Type

Environment = dict[str, Range]
MAXIMUM_NESTING = 16
"""Loops in loops; their turns multiply, so that nobody wants more."""
_DEEP = 4
"""Loops in loops up to here are looked at twice on every level; deeper nests only where it counts."""


def analyze(program: ir.Program, source: str, file: str, fold: bool) -> ir.Program:
    """The program with ranges and loop bounds; with `fold`, without the tests and branches that are decided.

    Raises ProgramError where a loop is not proved to end.
    """
    errors: list[d.Diagnostic] = [
        d.TooDeep(handler.span, what="loops, with those of the methods called,", limit=MAXIMUM_NESTING)
        for handler in program.handlers
        if _nesting(handler.body) > MAXIMUM_NESTING
    ]
    if errors:
        raise d.ProgramError(errors, source, file)
    handlers = tuple(_Analysis(handler, errors, fold).run() for handler in program.handlers)
    if errors:
        unique = {(e.span, e.message): e for e in errors}
        raise d.ProgramError(list(unique.values()), source, file)
    return replace(program, handlers=handlers)


class _Analysis:
    def __init__(self, handler: ir.Handler, errors: list[d.Diagnostic], fold: bool) -> None:
        self._handler = handler
        self._errors = errors
        self._fold = fold
        self._dry = 0  # inside the first look at a loop, whose findings are provisional
        self._left: dict[str, list[Environment]] = {}
        self._seen: dict[str, ir.Local] = {}
        self._facts = LoopFacts()
        self._strings: dict[str, ir.Constant] = {}
        self._set_once = _set_once(handler)
        self._is_deep = _nesting(handler.body) > _DEEP

    def run(self) -> ir.Handler:
        packet = self._handler.packet
        self._note(packet, packet.range)
        body, _ = self._block(self._handler.body, {packet.name: packet.range})
        found = tuple(self._seen[local.name] for local in self._handler.locals if local.name in self._seen)
        return replace(self._handler, body=body, locals=found)

    def _note(self, local: ir.Local, known: Range) -> ir.Local:
        """Remember a value of `local`; the local as it is written here."""
        if not self._dry:
            before = self._seen.get(local.name)
            self._seen[local.name] = replace(local, range=before.range.join(known) if before else known)
        return replace(local, range=known)

    # ── blocks ──

    def _block(self, block: ir.Block, env: Environment | None) -> tuple[ir.Block, Environment | None]:
        """The rewritten block and what is known behind it.

        None where control never arrives. Changes `env`.
        """
        out: list[ir.Statement] = []
        for statement in block:
            if env is None:
                if self._fold:
                    break
                env = {}
            rewritten, env = self._statement(statement, env)
            out.extend(rewritten)
        return tuple(out), env

    def _statement(self, statement: ir.Statement, env: Environment) -> tuple[ir.Block, Environment | None]:
        match statement:
            case ir.Set():
                return (self._set(statement, env),), env
            case ir.Load():
                known = (
                    ir.STORED_STRING
                    if statement.array.element is Type.STRING
                    else WHOLE[statement.array.element]
                )
                index = self._rebuilt(statement.index, env)
                env[statement.target.name] = known
                return (replace(statement, target=self._note(statement.target, known), index=index),), env
            case ir.Store():
                index, value = self._rebuilt(statement.index, env), self._rebuilt(statement.value, env)
                return (replace(statement, index=index, value=value),), env
            case ir.Update():
                return (self._update(statement, env),), env
            case ir.Put():
                packet = self._rebuilt(statement.packet, env)
                assert isinstance(packet, ir.Local)
                return (replace(statement, packet=packet),), env
            case ir.TrapIf():
                return self._trap(statement, env)
            case ir.If():
                return self._if(statement, env)
            case ir.Leave():
                self._left[statement.label].append(env)
                return (statement,), None
            case ir.Scope():
                return self._scope(statement, env)
            case ir.Loop():
                return self._loop(statement, env)

    def _set(self, statement: ir.Set, env: Environment) -> ir.Set:
        if step := increment(statement):
            amount = self._rebuilt(step.amount, env).range
            known = Range(-amount.high, -amount.low) if step.down else amount
            self._facts.steps[id(statement)] = known
        value: ir.Expression | ir.Operation
        if isinstance(statement.value, ir.Operation):
            value = simplified_operation(self._operands(statement.value, env), self._fold)
        else:
            value = self._rebuilt(statement.value, env)
        name = statement.target.name
        if (
            self._fold
            and isinstance(value, ir.Constant)
            and value.type is Type.STRING
            and name in self._set_once
        ):
            self._strings[name] = value
        env[name] = value.range
        return replace(statement, target=self._note(statement.target, value.range), value=value)

    def _update(self, statement: ir.Update, env: Environment) -> ir.Update:
        index, operand = self._rebuilt(statement.index, env), self._rebuilt(statement.operand, env)
        target = statement.target
        if target is not None:
            env[target.name] = WHOLE[target.type]
            target = self._note(target, WHOLE[target.type])
        return replace(statement, target=target, index=index, operand=operand)

    def _trap(self, statement: ir.TrapIf, env: Environment) -> tuple[ir.Block, Environment | None]:
        condition = self._rebuilt(statement.condition, env)
        after = self._assume(condition, False, env)
        if self._fold and isinstance(condition, ir.Constant) and not condition.value:
            return (), env
        if after is None and not self._fold:
            after = env
        return (replace(statement, condition=condition),), after

    def _if(self, statement: ir.If, env: Environment) -> tuple[ir.Block, Environment | None]:
        condition = self._rebuilt(statement.condition, env)
        self._facts.conditions[id(statement)] = condition
        if self._fold and isinstance(condition, ir.Constant):
            return self._block(statement.then if condition.value else statement.otherwise, env)
        when, unless = self._assume(condition, True, dict(env)), self._assume(condition, False, dict(env))
        if not self._fold:
            when, unless = when or dict(env), unless or dict(env)
        then, after_then = self._block(statement.then, when)
        otherwise, after_otherwise = self._block(statement.otherwise, unless)
        after = _join(after_then, after_otherwise)
        if self._fold and not then and not otherwise:
            return (), after
        if self._fold and not then:
            condition, then, otherwise = negated(condition), otherwise, ()
        return (ir.If(condition, then, otherwise, statement.span),), after

    def _scope(self, statement: ir.Scope, env: Environment) -> tuple[ir.Block, Environment | None]:
        self._left[statement.label] = []
        body, after = self._block(statement.body, env)
        for left in self._left.pop(statement.label):
            after = _join(after, left)
        return scope(statement.label, body, statement.span), after

    def _loop(self, statement: ir.Loop, env: Environment) -> tuple[ir.Block, Environment | None]:
        changed = traversal.written_in(statement.body)
        kept = {name: known for name, known in env.items() if name not in changed}
        # A first look with nothing known about what changes, to learn the steps and the limits.
        self._dry += 1
        self._left[statement.label] = []
        body, _ = self._block(statement.body, dict(kept))
        first_left = self._left.pop(statement.label)
        self._dry -= 1
        bound = bound_of(statement, env, changed, self._facts)
        if isinstance(bound, str):
            # Folding may have cut off the steps of a loop that was proved before, as it always traps first.
            if not self._dry and not statement.bound:
                # `j_2` is the second j of the handler.
                reason = re.sub(r"`(\w+?)_\d+`", r"`\1`", bound)
                self._errors.append(d.UnboundedLoop(statement.span, limit=MAXIMUM_TURNS, reason=reason))
            bound = max(statement.bound - 1, 0), {}
        turns, known = bound
        if statement.bound:
            turns = min(turns, statement.bound - 1)
        self._facts.turns[id(statement)] = turns
        # Two looks on each level would take time that doubles with every level.
        if self._dry and self._is_deep:
            left_with = first_left
        else:
            self._left[statement.label] = []
            body, _ = self._block(statement.body, {**kept, **known})
            left_with = self._left.pop(statement.label)
        after: Environment | None = None
        for left in left_with:
            after = _join(after, left)
        if self._fold and len(body) == 1 and body[0] == ir.Leave(statement.label, body[0].span):
            return (), after
        return (replace(statement, bound=turns + 1, body=body),), after

    # ── expressions ──

    def _rebuilt(self, e: ir.Expression, env: Environment) -> ir.Expression:
        """`e` with the ranges that hold under `env`, folded if asked for."""
        match e:
            case ir.Local():
                if e.name in self._strings:
                    return self._strings[e.name]
                return simplified(replace(e, range=env.get(e.name, WHOLE[e.type])), self._fold)
            case ir.Length():
                if e.of.name in self._strings:
                    return ir.Constant(self._strings[e.of.name].range.low, Type.INT)
                known = env.get(e.of.name, WHOLE[e.of.type])
                return simplified(ir.Length(replace(e.of, range=known), known), self._fold)
            case ir.Unary():
                operand = self._rebuilt(e.operand, env)
                known = intervals.unary(e.operator, operand.range, e.type)
                return simplified(ir.Unary(e.operator, operand, e.type, known), self._fold)
            case ir.Convert():
                operand = self._rebuilt(e.operand, env)
                return simplified(
                    ir.Convert(operand, e.type, intervals.convert(operand.range, e.type)), self._fold
                )
            case ir.Binary():
                left, right = self._rebuilt(e.left, env), self._rebuilt(e.right, env)
                if e.operator in ("&&", "||"):
                    beyond = self._assume(left, e.operator == "&&", dict(env))
                    if beyond is not None:
                        right = self._rebuilt(e.right, beyond)
                known = intervals.binary(e.operator, left.range, right.range, e.type)
                return simplified(ir.Binary(e.operator, left, right, e.type, known), self._fold)
        return e

    def _operands(self, value: ir.Operation, env: Environment) -> ir.Operation:
        match value:
            case ir.ReadNumber():
                source = self._bytes(value.source, env)
                return replace(value, source=source, offset=self._rebuilt(value.offset, env))
            case ir.Substring():
                source = self._bytes(value.source, env)
                begin, end = self._rebuilt(value.begin, env), self._rebuilt(value.end, env)
                return replace(value, source=source, begin=begin, end=end)
            case ir.Subpacket():
                begin, end = self._rebuilt(value.begin, env), self._rebuilt(value.end, env)
                return replace(value, source=self._packet(value.source, env), begin=begin, end=end)
            case ir.Concat():
                return replace(value, parts=tuple(self._bytes(part, env) for part in value.parts))
            case ir.NewPacket():
                tail = self._packet(value.tail, env) if value.tail else None
                return replace(value, parts=tuple(self._bytes(part, env) for part in value.parts), tail=tail)
            case ir.OfNumber():
                return replace(value, operand=self._rebuilt(value.operand, env))
            case ir.Equals():
                return replace(value, left=self._bytes(value.left, env), right=self._bytes(value.right, env))
        return value

    def _bytes(self, e: ir.Bytes, env: Environment) -> ir.Bytes:
        found = self._rebuilt(e, env)
        assert isinstance(found, ir.Local | ir.Constant)
        return found

    def _packet(self, e: ir.Local, env: Environment) -> ir.Local:
        found = self._rebuilt(e, env)
        assert isinstance(found, ir.Local)
        return found

    # ── what a condition tells ──

    def _assume(self, e: ir.Expression, truth: bool, env: Environment) -> Environment | None:
        """`env`, changed by knowing that `e` is `truth`; None if it cannot be."""
        match e:
            case ir.Constant():
                return env if bool(e.value) is truth else None
            case ir.Local():
                return _constrain(e, Range(int(truth), int(truth)), env)
            case ir.Unary(operator="!"):
                return self._assume(e.operand, not truth, env)
            case ir.Binary(operator="&&" | "||"):
                if (e.operator == "&&") is truth:
                    first = self._assume(e.left, truth, env)
                    return None if first is None else self._assume(e.right, truth, first)
                one = self._assume(e.left, truth, dict(env))
                other = self._assume(e.left, not truth, dict(env))
                if other is not None:
                    other = self._assume(e.right, truth, other)
                return _join(one, other)
            case ir.Binary() if e.operator in intervals.COMPARISONS:
                if not truth:
                    opposite = negated(e)
                    assert isinstance(opposite, ir.Binary)
                    e = opposite
                return _compared(e, env)
        return env


def _compared(e: ir.Binary, env: Environment) -> Environment | None:
    """`env`, knowing that a comparison holds."""
    left, right = e.left.range, e.right.range
    low, high = -(1 << 64), 1 << 64
    match e.operator:
        case "<":
            limits = Range(low, right.high - 1), Range(left.low + 1, high)
        case "<=":
            limits = Range(low, right.high), Range(left.low, high)
        case ">":
            limits = Range(right.low + 1, high), Range(low, left.high - 1)
        case ">=":
            limits = Range(right.low, high), Range(low, left.high)
        case "==":
            limits = right, left
        case _:
            limits = _trimmed(left, right), _trimmed(right, left)
    after = _constrain(e.left, limits[0], env)
    return None if after is None else _constrain(e.right, limits[1], after)


def _trimmed(one: Range, other: Range) -> Range:
    """`one` without the single value of `other`, where that lies at an end."""
    if not other.is_single or one.is_single:
        return one if not (one.is_single and one == other) else Range(1, 0)
    low = one.low + 1 if one.low == other.low else one.low
    high = one.high - 1 if one.high == other.low else one.high
    return Range(low, high)


def _constrain(e: ir.Expression, limits: Range, env: Environment) -> Environment | None:
    """`env`, knowing that the value of `e` lies within `limits`."""
    if limits.low > limits.high or e.range.meet(limits) is None:
        return None
    match e:
        case ir.Local() | ir.Length():
            name = e.name if isinstance(e, ir.Local) else e.of.name
            known = env.get(name, e.range).meet(limits)
            if known is None:
                return None
            env[name] = known
        case ir.Convert() if e.operand.range.inside(WHOLE[e.type]):
            return _constrain(e.operand, limits, env)
        case ir.Binary(operator="+" | "-", right=ir.Constant() as constant):
            assert isinstance(constant.value, int)
            shift = constant.value if e.operator == "+" else -constant.value
            unwrapped = Range(e.left.range.low + shift, e.left.range.high + shift)
            if unwrapped.inside(WHOLE[e.type]):
                return _constrain(e.left, Range(limits.low - shift, limits.high - shift), env)
    return env


def _join(one: Environment | None, other: Environment | None) -> Environment | None:
    if one is None or other is None:
        return other if one is None else one
    return {name: known.join(other[name]) for name, known in one.items() if name in other}


def _set_once(handler: ir.Handler) -> set[str]:
    counts: dict[str, int] = {}
    for statement in traversal.walk(handler.body):
        if target := traversal.written(statement):
            counts[target.name] = counts.get(target.name, 0) + 1
    return {name for name, count in counts.items() if count == 1}


def _nesting(block: ir.Block) -> int:
    """How many loops stand in each other at most."""
    deepest = 0
    for statement in block:
        match statement:
            case ir.If():
                deepest = max(deepest, _nesting(statement.then), _nesting(statement.otherwise))
            case ir.Scope():
                deepest = max(deepest, _nesting(statement.body))
            case ir.Loop():
                deepest = max(deepest, 1 + _nesting(statement.body))
    return deepest
