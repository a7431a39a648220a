"""The tree builder, which Lark calls for every rule that it reduces. Literals are decoded here."""

from __future__ import annotations

from typing import Any

from lark import Token, Transformer

from phonepl import syntax as s
from phonepl.syntax import Span


def span_of(token: Token) -> Span:
    """Where a token stands."""
    line, column = token.line or 1, token.column or 1
    return Span(line, column, token.end_line or line, token.end_column or column + 1)


def _at(item: Any) -> Span:
    return span_of(item) if isinstance(item, Token) else item.span


def _identifier(token: Token) -> s.Identifier:
    return s.Identifier(span_of(token), str(token))


_ESCAPES = {"n": 10, "r": 13, "t": 9, "0": 0, "\\": 92, '"': 34}


def _decode_string(text: str) -> tuple[bytes, tuple[int, str] | None]:
    """The bytes that a quoted literal spells, or the offset of the first fault and its reason."""
    out, at, end = bytearray(), 1, len(text) - 1
    while at < end:
        character = text[at]
        if character == "\\":
            escape = text[at + 1]
            if escape == "x":
                digits = text[at + 2 : min(at + 4, end)]
                if len(digits) < 2 or any(c not in "0123456789abcdefABCDEF" for c in digits):
                    return b"", (at, "\\x takes two hexadecimal digits")
                out.append(int(digits, 16))
                at += 4
                continue
            if escape not in _ESCAPES:
                return b"", (at, f"there is no escape \\{escape}")
            out.append(_ESCAPES[escape])
            at += 2
            continue
        if not " " <= character <= "~":
            return b"", (at, f"{character!r} is not printable ASCII")
        out.append(ord(character))
        at += 1
    return bytes(out), None


def _decode_hex(text: str) -> tuple[bytes, tuple[int, str] | None]:
    """The bytes of x"…"; white space between digits is ignored."""
    digits = ""
    for at, character in enumerate(text[2:-1], 2):
        if character in "0123456789abcdefABCDEF":
            digits += character
        elif not character.isspace():
            return b"", (at, f"{character!r} is no hexadecimal digit")
    if len(digits) % 2:
        return b"", (0, f"an odd number of hexadecimal digits ({len(digits)})")
    return bytes.fromhex(digits), None


def _decode_number(text: str) -> tuple[int | None, bool]:
    """Value and whether it is a long. A hexadecimal literal is the bit pattern of its type, as in Java."""
    digits = text[:-1] if text[-1] in "lL" else text
    suffixed = digits != text
    try:
        if digits[:2] in ("0x", "0X"):
            value = int(digits[2:], 16) if "_" not in digits else None
            if value is None:
                return None, suffixed
            if not suffixed and value < 1 << 32:
                return value - (1 << 32 if value >> 31 else 0), False
            return value - (1 << 64 if value < 1 << 64 and value >> 63 else 0), True
        if not digits.isdigit() or not digits.isascii() or (len(digits) > 1 and digits[0] == "0"):
            return None, suffixed
        if len(digits) > 40:
            return 1 << 100, True
        value = int(digits)
        # 2147483648 alone is a long; behind a minus it is the smallest int (see `unary`).
        return value, suffixed or value > 0x7FFFFFFF
    except ValueError:
        return None, suffixed


