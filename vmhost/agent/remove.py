"""Takes a unit down: its agent, machines, sequencers, taps, XDP programs, pins and files.

Works from whatever state an agent left, any number of times.
"""

from __future__ import annotations

import asyncio
import json

import structlog
from pyroute2 import AsyncIPRoute

from dipronn.errors import Unavailable
from ebpf.attachment import FORK_LINK
from ebpf.devices import attach_xdp, delete_device
from ebpf.loader import SteeringProgram
from ebpf.maps import remove_pins
from vmhost.agent import beacon
from vmhost.agent.config import AgentConfig
from vmhost.agent.links import interfaces
from vmhost.agent.machines import cgroups
from vmhost.agent.neighbours import NextHops
from vmhost.agent.store import Store
from vmhost.order import sequencers
from vmhost.vm.rundir import RunDirectory

_log = structlog.get_logger(__name__)


async def remove(config: AgentConfig) -> None:
    """End a running agent and remove all that the unit has. Raises TimedOut if something does not end."""
    store = Store(config.state)
    if config.state.exists():
        await asyncio.to_thread(store.end_holder)
        await asyncio.to_thread(beacon.forget, config.state)
        store.open()
        with store.lock():
            await _end_machines(config, store)
            await asyncio.to_thread(sequencers.end_all, config.state, config.pins)
            await _forget_neighbours(config)
            await _detach(config, store)
            store.remove()
    remove_pins(config.pins)
    _log.info("unit removed", unit=config.unit)


async def _end_machines(config: AgentConfig, store: Store) -> None:
    """Without a driver: that would need images, which only starting takes."""
    if store.vms.exists():
        directories = [RunDirectory(path) for path in store.vms.iterdir() if path.is_dir()]
        await asyncio.gather(*(asyncio.to_thread(directory.end) for directory in directories))
    await asyncio.to_thread(cgroups(config, store).remove_all)


async def _forget_neighbours(config: AgentConfig) -> None:
    async with NextHops([link.key for link in config.links], lambda _: None) as hops:
        await hops.release_all()


async def _detach(config: AgentConfig, store: Store) -> None:
    """The steering program off its devices, and its maps gone."""
    if not config.pins.exists():
        return
    try:
        SteeringProgram.load(pin_directory=config.pins).close(unpin=True)
    except Unavailable as error:
        # Pins of another version, or half of them: without the program, by what the agent wrote down.
        _log.warning("the steering program cannot be loaded to take itself down", error=str(error))
        described = store.folder / "agent.json"
        devices = json.loads(described.read_text())["devices"] if described.exists() else []
        async with AsyncIPRoute() as route:
            for index, interface in (await interfaces(route)).items():
                if interface.xdp and interface.name in devices:
                    attach_xdp(index, -1)
        delete_device(FORK_LINK[0])
