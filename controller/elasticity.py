"""Sessions follow what their machines use: how many instances there are, and who gets how much (D51, A22).

An instance's load is the CPU time that its machine uses over what is reserved for it.  Where the mean stays
high, one instance is added; where the others would carry it all with ease, for long, the last one is drained:
it gets no packets any more, and ends when it has been idle for a while.  Under ``least_loaded`` packets are
distributed by weights that make the loads equal.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import dataclass, field

import structlog

from controller.advice import Thresholds, Trend, balanced
from controller.background import Background
from controller.record import InstanceRecord, Membership, Phase
from controller.registry import Registry
from controller.scaling import Scaling
from controller.session import LiveSession, is_registered
from dipronn.errors import InsufficientResources
from dipronn.v1 import accounts_pb2
from dipronn.v1 import session_pb2 as pb

_log = structlog.get_logger(__name__)
_SMOOTHING = 0.5
"""Of a new reading in the mean of all."""


@dataclass
class _Machine:
    """What a machine was seen to use.  ``cores``: of late; ``busy``: when it was last not idle."""

    incarnation: int
    cpu_ns: int
    at: float
    cores: float | None = None
    busy: float = 0.0


@dataclass
class _Program:
    """``since``: by index, when one was first seen to come or go; ``not_before``: to grow again.

    ``balanced``: when its weights changed last.
    """

    trend: Trend = field(default_factory=Trend)
    changing: bool = False
    since: dict[int, float] = field(default_factory=dict)
    not_before: float = 0.0
    balanced: float = 0.0


class Elasticity:
    def __init__(
        self, registry: Registry, scaling: Scaling, background: Background, thresholds: Thresholds
    ) -> None:
        self._registry = registry
        self._scaling = scaling
        self._background = background
        self._given = thresholds
        self._machines: dict[tuple[int, str], _Machine] = {}
        self._programs: dict[tuple[int, str], _Program] = defaultdict(_Program)

    def on_usage(self, usage: accounts_pb2.UsageReport) -> None:
        """A unit tells what its machines have used; every unit does, each second."""
        now = time.monotonic()
        for one in usage.vms:
            self._read((one.session, one.vm), one.incarnation, one.cpu_ns, now)
        for number in {one.session for one in usage.vms}:
            if found := self._registry.numbered(number):
                self._look_at(found, now)

    def forget(self, number: int) -> None:
        """A session has ended."""
        for known in (self._machines, self._programs):
            for key in [key for key in known if key[0] == number]:
                del known[key]

    def _read(self, key: tuple[int, str], incarnation: int, cpu_ns: int, now: float) -> None:
        seen = self._machines.get(key)
        if seen is None or seen.incarnation != incarnation or cpu_ns < seen.cpu_ns:
            self._machines[key] = _Machine(incarnation, cpu_ns, now, busy=now)
        elif now > seen.at:
            cores = (cpu_ns - seen.cpu_ns) / 1e9 / (now - seen.at)
            before = cores if seen.cores is None else seen.cores
            seen.cores = before + _SMOOTHING * (cores - before)
            seen.cpu_ns, seen.at = cpu_ns, now

    def _load(self, session: LiveSession, one: InstanceRecord) -> float | None:
        machine = self._machines.get((session.record.number, one.machine))
        return None if machine is None or machine.cores is None else machine.cores / one.cpu

    def _look_at(self, session: LiveSession, now: float) -> None:
        if session.record.phase is not Phase.ACTIVE:
            return
        for program in session.record.program.programs:
            if program.max_instances > program.min_instances or program.policy == pb.POLICY_LEAST_LOADED:
                self._follow(session, program, self._programs[session.record.number, program.name], now)

    def _follow(self, session: LiveSession, program: pb.ActiveProgram, state: _Program, now: float) -> None:
        if state.changing:
            return
        instances = [one for one in session.record.instances if one.program == program.name]
        passing = [one for one in instances if one.membership is not Membership.MEMBER]
        state.since = {one.index: state.since.get(one.index, now) for one in passing}
        if passing:
            state.trend = Trend()
            for one in passing:
                self._attend(session, state, one, now)
            return
        living = [one for one in instances if one.alive]
        loads = [load for load in (self._load(session, one) for one in living) if load is not None]
        if len(loads) < len(living):
            return  # not all were heard of yet
        advice = state.trend.advice(self._given, now, loads, program.min_instances, program.max_instances)
        used = f"{sum(loads) / max(1, len(loads)):.0%} of their CPU"
        if advice > 0 and now >= state.not_before:
            text = f"{program.name}: {len(living)} instances use {used}; one more is started"
            self._change(state, self._grow(session, program.name, state, text))
        elif advice < 0:
            last = max(living, key=lambda one: one.index)
            text = f"{program.name}: {len(living)} instances use {used}; {last.name} gets no more packets"
            self._change(state, self._drain(session, last, text))
        elif program.policy == pb.POLICY_LEAST_LOADED and now - state.balanced >= self._given.balance_after:
            weights = balanced([one.weight for one in living], loads)
            if weights != [one.weight for one in living]:
                state.balanced = now
                self._change(state, self._scaling.weigh(session, living, weights))

    def _attend(self, session: LiveSession, state: _Program, one: InstanceRecord, now: float) -> None:
        """See to an instance that comes or goes."""
        there = now - state.since[one.index]
        if one.membership is Membership.JOINING:
            if one.alive and is_registered(session.record, one):
                self._change(state, self._settle(session, one, f"{one.name} on {one.unit} takes its part"))
            elif not one.alive or there > self._given.join_within:
                why = one.message or f"it did not register its names in {self._given.join_within:g} s"
                state.not_before = now + self._given.retry_after
                text = f"{one.name} on {one.unit} is given up: {why}"
                self._change(state, self._remove(session, one, text))
            return
        load = self._load(session, one)
        machine = self._machines.get((session.record.number, one.machine))
        if machine and (load is None or load > self._given.idle_below):
            machine.busy = now
        quiet = now - max(machine.busy, state.since[one.index]) if machine else 0.0
        idle = quiet >= self._given.idle_after
        if idle or not one.alive or there > self._given.drain_at_most:
            how = "is idle and ends" if idle else f"ends after {there:.0f} s of draining"
            text = f"{one.name} on {one.unit} {how}"
            self._change(state, self._remove(session, one, text))

    # changes, one at a time of each program

    def _change(self, state: _Program, work: Coroutine[object, object, None]) -> None:
        state.changing = True
        state.trend = Trend()

        async def change() -> None:
            try:
                await work
            finally:
                state.changing = False

        self._background.start(change())

    async def _grow(self, session: LiveSession, program: str, state: _Program, text: str) -> None:
        try:
            await self._scaling.add(session, program)
        except InsufficientResources as error:
            state.not_before = time.monotonic() + self._given.retry_after
            text = f"{program} would need one more instance: {error}"
        self._registry.judge(session, text)

    async def _settle(self, session: LiveSession, one: InstanceRecord, text: str) -> None:
        await self._scaling.settle(session, one)
        self._registry.judge(session, text)

    async def _drain(self, session: LiveSession, one: InstanceRecord, text: str) -> None:
        await self._scaling.drain(session, one)
        self._registry.judge(session, text)

    async def _remove(self, session: LiveSession, one: InstanceRecord, text: str) -> None:
        await self._scaling.remove(session, one)
        self._machines.pop((session.record.number, one.machine), None)
        self._registry.judge(session, text)
