"""Proofs that loops end: a variable that moves by steps towards a limit that its condition tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from phonepl import ir, traversal
from phonepl.ir import WHOLE, Range
from phonepl.trees import negated
from phonepl.types import MAXIMUM_TURNS, Type


@dataclass(frozen=True)
class Increment:
    """`variable = variable + amount`, or `- amount` if `down`."""

    variable: str
    amount: ir.Expression
    down: bool


@dataclass
class LoopFacts:
    """What a look at a loop's body found, by the identity of its statements."""

    steps: dict[int, Range] = field(default_factory=dict)
    """How far each increment moves its variable."""
    conditions: dict[int, ir.Expression] = field(default_factory=dict)
    """The condition of each If, with its ranges."""
    turns: dict[int, int] = field(default_factory=dict)
    """The proved turns of each loop."""


def increment(statement: ir.Set) -> Increment | None:
    """Does the statement move its target by an amount?"""
    match statement.value:
        case ir.Binary(operator="+", left=ir.Local() as local) if local.name == statement.target.name:
            return Increment(local.name, statement.value.right, False)
        case ir.Binary(operator="+", right=ir.Local() as local) if local.name == statement.target.name:
            return Increment(local.name, statement.value.left, False)
        case ir.Binary(operator="-", left=ir.Local() as local) if local.name == statement.target.name:
            return Increment(local.name, statement.value.right, True)
    return None


@dataclass(frozen=True)
class _Movement:
    """How far a variable moves in one turn: at most, and (`sure`) at least whatever path is taken."""

    most: Range
    sure: Range
    type: Type


def bound_of(
    loop: ir.Loop, before: dict[str, Range], changed: set[str], facts: LoopFacts
) -> tuple[int, dict[str, Range]] | str:
    """Turns, and the ranges at the head of the body of the variables that move steadily.

    Or why there is no proof.
    """
    movements = _movements(loop.body, facts)
    tests, copies = _tests(loop, facts)
    if not tests:
        leaves = any(isinstance(s, ir.Leave) and s.label == loop.label for s in traversal.walk(loop.body))
        return "its condition compares nothing with a limit" if leaves else "it has no condition"
    best: tuple[int, str, Range] | None = None
    reason = "no variable of its condition moves steadily towards a limit"
    for test, stepped in tests:
        for side in _sides(test, copies):
            if side.variable.name in stepped and not side.copied:
                continue
            found = _turns(side, movements, before, changed)
            if isinstance(found, str):
                reason = found
            elif found is not None and (best is None or found[0] < best[0]):
                best = found
    if best is None:
        return reason
    turns, variable, known = best
    if turns > MAXIMUM_TURNS:
        return f"it may take {turns}"
    ranges = {variable: known}
    for name, movement in movements.items():
        start = before.get(name)
        kind = movement.most
        if start is None:
            continue
        reached = Range(start.low + turns * min(kind.low, 0), start.high + turns * max(kind.high, 0))
        if reached.inside(WHOLE[movement.type]):
            both = reached.meet(ranges[name]) if name in ranges else reached
            ranges[name] = both or reached
    return turns, ranges


def _movements(body: ir.Block, facts: LoopFacts) -> dict[str, _Movement]:
    """The movements of the variables that the body changes by increments only; in one walk."""
    most: dict[str, Range] = {}
    types: dict[str, Type] = {}
    erratic: set[str] = set()
    _gather(body, 1, facts, most, types, erratic)
    sure = {name: Range(0, 0) for name in most}
    for statement in body:
        if isinstance(statement, ir.Set) and id(statement) in facts.steps:
            step, before = facts.steps[id(statement)], sure[statement.target.name]
            sure[statement.target.name] = Range(before.low + step.low, before.high + step.high)
    return {name: _Movement(most[name], sure[name], types[name]) for name in most if name not in erratic}


def _gather(
    block: ir.Block,
    times: int,
    facts: LoopFacts,
    most: dict[str, Range],
    types: dict[str, Type],
    erratic: set[str],
) -> None:
    """Add up how far each variable moves when the block is executed up to `times` times."""
    for statement in block:
        if target := traversal.written(statement):
            step = facts.steps.get(id(statement)) if isinstance(statement, ir.Set) else None
            if step is None:
                erratic.add(target.name)
                continue
            before = most.get(target.name, Range(0, 0))
            moved = Range(before.low + times * min(step.low, 0), before.high + times * max(step.high, 0))
            most[target.name], types[target.name] = moved, target.type
            continue
        match statement:
            case ir.If():
                _gather(statement.then, times, facts, most, types, erratic)
                _gather(statement.otherwise, times, facts, most, types, erratic)
            case ir.Scope():
                _gather(statement.body, times, facts, most, types, erratic)
            case ir.Loop() if id(statement) in facts.turns:
                _gather(statement.body, times * (facts.turns[id(statement)] + 1), facts, most, types, erratic)
            case ir.Loop():
                erratic |= traversal.written_in(statement.body)


