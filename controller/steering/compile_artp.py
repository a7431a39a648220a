"""What ARTP ports need besides: instances by their numbers (R5), control groups (R6), overrides (R7).

Numbers of instances are a session's own.  Where a program's instances are chosen by number (`chosen`), those
are its instances' indices; behind the largest of them stand the numbers that units write, one per instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import TYPE_CHECKING

from controller.program.graph import channel_name
from controller.steering.branch import Branch
from controller.steering.deployment import Deployment, PlacedInstance
from controller.steering.model import (
    UDP,
    Artp,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    LinkScope,
    Override,
    PeerKey,
    Selector,
    Slot,
    Socket,
    Target,
    TargetKind,
)
from dipronn.v1 import session_pb2 as pb

if TYPE_CHECKING:
    from controller.steering.compile import Compiler

Source = tuple[str, str]
"""Program (or nothing) and name of a port that data lines leave."""


def instance_number(deployment: Deployment, instance: PlacedInstance) -> int:
    """What units write into the ARTP packets of an instance; never 0."""
    number = _first_number(deployment.program)
    for program in deployment.program.programs:
        if program.name == instance.program:
            break
        number += max(program.min_instances, program.max_instances)
    return number + instance.index


def _first_number(program: pb.Program) -> int:
    chosen = [one for one in program.programs if one.policy == pb.POLICY_CHOSEN]
    return max([1, *(max(one.min_instances, one.max_instances) for one in chosen)])


def artp_target(compiler: Compiler, unit: str, key: str, row: Artp) -> Target:
    """The target that stands for a row of ``artp``."""
    number = compiler.number("artp", key)
    compiler.tables[unit].artp[number] = row
    return Target(TargetKind.ARTP, number)


def from_source(
    compiler: Compiler, unit: str, source: Source, *, control: Target | None, inside: bool
) -> Target:
    """What ARTP packets meet that leave a port on this unit.

    ``inside``: an instance sent them, and ``control`` is where its control information goes; what comes from
    outside tells every instance.
    """
    program, name = source
    target = compiler.target(unit, source, Selector.DATAGRAM)
    everyone = _everyone(compiler, unit, source)
    row = Artp(
        target,
        control if inside else everyone or target,
        everyone,
        named(compiler, unit, f"{program}/{name}", _fed(compiler, source)),
        _override_here(compiler, unit, source),
    )
    return artp_target(compiler, unit, f"{program}/{name}", row)


def from_receivers(
    compiler: Compiler, unit: str, output: str, target: Target, feeding: list[tuple[PlacedInstance, str]]
) -> Target:
    """What ARTP packets meet that come back to an output's public address; these instances feed it."""
    name = f"answers {output}"
    branches = [
        compiler.straight(unit, f"{name} everyone {one.name}/{port}", one, port) for one, port in feeding
    ]
    everyone = compiler.fork(unit, f"{name} everyone", branches)
    return artp_target(
        compiler, unit, name, Artp(target, everyone, everyone, named(compiler, unit, name, feeding))
    )


def _fed(compiler: Compiler, source: Source) -> list[tuple[PlacedInstance, str]]:
    """The instances that data lines from a port lead to, and their ports."""
    return [
        (instance, line.destination.name)
        for line in compiler.lines[source]
        for instance in compiler.deployment.serving(line.destination.program)
        if line.destination.program
    ]


def _everyone(compiler: Compiler, unit: str, source: Source) -> Target | None:
    """Every instance and receiver that the port leads to; None: the same as without choosing among them."""
    if all(len(compiler.deployment.serving(one.destination.program)) < 2 for one in compiler.lines[source]):
        return None
    branches: list[Branch] = []
    for line in compiler.lines[source]:
        if not line.destination.program:
            branches += compiler.branches(unit, line, Selector.DATAGRAM)
            continue
        for instance in compiler.deployment.serving(line.destination.program):
            name = f"{channel_name(line)} everyone #{instance.index}"
            branches.append(compiler.straight(unit, name, instance, line.destination.name))
    return compiler.fork(unit, f"{source[0]}/{source[1]} everyone", branches)


def named(
    compiler: Compiler, unit: str, name: str, members: Iterable[tuple[PlacedInstance, str]]
) -> Target | None:
    """A channel that finds these instances by their numbers; None if there are none.

    An instance that is gone has an empty slot, and nobody stands in for it: its state went with it.
    """
    deployment = compiler.deployment
    slots: dict[int, Slot] = {}
    for instance, port in members:
        slot = Slot(compiler.instance_member(unit, instance, port).endpoint)
        if compiler.programs[instance.program].policy == pb.POLICY_CHOSEN:
            slots[instance.index] = slot
        slots.setdefault(instance_number(deployment, instance), slot)
    if not slots:
        return None
    last = _first_number(deployment.program) + sum(
        max(program.min_instances, program.max_instances) for program in deployment.program.programs
    )
    size = 1 << (last - 1).bit_length()
    filled = tuple(slots.get(number) for number in range(size))
    channel = compiler.number("channel", f"{name} by instance")
    compiler.channel(unit, Branch(channel, Selector.INSTANCE, filled))
    return Target(TargetKind.CHANNEL, channel)


