"""The type checker for expressions: names, operators, assignments. Calls: `invocations`."""

from __future__ import annotations

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.conversions import nearest, with_article
from phonepl.invocations import CallChecker
from phonepl.members import Members
from phonepl.types import MAXIMUM_STRING, ArrayField, ConstantField, Local, StreamField, Type


class ExpressionChecker(CallChecker):
    """Leaves the type of every expression in `Checked.types`; None means: complained about already."""

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        members.type_of_constant = self.type_of

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
        return nearest(name, known) or "declare it: TYPE NAME = VALUE;"

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
        self._say(d.UnknownMember(e.name.span, type=with_article(kind), name=name, advice=advice))
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
        self._say(d.BadOperand(e.span, operator=e.operator, types=with_article(kind), advice=advice))
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
            types = f"{with_article(both[0])} and {with_article(both[1])}"
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
        self._say(d.BadCast(e.span, found=with_article(kind), type=target.value, advice=advice))
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
        self._say(d.BadOperand(e.span, operator=e.operator, types=with_article(kind), advice=""))
        return None

    def _element(self, e: s.Element) -> Type | None:
        array, index = self.type_of(e.array), self.type_of(e.index)
        if array is not None and not array.is_array:
            advice = ""
            if array in (Type.PACKET, Type.STRING):
                advice = f"write {self._text(e.array)}.byteAt({self._text(e.index)})"
            self._say(d.BadOperand(e.span, operator="[]", types=with_article(array), advice=advice))
            return None
        if array is None or index is None or not self.coerce(e.index, index, Type.INT):
            return None
        return array.element
