"""Whether the node takes a session, and how it is laid over the units: all or nothing; nothing is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from controller.limits import Limits
from controller.located import at
from controller.placement import Demand, Offer, Placer, Problem
from controller.placement.admission import Amount, NoRoom
from controller.placement.agreed import confirmed
from controller.placement.counting import Shortage, count, with_counts
from controller.placement.kernel import kernel_places
from controller.placement.wanted import problem, promised_output
from controller.program import asks_for_order, family
from controller.program.machines import leads
from controller.proposal import Proposal
from controller.record import InstanceRecord, Phase, SessionRecord
from controller.request import Request
from controller.steering.compile import compile_session
from controller.steering.deployment import Deployment, Entrance, Exit, control_ports
from controller.steering.identifiers import Identifiers
from controller.steering.model import Address, Socket
from controller.units import Units, UnitState, node_unit
from dipronn.errors import AlreadyExists, InsufficientResources, InvalidSession, Unavailable
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2

PROPOSED = 0
"""The number of a session that is only talked about; no other has it."""
_FIRST_PORT = 1024
"""At a kernel program's own address, for packets from other units; nobody registers there."""
_ATTEMPTS = 3
"""To place a session while units come and go."""


class Admission:
    def __init__(self, units: Units, identifiers: Identifiers, placer: Placer, limits: Limits) -> None:
        self._units = units
        self._identifiers = identifiers
        self._placer = placer
        self._limits = limits

    async def admit(
        self,
        number: int,
        request: Request,
        others: list[SessionRecord],
        places: Mapping[str, str] | None = None,
    ) -> SessionRecord:
        """A record with every number and resource reserved.  On any refusal nothing is.

        ``places``: the unit of every instance, if that was agreed before.  One session at a time: what is
        reserved in ``others`` is all that is reserved.
        """
        record = self._new_record(number, request)
        try:
            await self._lay_out(record, others, places)
        except BaseException:
            self._identifiers.release(record.owner)
            raise
        return record

    async def propose(self, request: Request, others: list[SessionRecord]) -> Proposal:
        """As ``admit`` with as many instances as fit, but every number is given back."""
        record = self._new_record(PROPOSED, request)
        try:
            self._connect(record, others)
            counted = await asyncio.to_thread(count, record.program, self._shortage(record, others))
            if counted:
                record.program = with_counts(record.program, counted.counts)
            # Where not even the least fits, this says why, or finds room after all.
            await self._lay_out(record, others, None)
            return Proposal(record, counted.cuts if counted else {})
        finally:
            self._identifiers.release(record.owner)

    def _shortage(self, record: SessionRecord, others: list[SessionRecord]) -> Shortage:
        def shortage(counts: Mapping[str, int]) -> str:
            limited = self._limits.shortage(record.user, record.program, counts, others)
            return limited or self._placer.shortage(self._problem(record, others, counts))

        return shortage

    def _new_record(self, number: int, request: Request) -> SessionRecord:
        program, version = request.program, family(request.program)
        return SessionRecord(
            number,
            program,
            version,
            [],
            {},
            {},
            request.bundle_hashes,
            user=request.user,
            images=request.images,
        )

    async def _lay_out(
        self, record: SessionRecord, others: list[SessionRecord], places: Mapping[str, str] | None
    ) -> None:
        if not record.entrances:
            self._connect(record, others)
        try:
            record.instances = await self._place(record, others, places)
        except NoRoom as error:
            names = [program.name for program in record.program.programs]
            if error.program in names:
                error.path = f"programs[{names.index(error.program)}]"
            raise
        # Compiled now, with ports that nobody has registered yet: what cannot be steered is refused here.
        compile_session(_with_any_ports(record.deployment(self._units.node_units())), self._identifiers)

    def _connect(self, record: SessionRecord, others: list[SessionRecord]) -> None:
        """Choose where inputs enter and outputs leave."""
        taken = _taken_sockets(others)
        for index, item in enumerate(record.program.inputs):
            with at(f"inputs[{index}].to"):
                record.entrances[item.name] = self._entrance(record, item, taken)
        for output in record.program.outputs:
            record.exits[output.name] = self._exit(record, output, taken)
        self._require_bandwidth(record, others)

    def offers(self, others: Iterable[SessionRecord]) -> list[Offer]:
        """What processing units have, and what is reserved of it."""
        return processing_offers(self._units, others)

    def _require_bandwidth(self, record: SessionRecord, others: list[SessionRecord]) -> None:
        """Refuse inputs and outputs whose rates the units that they enter by cannot carry."""
        reserved = reservations(others)
        for name, needed in reservations([record]).items():
            offer = Offer(name, total(self._units.known[name]), reserved.get(name, Amount()))
            short = "; ".join(offer.shortfall(Amount(bandwidth_bps=needed.bandwidth_bps)))
            if short:
                inputs = [one.name for one in record.program.inputs]
                entering = [one for one in inputs if record.entrances[one].unit == name]
                with at(f"inputs[{inputs.index(entering[0])}].rate" if entering else "outputs[0]"):
                    raise InsufficientResources(
                        f"inputs and outputs need more than {name} can carry:\n  {name}: {short}"
                    )

    async def _place(
        self, record: SessionRecord, others: list[SessionRecord], places: Mapping[str, str] | None
    ) -> list[InstanceRecord]:
        counts = {program.name: program.min_instances for program in record.program.programs}
        if limited := self._limits.shortage(record.user, record.program, counts, others):
            raise InsufficientResources(limited)
        for _ in range(_ATTEMPTS):
            wanted = self._problem(record, others, counts)
            placed = confirmed(wanted, places) if places is not None else self._placer.at_once(wanted)
            if placed is None:
                placed = await asyncio.to_thread(self._placer.place, wanted)
            if set(placed.values()) <= {offer.unit for offer in self.offers([])}:
                break
        else:
            raise Unavailable("units went away while the session was placed; try again")
        first = {
            demand.name: self._reserved(record, demand, placed[demand.name]) for demand in wanted.demands
        }
        lead = leads(record.program)
        in_kernel = self._in_kernel(record, others, list(first.values()))
        return [
            first[f"{lead[name]}-{index}"]
            if lead[name] == name
            else _beside(first[f"{lead[name]}-{index}"], name)
            for name, instances in counts.items()
            if name not in in_kernel
            for index in range(instances)
        ] + list(in_kernel.values())

    def _in_kernel(
        self, record: SessionRecord, others: list[SessionRecord], machines: list[InstanceRecord]
    ) -> dict[str, InstanceRecord]:
        """The kernel programs, each on the first unit that suits it and has what it states to need."""
        units = self._units.living_any()
        able = [unit.name for unit in units if unit.stored.hello.runs_programs]
        places = kernel_places(
            record.program,
            {name: entrance.unit for name, entrance in record.entrances.items()},
            {name: exit_.unit for name, exit_ in record.exits.items()},
            {one.program: one.unit for one in machines},
            able,
        )
        found: dict[str, InstanceRecord] = {}
        for index, active in enumerate(record.program.programs):
            if active.name not in places:
                continue
            with at(f"programs[{index}].code"):
                if not able:
                    names = ", ".join(unit.name for unit in units)
                    raise Unavailable(
                        f"program `{active.name}` is Phonepl, which runs in the kernel of a unit with XDP; "
                        f"of the units that are alive none has one ({names} are P4 switches)"
                    )
                reserved = reservations([*others, replace(record, instances=[*machines, *found.values()])])
                found[active.name] = self._kernel_instance(record, active, places[active.name], reserved)
        return found

    def _kernel_instance(
        self, record: SessionRecord, active: pb.ActiveProgram, places: list[str], reserved: dict[str, Amount]
    ) -> InstanceRecord:
        stated = active.needs
        amount = Amount(stated.cpu, stated.memory_bytes, stated.bandwidth_bps)
        short: list[str] = []
        for unit in places:
            offer = Offer(unit, total(self._units.known[unit]), reserved.get(unit, Amount()))
            if lacking := offer.shortfall(amount):
                short.append(f"{unit}: {'; '.join(lacking)}")
                continue
            number = self._identifiers.number("instance", record.owner, f"{active.name}-0")
            ports = {port: _FIRST_PORT + i for i, port in enumerate([*active.inputs, *active.outputs])}
            return InstanceRecord(
                active.name,
                0,
                unit,
                number,
                amount.cpu,
                amount.memory_bytes,
                amount.bandwidth_bps,
                ports,
                kernel=self.program_number(record, active),
            )
        raise NoRoom(f"no unit has room for program `{active.name}`:\n  " + "\n  ".join(short), active.name)

    def program_number(self, record: SessionRecord, active: pb.ActiveProgram) -> int:
        """Of a kernel program and its source: another source is another program."""
        source = record.bundles.get(active.phonepl, b"").hex()
        return self._identifiers.number("program", record.owner, f"{active.name} {source}")

    def _problem(
        self, record: SessionRecord, others: list[SessionRecord], counts: Mapping[str, int]
    ) -> Problem:
        entrances = {name: entrance.unit for name, entrance in record.entrances.items()}
        exits = {name: exit_.unit for name, exit_ in record.exits.items()}
        # What enters at a unit that also processes is carried by it, too.
        return problem(record.program, counts, entrances, exits, self.offers([*others, record]))

    def _reserved(self, record: SessionRecord, demand: Demand, unit: str) -> InstanceRecord:
        needs = demand.needs_on(unit)
        return InstanceRecord(
            demand.program,
            demand.index,
            unit,
            self._identifiers.number("instance", record.owner, demand.name),
            needs.cpu,
            needs.memory_bytes,
            needs.bandwidth_bps,
            storage_bytes=needs.storage_bytes,
        )

    def _entrance(self, record: SessionRecord, item: pb.Input, taken: dict[Socket, str]) -> Entrance:
        units = self._living(unit_pb2.ROLE_DISTRIBUTION, "distribution")
        if item.to.address:
            socket = Socket(ip_address(item.to.address), item.to.port)
            for unit in units:
                if socket.address in _outside_addresses(unit):
                    self._take(socket, f"input `{item.name}` of session `{record.name}`", taken)
                    return Entrance(unit.name, socket)
            known = ", ".join(
                f"{address} ({unit.name})" for unit in units for address in _outside_addresses(unit)
            )
            raise InvalidSession(
                f"input `{item.name}`: {socket.address} is no address of a distribution unit; "
                f"known: {known or 'none'}; leave out `to` and the node assigns one"
            )
        for unit in units:
            address = node_unit(unit.stored).address(record.version, outside=True)
            if address:
                return Entrance(unit.name, self._assign(record, f"input {item.name}", [address], taken)[0])
        raise Unavailable(
            f"input `{item.name}`: no distribution unit has an IPv{record.version} address outside"
        )

    def _exit(self, record: SessionRecord, output: pb.Output, taken: dict[Socket, str]) -> Exit:
        units = self._living(unit_pb2.ROLE_AGGREGATION, "aggregation")
        receiver = ip_address(output.receivers[0].address)
        ordered = asks_for_order(output)
        if ordered:
            units = [unit for unit in units if unit.stored.hello.keeps_order]
            if not units:
                what = "aggregation unit that lives can hold packets (a switch cannot)"
                raise Unavailable(f"output `{output.name}` asks for order, and no {what}")
        # A unit that has the receiver on one of its links comes first.
        for unit in sorted(units, key=lambda one: not _is_on_link(one, receiver)):
            node = node_unit(unit.stored)
            public = node.address(record.version, outside=True)
            if public:
                internal = node.address(record.version, outside=False) or public
                sockets = self._assign(record, f"output {output.name}", [internal, public], taken)
                behind = f"ordered output {output.name}"
                kept = self._assign(record, behind, [internal], taken)[0] if ordered else None
                return Exit(unit.name, sockets[0], sockets[1], kept)
        raise Unavailable(
            f"output `{output.name}`: no aggregation unit has an IPv{record.version} address outside"
        )

    def _living(self, role: unit_pb2.Role.ValueType, name: str) -> list[UnitState]:
        units = self._units.living(role)
        if not units:
            raise Unavailable(f"no {name} unit is alive; start its agent")
        return units

    def _assign(
        self, record: SessionRecord, key: str, addresses: list[Address], taken: dict[Socket, str]
    ) -> list[Socket]:
        """One port that is free at all of these addresses."""
        attempt = 0
        while True:
            port = self._identifiers.number("port", record.owner, f"{key} {attempt}" if attempt else key)
            sockets = [Socket(address, port) for address in addresses]
            if not any(socket in taken for socket in sockets):
                taken.update(dict.fromkeys(sockets, f"{key} of session `{record.name}`"))
                return sockets
            attempt += 1

    @staticmethod
    def _take(socket: Socket, what: str, taken: dict[Socket, str]) -> None:
        if socket in taken:
            raise AlreadyExists(f"{what}: {socket} is taken by {taken[socket]}; state another port or none")
        taken[socket] = what