# destinations


def _override_here(compiler: Compiler, unit: str, source: Source) -> Override | None:
    """Of a port whose only line leads to an output that leaves by this very unit."""
    (line, *more) = compiler.lines[source]
    if more or line.destination.program:
        return None
    exit_ = compiler.deployment.exits[line.destination.name]
    if exit_.unit != unit or exit_.ordered:  # behind the sequencer they are read
        return None
    return override(compiler, unit, line.destination.name)


def override(compiler: Compiler, unit: str, output: str) -> Override:
    """What destinations may replace the receivers of an output, which leaves by this unit."""
    declared = next(one for one in compiler.deployment.program.outputs if one.name == output)
    name = f"{output} -> override"
    channel = compiler.number("channel", name)
    compiler.counted.setdefault(name, set()).add(channel)
    group = compiler.number("slot", name)
    compiler.tables[unit].channel[channel] = Channel(Selector.ZERO, 0, group, compiler.deployment.session)
    permitted = ip_network(declared.override_prefix) if declared.override_prefix else None
    return Override(permitted, channel, compiler.deployment.exits[output].public)


# control groups


def control_groups(compiler: Compiler) -> dict[tuple[str, str, str], Target]:
    """By unit, program and port: where control information of the instances there goes.

    It is said to the same port of the program's other instances, by way of distribution; where all of them
    are on one unit, that unit tells them itself.
    """
    targets: dict[tuple[str, str, str], Target] = {}
    for program in compiler.deployment.program.programs:
        for port in compiler.deployment.data_ports(program.name):
            members = [one for one in compiler.deployment.serving(program.name) if port in one.artp]
            if len(members) > 1:
                targets |= {
                    (unit, program.name, port): target
                    for unit, target in _control_group(compiler, port, members).items()
                }
                _may_answer_each_other(compiler, port, members)
    return targets


def _control_group(compiler: Compiler, port: str, members: list[PlacedInstance]) -> dict[str, Target]:
    name = f"control {members[0].program}/{port}"
    units = list(dict.fromkeys(one.unit for one in members))
    centre = units[0] if len(units) == 1 else _distribution(compiler)
    number = compiler.number("port", name) if len(units) > 1 else 0
    targets: dict[str, Target] = {}
    for unit in dict.fromkeys([*units, centre]):
        branches = [
            compiler.straight(
                unit, f"{name} #{one.index}", one, port, instance_number(compiler.deployment, one)
            )
            for one in members
            if one.unit == unit
        ]
        if unit == centre:
            for other in units:
                if other != unit:
                    branches.append(_to_unit(compiler, unit, other, f"{name} -> {other}", number))
        told = compiler.fork(unit, name, branches)
        if number:
            # Sent down or up, it goes on from here to those, and never up again.
            key = FlowKey(UDP, _socket(compiler, unit, number))
            row = artp_target(compiler, unit, name, Artp(told, told, told))
            compiler.tables[unit].flow[key] = Flow(row, LinkScope.NODE)
        targets[unit] = told
        if unit != centre:
            up = _to_unit(compiler, unit, centre, f"{name} -> distribution", number)
            compiler.channel(unit, up)
            targets[unit] = Target(TargetKind.CHANNEL, up.channel)
    return targets


def _to_unit(compiler: Compiler, unit: str, other: str, name: str, port: int) -> Branch:
    there = compiler.unit(other)
    hop = compiler.unit(unit).hop(there)
    number = compiler.number("endpoint", name)
    compiler.tables[unit].endpoint[number] = Endpoint(
        EndpointKind.NODE,
        hop.device,
        hop.source_mac,
        hop.destination_mac,
        _socket(compiler, other, port),
        vlan=hop.vlan,
        mtu=hop.mtu,
        unit=there.number,
    )
    return Branch(compiler.number("channel", name), Selector.ZERO, (Slot(number),))


def _distribution(compiler: Compiler) -> str:
    """The unit where the session's packets enter; without inputs that of its first instance."""
    entrances = compiler.deployment.entrances.values()
    return next((one.unit for one in entrances), compiler.deployment.instances[0].unit)


def _socket(compiler: Compiler, unit: str, port: int) -> Socket:
    where = compiler.unit(unit)
    address = where.address(compiler.deployment.version, False) or where.address(
        compiler.deployment.version, True
    )
    assert address is not None, "a unit without an address of the family has no part in the session"
    return Socket(address, port)


def _may_answer_each_other(compiler: Compiler, port: str, members: list[PlacedInstance]) -> None:
    """So that control information can be acknowledged."""
    for one in members:
        for other in members:
            if one is not other:
                key = PeerKey(compiler.socket(one, port), compiler.socket(other, port))
                compiler.tables[one.unit].peer[key] = compiler.peer(one.unit, other, artp=True)
