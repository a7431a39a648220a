"""Builds the bundles of the example sessions: tar files whose `/run` a guest starts.

The same sources and compiler give the same bytes: members are sorted, without times and owners.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dipronn.errors import Unavailable

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = _ROOT / "examples"
_GUEST_LIBRARY = _ROOT / "vmhost" / "guest" / "lib"
_COMPILER = "gcc"
_COMPILE_TIMEOUT = 120.0


@dataclass(frozen=True)
class Bundle:
    """What goes into one bundle.

    `files` maps names in the bundle to files of the project. `c_sources`, if there are any, are compiled and
    linked statically, with `libraries`, into `run`: a guest has no shared libraries.
    """

    name: str
    files: Mapping[str, Path] = field(default_factory=dict)
    c_sources: tuple[Path, ...] = ()
    libraries: tuple[str, ...] = ()


def _c_program(name: str, folder: Path, libraries: tuple[str, ...], *sources: str) -> Bundle:
    own = tuple(folder / source for source in sources)
    return Bundle(name, c_sources=(*own, _GUEST_LIBRARY / "dipronn_guest.c"), libraries=libraries)


def _python_program(name: str, folder: Path) -> Bundle:
    modules = {path.name: path for path in folder.glob("*.py")}
    return Bundle(name, files={"run": folder / "run", **modules})


_SEAL = _EXAMPLES / "demo" / "seal"

DEMO_BUNDLES = (
    _python_program("thin", _EXAMPLES / "demo" / "thin"),
    _c_program("seal", _SEAL, ("sodium",), "seal.c", "sealing.c"),
    _c_program("open", _SEAL, ("sodium",), "open.c", "sealing.c"),
)
HELLO_BUNDLES = (_python_program("greet", _EXAMPLES / "hello" / "greet"),)


def build(into: Path, bundles: Iterable[Bundle] = DEMO_BUNDLES) -> dict[str, Path]:
    """Writes each bundle as `<name>.tar` into a directory, made if need be; returns the files by that name.

    Each file is replaced as a whole. Raises Unavailable if a program does not compile here.
    """
    into.mkdir(parents=True, exist_ok=True)
    return {f"{bundle.name}.tar": _build(bundle, into / f"{bundle.name}.tar") for bundle in bundles}


def _build(bundle: Bundle, path: Path) -> Path:
    contents = {name: source.read_bytes() for name, source in bundle.files.items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{bundle.name}-") as scratch:
        if bundle.c_sources:
            contents["run"] = _compile(bundle, Path(scratch) / "run")
        unfinished = Path(scratch) / path.name
        unfinished.write_bytes(_tar(contents))
        unfinished.replace(path)
    return path


def _compile(bundle: Bundle, binary: Path) -> bytes:
    command = [
        *(_COMPILER, "-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"),
        *("-static", "-s", "-Wl,--build-id=none", f"-ffile-prefix-map={_ROOT}=."),
        *("-I", str(_GUEST_LIBRARY), "-o", str(binary)),
        *map(str, bundle.c_sources),
        *(f"-l{library}" for library in bundle.libraries),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_TIMEOUT, check=False)
    except FileNotFoundError as error:
        raise Unavailable(f"{_COMPILER} is not installed; `make setup` installs it") from error
    if done.returncode:
        raise Unavailable(
            f"program {bundle.name} does not compile; `make setup` installs the libraries that it needs "
            f"({', '.join(bundle.libraries) or 'none'}):\n{done.stderr.strip()}"
        )
    return binary.read_bytes()


def _tar(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755 if name == "run" else 0o644
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
