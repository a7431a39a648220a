"""Syntax tree to intermediate language: calls expanded, the instance resolved, order and checks explicit.

What comes out is not optimised: every check is there. Loop bounds are not proved yet (`ranges` does that).
"""

from __future__ import annotations

from phonepl import diagnostics as d
from phonepl import ir
from phonepl import syntax as s
from phonepl.calls import Calls
from phonepl.emission import MAXIMUM_OPERATIONS, Frame, TooLarge
from phonepl.syntax import Span
from phonepl.trees import scope
from phonepl.types import Checked, Route, Type


def lower(checked: Checked) -> ir.Program:
    """The program in the intermediate language; raises ProgramError where it grows too large."""
    arrays = {a.name: ir.Array(a.name, a.type.element, a.length) for a in checked.arrays}
    handlers = []
    for route in checked.routes:
        try:
            handlers.append(_HandlerLowering(checked, arrays).handler(route))
        except TooLarge as large:
            wrong = d.ProgramTooLarge(large.span, limit=MAXIMUM_OPERATIONS)
            raise d.ProgramError([wrong], checked.source, checked.file) from large
    return ir.Program(checked.class_name, checked.streams, tuple(arrays.values()), tuple(handlers))


class _HandlerLowering(Calls):
    def handler(self, route: Route) -> ir.Handler:
        """The lowered method of one route."""
        method = self._checked.methods[route.method]
        parameter = self._symbol(method.parameters[0])
        packet = self._local(parameter.name, Type.PACKET, ir.Range(1, ir.MAXIMUM_PACKET))
        start: list[ir.Statement] = []
        meaning: ir.Local = packet
        if parameter in self._assigned:
            meaning = self._local(parameter.name, Type.PACKET)
            start.append(ir.Set(meaning, packet, method.span))
        label = self._label("end")
        self._frame = Frame({parameter: meaning}, label, None)
        body = self._block(method.body)
        whole = (*start, *scope(label, body, method.span))
        return ir.Handler(route.stream, route.method, packet, tuple(self._locals), whole, 0, method.span)

    # ── statements ──

    def _block(self, statement: s.Statement) -> ir.Block:
        before = self._captured()
        self._statement(statement)
        return self._restore(before)

    def _statement(self, statement: s.Statement) -> None:
        match statement:
            case s.Block():
                for inner in statement.statements:
                    self._statement(inner)
            case s.LocalDeclaration():
                for declarator in statement.declarators:
                    self._declare(declarator)
            case s.ExpressionStatement():
                self._discarded(statement.expression)
            case s.If():
                self._if(statement)
            case s.While():
                self._loop(statement.condition, (), statement.body, statement.span)
            case s.For():
                for start in statement.start:
                    self._statement(start)
                self._loop(statement.condition, statement.update, statement.body, statement.span)
            case s.Return():
                if statement.value is not None:
                    assert self._frame.result is not None
                    value = self._as(statement.value, self._frame.result.type)
                    self._emit(ir.Set(self._frame.result, value, statement.span))
                self._emit(ir.Leave(self._frame.end, statement.span))

    def _declare(self, declarator: s.Declarator) -> None:
        symbol = self._symbol(declarator)
        if symbol.type.is_alias:
            assert declarator.value is not None
            self._frame.meanings[symbol] = self._alias(declarator.value)
            return
        if declarator.value is not None:
            value = self._as(declarator.value, symbol.type)
            if symbol not in self._assigned and self._is_stable(value):
                self._frame.meanings[symbol] = value
                return
        local = self._local(symbol.name, symbol.type)
        self._frame.meanings[symbol] = local
        if declarator.value is not None:
            self._emit(ir.Set(local, value, declarator.span))

    def _if(self, statement: s.If) -> None:
        condition, span = statement.condition, statement.condition.span
        if not self._needs_jumps(condition):
            value = self._value(condition)
            then = self._block(statement.then)
            otherwise = self._block(statement.otherwise) if statement.otherwise else ()
            self._emit(ir.If(value, then, otherwise, span))
            return
        # The right sides of && and || have checks of their own, which only run where Java evaluates them.
        done, other = self._label("done"), self._label("else")
        outside = self._captured()
        inside = self._captured()
        self._jump(condition, other, False)
        self._statement(statement.then)
        if statement.otherwise:
            self._emit(ir.Leave(done, span))
        self._out = [*inside, *scope(other, self._restore(inside), span)]
        if statement.otherwise:
            self._statement(statement.otherwise)
        for inner in scope(done, self._restore(outside), span):
            self._emit(inner)

    def _loop(
        self, condition: s.Expression | None, update: tuple[s.Expression, ...], body: s.Statement, span: Span
    ) -> None:
        label = self._label("loop")
        before = self._captured()
        if condition is not None:
            self._jump(condition, label, False)
        self._statement(body)
        for expression in update:
            self._discarded(expression)
        self._emit(ir.Loop(label, 0, self._restore(before), span))
