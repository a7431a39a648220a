"""Bundles by content: fetched once, believed only when their hash is right, kept within bounds."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dipronn.errors import InvalidSession, Unavailable
from vmhost.agent import bundles
from vmhost.agent.bundles import BundleCache


class Source:
    """Sends what it has, in small chunks, and counts how often it was asked."""

    def __init__(self, *contents: bytes) -> None:
        self.by_name = {hashlib.sha256(each).digest(): each for each in contents}
        self.asked = 0

    async def fetch(self, sha256: bytes) -> AsyncIterator[bytes]:
        self.asked += 1
        data = self.by_name[sha256]
        for start in range(0, len(data), 7):
            await asyncio.sleep(0)
            yield data[start : start + 7]


def name(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def contents_of(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.iterdir()}


async def test_a_bundle_is_fetched_once(tmp_path: Path) -> None:
    source = Source(b"some program")
    cache = BundleCache(tmp_path, source.fetch)
    paths = await asyncio.gather(*(cache.ensure(name(b"some program")) for _ in range(5)))
    assert {path.read_bytes() for path in paths} == {b"some program"}
    assert source.asked == 1


async def test_a_lie_about_the_content_is_found(tmp_path: Path) -> None:
    source = Source()
    source.by_name[name(b"wanted")] = b"sent instead"
    with pytest.raises(Unavailable, match="12 bytes with SHA-256"):
        await BundleCache(tmp_path, source.fetch).ensure(name(b"wanted"))
    assert contents_of(tmp_path) == set()


async def test_a_bundle_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "MAX_BUNDLE", 20)
    with pytest.raises(Unavailable, match="more than 20 bytes"):
        await BundleCache(tmp_path, Source(b"x" * 100).fetch).ensure(name(b"x" * 100))
    assert contents_of(tmp_path) == set()


@pytest.mark.parametrize("sha256", [b"", b"short", b"../../etc/passwd", bytes(33)])
def test_a_name_that_is_no_hash_is_refused(tmp_path: Path, sha256: bytes) -> None:
    with pytest.raises(InvalidSession, match="a SHA-256 has 32"):
        BundleCache(tmp_path, Source().fetch).path(sha256)


async def test_the_least_recently_used_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [bytes([number]) * 10 for number in range(4)]
    cache = BundleCache(tmp_path, Source(*contents).fetch)
    for age, data in enumerate(contents):
        os.utime(await cache.ensure(name(data)), (age, age))
    monkeypatch.setattr(bundles, "MAX_CACHE", 20)
    cache.trim({name(contents[0])})  # the oldest, but in use
    assert contents_of(tmp_path) == {contents[0], contents[2], contents[3]}
