"""What every test with guests needs: images and a machine type, made once, where packages can be reached."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmhost.agent.machines import prepare
from vmhost.vm.image import GuestImages
from vmhost.vm.machine import Machine

CACHE = Path(__file__).parents[2] / "build" / "vm-cache"


@pytest.fixture(scope="session")
def guests() -> tuple[GuestImages, Machine]:
    """Fetched and tried outside any namespace of a test: those have no way to Debian's packages."""
    return asyncio.run(prepare(CACHE))


@pytest.fixture(scope="session")
def images(guests: tuple[GuestImages, Machine]) -> GuestImages:
    return guests[0]


@pytest.fixture(scope="session")
def machine(guests: tuple[GuestImages, Machine]) -> Machine:
    return guests[1]
