"""The text of the session language → ``dipronn.v1.Program``, with the place of each part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lark import Lark, Token
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from controller.program.builder import Builder
from controller.program.diagnostics import Diagnostic, Place, Severity
from controller.program.parsed import Parsed
from dipronn.v1 import session_pb2 as pb

MAX_BYTES = 1 << 20
"""A session's text is at most 1 MiB."""


def parse(text: str) -> Parsed:
    """Read one session.  Never raises for a fault of the text: the diagnostics say it."""
    parsed = Parsed(pb.Program())
    if refusal := too_large(text):
        parsed.diagnostics.append(refusal)
        return parsed
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        parsed.diagnostics.append(_syntax_error(error, text))
        return parsed
    Builder(parsed).session(tree)
    return parsed


def too_large(text: str) -> Diagnostic | None:
    size = len(text.encode(errors="replace"))
    if size <= MAX_BYTES:
        return None
    message = f"the text has {size} bytes, more than {MAX_BYTES}"
    return Diagnostic(Severity.ERROR, message, place=Place(1, 1))


def tokens(text: str) -> Iterator[Token]:
    """The words of a good text, without white space and comments."""
    return iter(_parser().lex(text))


@cache
def keywords() -> frozenset[str]:
    """Every word that is no name."""
    words = (terminal.pattern.value for terminal in _parser().terminals if terminal.pattern.type == "str")
    return frozenset(word for word in words if word[0].isalpha())


@cache
def _parser() -> Lark:
    # The basic lexer knows no context, so that a keyword is a keyword everywhere.
    grammar = Path(__file__).with_name("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=True)


@cache
def _spelling() -> dict[str, str]:
    known = {
        "NAME": "a name",
        "STRING": 'a "string"',
        "SOCKET": "an address with a port",
        "PREFIX": "an address prefix",
        "RATIO": "weights",
        "QUANTITY": "a number with a unit",
        "NUMBER": "a number",
        "$END": "the end of the file",
    }
    for terminal in _parser().terminals:
        known.setdefault(terminal.name, f"`{terminal.pattern.value}`".replace("\\", ""))
    return known


def _syntax_error(error: UnexpectedInput, text: str) -> Diagnostic:
    if isinstance(error, UnexpectedToken):
        token = error.token
        names = sorted({_spelling()[name] for name in error.accepts or error.expected if name in _spelling()})
        expected = "expected " + (
            " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        )
        if token.type == "$END":
            lines = text.rstrip().split("\n")
            place = Place(len(lines), len(lines[-1]) + 1)
            return Diagnostic(Severity.ERROR, "the text ends too early", place=place, hint=expected)
        place = Place(token.line or 1, token.column or 1)
        if "NAME" in (error.accepts or error.expected) and re.fullmatch(r"[a-z_]+", token):
            return Diagnostic(
                Severity.ERROR,
                f"`{token}` is a keyword and cannot be a name",
                place=place,
                hint=f"choose another name, for example `{token}1`",
            )
        shown = token if len(token) <= 40 else token[:40] + "…"
        return Diagnostic(Severity.ERROR, f"unexpected `{shown}`", place=place, hint=expected)
    assert isinstance(error, UnexpectedCharacters) and error.pos_in_stream is not None
    place = Place(error.line, error.column)
    if re.compile(r'"(?:[^"\\\n\r]|\\.)*"').match(text, error.pos_in_stream):
        hint = 'in a string a backslash stands before one of " \\ n r t'
        return Diagnostic(Severity.ERROR, "the string has an unknown escape", place=place, hint=hint)
    if text[error.pos_in_stream] == '"':
        hint = 'a string ends on the line where it begins; inside it write \\" \\\\ \\n \\r \\t'
        return Diagnostic(Severity.ERROR, "the string does not end", place=place, hint=hint)
    return Diagnostic(Severity.ERROR, f"unexpected character {text[error.pos_in_stream]!r}", place=place)
