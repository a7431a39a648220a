"""Machines that died by themselves are started again where they were, later and later, and not for ever.

Between death and restart their instances count as dead: packets go to others.  Names of the dead machine are
forgotten; the new one registers its own, and packets come back when all of them are there.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from controller.background import Background
from controller.convergence import Convergence
from controller.record import InstanceRecord, Phase
from controller.registry import Registry
from controller.session import LiveSession

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RestartPolicy:
    """``delays``: seconds before the first restart, the second, …; when all are used up a machine stays dead.

    ``forgiven_after``: seconds of life after which a death counts as the first again.
    """

    delays: tuple[float, ...] = (1.0, 4.0, 16.0, 60.0, 240.0)
    forgiven_after: float = 600.0


class Restarts:
    def __init__(
        self, policy: RestartPolicy, registry: Registry, convergence: Convergence, background: Background
    ) -> None:
        self._policy = policy
        self._registry = registry
        self._convergence = convergence
        self._background = background

    def resume(self) -> None:
        """Go on after the control unit's own restart: what is dead may have waited for its turn."""
        for session in list(self._registry.sessions.values()):
            for machine in dict.fromkeys(one.machine for one in session.record.instances):
                if _is_dead(session.instances_in(machine)):
                    self.died(session, machine)

    def died(self, session: LiveSession, machine: str) -> None:
        """A machine of a session has ended by itself; its instances are marked dead."""
        instances = session.instances_in(machine)
        if session.record.phase is not Phase.ACTIVE or not instances or not self._policy.delays:
            return
        spawned = session.spawned.get(machine)
        lived = time.monotonic() - spawned if spawned is not None else 0.0
        done = 0 if lived > self._policy.forgiven_after else instances[0].restarts
        if done >= len(self._policy.delays):
            self._note(session, instances, f"it was started again {done} times and stays dead now", done)
            return
        delay = self._policy.delays[done]
        turn = f"({done + 1} of {len(self._policy.delays)})"
        self._note(session, instances, f"it is started again in {delay:g} s {turn}", done + 1)
        self._background.start(self._restart(session, machine, delay, turn))

    def _note(self, session: LiveSession, instances: list[InstanceRecord], text: str, count: int) -> None:
        for one in instances:
            one.restarts = count
            if not one.exited:
                one.message = f"{one.message}; {text}"
        session.note_change()
        self._registry.judge(session, f"{instances[0].machine} on {instances[0].unit}: {text}")

    async def _restart(self, session: LiveSession, machine: str, delay: float, turn: str) -> None:
        await asyncio.sleep(delay)
        async with session.lock:
            instances = session.instances_in(machine)
            if session.record.phase is not Phase.ACTIVE or not _is_dead(instances):
                return
            for one in instances:
                one.alive, one.exited, one.message, one.start_seconds = True, False, "", 0.0
                one.ports, one.artp = {}, []
            session.spawned.pop(machine, None)
            # Its unit may never have been told that it is gone; then what it holds looks as what it should.
            session.held.pop(instances[0].unit, None)
        session.note_change()
        self._registry.judge(session, f"{machine} on {instances[0].unit} is started again {turn}")
        self._convergence.replan(session)


def _is_dead(instances: list[InstanceRecord]) -> bool:
    """Whether a machine is gone by itself; one whose programs have all ended is not."""
    return (
        bool(instances)
        and not any(one.alive for one in instances)
        and not all(one.exited for one in instances)
    )
