"""The canonical layout of a session's text: one statement a line, blocks indented, comments kept."""

from __future__ import annotations

from lark import Token

from controller.program.parse import tokens

_INDENT = "  "
_CLOSE_BEFORE = {";", ",", ".", "..", "}"}
_WEIGHTS = {"NUMBER", "RATIO"}
_CLOSE_AFTER = {".", ".."}


def lay_out(text: str) -> str:
    """The same session in canonical layout.  ``text`` is one that ``parse`` takes."""
    return _Layout(text).run()


class _Layout:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[str] = []
        self.line = ""
        self.depth = 0
        self.previous: Token | None = None

    def run(self) -> str:
        end = 0
        for token in tokens(self.text):
            assert token.start_pos is not None and token.end_pos is not None
            self.gap(self.text[end : token.start_pos])
            self.token(token)
            end = token.end_pos
        self.gap(self.text[end:])
        self.break_line()
        return "\n".join(self.lines) + "\n"

    def gap(self, between: str) -> None:
        """White space and comments between two tokens; an empty line between statements stays one."""
        first, *rest = between.split("\n")
        if "#" in first:
            self.comment(first, behind=True)
        blank = False
        for line in rest[:-1] if rest else []:
            if "#" in line:
                self.blank(blank)
                self.comment(line, behind=False)
                blank = False
            else:
                blank = True
        if rest and "#" in rest[-1]:  # the text's last line, without an end
            self.blank(blank)
            self.comment(rest[-1], behind=False)
        else:
            self.blank(blank)

    def comment(self, line: str, behind: bool) -> None:
        comment = line[line.index("#") :].rstrip()
        if behind and self.line:
            self.lines.append(f"{_INDENT * self.depth}{self.line}  {comment}")
            self.line = ""
        elif behind and self.lines and self.lines[-1]:
            self.lines[-1] += f"  {comment}"
        else:
            self.break_line()
            self.lines.append(_INDENT * self.depth + comment)

    def blank(self, wanted: bool) -> None:
        if wanted and not self.line and self.lines and self.lines[-1] and not self.lines[-1].endswith("{"):
            self.lines.append("")

    def token(self, token: Token) -> None:
        if token == "}":
            self.break_line()
            if self.lines and not self.lines[-1]:
                self.lines.pop()
            self.depth -= 1
        self.line += (" " if self.spaced(token) else "") + token
        if token in ("{", "}", ";"):
            self.break_line()
            self.depth += token == "{"
        self.previous = token

    def spaced(self, token: Token) -> bool:
        before = self.previous
        if not self.line or before is None or token in _CLOSE_BEFORE or before in _CLOSE_AFTER:
            return False
        # A weight's colon, and a unit that stands apart from its number.
        if token == ":" and before.type in _WEIGHTS:
            return False
        if before == ":" and token.type in _WEIGHTS:
            return False
        return not (before.type == "NUMBER" and token.type == "NAME")

    def break_line(self) -> None:
        if self.line:
            self.lines.append(_INDENT * self.depth + self.line)
            self.line = ""
