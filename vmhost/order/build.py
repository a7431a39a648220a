"""The sequencer's binary, compiled once per source by the host's own compiler and kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from dipronn.errors import Unavailable

FOLDER = Path(__file__).parent
SOURCES = ("sequencer.c", "reorder.c", "token.c", "rings.c")
HEADERS = ("reorder.h", "token.h", "rings.h")
_COMMAND = ("gcc", "-O2", "-Wall", "-Wextra", "-Werror")


def sequencer_binary(cache: Path) -> Path:
    """Where the binary lies, in ``cache``. Raises Unavailable, with the compiler's words."""
    text = "".join((FOLDER / name).read_text() for name in (*SOURCES, *HEADERS))
    digest = hashlib.sha256(f"{os.uname().machine}{_COMMAND}{text}".encode()).hexdigest()
    binary = cache / f"sequencer-{digest[:24]}"
    if binary.exists():
        return binary
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sequencer-", dir=cache) as folder:
        made = Path(folder) / "sequencer"
        sources = [str(FOLDER / name) for name in SOURCES]
        try:
            done = subprocess.run(
                [*_COMMAND, "-o", str(made), *sources], capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            raise Unavailable("no gcc here, which ordered outputs need; install the package gcc") from None
        if done.returncode:
            raise Unavailable(f"the sequencer does not compile here: {done.stderr.strip()[-2000:]}")
        made.rename(binary)
    return binary
