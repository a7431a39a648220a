"""The session graph as a drawing (SVG 1.1): boxes with their ports, data drawn through, control dashed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from controller.program.diagnostics import printable
from controller.program.draw import input_notes, policy_note, socket
from controller.program.graph import channel_name
from controller.program.layers import Layers, arrange
from dipronn.v1 import session_pb2 as pb

_LETTER = 6.7
"""Width of a character, pixels; the font is monospace."""
_LINE, _PAD, _MARGIN, _BETWEEN = 17, 10, 24, 90
_LONGEST = 40
"""Characters of a line in a box."""
_FILL = {"input": "#e3f0fb", "output": "#e6f4e6", "program": "#fff7e0", "kernel": "#f3e8fb", "vm": "#fdeee4"}
_STROKE = {
    "input": "#2f6fa8",
    "output": "#3d8046",
    "program": "#a97d14",
    "kernel": "#7c4aa6",
    "vm": "#b06030",
}


def draw_svg(program: pb.Program) -> str:
    """A document of its own; text in it is escaped, nothing in it refers to anything outside."""
    return "\n".join(_Drawing(program).document()) + "\n"


@dataclass
class _Box:
    kind: str
    title: str
    notes: list[str]
    left: list[str] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0

    @property
    def text_height(self) -> float:
        return _LINE * (1 + len(self.notes)) + _PAD

    @property
    def height(self) -> float:
        ports = max(len(self.left), len(self.right))
        return self.text_height + (_LINE * ports + _PAD if ports else 0)

    @property
    def width(self) -> float:
        sides = max(map(len, self.left), default=0) + max(map(len, self.right), default=0)
        longest = max(len(self.title), *map(len, self.notes), sides + 3)
        return longest * _LETTER + 2 * _PAD

    def port(self, name: str, outgoing: bool) -> tuple[float, float]:
        """Where a line meets the box; a session's input and output have no ports, but a middle."""
        ports = self.right if outgoing else self.left
        x = self.x + (self.width if outgoing else 0)
        if name not in ports:
            return x, self.y + self.height / 2
        return x, self.y + self.text_height + _LINE * (ports.index(name) + 0.5)


class _Drawing:
    def __init__(self, program: pb.Program) -> None:
        self.program = program
        self.boxes: dict[str, _Box] = {}
        for item in program.inputs:
            self.boxes[f"<{item.name}"] = _Box("input", item.name, _lines(input_notes(item)))
        for active in program.programs:
            self.boxes[active.name] = _program_box(active)
        for output in program.outputs:
            self.boxes[f">{output.name}"] = _Box("output", output.name, _lines(_output_notes(output)))
        self.data = [one for one in program.channels if one.kind == pb.CHANNEL_KIND_DATA]
        self.control = [one for one in program.channels if one.kind == pb.CHANNEL_KIND_CONTROL]
        for channel in self.control:
            self.add_port(channel.source, outgoing=True)
            self.add_port(channel.destination, outgoing=False)
        self.column_x: list[tuple[float, float]] = []
        self.layers = self.lay_out()

    def add_port(self, port: pb.Port, outgoing: bool) -> None:
        """Ports that stand in control lines only are declared nowhere."""
        box = self.boxes.get(port.program)
        if box and port.name not in [*box.left, *box.right]:
            (box.right if outgoing else box.left).append(port.name)

    def lay_out(self) -> Layers:
        edges = [(self.key(one.source, True), self.key(one.destination, False)) for one in self.data]
        known = [edge for edge in edges if edge[0] in self.boxes and edge[1] in self.boxes]
        self.data = [one for one, edge in zip(self.data, edges, strict=True) if edge in known]
        heights = {key: box.height for key, box in self.boxes.items()}
        layers = arrange(heights, known, [key for key in heights if key.startswith(">")])
        x = float(_MARGIN)
        for column in layers.columns:
            boxes = [self.boxes[key] for key in column if isinstance(key, str)]
            width = max((box.width for box in boxes), default=0.0)
            for box in boxes:
                box.x = x + (width - box.width) / 2
            self.column_x.append((x, x + width))
            x += width + _BETWEEN
        for key, box in self.boxes.items():
            box.y = layers.top[key] + 2 * _MARGIN
        return layers

    @staticmethod
    def key(port: pb.Port, outgoing: bool) -> str:
        return port.program or f"{'<' if outgoing else '>'}{port.name}"

    def document(self) -> Iterator[str]:
        right = max([box.x + box.width for box in self.boxes.values()], default=0.0)
        bottom = max([box.y + box.height for box in self.boxes.values()], default=0.0)
        bottom = max([bottom, *(y + 2 * _MARGIN for y in self.layers.top.values())])
        depth = 2 * _MARGIN if self.control else _MARGIN
        width, height = round(right + _MARGIN), round(bottom + depth)
        title = f"session {self.program.name}" + (f" ({self.program.owner})" if self.program.owner else "")
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans Mono, monospace" font-size="11">'
        )
        yield f"<title>{_text(title)}</title>"
        yield '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" '
        yield 'orient="auto-start-reverse"><path d="M0,0 L8,4 L0,8 z" fill="#444"/></marker></defs>'
        yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
        yield f'<text x="{_MARGIN}" y="{_MARGIN}" font-size="13" font-weight="bold">{_text(title)}</text>'
        for index, channel in enumerate(self.data):
            yield self.data_line(index, channel)
        for channel in self.control:
            yield from self.control_line(channel)
        for box in self.boxes.values():
            yield from _box(box)
        yield "</svg>"

    def data_line(self, index: int, channel: pb.Channel) -> str:
        source = self.boxes[self.key(channel.source, True)]
        destination = self.boxes[self.key(channel.destination, False)]
        x, y = source.port(channel.source.name, True)
        path = [f"M{x:.1f},{y:.1f}"]
        for bend in self.layers.bends.get(index, []):
            left, right = self.column_x[bend[1]]
            level = self.layers.top[bend] + 2 * _MARGIN
            path.append(f"{_curve(x, y, left, level)} L{right:.1f},{level:.1f}")
            x, y = right, level
        end_x, end_y = destination.port(channel.destination.name, False)
        path.append(_curve(x, y, end_x, end_y))
        return _path(" ".join(path), channel_name(channel), 'marker-end="url(#end)"')

    def control_line(self, channel: pb.Channel) -> Iterator[str]:
        ends = self.boxes.get(channel.source.program), self.boxes.get(channel.destination.program)
        if ends[0] is None or ends[1] is None:
            return
        (x, y), (end_x, end_y) = (_control_port(box) for box in ends if box)
        below = max(y, end_y) + 26
        arrows = 'marker-end="url(#end)"' + (' marker-start="url(#end)"' if channel.both_ways else "")
        line = f"M{x:.1f},{y:.1f} C{x:.1f},{below:.1f} {end_x:.1f},{below:.1f} {end_x:.1f},{end_y:.1f}"
        arrow = "<->" if channel.both_ways else "->"
        name = channel_name(channel).replace("->", arrow)
        yield _path(line, f"control {name}", f'stroke-dasharray="5 4" {arrows}')


