"""Control channels of the session language: from program to program over the control network (R6).

What an instance sends to its gateway from the port of a `control` line reaches every instance at the line's
other end that has registered its port, itself excepted, whatever the policy of their program: control
information is for all.  Instances that a line joins may be answered one by one (R5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from controller.program.graph import port_name
from controller.steering import addressing
from controller.steering.branch import Branch, Member
from controller.steering.deployment import Hop, PlacedInstance
from controller.steering.model import (
    UDP,
    Binding,
    BindingKey,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    LinkKey,
    LinkScope,
    Peer,
    PeerKey,
    Selector,
    Slot,
    Target,
    TargetKind,
)
from dipronn.v1 import session_pb2 as pb

if TYPE_CHECKING:
    from controller.steering.compile import Compiler


def control_channels(compiler: Compiler) -> None:
    """Rows of every `control` line."""
    lines = list(_directed(compiler.deployment.program))
    ports = dict.fromkeys(port for line in lines for port in line)
    for program, port in ports:
        ends = [destination for source, destination in lines if source == (program, port)]
        for instance in compiler.deployment.hearing(program, port):
            if ends:
                _sends(compiler, instance, port, ends)
            if compiler.unit(instance.unit).on_control_network:
                _hears(compiler, instance, port)
    for source, destination in lines:
        for told in compiler.deployment.hearing(*destination):
            for telling in compiler.deployment.hearing(*source):
                if told is not telling:
                    _may_answer(compiler, (told, destination[1]), (telling, source[1]))


def channel_name(source: tuple[str, str], destination: tuple[str, str]) -> str:
    """How counters name one direction of a line."""
    ends = (port_name(pb.Port(program=program, name=name)) for program, name in (source, destination))
    return "control " + " -> ".join(ends)


def _directed(program: pb.Program) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    for line in program.channels:
        if line.kind == pb.CHANNEL_KIND_CONTROL:
            source = line.source.program, line.source.name
            destination = line.destination.program, line.destination.name
            yield source, destination
            if line.both_ways and source != destination:
                yield destination, source


def _sends(compiler: Compiler, sender: PlacedInstance, port: str, ends: list[tuple[str, str]]) -> None:
    branches: list[Branch] = []
    for program, name in ends:
        line = channel_name((sender.program, port), (program, name))
        counted = compiler.counted.setdefault(line, set())
        members = [
            _member(compiler, sender.unit, instance, name)
            for instance in compiler.deployment.hearing(program, name)
            if instance is not sender
        ]
        # With nobody to hear it the channel stays, and its packets are dropped as `no_live_endpoint`.
        nobody = compiler.nobody(sender.unit, compiler.deployment.of(program)[0], name)
        for member in members or [nobody]:
            channel = compiler.number("channel", f"{line} => {member.name}")
            counted.add(channel)
            branches.append(Branch(channel, Selector.ZERO, (Slot(member.endpoint),)))
    target = compiler.fork(sender.unit, f"control {sender.name}/{port}", branches)
    key = BindingKey(LinkKey(addressing.tap_device(sender.number)), compiler.socket(sender, port))
    compiler.tables[sender.unit].binding[key] = Binding(target)


def _hears(compiler: Compiler, instance: PlacedInstance, port: str) -> None:
    """What other units send to this port, also as an answer."""
    name = f"control to {instance.name}/{port}"
    channel = compiler.number("channel", name)
    member = compiler.instance_member(instance.unit, instance, port)
    compiler.channel(instance.unit, Branch(channel, Selector.ZERO, (Slot(member.endpoint),)))
    flow = Flow(Target(TargetKind.CHANNEL, channel), LinkScope.CONTROL)
    compiler.tables[instance.unit].flow[FlowKey(UDP, compiler.socket(instance, port))] = flow


def _member(compiler: Compiler, unit: str, instance: PlacedInstance, port: str) -> Member:
    if instance.unit == unit:
        return compiler.instance_member(unit, instance, port)
    name = f"{instance.name}/{port}"
    number = compiler.number("endpoint", name)
    hop = _hop(compiler, unit, instance)
    compiler.tables[unit].endpoint[number] = Endpoint(
        EndpointKind.CONTROL,
        hop.device,
        hop.source_mac,
        hop.destination_mac,
        compiler.socket(instance, port),
        vlan=hop.vlan,
        mtu=hop.mtu,
        unit=compiler.unit(instance.unit).number,
    )
    return Member(number, instance.unit, name)


def _may_answer(
    compiler: Compiler, told: tuple[PlacedInstance, str], telling: tuple[PlacedInstance, str]
) -> None:
    unit = told[0].unit
    key = PeerKey(compiler.socket(*told), compiler.socket(*telling))
    if telling[0].unit == unit:
        row = compiler.peer(unit, telling[0], artp=False)
    else:
        hop = _hop(compiler, unit, telling[0])
        row = Peer(hop.device, hop.vlan, hop.source_mac, hop.destination_mac, mtu=hop.mtu, control=True)
    compiler.tables[unit].peer[key] = row


def _hop(compiler: Compiler, unit: str, instance: PlacedInstance) -> Hop:
    return compiler.unit(unit).control_hop(compiler.unit(instance.unit))
