"""Whatever stands in a file, the compiler accepts it or says what is wrong: it never fails otherwise."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonepl.compiler import compile_source
from phonepl.diagnostics import ProgramError
from phonepl.formatter import format_source
from phonepl.language_server import analyse, definition, hover
from phonepl.parser import decode, tokens
from tests.fuzz.phonepl.programs import program_from_seed

EXAMPLES = [
    path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).parents[3] / "examples" / "phonepl").glob("*.phonepl"))
]
WORDS = [
    *[
        "import",
        "class",
        "public",
        "static",
        "final",
        "void",
        "boolean",
        "int",
        "long",
        "String",
        "Packet",
        "NetStream",
        "new",
        "if",
        "else",
        "for",
        "while",
    ],
    *[
        "return",
        "true",
        "false",
        "this",
        "break",
        "switch",
        "null",
        "x",
        "y",
        "out",
        "i",
        "length",
        "put",
        "A",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        ";",
        ",",
        ".",
        "=",
        "==",
        "+",
        "++",
        "-",
        "--",
        "*",
        "/",
        "%",
    ],
    *[
        "&",
        "&&",
        "|",
        "||",
        "^",
        "~",
        "!",
        "<",
        ">",
        "<<",
        ">>",
        ">>>",
        "+=",
        "0",
        "1",
        "0x1f",
        "5L",
        "017",
        "99999999999999999999",
        "?",
        ":",
        "@",
        "'",
        '"',
        "//",
        "/*",
        "*/",
        "é",
        "\\",
    ],
    'x"00"',
    'x"0"',
    '"ab"',
    "\n",
]


def _judged(source: str) -> None:
    """Accepted, or refused with diagnostics that can be shown."""
    try:
        compile_source(source)
    except ProgramError as wrong:
        assert wrong.diagnostics and all(d.span.line >= 1 and d.span.column >= 1 for d in wrong.diagnostics)
        assert str(wrong)
    with contextlib.suppress(ProgramError):
        format_source(source)


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_words_in_any_order(words: list[str]) -> None:
    _judged(" ".join(words))
    _judged("import A; class T { void go(Packet i) { " + " ".join(words) + " } void main() { new T(); } }")


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    _judged(text)


@given(st.binary(max_size=100))
def test_any_bytes(raw: bytes) -> None:
    with contextlib.suppress(ProgramError):
        _judged(decode(raw))


@pytest.mark.parametrize("part", range(4))
def test_programs_with_words_changed(part: int) -> None:
    source = random.Random(part)
    for number in range(60):
        text = source.choice(EXAMPLES) if number % 2 else program_from_seed(part * 1000 + number)
        words = [str(token) for token in tokens(text)]
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(words))
            match source.randrange(4):
                case 0:
                    del words[at]
                case 1:
                    words.insert(at, words[at])
                case 2:
                    words[at] = source.choice(words)
                case _:
                    words[at] = source.choice(WORDS)
        _judged("\n".join(words))


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split("class ")[1].split()[0])
def test_an_editor_may_ask_anywhere(text: str) -> None:
    compiled = analyse(text, "example").compiled
    assert compiled is not None
    for line, content in enumerate(text.split("\n"), 1):
        for column in range(1, len(content) + 2):
            hover(compiled, line, column)
            definition(compiled, line, column)


@pytest.mark.parametrize(
    "source",
    [
        "class T { void f() { " + "(" * 50_000,
        "class T { void f() { " + "{" * 50_000,
        "class T { void f() { int x = " + "-" * 50_000 + "1; } }",
        "class T { void f() { int x = " + "1+" * 50_000 + "1; } }",
        "class T { void f() { " + "if (true) " * 20_000 + "; } }",
        "class T { void f() { int x = " + "(" * 5_000 + "1" + ")" * 5_000 + "; } }",
    ],
    ids=["parentheses", "braces", "minus", "sum", "ifs", "redundant"],
)
def test_deep_nesting_is_refused_not_crashed_on(source: str) -> None:
    with pytest.raises(ProgramError):
        compile_source(source)