def _tests(
    loop: ir.Loop, facts: LoopFacts
) -> tuple[list[tuple[ir.Binary, frozenset[str]]], dict[str, ir.Local]]:
    """The comparisons that hold behind the loop's own tests, each with the variables stepped before it.

    And the temporaries that hold what a variable was at the head of the body, as in `while (n-- > 0)`.
    """
    found: list[tuple[ir.Binary, frozenset[str]]] = []
    copies: dict[str, ir.Local] = {}
    written: set[str] = set()
    for statement in loop.body:
        if (
            isinstance(statement, ir.Set)
            and isinstance(old := statement.value, ir.Local)
            and old.name not in written
        ):
            copies[statement.target.name] = old
        if isinstance(statement, ir.If) and statement.then and not statement.otherwise:
            only = statement.then[0]
            if isinstance(only, ir.Leave) and only.label == loop.label and id(statement) in facts.conditions:
                goes_on = _conjuncts(facts.conditions[id(statement)], False)
                found += [(test, frozenset(written)) for test in goes_on]
        for inner in traversal.walk((statement,)):
            target = traversal.written(inner)
            # Temporaries of the test itself are written before it; only steps make a test come too late.
            if target is not None and isinstance(inner, ir.Set) and increment(inner):
                written.add(target.name)
    return found, copies


def _conjuncts(e: ir.Expression, truth: bool) -> list[ir.Binary]:
    """Comparisons that all hold when `e` is `truth`."""
    match e:
        case ir.Unary(operator="!"):
            return _conjuncts(e.operand, not truth)
        case ir.Binary(operator="&&" | "||"):
            if (e.operator == "&&") is truth:
                return _conjuncts(e.left, truth) + _conjuncts(e.right, truth)
            return []
        case ir.Binary(operator="==" | "!=" | "<" | "<=" | ">" | ">="):
            held = e if truth else negated(e)
            assert isinstance(held, ir.Binary)
            return [held]
    return []


@dataclass(frozen=True)
class _Side:
    """`variable + shift operator limit` holds while the loop goes on."""

    variable: ir.Local
    shift: int
    operator: str
    limit: ir.Expression
    copied: bool
    """Was the variable read at the head of the body, before its steps?"""


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "!=": "!=", "==": "=="}


def _sides(test: ir.Binary, copies: dict[str, ir.Local]) -> list[_Side]:
    found = []
    for e, operator, limit in (
        (test.left, test.operator, test.right),
        (test.right, _MIRRORED[test.operator], test.left),
    ):
        if isinstance(e, ir.Convert) and e.operand.range.inside(WHOLE[e.type]):
            e = e.operand
        match e:
            case ir.Local():
                found.append(_Side(copies.get(e.name, e), 0, operator, limit, e.name in copies))
            case ir.Binary(
                operator="+" | "-", left=ir.Local() as local, right=ir.Constant(value=int() as amount)
            ):
                found.append(_Side(local, amount if e.operator == "+" else -amount, operator, limit, False))
    return found


def _turns(
    side: _Side, movements: dict[str, _Movement], before: dict[str, Range], changed: set[str]
) -> tuple[int, str, Range] | str | None:
    """Turns, the variable, and its range at the head of the body.

    A reason, or None if the side proves nothing.
    """
    name = side.variable.name
    movement, start = movements.get(name), before.get(name)
    if movement is None or start is None or side.operator == "==":
        return None
    whole = WHOLE[side.variable.type]
    limit = _limit(side.limit, movements, before)
    if side.operator == "!=":
        return _exact_turns(side, movement, start, changed)
    if side.operator in ("<", "<="):
        if movement.most.low < 0 or movement.sure.low < 1:
            return f"`{name}` does not grow in every turn"
        last = limit.high - side.shift - (side.operator == "<")
        farthest = max(start.high, last + movement.most.high)
        # Steps may stand before the test, so the variable goes one step beyond.
        if (
            farthest + max(side.shift, movement.most.high) > whole.high
            or start.low + min(side.shift, 0) < whole.low
        ):
            return f"its limit may be as large as {limit.high}"
        turns = max(0, -(-(last - start.low + 1) // movement.sure.low))
        return turns, name, Range(start.low, farthest)
    if movement.most.high > 0 or movement.sure.high > -1:
        return f"`{name}` does not shrink in every turn"
    last = limit.low - side.shift + (side.operator == ">")
    farthest = min(start.low, last + movement.most.low)
    if (
        farthest + min(side.shift, movement.most.low) < whole.low
        or start.high + max(side.shift, 0) > whole.high
    ):
        return f"its limit may be as small as {limit.low}"
    turns = max(0, -(-(start.high - last + 1) // -movement.sure.high))
    return turns, name, Range(farthest, start.high)


def _limit(e: ir.Expression, movements: dict[str, _Movement], before: dict[str, Range]) -> Range:
    """The range of a limit; one that moves towards the variable is never beyond where it began."""
    if not isinstance(e, ir.Local) or e.name not in movements or e.name not in before:
        return e.range
    most, start, whole = movements[e.name].most, before[e.name], WHOLE[e.type]
    farthest = Range(start.low + (MAXIMUM_TURNS + 1) * most.low, start.high + (MAXIMUM_TURNS + 1) * most.high)
    return (farthest.meet(e.range) or e.range) if farthest.inside(whole) else e.range


def _exact_turns(
    side: _Side, movement: _Movement, start: Range, changed: set[str]
) -> tuple[int, str, Range] | str | None:
    """`variable != limit` ends only if the steps hit the limit: steps of one, towards a limit that stays."""
    if traversal.locals_in(side.limit) & changed or side.shift:
        return None
    limit, name = side.limit.range, side.variable.name
    if movement.sure == Range(1, 1) and movement.most == Range(0, 1) and start.high <= limit.low:
        return limit.high - start.low, name, Range(start.low, limit.high)
    if movement.sure == Range(-1, -1) and movement.most == Range(-1, 0) and start.low >= limit.high:
        return start.high - limit.low, name, Range(limit.low, start.high)
    return f"`{name}` may step past the value that ends it"
