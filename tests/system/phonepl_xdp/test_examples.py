"""Every example does on XDP what its stored captures say, which the interpreter made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl import capture
from phonepl.command import app

pytestmark = pytest.mark.root

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
NAMES = sorted(path.stem for path in FOLDER.glob("*.phonepl"))


def _run(name: str, target: str, captures: Path, into: Path, *more: str) -> dict[str, dict[str, int]]:
    """The captures of an example through a target; what it printed of streams and drops."""
    into.mkdir()
    arguments = ["run", "--target", target, str(FOLDER / f"{name}.phonepl"), *more]
    for path in sorted(captures.glob("in-*.pcap")):
        arguments += ["--in", f"{path.stem[3:]}={path}"]
    for path in sorted((FOLDER / "captures" / name).glob("out-*.pcap")):
        arguments += ["--out", f"{path.stem[4:]}={into}/{path.name}"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report.pop("target") == target
    found: dict[str, dict[str, int]] = report
    return found


@pytest.mark.req("P3", "P7", "P67", "P70", "P71")
@pytest.mark.parametrize("more", [(), ("--no-opt",)], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_on_xdp_what_the_interpreter_does(
    name: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    for path in (FOLDER / "captures" / name).glob("in-*.pcap"):
        # Ethernet drivers hand over no frame under 14 bytes; elsewhere such packets are examples too.
        read = capture.read(path)
        kept = [record for record in read.records if len(record.data) >= 14]
        capture.write(captures / path.name, read.link_type, kept, read.nanoseconds)
    expected = _run(name, "interpreter", captures, tmp_path / "interpreter", *more)
    found = _run(name, "xdp", captures, tmp_path / "xdp", *more)
    assert found == expected
    made = sorted(path.name for path in (tmp_path / "interpreter").iterdir())
    assert made
    for file in made:
        assert (tmp_path / "xdp" / file).read_bytes() == (tmp_path / "interpreter" / file).read_bytes(), file