def _beside(first: InstanceRecord, program: str) -> InstanceRecord:
    """An instance in a machine for which all is reserved already."""
    return InstanceRecord(program, first.index, first.unit, first.number, 0.0, 0, 0, machine=first.machine)


def total(unit: UnitState) -> Amount:
    resources = unit.stored.hello.resources
    return Amount(resources.cpu, resources.memory_bytes, resources.bandwidth_bps, resources.storage_bytes)


def processing_offers(units: Units, records: Iterable[SessionRecord]) -> list[Offer]:
    """What the living processing units have, and what these sessions reserve of it."""
    reserved = reservations(records)
    return [
        Offer(unit.name, total(unit), reserved.get(unit.name, Amount()), dict(unit.stored.hello.unheld))
        for unit in units.living(unit_pb2.ROLE_PROCESSING)
    ]


def roomiest(offers: Iterable[Offer], demand: Demand, there: Sequence[str]) -> str:
    """The unit for one instance more: the fewest of its program, of these the most free CPU; "": none fits.

    ``there``: the units of the program's instances.
    """
    fitting = [offer for offer in offers if not offer.lacks(demand)]
    best = min(fitting, key=lambda offer: (there.count(offer.unit), -offer.free()[0]), default=None)
    return best.unit if best else ""


def reservations(records: Iterable[SessionRecord]) -> dict[str, Amount]:
    """What sessions reserve, by unit: their instances, and the rates promised to inputs and outputs."""
    reserved: dict[str, Amount] = {}

    def reserve(unit: str, amount: Amount) -> None:
        reserved[unit] = reserved.get(unit, Amount()).plus(amount)

    for record in records:
        for one in record.instances:
            reserve(one.unit, Amount(one.cpu, one.memory_bytes, one.bandwidth_bps, one.storage_bytes))
        for item in record.program.inputs:
            if item.name in record.entrances:
                reserve(record.entrances[item.name].unit, Amount(bandwidth_bps=item.rate_bps))
        for output in record.program.outputs:
            if output.name in record.exits:
                rate = promised_output(record.program, output)
                reserve(record.exits[output.name].unit, Amount(bandwidth_bps=rate))
    return reserved


