"""The session graph: channels between ports that exist, everything wired, no cycle that is not meant."""

from __future__ import annotations

from controller.program.complaints import Complaints
from dipronn.v1 import session_pb2 as pb


def channel_name(channel: pb.Channel) -> str:
    return f"{port_name(channel.source)} -> {port_name(channel.destination)}"


def port_name(port: pb.Port) -> str:
    return f"{port.program}.{port.name}" if port.program else port.name


class GraphCheck(Complaints):
    """Checks of channels; ``check_graph`` runs them all."""

    def check_graph(self) -> None:
        for index, channel in enumerate(self.program.channels):
            self.channel(f"channels[{index}]", channel)
        self.wiring()
        if not self.program.cycle_ok:
            self.cycles()

    def channel(self, path: str, channel: pb.Channel) -> None:
        if channel.kind not in (pb.CHANNEL_KIND_DATA, pb.CHANNEL_KIND_CONTROL):
            self.error(path, "a channel is neither data nor control")
        if channel.both_ways and channel.kind != pb.CHANNEL_KIND_CONTROL:
            self.error(path, f"the data channel `{channel_name(channel)}` goes both ways", "write two lines")
        if channel.kind == pb.CHANNEL_KIND_CONTROL:
            for side, port in (("source", channel.source), ("destination", channel.destination)):
                if not port.program and port.name in self.inputs | self.outputs:
                    hint = "control channels join programs; name a port: `PROGRAM.PORT`"
                    self.error(f"{path}.{side}", f"`{port.name}` belongs to the session's data", hint)
                    return
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
            self.unknown(path, f"`{direction}` port", port_name(port), ports)

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
