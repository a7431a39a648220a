from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vmhost.order.build import FOLDER


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The logic of ``reorder.c`` and ``token.c``, to be called from here."""
    made = tmp_path_factory.mktemp("order") / "reorder.so"
    strict = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    sources = [str(FOLDER / name) for name in ("reorder.c", "token.c")]
    subprocess.run(["gcc", *strict, "-shared", "-fPIC", "-o", str(made), *sources], check=True)
    return made