def _taken_sockets(records: Iterable[SessionRecord]) -> dict[Socket, str]:
    taken = {}
    for record in records:
        whose = f"session `{record.name}`"
        if record.phase is Phase.CLOSING:
            whose += f", which is closed but still to be removed from {', '.join(record.pending)}"
        for name, entrance in record.entrances.items():
            taken[entrance.socket] = f"input `{name}` of {whose}"
        for name, exit_ in record.exits.items():
            for socket in filter(None, (exit_.internal, exit_.public, exit_.ordered)):
                taken[socket] = f"output `{name}` of {whose}"
    return taken


def _outside_addresses(unit: UnitState) -> list[Address]:
    links = node_unit(unit.stored).links
    return [interface.ip for link in links if link.outside for interface in link.addresses]


def _is_on_link(unit: UnitState, address: object) -> bool:
    links = node_unit(unit.stored).links
    return any(address in interface.network for link in links if link.outside for interface in link.addresses)


def _with_any_ports(deployment: Deployment) -> Deployment:
    instances = tuple(
        replace(one, ports={port: number + 1 for number, port in enumerate(_ports(deployment, one.program))})
        for one in deployment.instances
    )
    return replace(deployment, instances=instances)


def _ports(deployment: Deployment, program: str) -> list[str]:
    return deployment.data_ports(program) + control_ports(deployment.program, program)
