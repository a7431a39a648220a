"""The immutable syntax tree. Every node knows where it stands in the source; nodes compare by identity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of source text. Lines and columns count from 1; the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, last: Span) -> Span:
        """The stretch from the beginning of this one to the end of `last`."""
        return Span(self.line, self.column, last.end_line, last.end_column)

    def covers(self, line: int, column: int) -> bool:
        """Does the position (counted from 1) lie inside?"""
        return (self.line, self.column) <= (line, column) < (self.end_line, self.end_column)


NOWHERE = Span(1, 1, 1, 2)


@dataclass(frozen=True, eq=False)
class Node:
    """Base of every node."""

    span: Span

    def children(self) -> list[Node]:
        """The nodes directly below, in source order."""
        found: list[Node] = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found.extend(item for item in value if isinstance(item, Node))
        return found


@dataclass(frozen=True, eq=False)
class Identifier(Node):
    """A name where it is written."""

    text: str


@dataclass(frozen=True, eq=False)
class TypeName(Node):
    """A type as written: `int`, `String[]`, or a name that the checker will have to know."""

    name: str
    is_array: bool = False


# ── expressions ──


@dataclass(frozen=True, eq=False)
class Expression(Node):
    """Base of every expression."""


@dataclass(frozen=True, eq=False)
class NumberLiteral(Expression):
    """An integer; `value` is None when the text is no number at all."""

    text: str
    value: int | None
    is_long: bool


@dataclass(frozen=True, eq=False)
class BooleanLiteral(Expression):
    value: bool


@dataclass(frozen=True, eq=False)
class StringLiteral(Expression):
    """Bytes. `fault` is the offset in `text` and the reason where the text spells no bytes."""

    text: str
    value: bytes
    fault: tuple[int, str] | None = None


@dataclass(frozen=True, eq=False)
class Name(Expression):
    identifier: str


@dataclass(frozen=True, eq=False)
class This(Expression):
    """`this`, which only stands before a dot."""


@dataclass(frozen=True, eq=False)
class Unary(Expression):
    """`operator` is one of + - ~ !"""

    operator: str
    operand: Expression


@dataclass(frozen=True, eq=False)
class Binary(Expression):
    """`operator` as in Java; `operator_span` is where it is written."""

    operator: str
    left: Expression
    right: Expression
    operator_span: Span


@dataclass(frozen=True, eq=False)
class Assignment(Expression):
    """`target operator value`; the operator is `=` or a compound one such as `+=`."""

    operator: str
    target: Expression
    value: Expression


@dataclass(frozen=True, eq=False)
class Step(Expression):
    """`++` or `--`, before (`prefix`) or after its target."""

    operator: str
    target: Expression
    prefix: bool


@dataclass(frozen=True, eq=False)
class Cast(Expression):
    type: TypeName
    operand: Expression


@dataclass(frozen=True, eq=False)
class Element(Expression):
    array: Expression
    index: Expression


@dataclass(frozen=True, eq=False)
class Member(Expression):
    """`object.name` without a call: `this.field`, `array.length`, `Class.CONSTANT`."""

    object: Expression
    name: Identifier


@dataclass(frozen=True, eq=False)
class Call(Expression):
    """`object.name(arguments)`, or a call of an own method where `object` is None."""

    object: Expression | None
    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class NewObject(Expression):
    type: TypeName
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class NewArray(Expression):
    type: TypeName
    length: Expression


# ── statements ──


@dataclass(frozen=True, eq=False)
class Statement(Node):
    """Base of every statement."""


@dataclass(frozen=True, eq=False)
class Declarator(Node):
    """One name of a declaration, with its first value if it has one."""

    name: Identifier
    value: Expression | None


@dataclass(frozen=True, eq=False)
class Block(Statement):
    statements: tuple[Statement, ...]


@dataclass(frozen=True, eq=False)
class LocalDeclaration(Statement):
    type: TypeName
    declarators: tuple[Declarator, ...]
    final: bool = False


@dataclass(frozen=True, eq=False)
class ExpressionStatement(Statement):
    expression: Expression


@dataclass(frozen=True, eq=False)
class If(Statement):
    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass(frozen=True, eq=False)
class While(Statement):
    condition: Expression
    body: Statement


@dataclass(frozen=True, eq=False)
class For(Statement):
    start: tuple[Statement, ...]
    condition: Expression | None
    update: tuple[Expression, ...]
    body: Statement


@dataclass(frozen=True, eq=False)
class Return(Statement):
    value: Expression | None


@dataclass(frozen=True, eq=False)
class Empty(Statement):
    """A lone semicolon."""


# ── declarations ──


@dataclass(frozen=True, eq=False)
class Import(Node):
    name: Identifier


@dataclass(frozen=True, eq=False)
class Field(Node):
    modifiers: tuple[str, ...]
    type: TypeName
    name: Identifier
    value: Expression | None


@dataclass(frozen=True, eq=False)
class Parameter(Node):
    """`type name`, or `type name > handler` in a constructor."""

    type: TypeName
    name: Identifier
    handler: Identifier | None = None
    final: bool = False


@dataclass(frozen=True, eq=False)
class Constructor(Node):
    name: Identifier
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, eq=False)
class Method(Node):
    """`result` is None for void."""

    modifiers: tuple[str, ...]
    result: TypeName | None
    name: Identifier
    parameters: tuple[Parameter, ...]
    body: Block


@dataclass(frozen=True, eq=False)
class Class(Node):
    name: Identifier
    fields: tuple[Field, ...]
    constructors: tuple[Constructor, ...]
    methods: tuple[Method, ...]


@dataclass(frozen=True, eq=False)
class Program(Node):
    """One source file."""

    imports: tuple[Import, ...]
    classes: tuple[Class, ...]

    MAXIMUM_DEPTH: ClassVar[int] = 400


def depth(node: Node) -> int:
    """Levels of the tree below and with `node`; without recursion, so that it can guard what recurses."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        current, level = waiting.pop()
        deepest = max(deepest, level)
        waiting.extend((child, level + 1) for child in current.children())
    return deepest


def dump(node: Node, indent: int = 0) -> str:
    """The tree as text, one node a line, with positions (`--emit ast`)."""
    facts = []
    for field in fields(node):
        value = getattr(node, field.name)
        plain = not isinstance(value, Node | Span) and value is not None
        if plain and not (isinstance(value, tuple) and (not value or isinstance(value[0], Node))):
            facts.append(f"{field.name}={value!r}")
    where = f"{node.span.line}:{node.span.column}"
    line = "  " * indent + " ".join([type(node).__name__, *facts, f"@{where}"])
    return "\n".join([line, *(dump(child, indent + 1) for child in node.children())])
