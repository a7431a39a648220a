"""What p4c makes of a generated program, and the files that keep it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phonepl.targets import NotAvailable
from phonepl.targets.p4.source import Generated, Manifest

COMPILER = "p4c-bm2-ss"
PATIENCE = 120.0
"""Seconds that p4c may take; it takes half of one."""
_POSITIONS = ("source_info", "program")
"""Where something stands in the source, with its path: for debuggers, and different everywhere."""


@dataclass(frozen=True)
class Pipeline:
    """What bmv2 runs, and the P4Info that its controller speaks by, both as text."""

    json: str
    info: str


def is_here() -> bool:
    """Is p4c installed?"""
    return shutil.which(COMPILER) is not None


def compiled(generated: Generated) -> Pipeline:
    """The program compiled; raises as `compile_source`."""
    return compile_source(generated.manifest.name, generated.text)


def compile_source(name: str, text: str, defines: Sequence[str] = ()) -> Pipeline:
    """P4 for v1model compiled; raises NotAvailable where p4c is missing, or does not take the program."""
    if not is_here():
        raise NotAvailable(f"P4 is compiled by {COMPILER}, which is not on PATH; it comes with p4c (p4lang)")
    with tempfile.TemporaryDirectory(prefix="phonepl-") as folder:
        source, made, info = (Path(folder) / name for name in ("p.p4", "p.json", "p.txtpb"))
        source.write_text(text, encoding="utf-8")
        command = [
            COMPILER,
            "--Wdisable",
            *(f"-D{each}" for each in defines),
            str(source),
            "-o",
            str(made),
            "--p4runtime-files",
            str(info),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired as late:
            raise NotAvailable(f"{COMPILER} did not end within {PATIENCE:.0f} s") from late
        if done.returncode or not made.exists():
            raise NotAvailable(f"{COMPILER} does not take {name}: {done.stderr[-2000:].strip()}")
        bare = _without_positions(json.loads(made.read_text(encoding="utf-8")))
        return Pipeline(
            json.dumps(bare, separators=(",", ":"), sort_keys=True) + "\n", info.read_text(encoding="utf-8")
        )


def _without_positions(node: object) -> object:
    if isinstance(node, dict):
        return {key: _without_positions(value) for key, value in node.items() if key not in _POSITIONS}
    return [_without_positions(item) for item in node] if isinstance(node, list) else node


def source_hash(generated: Generated) -> str:
    """SHA-256 of the P4 source: kept beside what p4c made of it, to tell a stale artefact."""
    return hashlib.sha256(generated.text.encode()).hexdigest()


def write(generated: Generated, folder: Path) -> list[Path]:
    """NAME.p4, and NAME.ports.json for its controller."""
    name = generated.manifest.name
    source, manifest = folder / f"{name}.p4", folder / f"{name}.ports.json"
    source.write_text(generated.text, encoding="utf-8")
    manifest.write_text(generated.manifest.to_json(), encoding="utf-8")
    return [source, manifest]


def compile(generated: Generated, folder: Path) -> list[Path]:
    """NAME.json, NAME.p4info.txtpb, and NAME.sha256 of the source that they came from."""
    name = generated.manifest.name
    pipeline = compiled(generated)
    made = [folder / f"{name}.json", folder / f"{name}.p4info.txtpb", folder / f"{name}.sha256"]
    for path, text in zip(made, (pipeline.json, pipeline.info, source_hash(generated) + "\n"), strict=True):
        path.write_text(text, encoding="utf-8")
    return made


def load(name: str, folder: Path) -> tuple[Manifest, Pipeline]:
    """What `write` and `compile` left; raises NotAvailable where it is not all there."""
    try:
        ports, made, info = (
            (folder / f"{name}.{ending}").read_text(encoding="utf-8")
            for ending in ("ports.json", "json", "p4info.txtpb")
        )
    except OSError as missing:
        raise NotAvailable(f"{missing.filename} is missing: compile the program --target p4") from missing
    return Manifest.from_json(ports), Pipeline(made, info)
