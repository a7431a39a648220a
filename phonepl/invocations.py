"""The type checker for calls and for packets that are made."""

from __future__ import annotations

from abc import ABC, abstractmethod

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.conversions import Conversions, nearest, with_article
from phonepl.members import Members
from phonepl.types import Type

_READS: dict[str, tuple[Type, tuple[int, ...]]] = {
    "length": (Type.INT, (0,)),
    "substring": (Type.STRING, (1, 2)),
    "byteAt": (Type.INT, (1,)),
    "intAt": (Type.INT, (1,)),
    "longAt": (Type.LONG, (1,)),
}
_SIGNATURES = {
    "length": "length()",
    "substring": "substring(BEGIN) or substring(BEGIN, END)",
    "subpacket": "subpacket(BEGIN) or subpacket(BEGIN, END)",
    "byteAt": "byteAt(OFFSET)",
    "intAt": "intAt(OFFSET)",
    "longAt": "longAt(OFFSET)",
    "put": "put(PACKET)",
    "equals": "equals(STRING)",
    "concat": "concat(STRING, …)",
    "nanos": "Clock.nanos()",
    "ofInt": "String.ofInt(INT)",
    "ofLong": "String.ofLong(LONG)",
    "ofByte": "String.ofByte(INT)",
}
_STATIC: dict[str, dict[str, tuple[tuple[Type, ...], Type]]] = {
    "String": {
        "ofInt": ((Type.INT,), Type.STRING),
        "ofLong": ((Type.LONG,), Type.STRING),
        "ofByte": ((Type.INT,), Type.STRING),
    },
    "Clock": {"nanos": ((), Type.LONG)},
}
_METHODS: dict[Type, tuple[str, ...]] = {
    Type.PACKET: ("length", "substring", "subpacket", "byteAt", "intAt", "longAt"),
    Type.STRING: ("length", "substring", "byteAt", "intAt", "longAt", "concat", "equals"),
    Type.STREAM: ("put",),
}
_SPECIAL_ADVICE = {
    (Type.PACKET, "concat"): "write new Packet(STRING, …, PACKET)",
    (Type.PACKET, "equals"): "compare bytes: PACKET.substring(BEGIN, END).equals(STRING)",
    (Type.PACKET, "put"): "write STREAM.put(PACKET)",
    (Type.STRING, "subpacket"): "a part of a String is substring(BEGIN, END)",
    (Type.STRING, "charAt"): "write byteAt(OFFSET)",
    (Type.PACKET, "charAt"): "write byteAt(OFFSET)",
    (Type.STRING, "put"): "write STREAM.put(new Packet(STRING))",
    (Type.STREAM, "get"): "packets come by themselves: the constructor's parameter NetStream port > method",
    (Type.STREAM, "read"): "packets come by themselves: the constructor's parameter NetStream port > method",
}


