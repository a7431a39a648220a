"""Does planned steps, all of them or none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import structlog

from vmhost.agent.plan import Step

_log = structlog.get_logger(__name__)


class Doer(Protocol):
    """Does single steps; one that is done already, or partly, is no error."""

    async def do(self, step: Step) -> None: ...


async def execute(steps: Iterable[Step], doer: Doer) -> None:
    """Do the steps in order. If one fails, it and those before it are undone in reverse; its error is raised.

    A cancellation undoes nothing: it is the agent's own end, and the next start converges from what is there.
    """
    done: list[Step] = []
    try:
        for step in steps:
            done.append(step)
            await doer.do(step)
    except Exception:
        for step in reversed(done):
            await _undo(step, doer)
        raise


async def converge(steps: Iterable[Step], doer: Doer) -> None:
    """Do the steps in order up to the first that fails. Nothing is undone: there is no former state."""
    for step in steps:
        await doer.do(step)


async def _undo(step: Step, doer: Doer) -> None:
    back = step.undo()
    if back is None:
        return
    try:
        await doer.do(back)
    except Exception:  # the rest must be undone all the same; the next apply or start repairs this one
        _log.exception("undo failed", step=type(back).__name__)
