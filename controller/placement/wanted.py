"""A session as a placement problem: what each instance needs, and how much it exchanges with whom.

Rates follow the graph.  What enters is what the input states; a program sends on what it states as its
bandwidth, or as much as it gets.  Only what somebody stated is promised and reserved; the rest weighs (A60).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from controller.placement.admission import Amount, Demand, Offer, Problem
from controller.program.kernel import is_kernel
from controller.program.machines import leads, machine_of, sharing
from dipronn.v1 import session_pb2 as pb

DEFAULT_CPU = 0.1
DEFAULT_MEMORY = 128 << 20
DEFAULT_MACHINE_MEMORY = 256 << 20
"""Of a whole machine, where neither it nor its programs state any."""
_NOMINAL_BPS = 1_000_000
"""Of an input that states no rate: enough to weigh."""
_MOST_PAIRS = 2500
"""Of instances at the two ends of a line; with more, where one is makes no difference to the whole."""

_ASSURED = frozenset({"CPU", "memory"})
"""What `class assured` asks of a unit, in the words of its Hello: to hold machines to their reservation."""
_REALTIME = _ASSURED | {"sending by class"}
"""What `class realtime` asks of it."""
_HELD = {pb.SERVICE_CLASS_ASSURED: _ASSURED, pb.SERVICE_CLASS_REALTIME: _REALTIME}

Counts = Mapping[str, int]
"""Instances by program."""


def problem(
    program: pb.Program,
    counts: Counts,
    entrances: Mapping[str, str],
    exits: Mapping[str, str],
    offers: Sequence[Offer],
) -> Problem:
    """``entrances`` and ``exits``: the units by which inputs enter and outputs leave.

    Programs that share a machine are one demand, by the name of the first of them.
    """
    flow = _Flow(program, counts)
    lead = leads(program)
    inflow: dict[str, list[tuple[str, int]]] = defaultdict(list)
    between: list[tuple[str, str, int]] = []
    with_units: list[tuple[str, str, int]] = []
    promised = {item.name for item in program.inputs if item.rate_bps}
    kernel = {active.name for active in program.programs if is_kernel(active)}
    for line in flow.lines:
        source, destination = line.source, line.destination
        if kernel & {source.program, destination.program}:
            continue  # such programs go where the others are
        shares = flow.shares.get(destination.program, [])
        if source.program and destination.program:
            sent = flow.sent[source.program]
            if len(sent) * len(shares) <= _MOST_PAIRS:
                ends = lead[source.program], lead[destination.program]
                between += [
                    (f"{ends[0]}-{i}", f"{ends[1]}-{j}", max(1, round(bps * share)))
                    for i, bps in enumerate(sent)
                    for j, share in enumerate(shares)
                    if i != j or ends[0] != ends[1]
                ]
        elif destination.program:
            unit = entrances[source.name]
            for index, share in enumerate(shares):
                name, bps = (
                    f"{lead[destination.program]}-{index}",
                    max(1, round(flow.inputs[source.name] * share)),
                )
                with_units.append((name, unit, bps))
                if source.name in promised:
                    inflow[name].append((unit, bps))
        elif source.program:
            with_units += [
                (f"{lead[source.program]}-{index}", exits[destination.name], max(1, round(bps)))
                for index, bps in enumerate(flow.sent[source.program])
            ]
    held = held_to(program)
    demands = [
        Demand(
            active.name,
            index,
            needs(program, active),
            tuple(inflow[f"{active.name}-{index}"]),
            held.get(active.name, frozenset()),
        )
        for active in program.programs
        if lead[active.name] == active.name and active.name not in kernel
        for index in range(counts[active.name])
    ]
    return Problem(demands, offers, between, with_units)


def held_to(program: pb.Program) -> dict[str, frozenset[str]]:
    """What a unit must be able to hold machines to, by the first program of each machine."""
    lead = leads(program)
    held: dict[str, frozenset[str]] = {}
    for one in program.qualities:
        wanted = _HELD.get(one.service_class, frozenset())
        held[lead[one.program]] = held.get(lead[one.program], frozenset()) | wanted
    return held


def needs(program: pb.Program, active: pb.ActiveProgram) -> Amount:
    """What one instance's machine needs; of programs that share one, all is the first one's."""
    shared = sharing(program, active)
    if shared[0].name != active.name:
        return Amount()
    machine = machine_of(program, active)
    if machine is not None:
        return Amount(
            machine.needs.cpu or sum(one.needs.cpu for one in shared) or DEFAULT_CPU,
            machine.needs.memory_bytes
            or sum(one.needs.memory_bytes for one in shared)
            or DEFAULT_MACHINE_MEMORY,
            machine.needs.bandwidth_bps or sum(one.needs.bandwidth_bps for one in shared),
            machine.needs.storage_bytes,
        )
    stated = active.needs
    return Amount(
        stated.cpu or DEFAULT_CPU,
        stated.memory_bytes or DEFAULT_MEMORY,
        stated.bandwidth_bps,
        stated.storage_bytes,
    )


def promised_output(program: pb.Program, output: pb.Output) -> int:
    """Bit/s that leave by an output because inputs of a stated rate are wired straight to it."""
    rates = {item.name: item.rate_bps for item in program.inputs}
    entering = sum(
        rates.get(channel.source.name, 0)
        for channel in program.channels
        if not channel.source.program
        and not channel.destination.program
        and channel.destination.name == output.name
    )
    return entering * len(output.receivers)


class _Flow:
    """``shares[p][i]``: of what a program is sent, the part that instance i gets; ``sent[p][i]``: bit/s."""

    def __init__(self, program: pb.Program, counts: Counts) -> None:
        self.lines = [channel for channel in program.channels if channel.kind == pb.CHANNEL_KIND_DATA]
        self.inputs = {item.name: item.rate_bps or _NOMINAL_BPS for item in program.inputs}
        self.shares = {active.name: _shares(active, counts[active.name]) for active in program.programs}
        self.sent: dict[str, list[float]] = {active.name: [] for active in program.programs}
        feeding: dict[str, list[pb.Port]] = {active.name: [] for active in program.programs}
        for line in self.lines:
            if line.destination.program:
                feeding[line.destination.program].append(line.source)
        for active in _in_order(program, feeding):
            entering = sum(self._rate(source) for source in feeding[active.name])
            stated = active.needs.bandwidth_bps
            self.sent[active.name] = [stated or entering * share for share in self.shares[active.name]]

    def _rate(self, source: pb.Port) -> float:
        return sum(self.sent[source.program]) if source.program else self.inputs[source.name]


def _shares(active: pb.ActiveProgram, count: int) -> list[float]:
    if active.policy == pb.POLICY_DUPLICATE:
        return [1.0] * count
    if active.policy == pb.POLICY_WEIGHTED and len(active.weights) >= count:
        weights = list(active.weights[:count])
        return [weight / sum(weights) for weight in weights]
    return [1 / count] * count


def _in_order(program: pb.Program, feeding: Mapping[str, Sequence[pb.Port]]) -> list[pb.ActiveProgram]:
    """Every program after those that feed it; those on a cycle last."""
    waiting = {name: {one.program for one in sources if one.program} for name, sources in feeding.items()}
    following: dict[str, list[str]] = defaultdict(list)
    for name, sources in waiting.items():
        for source in sources:
            following[source].append(name)
    ready = [name for name, sources in waiting.items() if not sources]
    order: list[str] = []
    while ready:
        name = ready.pop()
        order.append(name)
        for successor in following[name]:
            waiting[successor].discard(name)
            if not waiting[successor]:
                ready.append(successor)
    by_name = {active.name: active for active in program.programs}
    order += [name for name in by_name if name not in set(order)]
    return [by_name[name] for name in order]
