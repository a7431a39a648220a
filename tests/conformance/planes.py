"""Every data plane that conformance is tried on."""

from __future__ import annotations

from collections.abc import Callable

from tests.conformance.plane import DataPlane, OraclePlane
from tests.conformance.xdp_test_run import XdpTestRun

PLANES: dict[str, Callable[[], DataPlane]] = {"oracle": OraclePlane, "xdp_test_run": XdpTestRun}
