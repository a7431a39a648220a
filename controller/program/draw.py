"""The session graph as a drawing for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from controller.program.graph import port_name
from dipronn.v1 import session_pb2 as pb

_DEEPEST = 150
"""Columns of indentation; what lies deeper is not drawn."""

_POLICY_WORDS = {
    pb.POLICY_UNSPECIFIED: "round robin",
    pb.POLICY_ROUND_ROBIN: "round robin",
    pb.POLICY_DUPLICATE: "duplicate",
    pb.POLICY_HASH: "hash",
    pb.POLICY_WEIGHTED: "weighted",
    pb.POLICY_LEAST_LOADED: "least loaded",
    pb.POLICY_CHOSEN: "chosen",
}


def draw(program: pb.Program) -> str:
    """Every input as a root, every path to the outputs below it; what was drawn already is only named."""
    return "\n".join(_Drawing(program).lines())


class _Drawing:
    def __init__(self, program: pb.Program) -> None:
        self.program = program
        self.programs = {item.name: item for item in program.programs}
        self.outputs = {item.name: item for item in program.outputs}
        self.drawn: set[str] = set()
        self.following: dict[tuple[str, str], list[pb.Port]] = {}
        for channel in program.channels:
            if channel.kind == pb.CHANNEL_KIND_DATA:
                source = channel.source.program, channel.source.name
                self.following.setdefault(source, []).append(channel.destination)

    def lines(self) -> list[str]:
        lines = [f"session {self.program.name}"]
        for item in self.program.inputs:
            lines += ["", f"◉ {item.name}  ({', '.join(input_notes(item))})"]
            lines += self.below(item.name)
        control = [channel for channel in self.program.channels if channel.kind == pb.CHANNEL_KIND_CONTROL]
        if control:
            lines += ["", "control"]
            for channel in control:
                arrow = "◁┄▷" if channel.both_ways else "┄┄▷"
                lines.append(f"  {port_name(channel.source)} {arrow} {port_name(channel.destination)}")
        return lines

    def below(self, root: str) -> list[str]:
        """The tree below one input, without recursion: the graph may be a chain of thousands."""
        lines: list[str] = []
        todo = self.children("", [root], "")
        while todo:
            prefix, last, arrow, port = todo.pop()
            note = self.note(port)
            corner, symbol = "└" if last else "├", "▣" if port.program else "◎"
            lines.append(f"{prefix}{corner}{arrow} {symbol} {port_name(port)}{note}")
            if not port.program or port.program in self.drawn:
                continue
            continued = prefix + ("   " if last else "│  ")
            if len(continued) > _DEEPEST:
                lines.append(f"{continued}…")
                continue
            self.drawn.add(port.program)
            item = self.programs.get(port.program)
            todo += self.children(port.program, item.outputs if item else [], continued)
        return lines

    def children(
        self, program: str, outputs: Iterable[str], prefix: str
    ) -> list[tuple[str, bool, str, pb.Port]]:
        """What these ports lead to, the last first: a stack."""
        rows = [(name, port) for name in outputs for port in self.following.get((program, name), [])]
        return [
            (prefix, index == len(rows) - 1, f"─[{name}]─▶" if program else "─▶", port)
            for index, (name, port) in enumerate(rows)
        ][::-1]

    def note(self, port: pb.Port) -> str:
        if not port.program:
            output = self.outputs.get(port.name)
            receivers = ", ".join(map(socket, output.receivers)) if output else ""
            return f"  (to {receivers})" if receivers else ""
        item = self.programs.get(port.program)
        notes = []
        if item and item.max_instances > 1:
            notes.append(policy_note(item))
        if port.program in self.drawn:
            notes.append("drawn above")
        return f"  ({', '.join(notes)})" if notes else ""


def input_notes(item: pb.Input) -> list[str]:
    """How and what may enter."""
    notes = [pb.Transport.Name(item.transport).removeprefix("TRANSPORT_").lower()]
    if item.from_prefix:
        notes.append(f"from {item.from_prefix}")
    if item.to.address:
        notes.append(f"to {socket(item.to)}")
    if item.rate_bps:
        notes.append(f"{item.rate_bps / 1e6:g} Mbps")
    return notes


def policy_note(item: pb.ActiveProgram) -> str:
    """How many instances, and how they share the packets."""
    least, most = item.min_instances, item.max_instances
    count = str(most) if least == most else f"{least}..{most}"
    return f"× {count} {_POLICY_WORDS.get(item.policy, '')}"


def socket(socket: pb.SocketAddress) -> str:
    return f"[{socket.address}]:{socket.port}" if ":" in socket.address else f"{socket.address}:{socket.port}"
