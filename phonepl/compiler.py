"""The front door: source text to checked program."""

from __future__ import annotations

import sys
from pathlib import Path

from phonepl.checker import check
from phonepl.parser import MAXIMUM_BYTES, decode, parse
from phonepl.types import Checked


def read_source(path: Path) -> str:
    """The text of a file; raises ProgramError where it is not UTF-8, OSError where it cannot be read."""
    with path.open("rb") as file:
        return decode(file.read(MAXIMUM_BYTES + 1), str(path))


def check_source(source: str, file: str = "<source>") -> Checked:
    """The checked program; raises ProgramError with all that is wrong."""
    # The passes recurse over the tree, whose depth the parser has bounded (syntax.Program.MAXIMUM_DEPTH).
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
    return check(parse(source, file), source, file)
