from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.system.ebpf.rig import Rig, rig

_counter = itertools.count()


@pytest.fixture
def wires(prefix: str) -> Iterator[Rig]:
    """A namespace with the devices `port-a` and `port-b`."""
    with rig(f"{prefix}p{next(_counter)}") as made:
        made.veth("port-a")
        made.veth("port-b")
        yield made
