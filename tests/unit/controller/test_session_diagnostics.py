"""Every diagnostic of the session language, word for word, against the golden files in diagnostics/."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import controller.program
from controller.program import Diagnostic, Parsed, check, check_json, check_text, render_all
from controller.program.parse import MAX_BYTES
from dipronn.v1 import session_pb2 as pb

FOLDER = Path(__file__).parent / "diagnostics"
CASES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".dpn", ".json"))
SOURCES = Path(controller.program.__file__).parent
REPORTING = {"error", "unknown", "unwired", "family_warning", "Diagnostic"}
"""What is called where something is wrong."""

Site = tuple[str, int, int]
"""A call that reports: file, first line, last line."""


def judged(path: Path) -> tuple[str, Parsed]:
    text = path.read_text(encoding="utf-8")
    return text, (check_text if path.suffix == ".dpn" else check_json)(text)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_message_is_as_agreed(path: Path) -> None:
    text, parsed = judged(path)
    shown = render_all(parsed.diagnostics, path.name, text) + "\n"
    assert shown == path.with_suffix(".expected").read_text(encoding="utf-8")
    for one in parsed.diagnostics:
        assert one.place is not None or path.suffix == ".json", "in a text every fault has a line"


def reporting_sites() -> Iterator[Site]:
    for source in sorted(SOURCES.glob("*.py")):
        if source.name == "support.py":
            continue  # what this node does not run yet: test_program.py
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
                if name in REPORTING:
                    yield str(source), node.lineno, node.end_lineno or node.lineno


def test_every_place_that_reports_has_a_golden_case(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: set[tuple[str, int]] = set()
    make = Diagnostic.__init__

    def noted(self: Diagnostic, *arguments: object, **named: object) -> None:
        frame = sys._getframe(1)
        while frame.f_back is not None:
            if frame.f_code.co_filename.startswith(str(SOURCES)):
                reached.add((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        make(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Diagnostic, "__init__", noted)
    for path in CASES:
        judged(path)
    check_text("#" * (MAX_BYTES + 1))  # too large to keep
    check_json(" " * (MAX_BYTES + 1))
    check(pb.Program(owner="x" * (MAX_BYTES + 1)))
    silent = [
        (Path(file).name, first)
        for file, first, last in reporting_sites()
        if not any(file == other and first <= line <= last for other, line in reached)
    ]
    assert silent == []
