"""Flow of control, as in Java: every path returns, all is reached, every variable has a value when read."""

from __future__ import annotations

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.types import Checked, Local

_Known = frozenset[Local] | None
"""The variables that surely have a value; None where control never arrives."""


def check_flow(method: s.Method, checked: Checked) -> list[d.Diagnostic]:
    """What is wrong with the flow of one typed method."""
    flow = _Flow(checked)
    parameters = frozenset(_local(checked, parameter) for parameter in method.parameters)
    end = flow.statement(method.body, parameters)
    if end is not None and method.result is not None:
        last = s.Span(
            method.body.span.end_line,
            method.body.span.end_column - 1,
            method.body.span.end_line,
            method.body.span.end_column,
        )
        flow.found.append(d.MissingReturn(last, name=method.name.text, type=method.result.name))
    return flow.found


def _local(checked: Checked, node: s.Node) -> Local:
    symbol = checked.symbols[node]
    assert isinstance(symbol, Local)
    return symbol


class _Flow:
    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self.found: list[d.Diagnostic] = []

    def statement(self, statement: s.Statement, known: frozenset[Local]) -> _Known:
        match statement:
            case s.Block():
                return self._sequence(statement.statements, known)
            case s.LocalDeclaration():
                for declarator in statement.declarators:
                    if declarator.value is not None:
                        known = self.expression(declarator.value, known) | {_local(self._checked, declarator)}
                return known
            case s.ExpressionStatement():
                return self.expression(statement.expression, known)
            case s.If():
                known = self.expression(statement.condition, known)
                then = self.statement(statement.then, known)
                otherwise = self.statement(statement.otherwise, known) if statement.otherwise else known
                return _join(then, otherwise)
            case s.While():
                known = self.expression(statement.condition, known)
                self.statement(statement.body, known)
                return known
            case s.For():
                return self._for(statement, known)
            case s.Return():
                if statement.value is not None:
                    self.expression(statement.value, known)
                return None
        return known

    def _sequence(self, statements: tuple[s.Statement, ...], known: frozenset[Local]) -> _Known:
        state: _Known = known
        for statement in statements:
            if state is None:
                self.found.append(d.Unreachable(statement.span))
                return None
            state = self.statement(statement, state)
        return state

    def _for(self, statement: s.For, known: frozenset[Local]) -> _Known:
        start = self._sequence(statement.start, known)
        assert start is not None
        if statement.condition is not None:
            start = self.expression(statement.condition, start)
        after = self.statement(statement.body, start)
        for update in statement.update:
            if after is not None:
                after = self.expression(update, after)
        return start

    def expression(self, e: s.Expression, known: frozenset[Local]) -> frozenset[Local]:
        """The variables that have a value behind `e`, evaluated left to right."""
        match e:
            case s.Name():
                symbol = self._checked.symbols.get(e)
                if isinstance(symbol, Local) and symbol not in known:
                    related = d.Related(symbol.span, f"`{symbol.name}` is declared here")
                    self.found.append(d.NotInitialized(e.span, related, name=symbol.name))
                    return known | {symbol}
                return known
            case s.Assignment(target=s.Name() as target) if e.operator == "=":
                known = self.expression(e.value, known)
                symbol = self._checked.symbols.get(target)
                return known | {symbol} if isinstance(symbol, Local) else known
            case s.Binary() if e.operator in ("&&", "||"):
                known = self.expression(e.left, known)
                self.expression(e.right, known)
                return known
        for child in e.children():
            if isinstance(child, s.Expression):
                known = self.expression(child, known)
        return known


def _join(one: _Known, other: _Known) -> _Known:
    if one is None:
        return other
    return one if other is None else one & other
