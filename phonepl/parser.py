"""Source text to syntax tree: Lark's LALR parser, our nodes, syntax errors in the language's own words."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput
from lark.exceptions import UnexpectedToken as LarkUnexpectedToken

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.syntax import Span

MAXIMUM_BYTES = 1 << 20
MAXIMUM_ERRORS = 20

_WORD_ADVICE = {
    "switch": "write if … else if …",
    "case": "write if … else if …",
    "default": "write a last else",
    "do": "write while (condition) …",
    "break": "put the condition into the loop's own",
    "continue": "put the rest of the body into an if",
    "null": 'every variable holds a value; an empty String is written ""',
}
_TOKEN_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "HEX_STRING": "a hexadecimal string",
    "$END": "the end of the file",
}
_OPERATOR = re.compile(r"[-+*/%&|^<>=!.\[]+")
_EXPRESSION_START = {"NAME", "NUMBER", "STRING", "HEX_STRING", "LPAR", "NEW", "THIS", "TRUE", "FALSE"}


def parse(source: str, file: str = "<source>") -> s.Program:
    """The tree of `source`; raises ProgramError with every syntax error found (at most 20)."""
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAXIMUM_BYTES:
        raise d.ProgramError([d.FileTooLarge(s.NOWHERE, size=size, limit=MAXIMUM_BYTES)], "", file)
    errors = _Errors(source)
    try:
        program = _lark().parse(source, on_error=errors.note)
    except UnexpectedInput as last:
        if not errors.found:
            errors.note(last)
        program = None
    if errors.found:
        raise d.ProgramError(errors.found, source, file)
    assert isinstance(program, s.Program)
    if s.depth(program) > s.Program.MAXIMUM_DEPTH:
        raise d.ProgramError(
            [d.TooDeep(_deep(program), what="expressions or statements", limit=s.Program.MAXIMUM_DEPTH)],
            source,
            file,
        )
    return program


def decode(raw: bytes, file: str = "<source>") -> str:
    """The text of a file's bytes; raises ProgramError where they are not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = raw.count(b"\n", 0, wrong.start) + 1
        column = wrong.start - (raw.rfind(b"\n", 0, wrong.start) + 1) + 1
        span = Span(line, column, line, column + 1)
        shown = raw.decode("utf-8", "replace")
        raise d.ProgramError([d.NotUtf8(span, byte=raw[wrong.start])], shown, file) from wrong


def tokens(source: str) -> list[Token]:
    """The tokens of text that parses, without comments; positions as Lark gives them."""
    return list(_lark().lex(source))


@functools.lru_cache(maxsize=1)
def _lark() -> Lark:
    grammar = resources.files("phonepl").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        start="program",
        keep_all_tokens=True,
        maybe_placeholders=False,
        transformer=_Builder(),
        postlex=_KeepReserved(),
    )


def _deep(program: s.Program) -> Span:
    """Where the nesting first passes the limit."""
    waiting: list[tuple[s.Node, int]] = [(program, 1)]
    while waiting:
        node, level = waiting.pop()
        if level > s.Program.MAXIMUM_DEPTH:
            return node.span
        waiting.extend((child, level + 1) for child in node.children())
    return program.span


