"""Sessions of any shape, on nodes of any layout: every packet comes to every receiver that the graph says."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import UDP

from controller.explain import Way
from controller.program import channel_name, check_text
from controller.steering.identifiers import Identifiers
from controller.steering.wire import decode, encode
from tests.unit.controller.nodes import ALONE, SPREAD, Node, lay

MOST_DELIVERIES = 300
POLICIES = ("round_robin", "duplicate", "hash")


@dataclass
class Shape:
    """A session's graph: ports by program, lines by source."""

    inputs: list[str] = field(default_factory=list)
    receivers: dict[str, int] = field(default_factory=dict)
    instances: dict[str, tuple[int, str]] = field(default_factory=dict)
    ins: dict[str, list[str]] = field(default_factory=dict)
    outs: dict[str, list[str]] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)

    def wire(self, source: str, destination: str) -> None:
        if destination not in self.lines.setdefault(source, []):
            self.lines[source].append(destination)

    def text(self, six: bool) -> str:
        host = "[2001:db8:2::{}]" if six else "198.51.100.{}"
        prefix = " from 2001:db8:1::/48" if six else ""
        words = [f"input {name} : udp{prefix};" for name in self.inputs]
        for name, count in self.receivers.items():
            receivers = ", ".join(f"{host.format(i + 1)}:6000" for i in range(count))
            words.append(f"output {name} to {receivers};")
        for name, (count, policy) in self.instances.items():
            by = f"parallelizable {count} by {policy};"
            ins, outs = ", ".join(self.ins[name]), ", ".join(self.outs[name])
            words.append(f'program {name} {{ bundle "b"; in {ins}; out {outs}; {by} }}')
        words += [f"data {source} -> {one};" for source, ends in self.lines.items() for one in ends]
        return "session s {\n" + "\n".join(words) + "\n}"

    def deliveries(self, source: str) -> int:
        """Packets that receivers get for one packet that leaves this port."""
        total = 0
        for end in self.lines[source]:
            program = end.partition(".")[0]
            if end in self.receivers:
                total += self.receivers[end]
            else:
                count, policy = self.instances[program]
                copies = count if policy == "duplicate" else 1
                total += copies * sum(self.deliveries(f"{program}.{port}") for port in self.outs[program])
        return total


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Inputs, outputs and programs in a row, each fed by what stands before it."""
    shape = Shape(inputs=[f"x{i}" for i in range(draw(st.integers(1, 2)))])
    shape.receivers = {f"y{i}": draw(st.integers(1, 3)) for i in range(draw(st.integers(1, 2)))}
    sources = list(shape.inputs)
    for number in range(draw(st.integers(0, 4))):
        name = f"p{number}"
        shape.instances[name] = draw(st.integers(1, 3)), draw(st.sampled_from(POLICIES))
        shape.ins[name] = [f"i{i}" for i in range(draw(st.integers(1, 2)))]
        shape.outs[name] = [f"o{i}" for i in range(draw(st.integers(1, 2)))]
        for port in shape.ins[name]:
            for source in draw(st.lists(st.sampled_from(sources), min_size=1, max_size=2)):
                shape.wire(source, f"{name}.{port}")
        sources += [f"{name}.{port}" for port in shape.outs[name]]
    outputs = list(shape.receivers)
    for source in sources:
        if source not in shape.lines:
            shape.wire(source, draw(st.sampled_from(outputs)))
    for output in outputs:
        shape.wire(draw(st.sampled_from(sources)), output)
    return shape


def place(shape: Shape, six: bool, alone: bool, places: list[str]) -> Node:
    units = ALONE if alone else SPREAD
    return Node(lay(shape.text(six), units, ["solo"] if alone else places), Identifiers())


@pytest.mark.req("D12")
@pytest.mark.req("D16")
@pytest.mark.req("D42")
@pytest.mark.req("D52")
@given(
    shapes(),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from([unit.name for unit in SPREAD]), min_size=1, max_size=5),
    st.integers(1, 3),
)
def test_every_packet_comes_to_every_receiver(
    shape: Shape, six: bool, alone: bool, places: list[str], packets: int
) -> None:
    assert not check_text(shape.text(six)).diagnostics
    expected = packets * sum(map(shape.deliveries, shape.inputs))
    assume(expected <= MOST_DELIVERIES)
    node = place(shape, six, alone, places)
    delivered = 0
    left: Counter[str] = Counter()
    ways: deque[Way] = deque()
    for name in shape.inputs:
        for number in range(packets):
            source = "2001:db8:1::5" if six else "203.0.113.5"
            ways.append(node.arrive(source, node.deployment.entrances[name].socket, port=4000 + number))
            left[name] += 1
    while ways:
        for who, packet in node.reached(ways.popleft()):
            if who == "outside":
                delivered += 1
                continue
            # The program takes it by the port that it registered and sends one packet from each output.
            instance = node.instance(who)
            assert int(packet[UDP].dport) in {instance.ports[port] for port in shape.ins[instance.program]}
            for port in shape.outs[instance.program]:
                ways.append(node.program_sends(who, port, b"x"))
                left[f"{instance.program}.{port}"] += 1
    assert delivered == expected, shape.text(six)
    for name, oracle in node.oracles.items():
        assert oracle.counters.conserved and not oracle.counters.drops, (name, oracle.counters)
    _counters_agree(node, left)


def _counters_agree(node: Node, left: Counter[str]) -> None:
    """What is shown of a channel is what left the port that it begins at."""
    for line in node.deployment.program.channels:
        name = channel_name(line)
        numbers = node.compiled.counted[name]
        counts = [
            oracle.counters.channels[number].packets
            for oracle in node.oracles.values()
            for number in numbers
            if number in oracle.counters.channels
        ]
        assert sum(counts) == left[name.split(" -> ")[0]], name


@given(shapes(), st.lists(st.sampled_from([unit.name for unit in SPREAD]), min_size=1, max_size=5), st.data())
def test_no_packet_is_lost_in_silence_when_instances_are_gone(
    shape: Shape, places: list[str], data: st.DataObject
) -> None:
    """Packets for instances that are left go on, those for none are dropped by name, and rows stay whole."""
    node = place(shape, False, False, places)
    names = [one.name for one in node.deployment.instances]
    dead = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    after = node.without(*dead)
    for tables in after.compiled.tables.values():
        assert decode(encode(tables)) == tables
    for name in shape.inputs:
        way = after.arrive("203.0.113.5", after.deployment.entrances[name].socket)
        assert not {who for who, _ in after.reached(way)} & set(dead)
    for oracle in after.oracles.values():
        assert oracle.counters.conserved
        assert {drop.label for drop in oracle.counters.drops} <= {"no_live_endpoint"}
