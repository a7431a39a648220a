"""The type checker inside methods: statements and scopes. Operators and calls: `expressions`."""

from __future__ import annotations

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.expressions import ExpressionChecker
from phonepl.members import Members
from phonepl.types import Local, Type


class BodyChecker(ExpressionChecker):
    """Checks one method body after another; the types it finds are left in `Checked`."""

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self._method: s.Method | None = None
        self._result: Type | None = None

    def method(self, method: s.Method) -> None:
        """Check one method."""
        self._method = method
        self._result = self._members.type_named(method.result) if method.result else Type.VOID
        self._scopes.append({})
        for parameter in method.parameters:
            kind = self._members.type_named(parameter.type)
            if parameter.handler:
                self._say(d.RouteOutsideConstructor(parameter.handler.span, handler=parameter.handler.text))
            self._declare(parameter, parameter.name, kind, parameter.final)
        self._statement(method.body)
        self._scopes.pop()

    # ── scopes ──

    def _declare(self, node: s.Node, name: s.Identifier, kind: Type | None, final: bool) -> None:
        for scope in self._scopes:
            if name.text in scope:
                first = scope[name.text]
                related = d.Related(first.span, f"the first `{name.text}` is here")
                self._say(d.DuplicateName(name.span, related, name=name.text))
                return
        if kind is None:
            self._poisoned.add(name.text)
            return
        local = Local(name.text, kind, name.span, final)
        self._scopes[-1][name.text] = local
        self._checked.symbols[node] = local
        self._checked.definitions[name] = name.span

    # ── statements ──

    def _statement(self, statement: s.Statement) -> None:
        match statement:
            case s.Block():
                self._scopes.append({})
                for inner in statement.statements:
                    self._statement(inner)
                self._scopes.pop()
            case s.LocalDeclaration():
                self._local(statement)
            case s.ExpressionStatement():
                self._expression_statement(statement.expression)
            case s.If():
                self._condition(statement.condition)
                self._scoped(statement.then)
                if statement.otherwise is not None:
                    self._scoped(statement.otherwise)
            case s.While():
                self._condition(statement.condition)
                self._scoped(statement.body)
            case s.For():
                self._scopes.append({})
                for start in statement.start:
                    self._statement(start)
                if statement.condition is not None:
                    self._condition(statement.condition)
                for update in statement.update:
                    self._expression_statement(update)
                self._scoped(statement.body)
                self._scopes.pop()
            case s.Return():
                self._return(statement)

    def _scoped(self, statement: s.Statement) -> None:
        self._scopes.append({})
        self._statement(statement)
        self._scopes.pop()

    def _local(self, declaration: s.LocalDeclaration) -> None:
        kind = self._members.type_named(declaration.type)
        for declarator in declaration.declarators:
            name, value = declarator.name, declarator.value
            if isinstance(value, s.NewArray):
                element = value.type.name
                self._say(d.ArrayLocal(value.span, type=f"{element}[]", element=element, name=name.text))
                self._poisoned.add(name.text)
                continue
            if value is not None:
                self._checked_value(value, kind)
            elif kind is not None and kind.is_alias:
                self._say(
                    d.AssignmentToConstant(
                        name.span,
                        name=name.text,
                        advice=f"give this {kind.value} its value where it is declared",
                    )
                )
            self._declare(declarator, name, kind, declaration.final)

    def _checked_value(self, value: s.Expression, expected: Type | None) -> None:
        found = self.type_of(value)
        if found is not None and expected is not None:
            self.coerce(value, found, expected)

    def _expression_statement(self, e: s.Expression) -> None:
        if not isinstance(e, s.Assignment | s.Step | s.Call | s.NewObject):
            self._say(d.NotAStatement(e.span))
            return
        if isinstance(e, s.NewObject) and e.type.name == "Packet":
            self._say(d.NotAStatement(e.span))
            return
        self.type_of(e, void_allowed=True)

    def _condition(self, e: s.Expression) -> None:
        self._checked_value(e, Type.BOOLEAN)

    def _return(self, statement: s.Return) -> None:
        assert self._method is not None
        name = self._method.name
        if self._result is Type.VOID:
            if statement.value is not None:
                related = d.Related(name.span, f"`{name.text}` is declared here")
                self._say(d.ReturnValue(statement.value.span, related, name=name.text))
            return
        if statement.value is None:
            if self._result is not None:
                related = d.Related(name.span, f"`{name.text}` is declared here")
                self._say(
                    d.ReturnWithoutValue(statement.span, related, name=name.text, type=self._result.value)
                )
            return
        self._checked_value(statement.value, self._result)


def plural(count: int) -> str:
    """`1 argument`, `2 arguments`."""
    return f"{count} argument" if count == 1 else f"{count} arguments"
