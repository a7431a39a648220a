"""What the programs of this unit registered: kept on disk, told to the control unit (D62, D63)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2s

from dipronn.v1 import state_pb2, unit_pb2
from vmhost import sharing
from vmhost.agent.plan import Machine
from vmhost.agent.store import Store
from vmhost.names import Callers, Grant, NameServer, Registration, Resolution
from vmhost.vm.spec import Address, GuestProgram

ARTP_KEY = "DIPRONN_ARTP_KEY"
"""The environment variable that holds what the keys of a program's ARTP channels are made of."""
PARAMETER = "DIPRONN_PARAM_"
"""Environment variables of this prefix are the parameters that RESOLVE tells."""


Ask = Callable[[state_pb2.StateRequest], Awaitable[state_pb2.StateAnswer]]


@dataclass
class _Served:
    machine: Machine
    server: NameServer


class Names:
    """The name servers of a unit, one a tap, and what was registered with them.

    ``tell`` is called with every registration and, with real port 0, every name given back; ``ask`` asks the
    control unit about shared state.
    """

    def __init__(self, store: Store, tell: Callable[[unit_pb2.NameReport], None], ask: Ask) -> None:
        self._store = store
        self._tell = tell
        self._ask = ask
        self._served: dict[str, _Served] = {}
        self._held = store.names()

    async def serve(self, machine: Machine) -> None:
        """Serve a machine's tap, with the names that it had when an earlier agent ended."""
        await self.end(machine)
        held = [
            registration for vm, registration in self._held.get(machine.session, []) if vm == machine.name
        ]
        server = NameServer(
            machine.device, callers(machine), self, held=held, share=partial(self._share, machine)
        )
        await server.start(machine.spec.gateways)
        self._served[machine.device] = _Served(machine, server)

    async def end(self, machine: Machine) -> None:
        """Stop serving; what is registered stays so. Of a machine that is not served, nothing happens."""
        served = self._served.pop(machine.device, None)
        if served:
            await served.server.close()

    async def forget_program(self, machine: Machine, program: str) -> None:
        """A program has ended: its names are given back."""
        if served := self._served.get(machine.device):
            await served.server.forget(program)

    def forget_machine(self, machine: Machine) -> None:
        """A machine is gone; whoever hears that knows that its names are."""
        self._put(machine.session, [each for each in self._of(machine.session) if each[0] != machine.name])

    def forget_session(self, session: int) -> None:
        self._held.pop(session, None)

    def reports(self, session: int) -> list[unit_pb2.NameReport]:
        """Every name of a session that is registered now."""
        return [_report(session, vm, each, each.real_port) for vm, each in self._of(session)]

    # vmhost.names.NameHooks

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        machine = self._served[device].machine
        others = [each for each in self._of(machine.session) if not _same(each, machine, new)]
        self._put(machine.session, [*others, (machine.name, new)])
        self._tell(_report(machine.session, machine.name, new, new.real_port))
        return Grant(machine.names.index(new.name) + 1, _channel_key(machine, new))

    async def unregistered(self, device: str, old: Registration) -> None:
        machine = self._served[device].machine
        self._put(
            machine.session, [each for each in self._of(machine.session) if not _same(each, machine, old)]
        )
        self._tell(_report(machine.session, machine.name, old, 0))

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        served = self._served[device]
        registration = served.server.registrations.get(f"{program}/{port}")
        if registration is None:
            return None
        environment = next(each.environment for each in served.machine.spec.programs if each.name == program)
        parameters = {
            key.removeprefix(PARAMETER): value
            for key, value in environment.items()
            if key.startswith(PARAMETER)
        }
        return Resolution(registration.transport, registration.real_port, copies=1, params=parameters)

    async def _share(self, machine: Machine, caller: Address, request: state_pb2.StateRequest) -> str:
        request.session, request.vm, request.address = machine.session, machine.name, str(caller)
        return sharing.written(request, await self._ask(request))

    def _of(self, session: int) -> list[tuple[str, Registration]]:
        return self._held.get(session, [])

    def _put(self, session: int, names: list[tuple[str, Registration]]) -> None:
        if names != self._of(session):
            self._held[session] = names
            self._store.put_names(session, names)


def callers(machine: Machine) -> Callers:
    """Which programs each address may speak for, and their ports."""
    ports: dict[str, frozenset[str]] = {
        program.name: frozenset(
            name.partition("/")[2] for name in machine.names if name.startswith(f"{program.name}/")
        )
        for program in machine.spec.programs
    }

    def programs_at(address: Address) -> Iterable[GuestProgram]:
        return (each for each in machine.spec.programs if address in machine.spec.addresses_of(each))

    return Callers(
        {
            address: {program.name: ports[program.name] for program in programs_at(address)}
            for address in machine.spec.addresses
        }
    )


def _channel_key(machine: Machine, new: Registration) -> bytes | None:
    """Of an ARTP port: from what the control unit tells all instances of the program."""
    environment = next((each.environment for each in machine.spec.programs if each.name == new.program), {})
    key = bytes.fromhex(environment.get(ARTP_KEY, ""))
    if new.transport != "artp" or not key:
        return None
    return blake2s(new.port.encode(), key=key, digest_size=16).digest()


def _same(held: tuple[str, Registration], machine: Machine, registration: Registration) -> bool:
    return held[0] == machine.name and held[1].name == registration.name


def _report(session: int, vm: str, registration: Registration, real_port: int) -> unit_pb2.NameReport:
    return unit_pb2.NameReport(
        session=session,
        vm=vm,
        program=registration.program,
        port=registration.port,
        transport=registration.transport,
        real_port=real_port,
    )
