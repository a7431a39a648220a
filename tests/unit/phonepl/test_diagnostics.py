"""Every diagnostic, word for word, against the golden files in diagnostics/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from phonepl.compiler import compile_source, read_source
from phonepl.diagnostics import Diagnostic, FileTooLarge, ProgramError, render
from phonepl.targets import CannotBeExpressed

FOLDER = Path(__file__).parent / "diagnostics"
PROGRAMS = sorted(FOLDER.glob("*.phonepl"))


def _kinds(base: type[Diagnostic] = Diagnostic) -> Iterator[type[Diagnostic]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _refusal(path: Path) -> ProgramError:
    with pytest.raises(ProgramError) as refused:
        compile_source(read_source(path), path.name)
    return refused.value


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_message_is_as_agreed(path: Path) -> None:
    try:
        error = _refusal(path)
    except ProgramError as unreadable:  # not even text
        error = unreadable
    shown = "\n".join(render(d, error.source, path.name) for d in error.diagnostics) + "\n"
    assert shown == path.with_suffix(".expected").read_text(encoding="utf-8")
    assert path.stem in {type(d).__name__ for d in error.diagnostics}


def test_every_diagnostic_has_a_golden_file() -> None:
    covered = {path.stem for path in PROGRAMS}
    # Too large to keep; tested below. What targets cannot express is tested with the targets.
    elsewhere = {FileTooLarge.__name__, CannotBeExpressed.__name__}
    ours = {kind.__name__ for kind in _kinds() if kind.__module__.startswith("phonepl.")}
    assert ours - elsewhere == covered


def test_a_file_of_more_than_a_mebibyte_is_refused() -> None:
    with pytest.raises(ProgramError, match="1048577 bytes; at most 1048576"):
        compile_source("\n" * ((1 << 20) + 1))


def test_several_errors_are_told_at_once() -> None:
    error = _refusal(FOLDER / "WrongType.phonepl")
    assert len(error.diagnostics) == 7


def test_a_tab_keeps_the_caret_below_its_text() -> None:
    source = "import A;\nclass T {\n\tvoid main() {\n\t\tnew\tU();\n\t}\n}\n"
    with pytest.raises(ProgramError) as refused:
        compile_source(source, "t")
    lines = str(refused.value).split("\n")
    at = lines.index("    \t\tnew\tU();")
    assert lines[at + 1].startswith("    \t\t^")


def test_loops_in_loops_have_a_limit() -> None:
    loops = "".join(f"for (int j{n} = 0; j{n} < 2; j{n}++) " for n in range(17))
    source = "import A; class T { T(NetStream a > go) { } void go(Packet i) { int x = 0; " + loops + "x++; } "
    with pytest.raises(ProgramError, match="nested more than 16 deep"):
        compile_source(source + "void main() { new T(new A()); } }")
