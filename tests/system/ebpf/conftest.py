from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.system.ebpf.rig import Rig, rig

_counter = itertools.count()


@pytest.fixture
def unit(prefix: str) -> Iterator[Rig]:
    """A namespace without devices yet."""
    with rig(f"{prefix}e{next(_counter)}") as made:
        yield made
