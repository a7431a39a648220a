"""Located messages about a session's text: ``FILE:LINE:COL: error: …``, the line with a caret, a hint."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_SHOWN = 120
"""Characters of a source line that are shown at most."""


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Place:
    """A character of the text, both numbers from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Diagnostic:
    """``path`` is the field of the message Program, for those who sent no text: ``programs[2].inputs[0]``."""

    severity: Severity
    message: str
    path: str = ""
    place: Place | None = None
    hint: str = ""

    def render(self, file_name: str, text: str = "") -> str:
        """The message as people read it; control characters of the untrusted text are not passed on."""
        where = f"{self.place.line}:{self.place.column}" if self.place else self.path
        head = f"{printable(file_name)}:{where}: " if where else f"{printable(file_name)}: "
        lines = [f"{head}{self.severity.value}: {printable(self.message)}"]
        if self.place:
            lines += _excerpt(text, self.place)
        if self.hint:
            lines.append(f"  hint: {printable(self.hint)}")
        return "\n".join(lines)


def render_all(diagnostics: list[Diagnostic], file_name: str, text: str = "") -> str:
    return "\n".join(diagnostic.render(file_name, text) for diagnostic in diagnostics)


def printable(text: str) -> str:
    """Without the control characters of a text that is not ours."""
    return "".join(character if character.isprintable() or character in "\t\n" else "�" for character in text)


def _excerpt(text: str, place: Place) -> list[str]:
    lines = text.split("\n")
    if place.line > len(lines):
        return []
    line = lines[place.line - 1].rstrip("\r")
    first = max(0, place.column - 1 - _SHOWN // 2)
    before = line[first : place.column - 1]
    margin = "".join("\t" if character == "\t" else " " for character in before)
    return ["  " + printable(line[first : first + _SHOWN]), f"  {margin}^"]
