"""The types, the limits of the language, what names stand for, and the result of checking a program."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from phonepl import syntax as s
from phonepl.syntax import Span

MAXIMUM_STRING = 256
"""Bytes a String holds; a longer one is a range_error."""
MAXIMUM_STORED_STRING = 64
"""Bytes a String in an array holds; storing a longer one is a range_error."""
MAXIMUM_ARRAY = 1 << 20
"""Elements of an array."""
MAXIMUM_TURNS = 4096
"""Turns that a loop may be proved to take."""


class Type(enum.Enum):
    """A type; the value is how it is written."""

    BOOLEAN = "boolean"
    INT = "int"
    LONG = "long"
    STRING = "String"
    PACKET = "Packet"
    STREAM = "NetStream"
    INT_ARRAY = "int[]"
    LONG_ARRAY = "long[]"
    STRING_ARRAY = "String[]"
    VOID = "void"

    @property
    def is_number(self) -> bool:
        return self in (Type.INT, Type.LONG)

    @property
    def is_alias(self) -> bool:
        """Streams and arrays: a variable of such a type names one thing for ever."""
        return self is Type.STREAM or self.is_array

    @property
    def is_array(self) -> bool:
        return self in ELEMENT_TYPE

    @property
    def element(self) -> Type:
        """The type of an array's elements; KeyError for what is no array."""
        return ELEMENT_TYPE[self]

    @property
    def bits(self) -> int:
        """Width of a number; KeyError for anything else."""
        return {Type.INT: 32, Type.LONG: 64}[self]


ELEMENT_TYPE = {Type.INT_ARRAY: Type.INT, Type.LONG_ARRAY: Type.LONG, Type.STRING_ARRAY: Type.STRING}

Constant = bool | int | bytes
"""The value of a constant expression: boolean, int or long, String."""


@dataclass(frozen=True, eq=False)
class Local:
    """A local variable or a parameter of a method; two are the same only if they are one object."""

    name: str
    type: Type
    span: Span
    final: bool = False


@dataclass(frozen=True)
class ConstantField:
    """A `final` scalar or String."""

    name: str
    type: Type
    value: Constant
    span: Span


@dataclass(frozen=True)
class ArrayField:
    """An array, shared by all cores; `length` elements."""

    name: str
    type: Type
    length: int
    span: Span


@dataclass(frozen=True)
class StreamField:
    """A field that the constructor binds to an imported stream."""

    name: str
    stream: str
    span: Span


Symbol = Local | ConstantField | ArrayField | StreamField


@dataclass(frozen=True)
class Route:
    """Packets of `stream` go to `method`."""

    stream: str
    method: str
    span: Span


@dataclass
class Checked:
    """A program whose types are right, with what the checker found out about each node."""

    source: str
    file: str
    program: s.Program
    class_name: str = ""
    streams: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    arrays: tuple[ArrayField, ...] = ()
    methods: dict[str, s.Method] = field(default_factory=dict)
    types: dict[s.Expression, Type] = field(default_factory=dict)
    symbols: dict[s.Node, Symbol] = field(default_factory=dict)
    """What a Name, a Member, a Declarator or a Parameter stands for."""
    definitions: dict[s.Node, Span] = field(default_factory=dict)
    """Where the thing that a node names is declared (for editors)."""
    constants: dict[s.Expression, Constant] = field(default_factory=dict)
    """The values of the expressions that are known at compile time."""
