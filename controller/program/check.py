"""What a session's words say together: unknown names, unwired ports, cycles, and the rest that needs no node.

Works on the message Program, so that the text and the protobuf form are judged alike.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from controller.program.complaints import EnoughError
from controller.program.diagnostics import Diagnostic, Place, Severity
from controller.program.graph import GraphCheck
from controller.program.promises import PromiseCheck
from dipronn.v1 import session_pb2 as pb

MIN_CPU = 0.001
MAX_CPU = 65536
MAX_AMOUNT = 1 << 62
MAX_VALUE = 4096
MAX_WEIGHT = 1000
MAX_MESSAGE = 1 << 20
"""Bytes of a session as a message: as many as of its text."""
MAX_INSTANCES = 1024
"""Of one program; what the node can carry is for admission to say."""


def check(program: pb.Program, places: Mapping[str, Place] | None = None) -> list[Diagnostic]:
    """All that is wrong with the session in itself, by place; needs no node and opens no file.

    At most ``MAX_DIAGNOSTICS`` of them: the text is not ours.
    """
    checker = _Checker(program, places or {})
    if program.ByteSize() > MAX_MESSAGE:
        message = f"the session has {program.ByteSize()} bytes, more than {MAX_MESSAGE}"
        return [Diagnostic(Severity.ERROR, message)]
    with contextlib.suppress(EnoughError):
        checker.run()
    return sorted(
        checker.diagnostics, key=lambda one: (one.place.line, one.place.column) if one.place else (0, 0)
    )


def family(program: pb.Program) -> int:
    """4 or 6: what the first input with an address states, else IPv4."""
    for item in program.inputs:
        stated = item.to.address or item.from_prefix
        if stated:
            return ipaddress.ip_network(stated, strict=False).version
    return 4


class _Checker(GraphCheck, PromiseCheck):
    def run(self) -> None:
        self.names()
        self.addresses()
        for index, item in enumerate(self.program.programs):
            self.active_program(f"programs[{index}]", item)
        self.check_graph()
        self.check_promises()

    def names(self) -> None:
        self.name("name", "session", self.program.name)
        kinds: list[tuple[str, str, Iterable[str]]] = [
            ("inputs", "input", (item.name for item in self.program.inputs)),
            ("outputs", "output", (item.name for item in self.program.outputs)),
            ("vms", "vm", (item.name for item in self.program.vms)),
            ("programs", "program", (item.name for item in self.program.programs)),
        ]
        for path, what, names in kinds:
            self.unique(path, what, names)
        self.parameters("parameters", self.program.parameters)
        self.words("owner", "the owner", self.program.owner)
        for index, vm in enumerate(self.program.vms):
            path = f"vms[{index}]"
            if not vm.image:
                self.error(path, f"vm `{vm.name}` has no image", f'write `vm {vm.name} {{ image "…"; }}`')
            self.words(path, f"the image of vm `{vm.name}`", vm.image)
            self.needs(path, f"vm `{vm.name}`", vm.needs)

    # addresses

    def addresses(self) -> None:
        version = 0
        for index, item in enumerate(self.program.inputs):
            path = f"inputs[{index}]"
            if item.transport not in (pb.TRANSPORT_UDP, pb.TRANSPORT_ARTP):
                hint = f"write `input {item.name} : udp` or `transport udp;` in the session"
                self.error(path, f"input `{item.name}` has no transport", hint)
            for part, stated in (("to", item.to.address), ("from", item.from_prefix)):
                found = self.address(f"{path}.{part}", stated, item.to.port if part == "to" else None)
                if found and version and found != version:
                    self.family_warning(f"{path}.{part}", f"input `{item.name}`", version)
                version = version or found
            if item.rate_bps > MAX_AMOUNT:
                self.error(f"{path}.rate", f"the rate of input `{item.name}` is above {MAX_AMOUNT} bps")
            if item.to.port and not item.to.address:
                self.error(f"{path}.to", f"input `{item.name}` states a port without an address")
        self.receivers(version or 4)

    def receivers(self, version: int) -> None:
        for index, item in enumerate(self.program.outputs):
            path = f"outputs[{index}]"
            if not item.receivers:
                hint = f"write `output {item.name} to 192.0.2.1:6000;`"
                self.error(path, f"output `{item.name}` has no receiver", hint)
            seen = Counter((receiver.address, receiver.port) for receiver in item.receivers)
            for number, receiver in enumerate(item.receivers):
                here = f"{path}.receivers[{number}]"
                if not receiver.address and here in self.places:
                    continue  # parse.py has said what is wrong with it
                found = self.address(here, receiver.address or "-", receiver.port)
                if found and found != version:
                    self.family_warning(here, f"receiver `{receiver.address}`", version)
                if seen[receiver.address, receiver.port] > 1:
                    seen[receiver.address, receiver.port] = 0
                    self.error(here, f"receiver `{receiver.address}` port {receiver.port} stands twice")
            found = self.address(f"{path}.override", item.override_prefix, None)
            if found and found != version:
                self.family_warning(f"{path}.override", f"`override` of output `{item.name}`", version)

    def address(self, path: str, text: str, port: int | None) -> int:
        """The family of a good address or prefix; 0 for none or a bad one."""
        if not text:
            return 0
        try:
            if port is None:
                network = ipaddress.ip_network(text)
                return network.version
            address = ipaddress.ip_address(text)
            if "%" in text:
                raise ValueError("a zone has no place here")
            if not 0 < port < 65536:
                raise ValueError(f"port {port} is not in 1..65535")
            if address.is_multicast or address.is_unspecified or address.is_loopback:
                raise ValueError("it is a multicast, loopback or unspecified address")
            if address == ipaddress.ip_address("255.255.255.255"):
                raise ValueError("it is the broadcast address")
        except ValueError as error:
            self.error(path, f"bad address `{text}`: {error}", "write 192.0.2.1:6000 or [2001:db8::7]:6001")
            return 0
        return address.version

    def family_warning(self, path: str, what: str, version: int) -> None:
        self.error(
            path,
            f"{what} is not of the session's family, IPv{version}",
            "a packet keeps its family; the node refuses this session",
            Severity.WARNING,
        )

    # programs

    def active_program(self, path: str, item: pb.ActiveProgram) -> None:
        code = item.WhichOneof("code")
        if code is None or not getattr(item, code):
            self.error(
                path, f"program `{item.name}` has no code", 'write one of run "…", bundle "…" and phonepl "…"'
            )
        else:
            self.words(f"{path}.code", f"`{code}` of program `{item.name}`", getattr(item, code))
        if code == "run" and not item.vm:
            hint = f"write `program {item.name} in VM {{ … }}`, or a bundle"
            self.error(f"{path}.code", f"program `{item.name}` has `run` but no vm to run in", hint)
        if item.vm and item.vm not in self.vms:
            self.unknown(f"{path}.vm", "vm", item.vm, self.vms)
        if item.vm and code == "phonepl":
            self.error(f"{path}.vm", f"program `{item.name}` is Phonepl and runs in the kernel, not in a vm")
        self.ports(path, item)
        self.parameters(f"{path}.parameters", item.parameters)
        self.needs(f"{path}.needs", f"program `{item.name}`", item.needs)
        self.instances(path, item)

    def words(self, path: str, what: str, text: str) -> None:
        if "\0" in text or len(text) > MAX_VALUE:
            self.error(path, f"{what} has a NUL or more than {MAX_VALUE} characters")

    def parameters(self, path: str, parameters: Sequence[pb.Parameter]) -> None:
        """They become environment variables, where a hyphen cannot stand."""
        self.unique(path, "parameter", (one.name.replace("-", "_") for one in parameters))
        for index, one in enumerate(parameters):
            self.words(f"{path}[{index}]", f"the value of parameter `{one.name}`", one.value)

    def needs(self, path: str, owner: str, needs: pb.Needs) -> None:
        """What the text cannot say, but a message can."""
        if needs.cpu and not MIN_CPU <= needs.cpu <= MAX_CPU:  # so is not-a-number
            self.error(path, f"{owner} needs {needs.cpu} cores; they must be in {MIN_CPU}..{MAX_CPU}")
        if max(needs.memory_bytes, needs.storage_bytes, needs.bandwidth_bps) > MAX_AMOUNT:
            self.error(path, f"{owner} needs more than {MAX_AMOUNT} of something")

    def ports(self, path: str, item: pb.ActiveProgram) -> None:
        seen: set[str] = set()
        for kind, ports in (("inputs", item.inputs), ("outputs", item.outputs)):
            for index, port in enumerate(ports):
                here = f"{path}.{kind}[{index}]"
                self.name(here, "port", port)
                if port in seen:
                    self.error(here, f"program `{item.name}` has two ports named `{port}`")
                seen.add(port)

    def instances(self, path: str, item: pb.ActiveProgram) -> None:
        here = f"{path}.instances"
        least, most = item.min_instances, item.max_instances
        if not 1 <= least <= most:
            self.error(
                here,
                f"program `{item.name}` cannot have {least}..{most} instances",
                "1 ≤ A ≤ B in `parallelizable A..B`",
            )
        elif most > MAX_INSTANCES:
            self.error(here, f"program `{item.name}` has {most} instances, more than {MAX_INSTANCES}")
        elif item.policy == pb.POLICY_WEIGHTED and len(item.weights) != most:
            message = f"program `{item.name}` has {most} instances but {len(item.weights)} weights"
            self.error(
                f"{path}.policy", message, "write a weight for each: `parallelizable 2 by weighted 3:1`"
            )
        if item.policy not in pb.Policy.values():
            self.error(
                f"{path}.policy", f"program `{item.name}` has a policy of an unknown number, {item.policy}"
            )
        if item.weights and item.policy != pb.POLICY_WEIGHTED:
            self.error(f"{path}.policy", f"program `{item.name}` has weights, but its policy is another")
        if any(weight > MAX_WEIGHT for weight in item.weights):
            self.error(f"{path}.policy", f"a weight of program `{item.name}` is above {MAX_WEIGHT}")
        if item.policy == pb.POLICY_WEIGHTED and not all(item.weights):
            self.error(
                f"{path}.policy", f"a weight of program `{item.name}` is zero", "leave that instance out"
            )
