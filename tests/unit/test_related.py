"""What docs/related.md says of us is said by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "related.md"
LINK = re.compile(r"\]\(\.\./(tests/[\w/]+\.py)#(test_\w+)\)")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.req("D69")
@pytest.mark.req("A62")
@pytest.mark.req("A63")
def test_every_cell_of_ours_links_to_a_test() -> None:
    said = [row for row in rows() if row[0] not in ("", "---", "what it is")]
    assert len(said) > 15
    for row in said:
        assert LINK.search(row[-1]), f"{row[0]}: no test shows it"


def test_the_tests_exist() -> None:
    links = LINK.findall(PAGE.read_text())
    assert len(links) == PAGE.read_text().count("](../")
    for file, name in links:
        nodes = ast.walk(ast.parse((ROOT / file).read_text()))
        functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{file} has no {name}"
