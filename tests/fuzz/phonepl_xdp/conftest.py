"""The compiler raises the recursion limit, and Hypothesis warns of tests that do: it is done once, here."""

import sys
from collections.abc import Iterator

import pytest

sys.setrecursionlimit(20_000)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Thousands of generated programs are compiled; none of them is worth keeping."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
