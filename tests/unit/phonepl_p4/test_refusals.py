"""What P4 cannot express, word for word, against the golden files in refused/."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets import CannotBeExpressed, NotExpressible
from phonepl.targets.p4.source import generate

FOLDER = Path(__file__).parent / "refused"
PROGRAMS = sorted(FOLDER.glob("*.phonepl"))
DOCUMENT = (Path(__file__).parents[3] / "docs" / "phonepl" / "targets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_message_names_construct_reason_and_line(path: Path) -> None:
    with pytest.raises(NotExpressible) as refused:
        generate(compile_source(path.read_text(encoding="utf-8"), path.name))
    assert f"{refused.value}\n" == path.with_suffix(".expected").read_text(encoding="utf-8")
    for diagnostic in refused.value.diagnostics:
        assert isinstance(diagnostic, CannotBeExpressed) and diagnostic.advice


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_program_is_right_elsewhere(path: Path) -> None:
    assert CliRunner().invoke(app, ["run", str(path)]).exit_code == 0


@pytest.mark.parametrize(
    "arguments", [["run", "--target", "p4"], ["compile", "--emit", "p4"]], ids=["run", "emit"]
)
def test_a_refusal_is_exit_code_3(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, [*arguments, str(PROGRAMS[0])])
    assert result.exit_code == 3
    assert "p4 cannot express" in result.stderr and f"{PROGRAMS[0]}:" in result.stderr


def test_the_document_lists_every_refusal() -> None:
    """Each program stands in the table by its file's name in words."""
    for path in PROGRAMS:
        if path.stem != "two_reasons_in_two_methods":
            assert f"| {path.stem.replace('_', ' ')} |" in DOCUMENT, path.stem
