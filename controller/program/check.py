"""What a session's words say together: unknown names, unwired ports, cycles, and the rest that needs no node.

Works on the message Program, so that the text and the protobuf form are judged alike.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from controller.program.diagnostics import Diagnostic, Place, Severity
from dipronn.v1 import session_pb2 as pb

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
MAX_NAME = 64
MAX_DIAGNOSTICS = 50
MAX_CPU = 65536
MAX_AMOUNT = 1 << 62
MAX_VALUE = 4096
MAX_WEIGHT = 1000
MAX_INSTANCES = 1024
"""Of one program; what the node can carry is for admission to say."""


def check(program: pb.Program, places: Mapping[str, Place] | None = None) -> list[Diagnostic]:
    """All that is wrong with the session in itself, by place; needs no node and opens no file.

    At most ``MAX_DIAGNOSTICS`` of them: the text is not ours.
    """
    checker = _Checker(program, places or {})
    with contextlib.suppress(_EnoughError):
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


def channel_name(channel: pb.Channel) -> str:
    return f"{port_name(channel.source)} -> {port_name(channel.destination)}"


def port_name(port: pb.Port) -> str:
    return f"{port.program}.{port.name}" if port.program else port.name


class _EnoughError(Exception):
    """More faults than anyone reads."""


class _Checker:
    def __init__(self, program: pb.Program, places: Mapping[str, Place]) -> None:
        self.program = program
        self.places = places
        self.diagnostics: list[Diagnostic] = []
        self.programs = {item.name: item for item in program.programs}
        self.inputs = {item.name for item in program.inputs}
        self.outputs = {item.name for item in program.outputs}
        self.vms = {item.name for item in program.vms}

    def error(self, path: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self.diagnostics.append(Diagnostic(severity, message, path, self.place(path), hint))
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            raise _EnoughError

    def place(self, path: str) -> Place | None:
        """The place of the field, or of the smallest field around it that has one."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path.rpartition(".")[0]
        return None

    def run(self) -> None:
        self.names()
        self.addresses()
        for index, item in enumerate(self.program.programs):
            self.active_program(f"programs[{index}]", item)
        for index, channel in enumerate(self.program.channels):
            self.channel(f"channels[{index}]", channel)
        self.wiring()
        if not self.program.cycle_ok:
            self.cycles()
        for index, quality in enumerate(self.program.qualities):
            if quality.program not in self.programs:
                self.unknown(f"qualities[{index}]", "program", quality.program, self.programs)

    # names

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
        for index, vm in enumerate(self.program.vms):
            self.needs(f"vms[{index}]", f"vm `{vm.name}`", vm.needs)

    def unique(self, path: str, what: str, names: Iterable[str]) -> None:
        seen: dict[str, str] = {}
        for index, name in enumerate(names):
            here = f"{path}[{index}]"
            self.name(here, what, name)
            if name in seen:
                first = self.place(seen[name])
                self.error(
                    here,
                    f"two {what}s are named `{name}`",
                    f"the first is in line {first.line}" if first else "",
                )
            seen.setdefault(name, here)

    def name(self, path: str, what: str, name: str) -> None:
        if not NAME.fullmatch(name):
            self.error(path, f"`{name}` is no name of a {what}", "a letter, then letters, digits, _ and -")
        elif len(name) > MAX_NAME:
            self.error(path, f"the name of the {what} `{name[:20]}…` is longer than {MAX_NAME} characters")

    def unknown(self, path: str, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        self.error(
            path, f"unknown {what} `{name}`", f"known: {shown}" if names else f"this session has no {what}"
        )

    # addresses

    def addresses(self) -> None:
        version = 0
        for index, item in enumerate(self.program.inputs):
            path = f"inputs[{index}]"
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
            if item.override_prefix:
                self.address(f"{path}.override", item.override_prefix, None)

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

    def parameters(self, path: str, parameters: Sequence[pb.Parameter]) -> None:
        """They become environment variables, where a hyphen cannot stand."""
        self.unique(path, "parameter", (one.name.replace("-", "_") for one in parameters))
        for index, one in enumerate(parameters):
            if "\0" in one.value or len(one.value) > MAX_VALUE:
                message = f"the value of parameter `{one.name}` has a NUL or more than {MAX_VALUE} characters"
                self.error(f"{path}[{index}]", message)

    def needs(self, path: str, owner: str, needs: pb.Needs) -> None:
        """What the text cannot say, but a message can."""
        if not 0 <= needs.cpu <= MAX_CPU:  # so is not-a-number
            self.error(path, f"{owner} needs {needs.cpu} cores; they must be in 0..{MAX_CPU}")
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
        if any(weight > MAX_WEIGHT for weight in item.weights):
            self.error(f"{path}.policy", f"a weight of program `{item.name}` is above {MAX_WEIGHT}")
        if item.policy == pb.POLICY_WEIGHTED and not all(item.weights):
            self.error(
                f"{path}.policy", f"a weight of program `{item.name}` is zero", "leave that instance out"
            )

    # channels

    def channel(self, path: str, channel: pb.Channel) -> None:
        if channel.kind not in (pb.CHANNEL_KIND_DATA, pb.CHANNEL_KIND_CONTROL):
            self.error(path, "a channel is neither data nor control")
        self.end(f"{path}.source", channel.source, channel.kind, "input", self.inputs, "out")
        self.end(f"{path}.destination", channel.destination, channel.kind, "output", self.outputs, "in")

    def end(
        self,
        path: str,
        port: pb.Port,
        kind: pb.ChannelKind.ValueType,
        session_port: str,
        known: set[str],
        direction: str,
    ) -> None:
        if not port.program:
            if port.name not in known:
                other = self.outputs if session_port == "input" else self.inputs
                if port.name in other:
                    word = (
                        "begins at a session input" if session_port == "input" else "ends at a session output"
                    )
                    article = "an output" if session_port == "input" else "an input"
                    self.error(
                        path,
                        f"`{port.name}` is {article} of the session",
                        f"a channel {word} or a program's port",
                    )
                elif port.name in self.programs:
                    self.error(path, f"`{port.name}` is a program", f"name its port: `{port.name}.PORT`")
                else:
                    self.unknown(path, f"session {session_port}", port.name, known)
            return
        item = self.programs.get(port.program)
        if item is None:
            self.unknown(path, "program", port.program, self.programs)
            return
        ports = item.outputs if direction == "out" else item.inputs
        others = item.inputs if direction == "out" else item.outputs
        if port.name in ports:
            return
        if kind == pb.CHANNEL_KIND_CONTROL:
            self.name(path, "port", port.name)
        elif port.name in others:
            opposite = "in" if direction == "out" else "out"
            verb = "leaves" if direction == "out" else "enters"
            hint = f"a channel {verb} a program by one of its `{direction}` ports"
            self.error(path, f"`{port_name(port)}` is an `{opposite}` port of the program", hint)
        else:
            self.unknown(path, f"`{direction}` port of program `{port.program}`", port.name, ports)

    def wiring(self) -> None:
        sources: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}  # by: is a data channel
        destinations: dict[bool, set[tuple[str, str]]] = {True: set(), False: set()}
        seen: set[tuple[str, int]] = set()
        for index, channel in enumerate(self.program.channels):
            source = channel.source.program, channel.source.name
            destination = channel.destination.program, channel.destination.name
            both = {source, destination}
            is_data = channel.kind == pb.CHANNEL_KIND_DATA
            sources[is_data] |= both if channel.both_ways else {source}
            destinations[is_data] |= both if channel.both_ways else {destination}
            line = channel_name(channel), channel.kind
            if line in seen:
                self.error(f"channels[{index}]", f"the channel `{line[0]}` stands twice")
            seen.add(line)
        for index, item in enumerate(self.program.inputs):
            if ("", item.name) not in sources[True]:
                self.error(
                    f"inputs[{index}]", f"input `{item.name}` is not used", f"write `data {item.name} -> …;`"
                )
        for index, output in enumerate(self.program.outputs):
            if ("", output.name) not in destinations[True]:
                hint = f"write `data … -> {output.name};`"
                self.error(f"outputs[{index}]", f"output `{output.name}` is not reached", hint)
        wired_sources, wired_destinations = (
            sources[True] | sources[False],
            destinations[True] | destinations[False],
        )
        for index, program in enumerate(self.program.programs):
            path = f"programs[{index}]"
            for number, port in enumerate(program.inputs):
                if (program.name, port) not in wired_destinations:
                    self.unwired(f"{path}.inputs[{number}]", "in", f"{program.name}.{port}", "… -> {}")
            for number, port in enumerate(program.outputs):
                if (program.name, port) not in wired_sources:
                    self.unwired(f"{path}.outputs[{number}]", "out", f"{program.name}.{port}", "{} -> …")

    def unwired(self, path: str, kind: str, port: str, line: str) -> None:
        self.error(path, f"`{kind}` port `{port}` is not wired", f"write `data {line.format(port)};`")

    def cycles(self) -> None:
        """Depth first, without recursion: the text is not ours and may be a chain of thousands."""
        following: dict[str, list[tuple[int, str]]] = {name: [] for name in self.programs}
        for index, channel in enumerate(self.program.channels):
            ends = channel.source.program, channel.destination.program
            if channel.kind == pb.CHANNEL_KIND_DATA and all(end in following for end in ends):
                following[ends[0]].append((index, ends[1]))
        done: set[str] = set()
        for start in following:
            trail: list[str] = []
            on_path: set[str] = set()
            stack: list[tuple[str, int]] = [(start, 0)] if start not in done else []
            while stack:
                name, position = stack.pop()
                if position == 0:
                    trail.append(name)
                    on_path.add(name)
                if position == len(following[name]):
                    done.add(name)
                    on_path.discard(trail.pop())
                    continue
                stack.append((name, position + 1))
                index, successor = following[name][position]
                if successor in on_path:
                    cycle = [*trail[trail.index(successor) :], successor]
                    message = f"the data channels form a cycle: {' -> '.join(cycle)}"
                    self.error(
                        f"channels[{index}]", message, "if you mean it, write `cycle ok;` in the session"
                    )
                    return
                if successor not in done:
                    stack.append((successor, 0))
