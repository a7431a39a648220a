"""Tasks that outlive the call that began them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from dipronn.errors import DipronnError

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_SETTLE_SECONDS = 10.0
_ROUNDS = 2


class Background:
    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        """Run it to its end; a failure that is not of ours is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def settle(self) -> None:
        """Cancel all, and wait until they have undone what they must."""
        for _ in range(_ROUNDS):
            for task in list(self._tasks):
                task.cancel()
            try:
                async with asyncio.timeout(_SETTLE_SECONDS):
                    while self._tasks:
                        await asyncio.wait(list(self._tasks))
                    return
            except TimeoutError:
                _log.warning("work under way is given up", tasks=len(self._tasks))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and not isinstance(task.exception(), DipronnError):
            _log.error("a task failed", error=repr(task.exception()), exc_info=task.exception())