def _control_port(box: _Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    """Level at both ends; a line that leads back swings out."""
    reach = max(_BETWEEN / 2, abs(to_x - x) / 2 if to_x > x else _BETWEEN)
    return f"C{x + reach:.1f},{y:.1f} {to_x - reach:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"


def _path(line: str, name: str, attributes: str) -> str:
    title = f"<title>{_text(name)}</title>"
    return f'<path d="{line}" fill="none" stroke="#444" stroke-width="1.3" {attributes}>{title}</path>'


def _box(box: _Box) -> Iterator[str]:
    x, y, width = box.x, box.y, box.width
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{box.height:.1f}" rx="5" '
        f'fill="{_FILL[box.kind]}" stroke="{_STROKE[box.kind]}" stroke-width="1.4"/>'
    )
    middle = x + width / 2
    for row, words in enumerate([box.title, *box.notes]):
        style = ' font-weight="bold"' if row == 0 else ' fill="#555"'
        yield (
            f'<text x="{middle:.1f}" y="{y + _LINE * (row + 1):.1f}" text-anchor="middle"{style}>'
            f"{_text(words)}</text>"
        )
    for ports, at, anchor in ((box.left, x + 6, "start"), (box.right, x + width - 6, "end")):
        for row, port in enumerate(ports):
            level = y + box.text_height + _LINE * (row + 0.5) + 4
            yield (
                f'<text x="{at:.1f}" y="{level:.1f}" text-anchor={quoteattr(anchor)} '
                f'fill="{_STROKE[box.kind]}">{_text(port)}</text>'
            )


def _program_box(active: pb.ActiveProgram) -> _Box:
    code = active.WhichOneof("code")
    kind = "kernel" if code == "phonepl" else "vm" if active.vm else "program"
    notes = [f"{code} {getattr(active, code)}"] if code else []
    if active.vm:
        notes.append(f"in {active.vm}")
    if active.max_instances > 1:
        notes.append(policy_note(active))
    return _Box(kind, active.name, _lines(notes), list(active.inputs), list(active.outputs))


def _output_notes(output: pb.Output) -> list[str]:
    shown = [f"to {socket(one)}" for one in output.receivers[:6]]
    if len(output.receivers) > len(shown):
        shown.append(f"and {len(output.receivers) - len(shown)} more")
    if output.order == pb.ORDER_WINDOW:
        shown.append(f"order window {output.order_window.ToMicroseconds() / 1000:g} ms")
    elif output.order == pb.ORDER_STRICT:
        shown.append("order strict")
    if output.merge == pb.MERGE_K_OF_N:
        shown.append(f"merge {output.merge_k} of {output.merge_n}")
    elif output.merge:
        shown.append("merge all" if output.merge == pb.MERGE_ALL else "merge first")
    return shown


def _lines(notes: list[str]) -> list[str]:
    return [note if len(note) <= _LONGEST else note[: _LONGEST - 1] + "…" for note in notes if note]


def _text(words: str) -> str:
    return escape(printable(words))
