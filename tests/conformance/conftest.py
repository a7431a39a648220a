from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.plane import DataPlane
from tests.conformance.planes import PLANES


@pytest.fixture(scope="module", params=list(PLANES))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlane]:
    """Each data plane in turn."""
    yield PLANES[request.param]()
