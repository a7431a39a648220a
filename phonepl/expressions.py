"""The type checker for expressions: names, operators, conversions, assignments, calls."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.members import Members
from phonepl.types import MAXIMUM_STRING, ArrayField, ConstantField, Local, StreamField, Symbol, Type

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


class ExpressionChecker:
    """Leaves the type of every expression in `Checked.types`; None means: complained about already."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._checked = members.checked
        self._scopes: list[dict[str, Local]] = []
        self._poisoned: set[str] = set()
        members.type_of_constant = self.type_of
        members.coerce = self.coerce

    def _say(self, diagnostic: d.Diagnostic) -> None:
        self._members.say(diagnostic)

    def _text(self, node: s.Node) -> str:
        """How a short expression is written, for hints."""
        span = node.span
        if span.line != span.end_line:
            return "…"
        text = self._checked.source.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]
        return text if len(text) <= 40 else "…"

    # ── conversions ──

    def coerce(self, e: s.Expression, found: Type, expected: Type) -> bool:
        """May `e` stand where `expected` is due? Says why not."""
        if found is expected or (found is Type.INT and expected is Type.LONG):
            return True
        if found is Type.LONG and expected is Type.INT:
            self._say(d.Narrowing(e.span))
        elif found is Type.PACKET and expected is Type.STRING:
            self._say(d.PacketWhereString(e.span, packet=self._text(e)))
        elif found is Type.STRING and expected is Type.PACKET:
            self._say(d.StringWherePacket(e.span, string=self._text(e)))
        else:
            advice = ""
            if expected is Type.BOOLEAN and found.is_number:
                advice = f"write {self._text(e)} != 0"
            elif expected is Type.STRING and found.is_number:
                call = "ofInt" if found is Type.INT else "ofLong"
                advice = f"write String.{call}({self._text(e)}) for its bytes"
            elif expected.is_number and found is Type.STRING:
                advice = f"write {self._text(e)}.intAt(0) to read a number from its bytes"
            elif expected.is_number and found is Type.PACKET:
                advice = f"write {self._text(e)}.intAt(OFFSET) to read a number from it"
            self._say(d.WrongType(e.span, found=_a(found), expected=_a(expected), advice=advice))
        return False

    # ── the type of an expression ──

    def type_of(self, e: s.Expression, void_allowed: bool = False) -> Type | None:
        """The type of `e`, remembered; None after saying what is wrong with it."""
        kind = self._type_of(e)
        if kind is Type.VOID and not void_allowed:
            name = e.name.text if isinstance(e, s.Call) else "this"
            self._say(d.NoValue(e.span, name=name))
            return None
        if kind is not None:
            self._checked.types[e] = kind
        return kind

    def _type_of(self, e: s.Expression) -> Type | None:
        match e:
            case s.NumberLiteral():
                return self._number(e)
            case s.BooleanLiteral():
                return Type.BOOLEAN
            case s.StringLiteral():
                return self._string(e)
            case s.Name():
                return self._name(e, e.identifier)
            case s.This():
                self._say(d.NotAnObject(e.span))
            case s.Member():
                return self._member(e)
            case s.Unary():
                return self._unary(e)
            case s.Binary():
                return self._binary(e)
            case s.Assignment():
                return self._assignment(e)
            case s.Step():
                return self._step(e)
            case s.Cast():
                return self._cast(e)
            case s.Element():
                return self._element(e)
            case s.Call():
                return self._call(e)
            case s.NewObject():
                return self._new_object(e)
            case s.NewArray():
                element = e.type.name
                self._say(d.ArrayLocal(e.span, type=f"{element}[]", element=element, name="NAME"))
        return None

    def _number(self, e: s.NumberLiteral) -> Type | None:
        if e.value is None:
            self._say(d.MalformedNumber(e.span, number=e.text))
            return None
        kind = Type.LONG if e.is_long else Type.INT
        if not -(1 << (kind.bits - 1)) <= e.value < 1 << (kind.bits - 1):
            limits = f"{-(1 << (kind.bits - 1))} to {(1 << (kind.bits - 1)) - 1}"
            shown = e.text if len(e.text) <= 40 else e.text[:40] + "…"
            self._say(d.NumberTooLarge(e.span, number=shown, type=f"a {kind.value}", range=limits))
            return None
        return kind

    def _string(self, e: s.StringLiteral) -> Type | None:
        if e.fault is not None:
            at, reason = e.fault
            line, column = e.span.line + e.text.count("\n", 0, at), e.span.column + at
            if line > e.span.line:
                column = at - e.text.rfind("\n", 0, at)
            span = s.Span(line, column, line, column + 1) if at else e.span
            self._say(d.MalformedString(span, reason=reason))
            return None
        if len(e.value) > MAXIMUM_STRING:
            self._say(d.StringTooLong(e.span, length=len(e.value)))
            return None
        return Type.STRING

    # ── names ──

    def _lookup(self, name: str) -> Symbol | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return self._field(name)

    def _field(self, name: str) -> Symbol | None:
        field = self._members.field(name)
        if field is None and name in self._members.stream_fields:
            return StreamField(name, name, self._members.stream_fields[name])
        return field

    def _name(self, e: s.Expression, name: str, only_field: bool = False) -> Type | None:
        symbol = self._field(name) if only_field else self._lookup(name)
        if symbol is not None:
            self._checked.symbols[e] = symbol
            self._checked.definitions[e] = symbol.span
            return Type.STREAM if isinstance(symbol, StreamField) else symbol.type
        if name in self._poisoned:
            return None
        if name in self._members.declared:
            if self._members.is_circular(name):
                self._say(d.NotConstant(e.span, name=name))
            return None
        self._say(d.UnknownName(e.span, name=name, advice=self._name_advice(name)))
        return None

    def _name_advice(self, name: str) -> str:
        if name in self._members.streams:
            return "store the stream in a field in the constructor, and use the field"
        if name in self._members.methods:
            return f"a method is called: {name}(…)"
        known: set[str] = set(self._members.declared).union(*self._scopes) if self._scopes else set()
        return _nearest(name, known) or "declare it: TYPE NAME = VALUE;"

    def _member(self, e: s.Member) -> Type | None:
        name = e.name.text
        if isinstance(e.object, s.This) or (
            isinstance(e.object, s.Name)
            and e.object.identifier == self._checked.class_name
            and self._lookup(e.object.identifier) is None
        ):
            return self._name(e, name, only_field=True)
        kind = self.type_of(e.object)
        if kind is None:
            return None
        if kind.is_array and name == "length":
            return Type.INT
        advice = ""
        if name == "length" and kind in (Type.PACKET, Type.STRING):
            advice = f"write {self._text(e.object)}.length()"
        self._say(d.UnknownMember(e.name.span, type=_a(kind), name=name, advice=advice))
        return None

    # ── operators ──

    def _unary(self, e: s.Unary) -> Type | None:
        kind = self.type_of(e.operand)
        if kind is None:
            return None
        if (e.operator == "!" and kind is Type.BOOLEAN) or (e.operator != "!" and kind.is_number):
            return kind
        advice = ""
        if e.operator == "!" and kind.is_number:
            advice = f"write {self._text(e.operand)} == 0, or ~ for its bits"
        elif e.operator == "~" and kind is Type.BOOLEAN:
            advice = f"write !{self._text(e.operand)}"
        self._say(d.BadOperand(e.span, operator=e.operator, types=_a(kind), advice=advice))
        return None

    def _binary(self, e: s.Binary) -> Type | None:
        left, right = self.type_of(e.left), self.type_of(e.right)
        if left is None or right is None:
            return None
        return self._operator(e.operator, left, right, e.left, e.right, e.operator_span.to(e.operator_span))

    def _operator(
        self,
        operator: str,
        left: Type,
        right: Type,
        left_at: s.Expression,
        right_at: s.Expression,
        span: s.Span,
    ) -> Type | None:
        """The type of `left operator right`; shared by binary operators and compound assignments."""
        both = (left, right)
        if left.is_number and right.is_number and operator not in ("&&", "||"):
            if operator in ("==", "!=", "<", "<=", ">", ">="):
                return Type.BOOLEAN
            if operator in ("<<", ">>", ">>>"):
                return left
            return Type.LONG if Type.LONG in both else Type.INT
        if both == (Type.BOOLEAN, Type.BOOLEAN) and operator in ("&&", "||", "&", "|", "^", "==", "!="):
            return Type.BOOLEAN
        self._refuse_operator(operator, both, left_at, right_at, span)
        return None

    def _refuse_operator(
        self,
        operator: str,
        both: tuple[Type, Type],
        left_at: s.Expression,
        right_at: s.Expression,
        span: s.Span,
    ) -> None:
        left, right = self._text(left_at), self._text(right_at)
        if operator == "+" and Type.PACKET in both:
            advice = f"write new Packet({left}, {right})"
            if both[0] is Type.PACKET:
                advice = f"a Packet is only the last part: new Packet({left}.substring(BEGIN, END), {right})"
            self._say(d.PacketAddition(span, advice=advice))
        elif operator == "+" and Type.STRING in both:
            if both[1].is_number:
                right = f"String.{'ofInt' if both[1] is Type.INT else 'ofLong'}({right})"
            if both[0].is_number:
                left = f"String.{'ofInt' if both[0] is Type.INT else 'ofLong'}({left})"
            self._say(d.StringAddition(span, left=left, right=right))
        elif operator in ("==", "!=") and Type.PACKET in both:
            self._say(d.PacketEquality(span, operator=operator, left=left, right=right))
        elif operator in ("==", "!=") and both == (Type.STRING, Type.STRING):
            bang = "!" if operator == "!=" else ""
            self._say(d.StringEquality(span, operator=operator, advice=f"{bang}{left}.equals({right})"))
        else:
            advice = ""
            if operator in ("&&", "||") and (both[0].is_number or both[1].is_number):
                advice = f"compare numbers with 0, or write {operator[0]} for their bits"
            types = f"{_a(both[0])} and {_a(both[1])}"
            self._say(d.BadOperand(span, operator=operator, types=types, advice=advice))

    def _cast(self, e: s.Cast) -> Type | None:
        target = self._members.type_named(e.type)
        kind = self.type_of(e.operand)
        if target is None or kind is None:
            return None
        if kind is target or (kind.is_number and target.is_number):
            return target
        advice = ""
        if target.is_number and kind is Type.BOOLEAN:
            advice = "write if (condition) … else …"
        elif target.is_number and kind in (Type.STRING, Type.PACKET):
            advice = f"write {self._text(e.operand)}.intAt(0)"
        elif target is Type.STRING and kind.is_number:
            advice = f"write String.{'ofInt' if kind is Type.INT else 'ofLong'}({self._text(e.operand)})"
        elif target is Type.STRING and kind is Type.PACKET:
            advice = f"write {self._text(e.operand)}.substring(BEGIN, END)"
        elif target is Type.PACKET and kind is Type.STRING:
            advice = f"write new Packet({self._text(e.operand)})"
        elif target is Type.BOOLEAN and kind.is_number:
            advice = f"write {self._text(e.operand)} != 0"
        self._say(d.BadCast(e.span, found=_a(kind), type=target.value, advice=advice))
        return None

    # ── assignment ──

    def _target(self, target: s.Expression) -> Type | None:
        """The type of something assigned to; says why it cannot be."""
        if isinstance(target, s.Element):
            return self.type_of(target)
        if not isinstance(target, s.Name | s.Member):
            self.type_of(target)
            self._say(d.NotAssignable(target.span))
            return None
        kind = self.type_of(target)
        if kind is None:
            return None
        symbol = self._checked.symbols.get(target)
        if symbol is None:
            self._say(d.NotAssignable(target.span))
            return None
        if isinstance(symbol, Local) and not kind.is_alias and not symbol.final:
            return kind
        advice = {
            ConstantField: "use a local variable, or an array for what lasts from packet to packet",
            ArrayField: f"assign to its elements: {symbol.name}[INDEX] = VALUE",
            StreamField: "streams are stored once, in the constructor",
        }.get(type(symbol), "a variable for a stream or an array names one for ever; use another variable")
        if isinstance(symbol, Local) and symbol.final:
            advice = "leave out final where it is declared, or use another variable"
        related = d.Related(symbol.span, f"`{symbol.name}` is declared here")
        self._say(d.AssignmentToConstant(target.span, related, name=symbol.name, advice=advice))
        return None

    def _assignment(self, e: s.Assignment) -> Type | None:
        target = self._target(e.target)
        value = self.type_of(e.value)
        if target is None or value is None:
            return None
        if e.operator == "=":
            return target if self.coerce(e.value, value, target) else None
        result = self._operator(e.operator[:-1], target, value, e.target, e.value, e.span)
        # As in Java, a compound assignment narrows its result to the target's type by itself.
        return target if result is not None else None

    def _step(self, e: s.Step) -> Type | None:
        kind = self._target(e.target)
        if kind is None or kind.is_number:
            return kind
        self._say(d.BadOperand(e.span, operator=e.operator, types=_a(kind), advice=""))
        return None

    def _element(self, e: s.Element) -> Type | None:
        array, index = self.type_of(e.array), self.type_of(e.index)
        if array is not None and not array.is_array:
            advice = ""
            if array in (Type.PACKET, Type.STRING):
                advice = f"write {self._text(e.array)}.byteAt({self._text(e.index)})"
            self._say(d.BadOperand(e.span, operator="[]", types=_a(array), advice=advice))
            return None
        if array is None or index is None or not self.coerce(e.index, index, Type.INT):
            return None
        return array.element

    # ── calls ──

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
                d.UnknownMethod(e.name.span, type=_a(kind), name=name, advice=self._method_advice(kind, name))
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
        if near := _nearest(name, methods):
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
            advice = _nearest(name, self._members.methods) or f"declare it: void {name}(…) {{ … }}"
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


def _a(kind: Type) -> str:
    """`an int`, `a Packet`."""
    return f"{'an' if kind.value[0] in 'aei' else 'a'} {kind.value}"


def _spelled(name: s.TypeName) -> str:
    return name.name + ("[]" if name.is_array else "")


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name, list(known), 1, 0.7)
    return f"did you mean `{near[0]}`?" if near else None
