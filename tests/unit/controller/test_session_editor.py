"""The TextMate grammar of the session language, run by a port of the tokenizer that editors have."""

from __future__ import annotations

import json
from pathlib import Path

from lark import Token
from textmate_grammar.parsers.base import LanguageParser

import controller.program
from controller.program.parse import keywords, tokens

from .test_program import CONFERENCE, session

GRAMMAR = Path(controller.program.__file__).parent / "editor" / "dipronn-session.tmLanguage.json"
KEYWORDS = ("keyword.declaration", "keyword.other", "constant.language")
SCOPES = {
    "NAME": ("entity.name", "variable.other", "keyword.other.unit"),
    "STRING": ("string.quoted.double",),
    "SOCKET": ("constant.other.address",),
    "PREFIX": ("constant.other.address",),
    "RATIO": ("constant.numeric",),
    "NUMBER": ("constant.numeric",),
    "QUANTITY": ("constant.numeric",),
}
"""By the parser's token: what an editor may take it for."""


class Colours:
    """The scopes of every character of a text, by line and column from 0."""

    def __init__(self, text: str) -> None:
        parsed = LanguageParser(json.loads(GRAMMAR.read_text())).parse_string(text)
        assert parsed is not None
        self.scopes = {
            (line, column + offset): scopes
            for (line, column), content, scopes in parsed.flatten()
            for offset in range(len(content))
        }

    def of(self, token: Token) -> list[str]:
        assert token.line is not None and token.column is not None
        return self.scopes.get((token.line - 1, token.column - 1), [])


def wrongly_coloured(text: str) -> list[tuple[str, str, list[str]]]:
    colours = Colours(text)
    found = []
    for token in tokens(text):
        if token.type in SCOPES or token in keywords():
            wanted = SCOPES.get(token.type, KEYWORDS)
            scopes = colours.of(token)
            if not any(scope.startswith(one) for scope in scopes for one in wanted):
                found.append((token.type, str(token), scopes))
    return found


def test_an_editor_sees_the_words_that_the_parser_sees() -> None:
    assert wrongly_coloured(CONFERENCE.strip()) == []
    other = session(
        "input z : udp to [2001:db8::1]:5000 from 2001:db8::/32; update strict; cycle ok; # in video",
        program='bundle "a \\" in"; in i-1,o2; parallelizable 3 by weighted 3:1:2; needs memory 5 MiB;',
        data="data x->p.i-1; data p.o2->y;",
    )
    assert wrongly_coloured(other) == []


def test_every_keyword_is_coloured_and_no_name_that_begins_like_one() -> None:
    assert len(keywords()) > 50
    for word in sorted(keywords()):
        (scopes,) = [scopes for at, scopes in Colours(f"{word} ;").scopes.items() if at == (0, 0)]
        assert any(scope.startswith(KEYWORDS) for scope in scopes), word
        scopes = Colours(f"{word}-1 ;").scopes[0, 0]
        assert any(scope.startswith("variable") for scope in scopes), word


def test_comments_and_unknown_escapes_stand_out() -> None:
    colours = Colours('owner "a\\x"; # data x -> y;')
    assert any(scope.startswith("invalid.illegal") for scope in colours.scopes[0, 8])
    assert any(scope.startswith("comment.line") for scope in colours.scopes[0, 20])
