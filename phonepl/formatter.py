"""`fmt`: the canonical layout of a program. Works on tokens, so that comments stay where they are."""

from __future__ import annotations

import re

from lark import Token

from phonepl.parser import parse, tokens

_INDENT = "  "
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TYPES = {"boolean", "int", "long", "String", "Packet", "NetStream"}
_BINARY = {"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", ">>>", "&&", "||"}
_COMPARISON = {"==", "!=", "<", "<=", ">", ">="}
_ASSIGNMENT = {"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", ">>>="}
_SPACED_WORDS = {"if", "for", "while", "return", "else"}


def format_source(source: str, file: str = "<source>") -> str:
    """The program in canonical layout, which is stable; raises ProgramError where it does not parse."""
    source = source.replace("\r\n", "\n")
    parse(source, file)
    return _Formatter(source).run()


class _Formatter:
    def __init__(self, source: str) -> None:
        self._source = source
        self._lines: list[str] = []
        self._line = ""
        self._indent = 0
        self._round = 0  # depth of open parentheses and brackets
        self._before: list[Token] = []

    def run(self) -> str:
        at = 0
        for token in tokens(self._source):
            assert token.start_pos is not None and token.end_pos is not None
            self._gap(self._source[at : token.start_pos], token)
            self._token(token)
            at = token.end_pos
        self._gap(self._source[at:], None)
        self._break()
        while self._lines and not self._lines[-1]:
            self._lines.pop()
        return "\n".join(self._lines) + "\n" if self._lines else ""

    # ── lines ──

    def _break(self) -> None:
        if self._line.strip():
            self._lines.append(self._line.rstrip())
        self._line = ""

    def _begin(self, continued: bool = False) -> None:
        self._line = _INDENT * (self._indent + (1 if continued else 0))

    def _append(self, text: str, spaced: bool) -> None:
        if not self._line:
            self._begin()
        self._line += (" " if spaced and self._line.strip() else "") + text

    def _statement_ended(self) -> bool:
        """Has the last token ended a line?"""
        if not self._before:
            return True
        last = self._before[-1]
        return last in ("{", "}") or (last == ";" and self._round == 0)

    # ── what stands between two tokens: blank lines and comments ──

    def _gap(self, gap: str, following: Token | None) -> None:
        at = 0
        ended = self._statement_ended()
        for match in _COMMENT.finditer(gap):
            space, comment = gap[at : match.start()], match.group()
            at = match.end()
            if "\n" in space or not self._before:
                self._break()
                self._blank(space)
                self._begin(continued=not ended)
                self._line += comment.rstrip()
            else:
                self._append(comment.rstrip(), spaced=True)
            if comment.startswith("//") or (ended and "\n" in gap[at:].split("/*")[0].split("//")[0]):
                self._break()
        rest = gap[at:]
        if following is None:
            return
        if ended:
            joins = (
                following == "else" and self._before and self._before[-1] == "}" and not _COMMENT.search(gap)
            )
            empty = following == "}" and self._before and self._before[-1] == "{" and not _COMMENT.search(gap)
            if not joins and not empty:
                self._break()
                opens = not self._before or self._before[-1] == "{"
                if following != "}" and (not opens or _COMMENT.search(gap)):
                    self._blank(rest)
        elif "\n" in rest and self._line.strip() and following not in ("{", ";", ")"):
            self._break()
            self._begin(continued=True)
        elif not self._line:
            self._begin(continued=True)

    def _blank(self, space: str) -> None:
        if space.count("\n") > 1 and self._lines and self._lines[-1] and not self._lines[-1].endswith("{"):
            self._lines.append("")

    # ── tokens ──

    def _token(self, token: Token) -> None:
        if token == "}":
            self._indent -= 1
        if not self._line:
            self._begin()
        self._append(str(token), self._spaced(token))
        if token in ("(", "["):
            self._round += 1
        elif token in (")", "]"):
            self._round -= 1
        elif token == "{":
            self._indent += 1
        self._before.append(token)

    def _spaced(self, token: Token) -> bool:
        """Does a space stand between the last token and this one?"""
        if not self._before:
            return False
        last, text = self._before[-1], str(token)
        if last == "{" and text == "}":
            return False
        if text in (")", "]", ".", ",", ";"):
            return False
        if last in ("(", "[", ".") or (self._is_unary(len(self._before) - 1)):
            return False
        if text in ("++", "--"):
            return not (last.type in ("NAME",) or last in ("]", ")"))
        if text == "[":
            return False
        if text == "(":
            return (
                last in _SPACED_WORDS
                or last in _BINARY | _COMPARISON | _ASSIGNMENT | {",", ";", "{"}
                or self._is_cast_end()
            )
        return True

    def _is_unary(self, index: int) -> bool:
        """Is the token at `index` a prefix operator?"""
        token = self._before[index]
        if token in ("!", "~"):
            return True
        if token not in ("+", "-", "++", "--"):
            return False
        if index == 0:
            return True
        previous = self._before[index - 1]
        if previous == ")" and self._is_cast_end(index - 1):
            return True
        operand = previous.type in ("NAME", "NUMBER", "STRING", "HEX_STRING") or previous in (
            ")",
            "]",
            "true",
            "false",
        )
        if token in ("++", "--"):
            return not operand
        return not operand and not (previous in ("++", "--") and not self._is_unary(index - 1))

    def _is_cast_end(self, index: int = -1) -> bool:
        """Does the `)` at `index` close a cast?"""
        index = index % len(self._before)
        return (
            self._before[index] == ")"
            and index >= 2
            and (self._before[index - 1] in _TYPES and self._before[index - 2] == "(")
        )
