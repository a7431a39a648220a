"""What stands in p4/build is what the source says, and what the rows' translation expects."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from controller.drivers.p4runtime import entries
from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT, P4, SOURCES, Pipeline, source_hash
from controller.steering.drops import Drop
from controller.steering.model import EndpointKind, LinkKind, Selector, Unmatched
from dipronn.errors import Unavailable

NOT_AT_AN_EDGE = {
    Drop.SPOOFED_MAC,
    Drop.SPOOFED_ADDRESS,
    Drop.GUEST_FORBIDDEN,
    Drop.GUEST_RATE,
    Drop.DEVICE_DROP,
    Drop.NOT_REWRITABLE,
    Drop.RATE_LIMITED,
}
LATER_DROPS = 37
"""The first number that no reason had when the pipeline was written."""


@pytest.mark.parametrize("program", SOURCES)
def test_the_artefacts_are_of_this_source(program: str) -> None:
    recorded = (P4 / "build" / f"{program}.sha256").read_text().strip()
    assert recorded == source_hash(program=program), "p4/build is stale: run `make p4`, commit what it makes"


def test_a_changed_source_has_another_hash(tmp_path: Path) -> None:
    shutil.copytree(P4, tmp_path / "p4")
    assert source_hash(tmp_path / "p4") == source_hash()
    for name in ("shared/sizes.p4", "shared/parser.p4", "v1model/steering.p4"):
        before = source_hash(tmp_path / "p4")
        with (tmp_path / "p4" / name).open("a") as file:
            file.write("\n")
        assert source_hash(tmp_path / "p4") != before, name


@pytest.mark.skipif(not shutil.which("p4c-bm2-ss"), reason="needs p4c-bm2-ss")
def test_compiling_again_gives_the_same(tmp_path: Path) -> None:
    shutil.copytree(P4, tmp_path / "p4", ignore=shutil.ignore_patterns("build"))
    (tmp_path / ".venv").symlink_to(P4.parent / ".venv")
    (tmp_path / "controller").symlink_to(P4.parent / "controller")
    (tmp_path / "dipronn").symlink_to(P4.parent / "dipronn")
    subprocess.run([tmp_path / "p4" / "build.sh"], check=True, cwd=tmp_path)
    for program in SOURCES:
        info = f"{program}.p4info.txtpb"
        assert (tmp_path / "p4" / "build" / info).read_text() == (P4 / "build" / info).read_text()
        made, kept = (
            json.loads((folder / "build" / f"{program}.json").read_text()) for folder in (tmp_path / "p4", P4)
        )
        assert [table["name"] for table in made["pipelines"][0]["tables"]] == [
            table["name"] for table in kept["pipelines"][0]["tables"]
        ]


def test_no_artefacts_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="make p4"):
        Pipeline.load(tmp_path)


def test_the_folder_shadows_no_package() -> None:
    assert not (P4 / "__init__.py").exists(), "it would hide the package p4 of P4Runtime"


def test_artefacts_tell_nothing_of_where_they_were_made() -> None:
    assert not re.search(r"/(home|root|tmp|work|opt|usr)/", (P4 / "build" / "steering.json").read_text())


# names and numbers


def _constants(path: str, kind: str) -> dict[str, int]:
    text = (P4 / path).read_text()
    return {name: int(value, 0) for name, value in re.findall(rf"const {kind} (\w+) = (\w+);", text)}


def _defines(path: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)\n", (P4 / path).read_text())}


def test_reasons_to_drop_have_their_numbers() -> None:
    edge = {drop.name: int(drop) for drop in Drop if drop not in NOT_AT_AN_EDGE and drop < LATER_DROPS}
    assert _constants("shared/drops.p4", "drop_t") == edge
    assert max(Drop) < _defines("shared/drops.p4")["DROP_SIZE"]


def test_kinds_have_their_numbers() -> None:
    constants = _constants("shared/headers.p4", r"bit<\d+>")
    for prefix, enum in (
        ("LINK", LinkKind),
        ("UNMATCHED", Unmatched),
        ("SOURCES", entries.Sources),
        ("SELECTOR", Selector),
        ("ENDPOINT", EndpointKind),
    ):
        found = {
            name.removeprefix(f"{prefix}_"): value for name, value in constants.items() if prefix in name
        }
        assert found, prefix
        assert found.items() <= {member.name: int(member) for member in enum}.items()


def test_sizes_are_shared() -> None:
    sizes = _defines("shared/sizes.p4")
    for name in ("FORK_BRANCHES", "CHANNEL_SIZE", "GROUP_SIZE"):
        assert sizes[name] == getattr(entries, name)
    assert _constants("v1model/steering.p4", "port_t")["CONTROLLER"] == CONTROLLER_PORT


def test_tables_have_the_names_of_the_model() -> None:
    assert set(Pipeline.load().tables) == {
        "link", "flow", "flow6", "flow_wild", "flow6_wild", "peer", "peer6",
        "artp", "override", "next_hop", "next_hop6",
        "fork", "channel", "slot", "endpoint", "unit",
    }  # fmt: skip
