"""Every data plane that conformance is tried on, made ready and put away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from tests.conformance.plane import DataPlane, OraclePlane
from tests.conformance.wires import wires
from tests.conformance.xdp_live import XdpLive
from tests.conformance.xdp_test_run import XdpTestRun


@contextmanager
def _xdp_live(prefix: str) -> Iterator[DataPlane]:
    with wires(f"{prefix}live") as made:
        yield XdpLive(made)


PLANES: dict[str, Callable[[str], AbstractContextManager[DataPlane]]] = {
    "oracle": lambda prefix: nullcontext(OraclePlane()),
    "xdp_test_run": lambda prefix: nullcontext(XdpTestRun()),
    "xdp_live": _xdp_live,
}
"""By name; each takes the prefix that the names of its namespaces and files must have."""
