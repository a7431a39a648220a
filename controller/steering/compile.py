"""A session laid over the node → the rows that each unit must have.  Pure.

A channel is chosen where its source port is: on the unit of the sending instance, or of distribution.  There
all lines that leave the port, all instances of a `duplicate` program and, if the output leaves by this very
unit, all receivers are branches of one fork.  A neighbour on the same unit is reached directly, another
by a `node` endpoint with its own address, for which its unit has a flow that only node links may enter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from ipaddress import ip_address, ip_network

from controller.program.graph import channel_name, port_name
from controller.steering import addressing, compile_artp, compile_control, slots
from controller.steering.branch import Branch, Member
from controller.steering.compile_order import by_sequencer, order_entrance, sequencer_of
from controller.steering.deployment import NOWHERE, Deployment, NodeUnit, PlacedInstance
from controller.steering.guest_limits import guest_limit
from controller.steering.identifiers import Identifiers
from controller.steering.model import (
    UDP,
    Artp,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Peer,
    PeerKey,
    PutKey,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    kernel_endpoint,
)
from controller.steering.services import Services
from dipronn.v1 import order_pb2
from dipronn.v1 import session_pb2 as pb

_NO_MAC = Mac(bytes(6))


@dataclass(frozen=True)
class Compiled:
    """``counted``: the numbers of the channels whose packets are those of a named channel, on any unit.

    ``used``: kinds and keys of the numbers in the rows; others of the session may be given back.
    ``sequencers``: by unit.
    """

    tables: Mapping[str, Tables]
    counted: Mapping[str, frozenset[int]]
    used: frozenset[tuple[str, str]]
    sequencers: Mapping[str, order_pb2.Sequencer]


def compile_machines(deployment: Deployment) -> dict[str, Tables]:
    """What the units of the instances need before any name is registered: a link row per tap."""
    tables: dict[str, Tables] = {}
    for instance in deployment.instances:
        if instance.alive:
            rows = tables.setdefault(instance.unit, Tables())
            if instance.kernel:
                continue
            # Programs of one machine share its tap.
            rows.link.setdefault(_tap(instance), _guest_link(deployment, instance))
            if limit := guest_limit(deployment, instance):
                rows.limit[_tap(instance).device] = limit
    return tables


def compile_session(deployment: Deployment, identifiers: Identifiers) -> Compiled:
    """All rows of a session.  Packets go to instances that have registered every name, and to no others."""
    compiler = Compiler(deployment, identifiers)
    compiler.run()
    used = [unit for unit, tables in compiler.tables.items() if any(True for _ in tables.rows())]
    return Compiled(
        {unit: compiler.tables[unit] for unit in used},
        {name: frozenset(numbers) for name, numbers in compiler.counted.items()},
        frozenset(compiler.used),
        {unit: told for unit in used if (told := sequencer_of(deployment, unit))},
    )


@dataclass
class Compiler:
    deployment: Deployment
    identifiers: Identifiers
    tables: dict[str, Tables] = field(init=False)
    counted: dict[str, set[int]] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)
    control: dict[tuple[str, str, str], Target] = field(default_factory=dict)
    """Where control information goes, by unit, program and port."""

    def __post_init__(self) -> None:
        self.tables = {name: Tables() for name in self.deployment.units}

    @cached_property
    def lines(self) -> dict[tuple[str, str], list[pb.Channel]]:
        """Data lines by the port that they leave."""
        lines: dict[tuple[str, str], list[pb.Channel]] = {}
        for channel in self.deployment.program.channels:
            if channel.kind == pb.CHANNEL_KIND_DATA:
                lines.setdefault((channel.source.program, channel.source.name), []).append(channel)
        return lines

    @cached_property
    def services(self) -> Services:
        return Services(self.deployment.program)

    @cached_property
    def programs(self) -> dict[str, pb.ActiveProgram]:
        return {program.name: program for program in self.deployment.program.programs}

    def number(self, kind: str, key: str, count: int = 1) -> int:
        self.used.add((kind, key))
        return self.identifiers.number(kind, self.deployment.owner, key, count)

    def run(self) -> None:
        for unit, tables in compile_machines(self.deployment).items():
            self.tables[unit].merge(tables)
        self.control = compile_artp.control_groups(self)
        for item in self.deployment.program.inputs:
            self.input(item)
        for output in self.deployment.program.outputs:
            self.output(output)
        for program in self.deployment.program.programs:
            for instance in self.deployment.serving(program.name):
                self.instance(instance)
        for lines in self.lines.values():
            for line in lines:
                self.static_peers(line)
        compile_control.control_channels(self)

    # where packets come from

    def input(self, item: pb.Input) -> None:
        entrance = self.deployment.entrances[item.name]
        source = ("", item.name)
        if item.transport == pb.TRANSPORT_ARTP:
            target = compile_artp.from_source(self, entrance.unit, source, control=None, inside=False)
        else:
            target = self.target(entrance.unit, source)
        permitted = ip_network(item.from_prefix) if item.from_prefix else None
        key = FlowKey(UDP, entrance.socket)
        self.tables[entrance.unit].flow[key] = Flow(target, LinkScope.OUTSIDE, permitted)

    def instance(self, instance: PlacedInstance) -> None:
        """A living instance: what it may send, and how what was sent to it by other units reaches it."""
        tables = self.tables[instance.unit]
        for port in self.deployment.data_ports(instance.program):
            target = self.sent(instance, port)
            if target is not None and instance.kernel:
                tables.binding[self.stream(instance, port)] = Binding(target)
            elif target is not None:
                tables.binding[BindingKey(_tap(instance), self.socket(instance, port))] = Binding(target)
        if not self.unit(instance.unit).on_node_network:
            return
        for port in self.deployment.data_ports(instance.program):
            if instance.kernel and port not in self.programs[instance.program].inputs:
                continue  # nobody answers a kernel program
            member = self.instance_member(instance.unit, instance, port)
            channel = self.number("channel", f"to {instance.name}/{port}")
            service = self.services.of_program(instance.program)
            slots_ = (Slot(member.endpoint),)
            self.channel(instance.unit, Branch(channel, Selector.ZERO, slots_, service=service))
            target = Target(TargetKind.CHANNEL, channel)
            if port in instance.artp:
                row = Artp(target, control=target)
                target = compile_artp.artp_target(self, instance.unit, f"to {instance.name}/{port}", row)
            tables.flow[FlowKey(UDP, self.socket(instance, port))] = Flow(target, LinkScope.NODE)

    def sent(self, instance: PlacedInstance, port: str) -> Target | None:
        """What a packet meets that an instance sends to its gateway from this port."""
        unit, source = instance.unit, (instance.program, port)
        control = self.control.get((unit, *source))
        if source not in self.lines:
            if port not in instance.artp:
                return None
            return compile_artp.artp_target(self, unit, f"{source[0]}/{port}", Artp(control=control))
        if port in instance.artp:
            return compile_artp.from_source(self, unit, source, control=control, inside=True)
        return self.target(unit, source)

    def output(self, output: pb.Output) -> None:
        """Where the output leaves: to its receivers, and their answers back to the instances that feed it."""
        exit_ = self.deployment.exits[output.name]
        tables = self.tables[exit_.unit]
        service = self.services.of_output(output.name, self.deployment.program.channels)
        branches = []
        for receiver in map(_socket, output.receivers):
            name = f"{output.name} -> {receiver}"
            channel = self.number("channel", name)
            self.counted.setdefault(name, set()).add(channel)
            member = self.receiver_member(exit_.unit, output.name, receiver)
            branches.append(Branch(channel, Selector.ZERO, (Slot(member.endpoint),), service=service))
        target = self.fork(exit_.unit, f"output {output.name}", branches)
        if exit_.ordered:
            order_entrance(self, output.name, exit_)
        if self.unit(exit_.unit).on_node_network or exit_.ordered:
            if self.output_speaks_artp(output.name):
                row = Artp(
                    target, control=target, override=compile_artp.override(self, exit_.unit, output.name)
                )
                target = compile_artp.artp_target(self, exit_.unit, f"output {output.name}", row)
            tables.flow[FlowKey(UDP, exit_.ordered or exit_.internal)] = Flow(target, LinkScope.NODE)
        feeding = self.feeding(output.name)
        if feeding:
            members = [self.instance_member(exit_.unit, instance, port) for instance, port in feeding]
            answers = self.chosen(
                f"answers {output.name}",
                Selector.HASH,
                members,
                slots.maglev([member.name for member in members]),
            )
            self.channel(exit_.unit, answers)
            answered = Target(TargetKind.CHANNEL, answers.channel)
            if self.output_speaks_artp(output.name):
                answered = compile_artp.from_receivers(self, exit_.unit, output.name, answered, feeding)
                if output.override_prefix:
                    whole = FlowKey(UDP, exit_.public)
                    tables.flow[whole] = Flow(answered, LinkScope.OUTSIDE, ip_network(output.override_prefix))
            for receiver in map(_socket, output.receivers):
                tables.flow[FlowKey(UDP, exit_.public, receiver)] = Flow(answered, LinkScope.OUTSIDE)

    def speaks_artp(self, source: tuple[str, str]) -> bool:
        """What leaves a port: the session says it of its inputs, programs when they register."""
        program, name = source
        if not program:
            item = next(one for one in self.deployment.program.inputs if one.name == name)
            return item.transport == pb.TRANSPORT_ARTP
        return any(name in instance.artp for instance in self.deployment.serving(program))

    def output_speaks_artp(self, output: str) -> bool:
        """Whether all that leads to a session output does."""
        sources = [
            source
            for source, lines in self.lines.items()
            if any(not one.destination.program and one.destination.name == output for one in lines)
        ]
        return all(map(self.speaks_artp, sources))

    def feeding(self, output: str) -> list[tuple[PlacedInstance, str]]:
        """Living instances whose output ports lead to a session output."""
        return [
            (instance, port)
            for (program, port), lines in self.lines.items()
            if program
            and any(not line.destination.program and line.destination.name == output for line in lines)
            for instance in self.deployment.serving(program)
            if not instance.kernel
        ]

    def static_peers(self, line: pb.Channel) -> None:
        """An instance may answer the instances that feed it (R5)."""
        if not line.source.program or not line.destination.program:
            return
        for fed in self.deployment.serving(line.destination.program):
            for feeding in self.deployment.serving(line.source.program):
                if fed.kernel or feeding.kernel:
                    continue
                local = self.socket(fed, line.destination.name)
                remote = self.socket(feeding, line.source.name)
                artp = line.destination.name in fed.artp
                row = self.peer(fed.unit, feeding, artp=artp)
                self.tables[fed.unit].peer[PeerKey(local, remote)] = row

    def peer(self, unit: str, instance: PlacedInstance, *, artp: bool) -> Peer:
        if instance.unit == unit:
            mac = addressing.guest_mac(instance.number)
            device = addressing.tap_device(instance.number)
            return Peer(device, 0, addressing.HOST_MAC, mac, mtu=addressing.GUEST_MTU, artp=artp)
        hop = self.unit(unit).hop(self.unit(instance.unit))
        return Peer(hop.device, hop.vlan, hop.source_mac, hop.destination_mac, mtu=hop.mtu, artp=artp)

    # where packets go to

    def target(self, unit: str, source: tuple[str, str], turns: Selector = Selector.COUNTER) -> Target:
        """What a packet that leaves this port on this unit meets; instances in turn by ``turns``."""
        branches = [branch for line in self.lines[source] for branch in self.branches(unit, line, turns)]
        return self.fork(unit, port_name(pb.Port(program=source[0], name=source[1])), branches)

    def branches(self, unit: str, line: pb.Channel, turns: Selector) -> list[Branch]:
        service = self.services.of_line(line)
        return [replace(branch, service=service) for branch in self.plain_branches(unit, line, turns)]

    def plain_branches(self, unit: str, line: pb.Channel, turns: Selector) -> list[Branch]:
        name = channel_name(line)
        counted = self.counted.setdefault(name, set())
        if line.destination.program:
            branches = self.program_branches(unit, name, line.destination, turns)
            counted.add(branches[0].channel)
            return branches
        output = line.destination.name
        exit_ = self.deployment.exits[output]
        if exit_.unit != unit:
            hop = self.unit(unit).hop(self.unit(exit_.unit))
            number = self.number("endpoint", f"output {output}")
            self.tables[unit].endpoint[number] = Endpoint(
                EndpointKind.NODE,
                hop.device,
                hop.source_mac,
                hop.destination_mac,
                exit_.internal,
                vlan=hop.vlan,
                mtu=hop.mtu,
                unit=self.unit(exit_.unit).number,
            )
            channel = self.number("channel", name)
            counted.add(channel)
            return [Branch(channel, Selector.ZERO, (Slot(number),))]
        if exit_.ordered:
            branch = by_sequencer(self, unit, output, name)
            counted.add(branch.channel)
            return [branch]
        branches = []
        declared = next(one for one in self.deployment.program.outputs if one.name == output)
        for receiver in map(_socket, declared.receivers):
            channel = self.number("channel", f"{name} => {receiver}")
            self.counted.setdefault(f"{output} -> {receiver}", set()).add(channel)
            member = self.receiver_member(unit, output, receiver)
            branches.append(Branch(channel, Selector.ZERO, (Slot(member.endpoint),)))
        counted.add(branches[0].channel)
        return branches

    def program_branches(self, unit: str, name: str, port: pb.Port, turns: Selector) -> list[Branch]:
        program = self.programs[port.program]
        living = self.deployment.receiving(port.program)
        if not living:
            # The channel stays, and its packets are dropped as `no_live_endpoint`.
            nobody = self.nobody(unit, self.deployment.of(port.program)[0], port.name)
            return [self.chosen(name, Selector.ZERO, [nobody], [0])]
        members = [self.instance_member(unit, instance, port.name) for instance in living]
        if len(members) == 1:
            return [self.chosen(name, Selector.ZERO, members, [0])]
        if program.policy == pb.POLICY_DUPLICATE:
            return [
                self.chosen(f"{name} #{instance.index}" if copy else name, Selector.ZERO, [member], [0])
                for copy, (instance, member) in enumerate(zip(living, members, strict=True))
            ]
        if program.policy == pb.POLICY_HASH:
            filled = slots.maglev([member.name for member in members])
            return [self.chosen(name, Selector.HASH, members, filled)]
        if program.policy == pb.POLICY_WEIGHTED:
            filled = slots.weighted([program.weights[instance.index] for instance in living])
        elif program.policy == pb.POLICY_LEAST_LOADED:
            filled = slots.weighted([instance.weight for instance in living])
        else:
            filled = slots.cyclic(len(members))
        return [self.chosen(name, turns, members, filled)]

    def chosen(self, name: str, selector: Selector, members: list[Member], filled: list[int]) -> Branch:
        """A channel over these members, each backed up by the next one that is on another unit."""
        backups = []
        for index, member in enumerate(members):
            following = members[index + 1 :] + members[:index]
            backups.append(next((other.endpoint for other in following if other.unit != member.unit), None))
        row = tuple(Slot(members[index].endpoint, backups[index]) for index in filled)
        return Branch(self.number("channel", name), selector, row)

    def straight(self, unit: str, name: str, instance: PlacedInstance, port: str, member: int = 0) -> Branch:
        """A channel of its own to one instance; ``member``: its number in a control group."""
        slot = Slot(self.instance_member(unit, instance, port).endpoint)
        service = self.services.of_program(instance.program)
        return Branch(self.number("channel", name), Selector.ZERO, (slot,), member, service)

    def fork(self, unit: str, name: str, branches: list[Branch]) -> Target:
        for branch in branches:
            self.channel(unit, branch)
        if len(branches) == 1:
            return Target(TargetKind.CHANNEL, branches[0].channel)
        number = self.number("fork", name)
        for copy, branch in enumerate(branches):
            self.tables[unit].fork[ForkKey(number, copy)] = ForkBranch(branch.channel)
        return Target(TargetKind.FORK, number)

    def channel(self, unit: str, branch: Branch) -> None:
        """A changed group is a new group: a packet meets the old slots or the new, never both."""
        content = ",".join(f"{slot.endpoint}/{slot.backup or ''}" if slot else "" for slot in branch.slots)
        digest = blake2b(content.encode(), digest_size=8).hexdigest()
        group = self.number("slot", f"{branch.channel} {digest}", len(branch.slots))
        tables = self.tables[unit]
        tables.channel[branch.channel] = Channel(
            branch.selector,
            len(branch.slots) - 1,
            group,
            self.deployment.session,
            branch.member,
            branch.service,
        )
        for index, slot in enumerate(branch.slots):
            if slot is not None:
                tables.slot[SlotKey(group, index)] = slot

    def instance_member(self, unit: str, instance: PlacedInstance, port: str) -> Member:
        """The endpoint of an instance's port as this unit sees it."""
        if instance.unit == unit and instance.kernel:
            # Another program is another endpoint, so that its rows stand before packets meet them.
            number = self.number("endpoint", f"{instance.name}/{port} in program {instance.kernel}")
            key = self.stream(instance, port)
            self.tables[unit].endpoint[number] = kernel_endpoint(key.program, key.stream)
            return Member(number, unit, f"{instance.name}/{port}")
        number = self.number("endpoint", f"{instance.name}/{port}")
        socket = self.socket(instance, port)
        if instance.unit == unit:
            row = Endpoint(
                EndpointKind.GUEST,
                addressing.tap_device(instance.number),
                addressing.HOST_MAC,
                addressing.guest_mac(instance.number),
                socket,
                public=self.public(instance.program, port),
                mtu=addressing.GUEST_MTU,
            )
        else:
            other = self.unit(instance.unit)
            hop = self.unit(unit).hop(other)
            row = Endpoint(
                EndpointKind.NODE,
                hop.device,
                hop.source_mac,
                hop.destination_mac,
                socket,
                vlan=hop.vlan,
                mtu=hop.mtu,
                unit=other.number,
            )
        self.tables[unit].endpoint[number] = row
        return Member(number, instance.unit, f"{instance.name}/{port}")

    def nobody(self, unit: str, instance: PlacedInstance, port: str) -> Member:
        """An endpoint that is never alive."""
        number = self.number("endpoint", f"nobody at {instance.program}/{port}")
        address = addressing.instance_address(instance.number, self.deployment.version)
        link = self.unit(unit).links[0]
        self.tables[unit].endpoint[number] = Endpoint(
            EndpointKind.NODE,
            link.device,
            link.mac,
            link.mac,
            Socket(address, 0),
            vlan=link.vlan,
            unit=NOWHERE,
        )
        return Member(number, unit, "nobody")

    def receiver_member(self, unit: str, output: str, receiver: Socket) -> Member:
        """A receiver; its next hop is for the unit to find and to keep fresh."""
        number = self.number("endpoint", f"{output} -> {receiver}")
        mtu = min((link.mtu for link in self.unit(unit).links if link.outside), default=addressing.GUEST_MTU)
        public = self.deployment.exits[output].public
        self.tables[unit].endpoint[number] = Endpoint(
            EndpointKind.RECEIVER, "", _NO_MAC, _NO_MAC, receiver, source=public, mtu=mtu
        )
        return Member(number, unit, str(receiver))

    def public(self, program: str, port: str) -> Socket | None:
        """The public address of the first session input that feeds this port; its answers leave with it."""
        for (source, name), lines in self.lines.items():
            if not source and any(
                (one.destination.program, one.destination.name) == (program, port) for one in lines
            ):
                return self.deployment.entrances[name].socket
        return None

    def socket(self, instance: PlacedInstance, port: str) -> Socket:
        address = addressing.instance_address(instance.number, self.deployment.version)
        return Socket(address, instance.ports[port])

    def stream(self, instance: PlacedInstance, port: str) -> PutKey:
        """A port of a kernel program: inputs first, in the order in which the session declares them."""
        program = self.programs[instance.program]
        return PutKey(instance.kernel, [*program.inputs, *program.outputs].index(port))

    def unit(self, name: str) -> NodeUnit:
        return self.deployment.units[name]


def _tap(instance: PlacedInstance) -> LinkKey:
    return LinkKey(addressing.tap_device(instance.number))


def _guest_link(deployment: Deployment, instance: PlacedInstance) -> Link:
    return Link(
        LinkKind.GUEST,
        addressing.HOST_MAC,
        slice=deployment.session,
        guest_mac=addressing.guest_mac(instance.number),
        addresses=(addressing.instance_address(instance.number, deployment.version),),
        gateways=(addressing.gateway(deployment.version),),
        instance=compile_artp.instance_number(deployment, instance),
    )


def _socket(socket: pb.SocketAddress) -> Socket:
    return Socket(ip_address(socket.address), socket.port)
