"""Does what was planned, stage by stage; on a failure or a cancellation undoes it all, last step first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from controller.plan import Stage, Step
from dipronn.errors import DipronnError

_log = structlog.get_logger(__name__)

Perform = Callable[[Step], Awaitable[None]]


async def execute(stages: list[Stage], perform: Perform) -> list[Step]:
    """Perform all stages and return the steps done.  On any failure they are undone, then it is raised."""
    attempted: list[Step] = []
    try:
        for stage in stages:
            attempted += stage
            await _together(stage, perform)
    except BaseException:
        # Whoever cancelled us must not cancel the undoing.
        await asyncio.shield(asyncio.ensure_future(undo(attempted, perform)))
        raise
    return attempted


async def undo(steps: list[Step], perform: Perform) -> None:
    """Undo steps, also those that failed or may not have begun; what cannot be undone now is logged.

    A unit that is away is made right when it joins again.
    """
    for step in reversed(steps):
        try:
            await perform(step.undo())
        except DipronnError as error:
            _log.warning("a step could not be undone", unit=step.unit, error=str(error))


async def _together(stage: Stage, perform: Perform) -> None:
    """All steps of a stage at once; waits for all to end before it raises the first failure."""
    tasks = [asyncio.ensure_future(perform(step)) for step in stage]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
