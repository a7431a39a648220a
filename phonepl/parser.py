"""Source text to syntax tree: Lark's LALR parser, our nodes, syntax errors in the language's own words."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput
from lark.exceptions import UnexpectedToken as LarkUnexpectedToken

from phonepl import diagnostics as d
from phonepl import syntax as s
from phonepl.builder import Builder, span_of
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
        return raw.decode("utf-8").removeprefix("\ufeff")
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
        transformer=Builder(),
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
        span = self._end() if at_end else span_of(token)
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
