"""The example sessions say what the examples are: their text is sound and their bundles are built."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.program.check import check
from controller.program.parse import parse
from dipronn.demo.bundles import DEMO_BUNDLES, HELLO_BUNDLES, Bundle
from dipronn.v1 import session_pb2

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def read(name: str) -> session_pb2.Program:
    parsed = parse((EXAMPLES / name / f"{name}.dpn").read_text())
    assert not parsed.diagnostics
    assert not check(parsed.program, parsed.places)
    return parsed.program


@pytest.mark.parametrize(("name", "bundles"), [("demo", DEMO_BUNDLES), ("hello", HELLO_BUNDLES)])
def test_every_program_has_its_bundle(name: str, bundles: tuple[Bundle, ...]) -> None:
    wanted = {program.bundle for program in read(name).programs}
    assert wanted == {f"{bundle.name}.tar" for bundle in bundles}


def test_sealing_is_shared_by_two_in_turn() -> None:
    seal = next(program for program in read("demo").programs if program.name == "seal")
    assert (seal.min_instances, seal.max_instances) == (2, 2)
    assert seal.policy == session_pb2.POLICY_ROUND_ROBIN


def test_hello_has_thirty_lines_at_most() -> None:
    files = [path for path in (EXAMPLES / "hello").rglob("*") if path.suffix == ".dpn" or path.name == "run"]
    assert sum(len(path.read_text().splitlines()) for path in files) <= 30
