"""Every data plane that conformance is tried on, made ready and put away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from tests.conformance.bmv2 import bmv2
from tests.conformance.plane import DataPlane, OraclePlane
from tests.conformance.wires import wires
from tests.conformance.xdp_live import XdpLive
from tests.conformance.xdp_test_run import XdpTestRun


@contextmanager
def _xdp_live() -> Iterator[DataPlane]:
    with wires() as made:
        yield XdpLive(made)


PLANES: dict[str, Callable[[], AbstractContextManager[DataPlane]]] = {
    "oracle": lambda: nullcontext(OraclePlane()),
    "xdp_test_run": lambda: nullcontext(XdpTestRun()),
    "xdp_live": _xdp_live,
    "bmv2": bmv2,
}
