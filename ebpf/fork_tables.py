"""Forks in the kernel: each fork's plan is written beside the one in use, and then turned to in one write."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from controller.steering.model import ForkBranch, ForkKey, Tables
from ebpf import layout
from ebpf.attachment import Attachment
from ebpf.bpf import Map
from ebpf.forks import ForkPlan, forks_of, plan_fork
from ebpf.graph import GRAPH, Graph
from ebpf.maps import new_devmap
from ebpf.rows import Encoded, number

_UNLIMITED = 0xFFFF


class ForkTables:
    """``graph`` is the caller's, who changes it and then tells."""

    def __init__(
        self,
        maps: Mapping[str, Map],
        attachment: Attachment,
        graph: Graph,
        write: Callable[[list[Encoded]], None],
        *,
        trace: bool,
    ) -> None:
        self._maps = maps
        self._attachment = attachment
        self._write = write
        self._trace = trace
        self._egress_program = -1
        self._override = False
        self._graph = graph
        self._plans: dict[int, tuple[int, ForkPlan]] = {}  # fork → number in use, plan
        self._written: dict[int, list[tuple[str, bytes]]] = {}  # number → map, key

    def adopt(self, egress_program: int, held: Tables) -> None:
        """Take over the kernel's forks; each is compiled anew, with this process's program on its copies."""
        self._egress_program = egress_program
        if any(row.override for row in held.artp.values()):
            self.prepare_override()
        forks = forks_of(self._graph.rows)
        for name, type_ in (("branch", layout.BranchKey), ("clone", layout.CloneKey)):
            for key, _ in self._maps[name].items() if forks else ():
                self._written.setdefault(type_.from_buffer_copy(key).plan & ~1, []).append((name, key))
        for fork, plan in self._in_use() if forks else ():
            self._plans[fork] = (plan, plan_fork(fork, Tables()))
        self.compile(forks)

    def _in_use(self) -> Iterator[tuple[int, int]]:
        for key, value in self._maps["fork"].items():
            row = layout.ForkRow.from_buffer_copy(value)
            if row.plan:
                yield int.from_bytes(key, "little"), row.plan

    def rows(self) -> dict[ForkKey, ForkBranch]:
        """As the kernel holds them."""
        fork_of = {plan: fork for fork, plan in self._in_use()}
        found = {}
        for raw, value in self._maps["branch"].items() if fork_of else ():
            key = layout.BranchKey.from_buffer_copy(raw)
            if key.plan in fork_of:
                found[ForkKey(fork_of[key.plan], key.copy)] = ForkBranch(int.from_bytes(value, "little"))
        return found

    def plan_in_use(self, fork: int) -> int:
        return self._plans[fork][0]

    def prepare_override(self) -> None:
        """The plans of packets for several destinations."""
        if self._override or self._trace:
            return
        self._override = True
        for plan in range(1, layout.OVERRIDE_PLANS):
            self._broadcast(plan, [self._attachment.fork_link()] * (plan + 1))

    def changed(self, table: str, keys: Iterable[Any]) -> None:
        """Compile what rows of ``table`` at ``keys`` have a say in; ``graph`` has them already."""
        if table == "fork":
            self.compile({key.fork for key in keys})
        elif table in GRAPH and self._plans:
            rows = {(table, key) for key in keys}
            self.compile({fork for fork, (_, plan) in self._plans.items() if plan.references & rows})

    def compile(self, forks: Iterable[int]) -> None:
        for fork in forks:
            plan = plan_fork(fork, self._graph.rows)
            in_use = self._plans.get(fork, (0, None))[0]
            base = 4 * fork + (2 if in_use == 4 * fork else 0)
            self._clear(base)
            if plan.branches:
                self._write_plan(base, plan)
            mtu = _UNLIMITED if plan.devices is None else plan.mtu
            row = layout.ForkRow(plan.copies, base, mtu) if plan.branches else layout.ForkRow()
            self._maps["fork"].update(number(fork), bytes(row))
            self._plans[fork] = (base, plan)
            if not plan.branches:
                del self._plans[fork]
                self._clear(4 * fork)
                self._clear(4 * fork + 2)

    def _write_plan(self, base: int, plan: ForkPlan) -> None:
        self._keep(
            base,
            [
                ("branch", bytes(layout.BranchKey(base, copy)), number(channel))
                for copy, channel in plan.branches.items()
            ],
        )
        if self._trace or not plan.copies:
            return
        by_veth = [self._attachment.fork_link()] * plan.copies
        if plan.devices is None:
            self._broadcast(base, by_veth)
            return
        indexes = [self._attachment.index(device) for device in plan.devices]
        clones: list[Encoded] = []
        for copy, index in enumerate(indexes):
            key = layout.CloneKey(base, index, indexes[:copy].count(index))
            clones.append(("clone", bytes(key), number(plan.branches[copy])))
        self._keep(base, clones)
        for index in set(indexes):
            self._attachment.allow(index, copies=True)
        self._broadcast(base, indexes)
        self._broadcast(base + 1, by_veth)

    def _broadcast(self, plan: int, indexes: list[int]) -> None:
        with contextlib.closing(new_devmap(len(indexes))) as inner:
            for copy, index in enumerate(indexes):
                inner.update(number(copy), bytes(layout.DevmapValue(index, self._egress_program)))
            # This waits until no packet is in the hands of a program that saw the map before: after it, every
            # frame queued for these devices passes steer_copy.
            self._maps["plans"].update(number(plan), number(inner.fd))

    def _keep(self, base: int, encoded: list[Encoded]) -> None:
        self._written.setdefault(base, []).extend((name, key) for name, key, _ in encoded)
        self._write(encoded)

    def _clear(self, base: int) -> None:
        for name, key in self._written.pop(base, ()):
            self._maps[name].delete(key)
