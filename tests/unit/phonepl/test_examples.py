"""The examples: each does to its captures what they say, and the captures are what their script makes."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from phonepl.command import app
from phonepl.parser import tokens

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"


def _captures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("phonepl_example_captures", FOLDER / "captures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CAPTURES = _captures()
EXAMPLES = {example.program: example for example in CAPTURES.EXAMPLES}


def test_every_example_has_captures() -> None:
    assert {path.stem for path in FOLDER.glob("*.phonepl")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_captures_are_what_the_script_makes(name: str) -> None:
    kept = {path.name: path.read_bytes() for path in (FOLDER / "captures" / name).iterdir()}
    assert kept == CAPTURES.files(EXAMPLES[name])


@pytest.mark.req("P7", "P8", "P36", "P67", "P70", "P71")
@pytest.mark.parametrize("more", [[], ["--no-opt"]], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_its_captures_say(name: str, more: list[str], tmp_path: Path) -> None:
    example, folder = EXAMPLES[name], FOLDER / "captures" / name
    arguments = ["run", str(FOLDER / f"{name}.phonepl"), *more]
    for stream in example.inputs:
        arguments += ["--in", f"{stream}={folder}/in-{stream}.pcap"]
    for stream in example.outputs:
        arguments += ["--out", f"{stream}={tmp_path}/{stream}.pcap"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    for stream in example.outputs:
        assert (tmp_path / f"{stream}.pcap").read_bytes() == (folder / f"out-{stream}.pcap").read_bytes(), (
            stream
        )
    report = json.loads(result.stdout)
    assert {kind: count for kind, count in report["drops"].items() if count} == example.drops


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_laid_out_and_explained(name: str) -> None:
    path = str(FOLDER / f"{name}.phonepl")
    assert CliRunner().invoke(app, ["fmt", "--check", path]).exit_code == 0
    report = CliRunner().invoke(app, ["explain", path])
    assert report.exit_code == 0 and "slow memory never" in report.stdout


TUTORIAL = (FOLDER.parents[1] / "docs" / "phonepl" / "tutorial.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^## ", TUTORIAL, flags=re.MULTILINE)[1:]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.split("\n")[0])
def test_the_tutorial_shows_the_examples_as_they_are(section: str) -> None:
    (name,) = set(re.findall(r"`(\w+)\.phonepl`", section))
    spelled = " ".join(tokens((FOLDER / f"{name}.phonepl").read_text(encoding="utf-8")))
    shown = re.findall(r"```java\n(.*?)```", section, flags=re.DOTALL)
    assert shown
    for part in (part for block in shown for part in block.split("\n\n")):
        assert " ".join(tokens(part)) in spelled, part


def test_the_tutorial_has_a_section_for_every_example() -> None:
    assert set(re.findall(r"`(\w+)\.phonepl`", TUTORIAL)) == set(EXAMPLES)
