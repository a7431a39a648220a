"""The cache of compiled objects does not grow without bound, and keeps what is used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ebpf import object_cache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return object_cache.cache_folder()


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_what_is_written_is_read() -> None:
    assert object_cache.read("a") is None
    object_cache.write("a", "one")
    object_cache.write("a", "two")
    assert object_cache.read("a") == "two"


def test_what_was_used_longest_ago_is_dropped_first(folder: Path) -> None:
    for age, name in enumerate(("new", "middle", "old")):
        object_cache.write(name, "x" * 10)
        _age(folder / name, 100 * (age + 1))
    assert object_cache.read("old") is not None  # used again
    object_cache.write("newest", "x" * 10, limit=30)
    assert {path.name for path in folder.iterdir()} == {"new", "old", "newest"}


def test_it_stays_within_its_limit_whatever_is_compiled(folder: Path) -> None:
    for number in range(200):
        object_cache.write(str(number), "x" * 100, limit=1000)
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 1000


def test_what_a_crash_left_behind_goes(folder: Path) -> None:
    object_cache.write("a", "one")
    left, current = folder / ".unfinished-1", folder / ".unfinished-2"
    left.write_text("half")
    _age(left, 2 * object_cache.ABANDONED)
    current.write_text("somebody writes it now")
    object_cache.write("b", "two")
    assert {path.name for path in folder.iterdir()} == {"a", "b", current.name}
