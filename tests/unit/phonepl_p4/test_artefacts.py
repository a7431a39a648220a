"""What is kept of the examples in P4 is what the compiler makes of them now."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets.p4 import p4c
from phonepl.targets.p4.source import generate

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
EXAMPLES = sorted(FOLDER.glob("*.phonepl"))
KEPT = FOLDER / "p4"
AGAIN = (
    "stale: run `python -m phonepl compile --target p4 -o examples/phonepl/p4 FILE` where p4c is installed"
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_artefacts_of_an_example_are_not_stale(path: Path) -> None:
    made = generate(compile_source(path.read_text(encoding="utf-8"), path.name))
    name = made.manifest.name
    assert (KEPT / f"{name}.p4").read_text(encoding="utf-8") == made.text, AGAIN
    assert (KEPT / f"{name}.ports.json").read_text(encoding="utf-8") == made.manifest.to_json(), AGAIN
    # p4c need not be here: the hash beside its output tells of which source that is.
    assert (KEPT / f"{name}.sha256").read_text().strip() == hashlib.sha256(made.text.encode()).hexdigest(), (
        AGAIN
    )
    manifest, pipeline = p4c.load(name, KEPT)
    assert manifest == made.manifest
    assert {parser["name"] for parser in json.loads(pipeline.json)["parsers"]} == {"parser"}
    assert "drops" in pipeline.info


def test_nothing_else_is_kept() -> None:
    names = {generate(compile_source(path.read_text(encoding="utf-8"))).manifest.name for path in EXAMPLES}
    assert {path.name.split(".")[0] for path in KEPT.iterdir()} == names


@pytest.mark.skipif(not p4c.is_here(), reason="needs p4c-bm2-ss")
def test_p4c_makes_the_kept_artefacts_again(tmp_path: Path) -> None:
    path = FOLDER / "vlan.phonepl"
    result = CliRunner().invoke(app, ["compile", "--target", "p4", "-o", str(tmp_path), str(path)])
    assert result.exit_code == 0, result.stderr
    made = sorted(tmp_path.iterdir())
    assert result.stdout.split() and [each.name for each in made] == sorted(
        f"Vlan.{ending}" for ending in ("p4", "json", "p4info.txtpb", "ports.json", "sha256")
    )
    for each in made:
        if not each.name.endswith(".json") or each.name.endswith(
            ".ports.json"
        ):  # p4c's versions differ there
            assert each.read_bytes() == (KEPT / each.name).read_bytes(), each.name


def test_without_p4c_the_source_is_made_and_running_is_exit_code_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = str(FOLDER / "vlan.phonepl")
    result = CliRunner().invoke(app, ["compile", "--target", "p4", "-o", str(tmp_path / "made"), path])
    assert result.exit_code == 0, result.stderr
    assert {each.name for each in (tmp_path / "made").iterdir()} == {"Vlan.p4", "Vlan.ports.json"}
    result = CliRunner().invoke(app, ["run", "--target", "p4", path])
    assert result.exit_code == 4 and "p4c-bm2-ss" in result.stderr
