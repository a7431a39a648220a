"""A session over ARTP, compiled, and carried by the kernel on real devices; its programs are taps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface

import pytest

from controller.steering import addressing
from controller.steering.compile import compile_session
from controller.steering.deployment import NodeLink, NodeUnit
from controller.steering.drops import Drop
from controller.steering.identifiers import Identifiers
from controller.steering.model import Mac, NextHop, Socket, Tables
from controller.steering.node_rows import link_rows, unit_rows
from ebpf.loader import SteeringProgram
from tests.conformance.artp_packet import ACK, CHOSEN, CLOSE, CONTROL, artp
from tests.conformance.wires import open_tap
from tests.system.ebpf.rig import FAR, OWN, PATIENCE, Rig, datagram, ends, settled
from tests.unit.controller.nodes import lay

pytestmark = pytest.mark.root

TEXT = """
session s {
  input x : artp from 203.0.113.0/24; output y to 198.51.100.7:6000 override 198.51.100.0/24;
  program p { bundle "p"; in i; out o; parallelizable 3; }
  data x -> p.i; data p.o -> y;
}
"""
SOLO = NodeUnit("solo", 2, (NodeLink("wan", 0, "outside", True, OWN, (ip_interface("192.0.2.2/24"),), 1500),))
SOURCE = "203.0.113.9"
DESTINATIONS = [Socket(ip_address(f"198.51.100.{20 + i}"), 7000 + i) for i in range(4)]


class Instance:
    """A program in a guest: what its tap gives and takes."""

    def __init__(self, unit: Rig, number: int, ports: dict[str, int]) -> None:
        device = addressing.tap_device(number)
        self.tap = unit.inside(lambda: open_tap(device))
        unit.run("ip", "link", "set", device, "address", str(addressing.HOST_MAC), "up")
        self.address = str(addressing.instance_address(number, 4))
        self.mac = addressing.guest_mac(number)
        self.ports = ports
        self.device = device

    def send(self, port: str, payload: bytes, to: Socket | None = None) -> None:
        """To the gateway, or an answer to someone."""
        destination = to or Socket(addressing.gateway(4), 9)
        frame = datagram(
            destination.port,
            payload,
            source=self.address,
            source_port=self.ports[port],
            destination=str(destination.address),
            ether=(self.mac, addressing.HOST_MAC),
        )
        self.tap.send(frame)

    def receive(self) -> list[bytes]:
        """The ARTP packets that are there, in their frames."""
        frames = []
        while True:
            try:
                frames.append(self.tap.receive())
            except BlockingIOError:
                return frames


@dataclass
class Session:
    unit: Rig
    program: SteeringProgram
    instances: list[Instance]
    public: Socket
    output: Socket
    passed: int = 0

    def arrive(self, **fields: object) -> None:
        """A packet from the outside."""
        frame = datagram(
            self.public.port,
            artp(**fields),
            source=SOURCE,
            source_port=4000,
            destination=str(self.public.address),
        )
        self.unit.wires["wan"].send(frame)
        self.pass_by()

    def send(self, instance: int, port: str, to: Socket | None = None, **fields: object) -> None:
        self.instances[instance].send(port, artp(**fields), to)
        self.pass_by()

    def pass_by(self) -> None:
        self.passed += 1
        self.unit.inside(lambda: settled(self.program, self.passed))

    def heard(self, count: int) -> dict[int, list[bytes]]:
        """What instances got, by their indices, once there are so many packets."""
        got: dict[int, list[bytes]] = {}
        end = time.monotonic() + PATIENCE
        while sum(map(len, got.values())) < count:
            assert time.monotonic() < end, f"only {got}"
            for index, instance in enumerate(self.instances):
                if frames := instance.receive():
                    got.setdefault(index, []).extend(frames)
        return got

    def outside(self, count: int) -> list[bytes]:
        return self.unit.wires["wan"].receive(count)

    @property
    def drops(self) -> dict[Drop, int]:
        return dict(self.unit.inside(self.program.counters).drops)


@pytest.fixture
def session(unit: Rig) -> Iterator[Session]:
    laid = lay(TEXT, (SOLO,), ("solo",))
    spoken = tuple(replace(one, artp=frozenset(one.ports)) for one in laid.instances)
    deployment = replace(laid, instances=spoken)
    unit.veth("wan")
    instances = [Instance(unit, one.number, dict(one.ports)) for one in spoken]
    tables = Tables()
    for rows in (
        link_rows(SOLO),
        unit_rows({2: True}),
        compile_session(deployment, Identifiers()).tables["solo"],
    ):
        tables.merge(rows)
    for number, row in tables.endpoint.items():
        if not row.device:  # a receiver: the unit's agent would find its next hop
            tables.endpoint[number] = replace(row, device="wan", source_mac=OWN, destination_mac=FAR)
    tables.next_hop = {each.address: NextHop("wan", 0, OWN, _mac(each)) for each in DESTINATIONS}

    def load() -> SteeringProgram:
        program = SteeringProgram.load(pin_directory=None)
        for device in ("wan", *(each.device for each in instances)):
            program.attach(device)
        program.apply(tables)
        return program

    program = unit.inside(load)
    try:
        entrance, exit_ = deployment.entrances["x"], deployment.exits["y"]
        yield Session(unit, program, instances, entrance.socket, exit_.public)
    finally:
        unit.inside(lambda: program.close(unpin=True))
        for each in instances:
            each.tap.close()


def _mac(destination: Socket) -> Mac:
    return Mac(b"\2\0" + destination.address.packed[-4:])


def payload(frame: bytes) -> bytes:
    return frame[14 + 20 + 8 :]


def instance_in(frame: bytes) -> int:
    return int.from_bytes(payload(frame)[24:26], "big")


@pytest.mark.req("R2", "A23", "D52", "D37")
def test_a_datagrams_packets_reach_one_program(session: Session) -> None:
    places = []
    for number in range(6):
        for fragment in (0, 1, 0):  # the last is sent again
            session.arrive(number=number, fragment=fragment, fragments=2)
        ((place, frames),) = session.heard(3).items()
        places.append(place)
        assert [payload(frame) for frame in frames] == [
            artp(number=number, fragment=fragment, fragments=2) for fragment in (0, 1, 0)
        ]
    assert places == [0, 1, 2, 0, 1, 2]
    session.arrive(version=2)
    assert session.drops == {Drop.MALFORMED_ARTP: 1}


@pytest.mark.req("R5", "D39")
def test_answers_find_their_way_in_both_directions(session: Session) -> None:
    for number in range(3):
        session.arrive(number=number)
        ((place, (frame,)),) = session.heard(1).items()
        assert ends(frame)[:2] == (SOURCE, 4000)
        session.send(place, "i", Socket(ip_address(SOURCE), 4000), number=number)
        (answer,) = session.outside(1)
        assert ends(answer) == (str(session.public.address), session.public.port, SOURCE, 4000)
        session.arrive(type=ACK, flags=CHOSEN, instance=instance_in(answer))
        assert list(session.heard(1)) == [place]
        # And with a receiver of the output.
        session.send(place, "o", number=number)
        (sent,) = session.outside(1)
        assert ends(sent) == (str(session.output.address), session.output.port, "198.51.100.7", 6000)
        acknowledged = artp(type=ACK, flags=CHOSEN, instance=instance_in(sent))
        session.unit.wires["wan"].send(
            datagram(
                session.output.port,
                acknowledged,
                source="198.51.100.7",
                source_port=6000,
                destination=str(session.output.address),
            )
        )
        session.pass_by()
        ((heard, (frame,)),) = session.heard(1).items()
        assert heard == place and payload(frame) == acknowledged
    assert session.drops == {}


@pytest.mark.req("R6", "A27", "A28", "D19")
def test_control_information_reaches_all_others(session: Session) -> None:
    session.arrive(flags=CONTROL, number=1)
    session.arrive(type=CLOSE, flags=CONTROL)
    heard = session.heard(6)
    assert {place: len(frames) for place, frames in heard.items()} == {0: 2, 1: 2, 2: 2}
    for place in range(3):
        for port in ("i", "o"):
            session.send(place, port, flags=CONTROL, body=b"news")
            heard = session.heard(2)
            assert set(heard) == {0, 1, 2} - {place}
            for other, (frame,) in heard.items():
                one = session.instances[place]
                assert ends(frame)[:2] == (one.address, one.ports[port])
                assert ends(frame)[3] == session.instances[other].ports[port]
                assert payload(frame).endswith(b"news")
    assert session.drops == {Drop.OWN_CONTROL: 6}


@pytest.mark.req("R7", "D66", "D67")
def test_destinations_replace_the_receivers(session: Session) -> None:
    for count in (1, 2, 3, 4):
        wanted = DESTINATIONS[:count]
        session.send(1, "o", destinations=tuple(wanted), number=count)
        frames = session.outside(count)
        assert [ends(frame)[2:] for frame in frames] == [(str(one.address), one.port) for one in wanted]
        assert [frame[:6] for frame in frames] == [_mac(one).octets for one in wanted]
        assert {ends(frame)[:2] for frame in frames} == {(str(session.output.address), session.output.port)}
    foreign = Socket(ip_address("192.0.2.99"), 1)
    session.send(1, "o", destinations=(DESTINATIONS[0], foreign))
    unknown = Socket(ip_address("198.51.100.99"), 1)
    session.send(1, "o", destinations=(unknown, DESTINATIONS[0]))
    (frame,) = session.outside(1)
    assert ends(frame)[2] == str(DESTINATIONS[0].address)
    assert session.drops == {Drop.OVERRIDE_REFUSED: 1, Drop.NO_NEXT_HOP: 1}
    assert Drop.NO_NEXT_HOP in {
        event.reason for event in session.unit.inside(lambda: list(session.program.events()))
    }
