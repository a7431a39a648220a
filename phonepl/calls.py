"""Syntax tree to intermediate language: calls, expanded in place, and packets that are made."""

from __future__ import annotations

from abc import abstractmethod

from phonepl import ir
from phonepl import syntax as s
from phonepl.emission import Frame, Meaning
from phonepl.evaluation import Evaluation
from phonepl.syntax import Span
from phonepl.trees import converted, length_of, scope, tree
from phonepl.types import MAXIMUM_STRING, Local, Type

_READ_WIDTH = {"byteAt": 1, "intAt": 4, "longAt": 8}
_OF_WIDTH = {"ofByte": 1, "ofInt": 4, "ofLong": 8}


class Calls(Evaluation):
    """What methods of Packets, Strings, streams and of the program itself do."""

    @abstractmethod
    def _block(self, statement: s.Statement) -> ir.Block:
        """The statement, lowered apart."""

    def _call(self, e: s.Call) -> ir.Expression | None:
        if e.object is None or isinstance(e.object, s.This):
            return self._expanded(e)
        name = e.name.text
        if isinstance(e.object, s.Name) and e.object not in self._checked.types:
            if name == "nanos":
                return self._temporary(ir.Nanos(), e.span)
            width = _OF_WIDTH[name]
            operand = converted(self._value(e.arguments[0]), Type.LONG if width == 8 else Type.INT)
            return self._temporary(ir.OfNumber(operand, width), e.span)
        if name == "put":
            stream = self._alias(e.object)
            packet = self._value(e.arguments[0])
            assert isinstance(stream, str) and isinstance(packet, ir.Local)
            self._emit(ir.Put(stream, packet, e.span))
            return None
        source, *arguments = self._values((e.object, *e.arguments))
        assert isinstance(source, ir.Local | ir.Constant)
        return self._method(e, name, source, arguments)

    def _method(
        self, e: s.Call, name: str, source: ir.Bytes, arguments: list[ir.Expression]
    ) -> ir.Expression:
        match name:
            case "length":
                return length_of(source)
            case "equals":
                other = arguments[0]
                assert isinstance(other, ir.Local | ir.Constant)
                return self._temporary(ir.Equals(source, other), e.span)
            case "concat":
                return self._concat(source, arguments, e.span)
            case "substring" | "subpacket":
                return self._slice(e, name, source, arguments)
        width = _READ_WIDTH[name]
        kind = Type.LONG if width == 8 else Type.INT
        known = ir.Range(0, 255) if width == 1 else ir.WHOLE[kind]
        offset = arguments[0]
        self._test_read(source, offset, width, e.span)
        return self._temporary(ir.ReadNumber(source, offset, width, known), e.span)

    def _slice(self, e: s.Call, name: str, source: ir.Bytes, arguments: list[ir.Expression]) -> ir.Expression:
        length = length_of(source)
        begin = arguments[0]
        end = arguments[1] if len(arguments) > 1 else length
        self._trap("<", begin, ir.Constant(0, Type.INT), e.span)
        self._trap(">", begin, end, e.span)
        if len(arguments) > 1:
            self._trap(">", end, length, e.span)
        if name == "subpacket":
            assert isinstance(source, ir.Local)
            return self._temporary(ir.Subpacket(source, begin, end, ir.WHOLE[Type.PACKET]), e.span)
        if source.type is Type.PACKET:
            size = tree("-", end, begin, Type.INT)
            self._trap(">", size, ir.Constant(MAXIMUM_STRING, Type.INT), e.span)
        return self._temporary(ir.Substring(source, begin, end, ir.WHOLE[Type.STRING]), e.span)

    def _concat(self, source: ir.Bytes, arguments: list[ir.Expression], span: Span) -> ir.Expression:
        parts = [source]
        for argument in arguments:
            assert isinstance(argument, ir.Local | ir.Constant)
            parts.append(argument)
        total: ir.Expression = length_of(parts[0])
        for part in parts[1:]:
            total = tree("+", total, length_of(part), Type.INT)
        self._trap(">", total, ir.Constant(MAXIMUM_STRING, Type.INT), span)
        return self._temporary(ir.Concat(tuple(parts), ir.WHOLE[Type.STRING]), span)

    def _new_packet(self, e: s.NewObject) -> ir.Expression:
        parts: list[ir.Bytes] = []
        tail: ir.Local | None = None
        for value in self._values(e.arguments):
            if isinstance(value, ir.Local) and value.type is Type.PACKET:
                tail = value
            else:
                assert isinstance(value, ir.Local | ir.Constant)
                parts.append(value)
        return self._temporary(ir.NewPacket(tuple(parts), tail, ir.WHOLE[Type.PACKET]), e.span)

    def _expanded(self, e: s.Call) -> ir.Expression | None:
        """The body of an own method in place of its call."""
        method = self._checked.methods[e.name.text]
        parameters = [self._symbol(parameter) for parameter in method.parameters]
        plain = [a for a, p in zip(e.arguments, parameters, strict=True) if not p.type.is_alias]
        values = iter(self._values(tuple(plain)))
        meanings: dict[Local, Meaning] = {}
        for argument, parameter in zip(e.arguments, parameters, strict=True):
            if parameter.type.is_alias:
                meanings[parameter] = self._alias(argument)
                continue
            value = converted(next(values), parameter.type)
            if parameter not in self._assigned and self._is_stable(value):
                meanings[parameter] = value
                continue
            local = self._local(parameter.name, parameter.type)
            self._emit(ir.Set(local, value, argument.span))
            meanings[parameter] = local
        result = None
        if method.result is not None:
            result = self._local(f"{method.name.text}_result", self._checked.types[e])
        label = self._label(method.name.text)
        outer, self._frame = self._frame, Frame(meanings, label, result)
        body = self._block(method.body)
        self._frame = outer
        for statement in scope(label, body, e.span):
            self._emit(statement)
        return result