class CallChecker(Conversions, ABC):
    """The methods of Packets, Strings, streams, of the class itself, and the static ones."""

    @abstractmethod
    def type_of(self, e: s.Expression, void_allowed: bool = False) -> Type | None:
        """The type of an expression; None: complained about already."""

    def _call(self, e: s.Call) -> Type | None:
        if e.object is None or isinstance(e.object, s.This):
            return self._own_call(e)
        if (
            isinstance(e.object, s.Name)
            and e.object.identifier in _STATIC
            and self._lookup(e.object.identifier) is None
        ):
            return self._static_call(e, e.object.identifier)
        kind = self.type_of(e.object)
        arguments = [self.type_of(argument) for argument in e.arguments]
        if kind is None:
            return None
        name = e.name.text
        if name not in _METHODS.get(kind, ()):
            self._say(
                d.UnknownMethod(
                    e.name.span, type=with_article(kind), name=name, advice=self._method_advice(kind, name)
                )
            )
            return None
        if name == "put":
            return Type.VOID if self._arguments(e, arguments, (Type.PACKET,)) else None
        if name == "equals":
            return Type.BOOLEAN if self._arguments(e, arguments, (Type.STRING,)) else None
        if name == "concat":
            if not arguments:
                self._count(e, "at least 1 argument")
                return None
            return Type.STRING if self._arguments(e, arguments, (Type.STRING,) * len(arguments)) else None
        result, counts = (Type.PACKET, (1, 2)) if name == "subpacket" else _READS[name]
        if len(arguments) not in counts:
            expected = " or ".join(str(count) for count in counts)
            self._count(e, f"{expected} argument{'s' if counts != (1,) else ''}")
            return None
        return result if self._arguments(e, arguments, (Type.INT,) * len(arguments)) else None

    def _arguments(self, e: s.Call, found: list[Type | None], expected: tuple[Type, ...]) -> bool:
        if len(found) != len(expected):
            self._count(e, f"{len(expected)} argument{'' if len(expected) == 1 else 's'}")
            return False
        right = True
        for argument, kind, due in zip(e.arguments, found, expected, strict=True):
            right = kind is not None and self.coerce(argument, kind, due) and right
        return right

    def _count(self, e: s.Call, expected: str) -> None:
        name = e.name.text
        self._say(
            d.ArgumentCount(
                e.span,
                name=name,
                expected=expected,
                found=len(e.arguments),
                signature=_SIGNATURES.get(name, name),
            )
        )

    def _method_advice(self, kind: Type, name: str) -> str:
        if (kind, name) in _SPECIAL_ADVICE:
            return _SPECIAL_ADVICE[kind, name]
        methods = _METHODS.get(kind, ())
        if near := nearest(name, methods):
            return near
        return f"it has {', '.join(_SIGNATURES[m].split(' or ')[0] for m in methods)}" if methods else ""

    def _static_call(self, e: s.Call, owner: str) -> Type | None:
        arguments = [self.type_of(argument) for argument in e.arguments]
        name = e.name.text
        if name not in _STATIC[owner]:
            advice = "it has " + ", ".join(_SIGNATURES[m] for m in _STATIC[owner])
            self._say(d.UnknownMethod(e.name.span, type=f"`{owner}`", name=name, advice=advice))
            return None
        expected, result = _STATIC[owner][name]
        return result if self._arguments(e, arguments, expected) else None

    def _own_call(self, e: s.Call) -> Type | None:
        arguments = [self.type_of(argument) for argument in e.arguments]
        name = e.name.text
        method = self._members.methods.get(name)
        if method is None:
            advice = nearest(name, self._members.methods) or f"declare it: void {name}(…) {{ … }}"
            if name in ("put", "substring", "subpacket", "length"):
                advice = f"write OBJECT.{_SIGNATURES[name]}"
            self._say(d.UnknownMethod(e.name.span, type="the class", name=name, advice=advice))
            return None
        self._checked.definitions[e.name] = method.name.span
        if name == "main":
            self._say(d.CallOfMain(e.span))
            return None
        if len(arguments) != len(method.parameters):
            parameters = ", ".join(f"{_spelled(p.type)} {p.name.text}" for p in method.parameters)
            count = len(method.parameters)
            self._say(
                d.ArgumentCount(
                    e.span,
                    d.Related(method.name.span, f"`{name}` is declared here"),
                    name=name,
                    expected=f"{count} argument{'' if count == 1 else 's'}",
                    found=len(arguments),
                    signature=f"{name}({parameters})",
                )
            )
            return None
        right = True
        silent = Members(self._checked, [])  # the declaration itself complains about unknown types
        silent.streams = self._members.streams
        for argument, kind, parameter in zip(e.arguments, arguments, method.parameters, strict=True):
            due = silent.type_named(parameter.type)
            right = kind is not None and due is not None and self.coerce(argument, kind, due) and right
        if not right:
            return None
        return silent.type_named(method.result) if method.result else Type.VOID

    def _new_object(self, e: s.NewObject) -> Type | None:
        name = e.type.name
        arguments = [self.type_of(argument) for argument in e.arguments]
        if name != "Packet":
            if name in self._members.streams or name in (self._checked.class_name, "NetStream"):
                self._say(d.NewOutsideMain(e.span, name=name))
            else:
                self._say(d.NotAClass(e.type.span, name=name, class_name=self._checked.class_name))
            return None
        right = True
        for position, (argument, kind) in enumerate(zip(e.arguments, arguments, strict=True)):
            last = position == len(arguments) - 1
            if kind is Type.PACKET and not last:
                self._say(d.PacketsJoined(argument.span, packet=self._text(argument)))
                right = False
            elif kind is not Type.PACKET:
                right = kind is not None and self.coerce(argument, kind, Type.STRING) and right
        return Type.PACKET if right else None


def _spelled(name: s.TypeName) -> str:
    return name.name + ("[]" if name.is_array else "")
