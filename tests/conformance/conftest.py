from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.plane import DataPlane
from tests.conformance.planes import PLANES

NEEDS = {"oracle": [], "bmv2": [pytest.mark.bmv2]}
PARAMETERS = [
    pytest.param(make, id=name, marks=NEEDS.get(name, [pytest.mark.root])) for name, make in PLANES.items()
]


@pytest.fixture(scope="module", params=PARAMETERS)
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlane]:
    """Each data plane in turn."""
    with request.param() as plane:
        yield plane
