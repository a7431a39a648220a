"""What a test run left behind on this host, by the prefix that all its names carry.

Other runs may be under way on the same host, so nothing but the prefix tells whose a thing is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

BPFFS = Path("/sys/fs/bpf")
NAMESPACES = Path("/run/netns")
LINKS = Path("/sys/class/net")
CGROUPS = Path("/sys/fs/cgroup")


def find(prefix: str) -> list[str]:
    """Every namespace, link, pin, control group, process and temporary folder with ``prefix`` in its name."""
    found = [f"network namespace {name}" for name in _names(NAMESPACES) if prefix in name]
    found += [f"link {name}" for name in _names(LINKS) if prefix in name]
    found += [f"pin {path}" for path in _below(BPFFS) if prefix in path.name]
    found += [f"control group {path}" for path in _below(CGROUPS) if path.is_dir() and prefix in path.name]
    found += [f"process {pid}: {command}" for pid, command in _processes() if prefix in command]
    temporary = Path(tempfile.gettempdir())
    found += [f"temporary {temporary / name}" for name in _names(temporary) if prefix in name]
    return found


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _processes() -> Iterator[tuple[int, str]]:
    for name in _names(Path("/proc")):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            command = Path("/proc", name, "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        yield int(name), command.replace(b"\0", b" ").decode(errors="replace").strip()