class _KeepReserved:
    """Makes Lark keep a terminal that no rule uses, so that Java's other words are refused by name."""

    always_accept = ("RESERVED",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens as they are."""
        return stream


class _Errors:
    """Collects syntax errors and lets the parser go on behind each."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.found: list[d.Diagnostic] = []
        self._last: int | None = None

    def note(self, error: UnexpectedInput) -> bool:
        if isinstance(error, UnexpectedCharacters):
            self._add(self._character(error))
            return False  # what follows an unreadable character is guesswork
        assert isinstance(error, LarkUnexpectedToken)
        token, parser = error.token, error.interactive_parser
        if token.type == "$END":
            self._add(self._token(error))
            return False
        if not self._same_statement(token):
            found = self._token(error)
            self._add(found)
            if isinstance(found, d.NoArrayInitializer | d.UnterminatedComment):
                return False  # what follows would be taken for something else
        self._last = token.end_pos
        if len(self.found) >= MAXIMUM_ERRORS:
            return False
        # What is most often forgotten: closing parentheses, a semicolon. Else the token is thrown away.
        for forgotten in (["SEMICOLON"], ["RPAR"], ["RPAR", "RPAR"], ["RPAR", "RPAR", "RPAR"]):
            if self._goes_on(_copied(parser), forgotten, token):
                self._goes_on(parser, forgotten, token)
                break
        return True

    def _same_statement(self, token: Token) -> bool:
        """Does the token belong to the statement of the last error, whose rest is guesswork?"""
        if self._last is None:
            return False
        return not set(self._source[self._last : token.start_pos]) & set(";{}")

    def _goes_on(self, parser: Any, forgotten: list[str], token: Token) -> bool:
        """Feed what was forgotten and the token; can the parser take them?"""
        inserted = [
            Token(kind, {"SEMICOLON": ";", "RPAR": ")"}[kind], line=token.line, column=token.column)
            for kind in forgotten
        ]
        try:
            for each in [*inserted, token]:
                parser.feed_token(each)
        except LarkUnexpectedToken:
            return False
        return True

    def _add(self, diagnostic: d.Diagnostic) -> None:
        if not self.found or diagnostic.span.line > self.found[-1].span.line:
            self.found.append(diagnostic)

    def _character(self, error: UnexpectedCharacters) -> d.Diagnostic:
        at = error.pos_in_stream or 0
        character = self._source[at]
        span = Span(error.line, error.column, error.line, error.column + 1)
        if character == '"':
            return d.UnterminatedString(span)
        if character == "'":
            return d.NoCharacterLiteral(span)
        if character == "?":
            return d.NoConditionalOperator(span)
        return d.UnknownCharacter(span, character=character)

    def _token(self, error: LarkUnexpectedToken) -> d.Diagnostic:
        token = error.token
        accepts = _accepted(error.interactive_parser)
        at_end = token.type == "$END"
        span = self._end() if at_end else _span(token)
        found = "the end of the file" if at_end else f"`{token}`"
        if token.type == "RESERVED":
            advice = _WORD_ADVICE.get(str(token), "a program is one class of methods that take packets")
            return d.ReservedWord(span, word=str(token), advice=advice)
        if not at_end and self._source.startswith("/*", token.start_pos):
            return d.UnterminatedComment(Span(span.line, span.column, span.line, span.column + 2))
        if token == "{" and "NEW" in accepts:
            return d.NoArrayInitializer(span)
        if "SEMICOLON" in accepts and token.line and token.line > (self._line_before(token) or token.line):
            return d.MissingSemicolon(self._after_previous(token), found=found)
        return d.UnexpectedToken(span, found=found, expected=_expected(accepts))

    def _line_before(self, token: Token) -> int | None:
        text = self._source[: token.start_pos].rstrip()
        return text.count("\n") + 1 if text else None

    def _after_previous(self, token: Token) -> Span:
        text = self._source[: token.start_pos].rstrip()
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
        return Span(line, column, line, column + 1)

    def _end(self) -> Span:
        text = self._source.rstrip()
        line, column = text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1
        return Span(line, column, line, column + 1)


def _accepted(parser: Any) -> set[str]:
    return set(parser.accepts())


def _copied(parser: Any) -> Any:
    return parser.copy(deepcopy_values=False)


def _expected(accepts: set[str]) -> str:
    """What may stand here, for a person."""
    spelled = {terminal.name: terminal.pattern.value for terminal in _lark().terminals}
    rest = accepts - {"RESERVED"}
    words: list[str] = []
    if rest >= _EXPRESSION_START - {"THIS"}:
        words = ["a statement" if "IF" in rest else "an expression"]
        rest &= {"RPAR", "RBRACE"}
    elif {"PLUS", "STAR"} <= rest:
        words = ["an operator"]
        rest = {name for name in rest if not _OPERATOR.fullmatch(spelled.get(name, name))}
    for name in sorted(rest):
        words.append(_TOKEN_WORDS.get(name) or f"`{spelled.get(name, name)}`")
    if len(words) > 8:
        words = [*words[:7], "…"]
    return " or ".join(words) if words else "the end of the file"


def _span(token: Token) -> Span:
    line, column = token.line or 1, token.column or 1
    return Span(line, column, token.end_line or line, token.end_column or column + 1)


def _at(item: Any) -> Span:
    return _span(item) if isinstance(item, Token) else item.span


def _identifier(token: Token) -> s.Identifier:
    return s.Identifier(_span(token), str(token))


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


class _Builder(Transformer[Token, Any]):
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
        return s.Parameter(c[0].span.to(_at(c[-1])), c[0], _identifier(c[1]))

    def routed_parameter(self, c: list[Any]) -> s.Parameter:
        return s.Parameter(c[0].span.to(_at(c[-1])), c[0], _identifier(c[1]), _identifier(c[3]))

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
        return s.LocalDeclaration(c[0].span.to(_at(c[-1])), c[0], _only(c, s.Declarator))

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


def _made(item: Any) -> s.TypeName:
    return item if isinstance(item, s.TypeName) else s.TypeName(_at(item), str(item))


def _only(items: list[Any], kind: type[Any]) -> tuple[Any, ...]:
    return tuple(item for item in items if isinstance(item, kind))
