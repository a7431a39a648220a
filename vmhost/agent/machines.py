"""The VM driver of a unit, ready to start machines."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vmhost.agent.config import AgentConfig
from vmhost.agent.store import Store
from vmhost.vm.cgroups import Cgroups, group_name
from vmhost.vm.image import GuestImages, prepare_images
from vmhost.vm.machine import Machine
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.trial import choose_machine


async def prepare(cache: Path) -> tuple[GuestImages, Machine]:
    """Guest images and the machine that boots here; raises Unavailable.

    The first time on a host this fetches packages and builds for a minute, so it needs a way to them;
    afterwards the cache knows, and it takes milliseconds.
    """
    images = await asyncio.to_thread(prepare_images, cache)
    return images, await choose_machine(cache, images)


async def open_driver(config: AgentConfig, store: Store) -> QemuDriver:
    """The driver of the unit's machines; see ``prepare``."""
    prepared = await prepare(config.cache)
    return QemuDriver(store.vms, *prepared, cgroups=cgroups(config, store), policy=config.limits)


def cgroups(config: AgentConfig, store: Store) -> Cgroups:
    """Where the unit's machines are held to their limits, as far as this host can."""
    return Cgroups(group_name(config.pins), store.folder, cores=config.resources.cpu)
