"""What a class declares: fields, constants, arrays, methods, imported streams, and how type names resolve."""

from __future__ import annotations

from collections.abc import Callable

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.constants import fold
from phonepl.syntax import Span
from phonepl.types import MAXIMUM_ARRAY, ArrayField, Checked, ConstantField, StreamField, Type

_JAVA_TYPES = {
    "byte": "bytes of a packet are ints from 0 to 255; write int",
    "short": "write int",
    "char": "write int; text is a String",
    "float": "there is no floating point; count in smaller units with long",
    "double": "there is no floating point; count in smaller units with long",
    "var": "write the type: int, long, boolean, String or Packet",
    "bool": "write boolean",
    "string": "write String",
    "Integer": "write int",
    "Long": "write long",
    "Boolean": "write boolean",
}
_BY_NAME = {kind.value: kind for kind in Type if not kind.is_array and kind is not Type.VOID}


class Members:
    """The names of the one class. Constants are resolved when first asked for, in any order."""

    def __init__(self, checked: Checked, found: list[d.Diagnostic]) -> None:
        self.checked = checked
        self.found = found
        self.streams: dict[str, Span] = {}
        self.methods: dict[str, s.Method] = {}
        self.declared: dict[str, s.Field] = {}
        self.stream_fields: dict[str, Span] = {}
        self.known: dict[str, ConstantField | ArrayField | StreamField | None] = {}
        self.type_of_constant: Callable[[s.Expression], Type | None] = lambda e: None
        self.coerce: Callable[[s.Expression, Type, Type], bool] = lambda e, found, expected: True
        self._resolving: set[str] = set()

    def say(self, diagnostic: d.Diagnostic) -> None:
        self.found.append(diagnostic)

    def type_named(self, name: s.TypeName) -> Type | None:
        """The type; None after saying that there is none."""
        kind = _BY_NAME.get(name.name)
        if kind is None:
            if name.name in self.streams:
                advice = f"write NetStream; `{name.name}` is an imported stream"
            else:
                advice = _JAVA_TYPES.get(name.name, "types are boolean, int, long, String, Packet, NetStream")
            self.say(d.UnknownType(name.span, name=name.name, advice=advice))
            return None
        if not name.is_array:
            return kind
        for array in (Type.INT_ARRAY, Type.LONG_ARRAY, Type.STRING_ARRAY):
            if array.element is kind:
                return array
        advice = "; store 0 and 1 in an int[]" if kind is Type.BOOLEAN else ""
        self.say(d.ArrayOf(name.span, type=kind.value, advice=advice))
        return None

    def is_circular(self, name: str) -> bool:
        """Is the value of this constant being asked for while it is worked out?"""
        return name in self._resolving

    def field(self, name: str) -> ConstantField | ArrayField | StreamField | None:
        """The field of that name if there is a usable one."""
        if name in self.declared and name not in self.known:
            self.resolve_field(self.declared[name])
        return self.known.get(name)

    def resolve_field(self, field: s.Field) -> None:
        """Find out what a field is, once; says what is wrong with it."""
        name = field.name.text
        if name in self.known or name in self.stream_fields or name in self._resolving:
            return
        self._resolving.add(name)
        kind = self.type_named(field.type)
        resolved: ConstantField | ArrayField | StreamField | None = None
        if kind is Type.STREAM:
            if field.value is not None:
                self.say(d.StreamFieldValue(field.value.span, name=name))
            self.stream_fields[name] = field.name.span
            self._resolving.discard(name)
            return
        if kind is Type.PACKET:
            self.say(d.PacketField(field.name.span, name=name))
        elif kind is not None and kind.is_array:
            resolved = self._array(field, kind)
        elif kind is not None:
            resolved = self._constant(field, kind)
        self.known[name] = resolved
        self._resolving.discard(name)

    def _array(self, field: s.Field, kind: Type) -> ArrayField | None:
        name, element = field.name.text, kind.element
        if not isinstance(field.value, s.NewArray):
            span = field.value.span if field.value is not None else field.name.span
            self.say(d.ArrayFieldValue(span, name=name, type=kind.value, element=element.value))
            return None
        if field.value.type.name != element.value:
            found = f"{field.value.type.name}[]"
            advice = f"write new {element.value}[LENGTH]"
            self.say(d.WrongType(field.value.span, found=found, expected=kind.value, advice=advice))
            return None
        length_at = field.value.length
        typed = self.type_of_constant(length_at)
        length = fold(length_at, self.checked) if typed is Type.INT else None
        if typed is None:
            return None
        if not isinstance(length, int) or not 1 <= length <= MAXIMUM_ARRAY:
            shown = "a value known only at run time" if length is None else repr(length)
            if typed is not Type.INT:
                shown = f"a {typed.value}"
            self.say(d.ArrayLength(length_at.span, limit=MAXIMUM_ARRAY, found=shown))
            return None
        array = ArrayField(name, kind, length, field.name.span)
        self.checked.arrays += (array,)
        return array

    def _constant(self, field: s.Field, kind: Type) -> ConstantField | None:
        name = field.name.text
        if "final" not in field.modifiers:
            if kind is Type.BOOLEAN:
                advice = f"write private int[] {name} = new int[1]; and keep 0 or 1 in {name}[0]"
            else:
                advice = f"write private {kind.value}[] {name} = new {kind.value}[1]; and use {name}[0]"
            advice += f", or static final {kind.value} {name} = VALUE; if it never changes"
            self.say(d.MutableField(field.name.span, name=name, type=kind.value, advice=advice))
            return None
        if field.value is None:
            self.say(d.ConstantWithoutValue(field.name.span, name=name, type=kind.value))
            return None
        typed = self.type_of_constant(field.value)
        if typed is None or not self.coerce(field.value, typed, kind):
            return None
        value = fold(field.value, self.checked)
        if value is None:
            self.say(d.NotConstant(field.value.span, name=name))
            return None
        return ConstantField(name, kind, value, field.name.span)
