"""Takes a switch out of the node: its agent, every entry and group, and what is stored of it.

Works from whatever state an agent left, any number of times. The pipeline stays, empty: it drops everything.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from controller.drivers.p4runtime import apply
from controller.drivers.p4runtime.config import SwitchConfig
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.drivers.p4runtime.switch import Pushed, Switch
from dipronn.unit.slices import SliceStore

_log = structlog.get_logger(__name__)
PATIENCE = 10.0
"""Seconds for a switch to be reached and to be ours."""


async def remove(config: SwitchConfig, store: SliceStore, pipeline: Pipeline) -> None:
    """End a running agent and remove all that it wrote, also entries that another one put into our pipeline.

    Raises Unavailable, and then only the agent is gone, when the switch is not there or not ours; TimedOut if
    the agent does not end; Refused if the switch keeps an entry.
    """
    await asyncio.to_thread(store.end_holder)
    store.open()
    with store.lock():
        await _empty(config, pipeline)
        store.remove()
    _log.info("switch removed", unit=config.unit)


async def _empty(config: SwitchConfig, pipeline: Pipeline) -> None:
    kept = False

    async def found(pushed: Pushed) -> None:
        nonlocal kept
        kept = pushed is Pushed.KEPT

    switch = Switch(
        config.address,
        config.device_id,
        config.election_id,
        pipeline,
        ready=found,
        packet=lambda port, frame: None,
        digest=lambda digest: None,
        push=False,
    )
    session = asyncio.create_task(switch.run(), name="switch")
    try:
        await switch.require_up(PATIENCE)
        if kept:
            entries = await switch.read_entries()
            await apply.execute(apply.diff({}, entries), switch, entries)
            await switch.unsubscribe()
    finally:
        session.cancel()
        with suppress(asyncio.CancelledError):
            await session