class Builder(Transformer[Token, Any]):
    """Called by the parser for every rule as it is reduced; `c` are the rule's tokens and nodes in order."""

    def program(self, c: list[Any]) -> s.Program:
        span = _at(c[0]).to(_at(c[-1])) if c else s.NOWHERE
        return s.Program(span, _only(c, s.Import), _only(c, s.Class))

    def import_declaration(self, c: list[Any]) -> s.Import:
        return s.Import(_at(c[0]).to(_at(c[-1])), _identifier(c[1]))

    def class_declaration(self, c: list[Any]) -> s.Class:
        span = _at(c[1]).to(_at(c[-1]))
        fields = tuple(f for item in c if isinstance(item, list) for f in item)
        return s.Class(span, _identifier(c[2]), fields, _only(c, s.Constructor), _only(c, s.Method))

    def modifiers(self, c: list[Any]) -> tuple[Token, ...]:
        return tuple(c)

    def field_declaration(self, c: list[Any]) -> list[s.Field]:
        modifiers = tuple(str(token) for token in c[0])
        first = _at(c[0][0]) if c[0] else c[1].span
        return [
            s.Field(first.to(declarator.span), modifiers, c[1], declarator.name, declarator.value)
            for declarator in _only(c, s.Declarator)
        ]

    def constructor(self, c: list[Any]) -> s.Constructor:
        return s.Constructor(_at(c[1]).to(c[-1].span), _identifier(c[1]), c[3], c[5])

    def method(self, c: list[Any]) -> s.Method:
        modifiers = tuple(str(token) for token in c[0])
        result = c[1] if isinstance(c[1], s.TypeName) else None
        return s.Method(_at(c[1]).to(c[-1].span), modifiers, result, _identifier(c[2]), c[4], c[6])

    def void(self, c: list[Any]) -> Token:
        token: Token = c[0]
        return token

    def parameters(self, c: list[Any]) -> tuple[s.Parameter, ...]:
        return _only(c, s.Parameter)

    def parameter(self, c: list[Any]) -> s.Parameter:
        final, kind, name = _unmodified(c)
        return s.Parameter(_at(c[0]).to(_at(c[-1])), kind, _identifier(name), None, final)

    def routed_parameter(self, c: list[Any]) -> s.Parameter:
        final, kind, name = _unmodified(c)
        return s.Parameter(_at(c[0]).to(_at(c[-1])), kind, _identifier(name), _identifier(c[-1]), final)

    def type(self, c: list[Any]) -> s.TypeName:
        return c[0] if isinstance(c[0], s.TypeName) else s.TypeName(_at(c[0]), str(c[0]))

    def array_type(self, c: list[Any]) -> s.TypeName:
        return s.TypeName(_at(c[0]).to(_at(c[-1])), c[0].name, True)

    array_cast = array_type

    def builtin_type(self, c: list[Any]) -> s.TypeName:
        return s.TypeName(_at(c[0]), str(c[0]))

    def declarator(self, c: list[Any]) -> s.Declarator:
        return s.Declarator(_at(c[0]).to(_at(c[-1])), _identifier(c[0]), c[2] if len(c) > 1 else None)

    # ── statements ──

    def block(self, c: list[Any]) -> s.Block:
        return s.Block(_at(c[0]).to(_at(c[-1])), tuple(c[1:-1]))

    def local_declaration(self, c: list[Any]) -> s.LocalDeclaration:
        final, kind, _ = _unmodified(c)
        return s.LocalDeclaration(_at(c[0]).to(_at(c[-1])), kind, _only(c, s.Declarator), final)

    def local_statement(self, c: list[Any]) -> s.LocalDeclaration:
        declaration: s.LocalDeclaration = c[0]
        return declaration

    def expression_statement(self, c: list[Any]) -> s.ExpressionStatement:
        return s.ExpressionStatement(_at(c[0]).to(_at(c[-1])), c[0])

    def if_statement(self, c: list[Any]) -> s.If:
        return s.If(_at(c[0]).to(c[-1].span), c[2], c[4], None)

    def if_else_statement(self, c: list[Any]) -> s.If:
        return s.If(_at(c[0]).to(c[-1].span), c[2], c[4], c[6])

    def while_statement(self, c: list[Any]) -> s.While:
        return s.While(_at(c[0]).to(c[-1].span), c[2], c[4])

    def for_statement(self, c: list[Any]) -> s.For:
        return s.For(_at(c[0]).to(c[-1].span), c[2], c[4], c[6], c[8])

    def for_init(self, c: list[Any]) -> tuple[s.Statement, ...]:
        if isinstance(c[0], s.LocalDeclaration):
            return (c[0],)
        return tuple(s.ExpressionStatement(expression.span, expression) for expression in c[0])

    def for_condition(self, c: list[Any]) -> s.Expression | None:
        return c[0] if c else None

    def for_update(self, c: list[Any]) -> tuple[s.Expression, ...]:
        expressions: tuple[s.Expression, ...] = c[0]
        return expressions

    def expressions(self, c: list[Any]) -> tuple[s.Expression, ...]:
        return _only(c, s.Expression)

    def return_statement(self, c: list[Any]) -> s.Return:
        return s.Return(_at(c[0]).to(_at(c[-1])), c[1] if len(c) == 3 else None)

    def empty_statement(self, c: list[Any]) -> s.Empty:
        return s.Empty(_at(c[0]))

    # ── expressions ──

    def assignment_operator(self, c: list[Any]) -> Token:
        token: Token = c[0]
        return token

    def assignment(self, c: list[Any]) -> s.Assignment:
        return s.Assignment(_at(c[0]).to(_at(c[2])), str(c[1]), c[0], c[2])

    def binary(self, c: list[Any]) -> s.Binary:
        return s.Binary(_at(c[0]).to(_at(c[2])), str(c[1]), c[0], c[2], _at(c[1]))

    def unary(self, c: list[Any]) -> s.Expression:
        span, operand = _at(c[0]).to(_at(c[1])), c[1]
        if c[0] == "-" and isinstance(operand, s.NumberLiteral) and operand.text == "2147483648":
            return s.NumberLiteral(span, "-2147483648", -(1 << 31), False)
        if c[0] == "-" and isinstance(operand, s.NumberLiteral) and operand.value == 1 << 63:
            return s.NumberLiteral(span, "-" + operand.text, -(1 << 63), True)
        return s.Unary(span, str(c[0]), operand)

    def prefix_step(self, c: list[Any]) -> s.Step:
        return s.Step(_at(c[0]).to(_at(c[1])), str(c[0]), c[1], True)

    def postfix_step(self, c: list[Any]) -> s.Step:
        return s.Step(_at(c[0]).to(_at(c[1])), str(c[1]), c[0], False)

    def cast(self, c: list[Any]) -> s.Cast:
        return s.Cast(_at(c[0]).to(_at(c[3])), c[1], c[3])

    def member(self, c: list[Any]) -> s.Member:
        return s.Member(_at(c[0]).to(_at(c[2])), c[0], _identifier(c[2]))

    def method_call(self, c: list[Any]) -> s.Call:
        return s.Call(_at(c[0]).to(_at(c[5])), c[0], _identifier(c[2]), c[4])

    def static_call(self, c: list[Any]) -> s.Call:
        return s.Call(_at(c[0]).to(_at(c[5])), s.Name(_at(c[0]), str(c[0])), _identifier(c[2]), c[4])

    def element(self, c: list[Any]) -> s.Element:
        return s.Element(_at(c[0]).to(_at(c[3])), c[0], c[2])

    def name(self, c: list[Any]) -> s.Name:
        return s.Name(_at(c[0]), str(c[0]))

    def this(self, c: list[Any]) -> s.This:
        return s.This(_at(c[0]))

    def own_call(self, c: list[Any]) -> s.Call:
        return s.Call(_at(c[0]).to(_at(c[3])), None, _identifier(c[0]), c[2])

    def parenthesized(self, c: list[Any]) -> s.Expression:
        expression: s.Expression = c[1]
        return expression

    def new_object(self, c: list[Any]) -> s.NewObject:
        return s.NewObject(_at(c[0]).to(_at(c[-1])), _made(c[1]), c[3])

    def new_array(self, c: list[Any]) -> s.NewArray:
        return s.NewArray(_at(c[0]).to(_at(c[-1])), _made(c[1]), c[3])

    def boolean_literal(self, c: list[Any]) -> s.BooleanLiteral:
        return s.BooleanLiteral(_at(c[0]), c[0] == "true")

    def number(self, c: list[Any]) -> s.NumberLiteral:
        value, is_long = _decode_number(str(c[0]))
        return s.NumberLiteral(_at(c[0]), str(c[0]), value, is_long)

    def string_literal(self, c: list[Any]) -> s.StringLiteral:
        return s.StringLiteral(_at(c[0]), str(c[0]), *_decode_string(str(c[0])))

    def hex_literal(self, c: list[Any]) -> s.StringLiteral:
        return s.StringLiteral(_at(c[0]), str(c[0]), *_decode_hex(str(c[0])))


def _unmodified(c: list[Any]) -> tuple[bool, s.TypeName, Any]:
    """Whether `final` stands before a declaration, its type, and what follows the type."""
    final = isinstance(c[0], Token)
    return final, c[final], c[final + 1]


def _made(item: Any) -> s.TypeName:
    return item if isinstance(item, s.TypeName) else s.TypeName(_at(item), str(item))


def _only(items: list[Any], kind: type[Any]) -> tuple[Any, ...]:
    return tuple(item for item in items if isinstance(item, kind))
