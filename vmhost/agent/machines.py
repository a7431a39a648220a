"""The VM driver of a unit, ready to start machines."""

from __future__ import annotations

import asyncio

from vmhost.agent.config import AgentConfig
from vmhost.agent.store import Store
from vmhost.vm.image import prepare_images
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.trial import choose_machine


async def open_driver(config: AgentConfig, store: Store) -> QemuDriver:
    """Prepare guest images and find the machine that boots here, unless the cache knows; raises Unavailable.

    The first time on a host this fetches and builds for a minute; afterwards it takes milliseconds.
    """
    images = await asyncio.to_thread(prepare_images, config.cache)
    machine = await choose_machine(config.cache, images)
    return QemuDriver(store.vms, images, machine)
