from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpf.maps import BPFFS, remove_pins
from tests.system.ebpf.rig import Rig, rig

_counter = itertools.count()


@pytest.fixture
def unit(prefix: str) -> Iterator[Rig]:
    """A namespace without devices yet."""
    with rig(f"{prefix}o{next(_counter)}") as made:
        yield made


@pytest.fixture
def pins(prefix: str) -> Iterator[Path]:
    folder = BPFFS / f"{prefix}order{next(_counter)}"
    yield folder
    remove_pins(folder)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sequencer")
