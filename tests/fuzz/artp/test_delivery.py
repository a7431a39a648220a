"""Whatever the network does within 30 %, every datagram arrives once and byte-exact; memory stays bounded.

Virtual time and seeded faults: each example is a pure function of its arguments.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artp.connection import Settings, State
from artp.cookie import Source
from artp.wire import CONTROL, Type, parse
from tests.fuzz.artp.simulation import DEFAULT, GROUP_KEY, ClientPeer, Faults, Network, Peer, ServerPeer

rates = st.sampled_from([0.0, 0.05, 0.3])
faults = st.builds(Faults, rates, rates, rates, rates, st.sampled_from([0.0, 0.0005, 0.05]))
SIZES = (0, 1, 100, 1400, 1401, 5000, 65535, 65536)


def some(seed: int, count: int, sizes: tuple[int, ...] = SIZES) -> list[bytes]:
    chance = random.Random(seed)
    return [
        index.to_bytes(4, "big") + chance.randbytes(max(0, chance.choice(sizes) - 4))
        for index in range(count)
    ]


def received(peer: Peer) -> list[bytes]:
    return sorted(each.data for each in peer.inbox)


def pair(network: Network, **kept: Settings) -> tuple[ClientPeer, ServerPeer]:
    server = ServerPeer(network, "10.0.0.2", settings=kept.get("server", Settings()))
    client = ClientPeer(network, "10.0.0.1", server.source, settings=kept.get("client", DEFAULT))
    network.run(lambda: client.connection.state is not State.OPENING)
    return client, server


def finish(network: Network, client: ClientPeer) -> None:
    network.run(lambda: client.connection.sender.idle or client.connection.state is State.CLOSED)
    assert client.connection.error is None


def close(network: Network, client: ClientPeer, *servers: ServerPeer) -> None:
    client.connection.close(network.clock.now)
    network.run(lambda: client.connection.state is State.CLOSED)
    # Where all five of a CLOSE's repetitions were lost, silence ends the other side.
    network.run(lambda: not any(server.acceptor.connections for server in servers))
    for server in servers:
        assert server.budget.used == 0


@pytest.mark.req("D39")
@settings(max_examples=40)
@given(st.integers(0, 2**32), faults, st.integers(0, 2**32 - 1))
def test_every_datagram_arrives_once(seed: int, faults: Faults, first: int) -> None:
    network = Network(seed, faults)
    client, server = pair(network, client=replace(DEFAULT, first_number=first))
    sent = some(seed, 25)
    for each in sent:
        client.connection.send(each)
    finish(network, client)
    assert received(server) == sorted(sent)
    close(network, client, server)


@pytest.mark.req("D39")
@settings(max_examples=15)
@given(st.integers(0, 2**32), faults)
def test_both_directions(seed: int, faults: Faults) -> None:
    network = Network(seed, faults)
    client, server = pair(network)
    client.connection.send(b"open")
    network.run(lambda: bool(server.inbox))
    (answering,) = server.acceptor.connections.values()
    up, down = some(seed, 15), some(seed + 1, 15)
    for one, other in zip(up, down, strict=True):
        client.connection.send(one)
        answering.send(other)
    network.run(lambda: client.connection.sender.idle and answering.sender.idle)
    assert received(server) == sorted([b"open", *up])
    assert received(client) == sorted(down)


@settings(max_examples=12)
@given(st.integers(0, 2**32), faults)
def test_memory_stays_within_its_limits(seed: int, faults: Faults) -> None:
    """A receiver that has room for little and does not read, then reads."""
    network = Network(seed, faults)
    limit = 200_000
    client, server = pair(network, server=Settings(receive_limit=limit))
    server.reading = False
    sent = some(seed, 20, (30000, 65536, 10))
    most = 0

    def watch() -> bool:
        nonlocal most
        most = max(most, server.budget.used)
        return client.connection.sender.idle

    for each in sent:
        client.connection.send(each)
    started = network.clock.now
    network.run(lambda: watch() or network.clock.now > started + 5)
    assert not client.connection.sender.idle
    server.reading = True
    network.run(watch)
    assert most <= limit
    assert received(server) == sorted(sent)


@pytest.mark.req("A21")
@settings(max_examples=20)
@given(st.integers(0, 2**32), faults, st.integers(2, 5))
def test_parallel_instances_share_the_datagrams(seed: int, faults: Faults, count: int) -> None:
    """Round robin by datagram number: fragments stay together, nobody gets what another got."""
    network = Network(seed, faults)
    instances = [ServerPeer(network, f"10.0.1.{i}", origin=100 + i) for i in range(count)]
    public = Source.of("192.0.2.1", 5004)
    network.public = {each.source: public for each in instances}

    def route(packet: bytes, target: Source) -> Source:
        return instances[parse(packet).datagram % count].source if target == public else target

    network.route = route
    client = ClientPeer(network, "10.0.0.1", public)
    network.run(lambda: client.connection.state is State.OPEN)
    sent = some(seed, 20)
    for each in sent:
        client.connection.send(each)
    finish(network, client)
    for index, instance in enumerate(instances):
        assert received(instance) == sorted(sent[index::count])


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.05]))
def test_a_failed_instance_loses_nothing(seed: int, rate: float) -> None:
    """At least once: what the failed one had not taken, its successor gets; repeats are counted."""
    network = Network(seed, Faults(rate, rate, rate, rate))
    # So small that the failed one's last word is that its window is shut.
    small = Settings(receive_limit=150_000)
    instances = [ServerPeer(network, f"10.0.1.{i}", origin=100 + i, settings=small) for i in range(2)]
    public = Source.of("192.0.2.1", 5004)
    alive = list(instances)

    def route(packet: bytes, target: Source) -> Source:
        return alive[parse(packet).datagram % len(alive)].source if target == public else target

    network.route = route
    network.public = {each.source: public for each in instances}
    client = ClientPeer(network, "10.0.0.1", public)
    network.run(lambda: client.connection.state is State.OPEN)
    sent = some(seed, 30)
    for each in sent:
        client.connection.send(each)
    instances[1].reading = False
    network.run(lambda: instances[1].budget.used > 0 and len(instances[0].inbox) >= 3)
    del network.peers[instances[1].source]
    alive.remove(instances[1])
    finish(network, client)
    got = received(instances[0]) + received(instances[1])
    assert set(got) == set(sent)
    assert len(got) - len(sent) == client.connection.counters["repeats"]


@pytest.mark.req("A2")
@pytest.mark.parametrize(("count", "loss"), [(1, 0.3), (20, 0.05), (200, 0.01)])
def test_a_group_is_complete(count: int, loss: float) -> None:
    """One sender without handshake, many receivers that share its key, each with losses of its own."""
    network = Network(count, Faults(loss, 0.05, 0.05))
    receivers = [
        ServerPeer(network, f"10.0.2.{i}", origin=500 + i, group_key=GROUP_KEY) for i in range(1, count + 1)
    ]
    sender = ClientPeer(
        network, "10.0.0.1", group=[each.source for each in receivers], settings=Settings(copies=count)
    )
    sent = some(count, 8)
    for each in sent:
        sender.connection.send(each)
    finish(network, sender)
    for receiver in receivers:
        assert received(receiver) == sorted(sent)
    close(network, sender, *receivers)


def test_a_silent_receiver_does_not_hold_up_its_group() -> None:
    network = Network(3, Faults(0.05))
    receivers = [ServerPeer(network, f"10.0.2.{i}", origin=500 + i, group_key=GROUP_KEY) for i in range(1, 6)]
    sender = ClientPeer(
        network, "10.0.0.1", group=[each.source for each in receivers], settings=Settings(copies=5)
    )
    del network.peers[receivers[2].source]
    sent = some(3, 40)
    for each in sent:
        sender.connection.send(each)
    finish(network, sender)
    assert sender.connection.counters["left_out"] == 1
    for receiver in [*receivers[:2], *receivers[3:]]:
        assert received(receiver) == sorted(sent)


@given(st.integers(0, 2**32), st.lists(st.binary(max_size=200), max_size=20))
def test_noise_changes_nothing(seed: int, noise: list[bytes]) -> None:
    """Bytes from anybody, and the connection's own packets from elsewhere, at any moment."""
    network = Network(seed)
    client, server = pair(network)
    stranger = Source.of("203.0.113.1", 9)
    seen: list[bytes] = []
    network.tap = lambda packet, source, target: seen.append(packet)
    sent = some(seed, 10)
    for each in sent:
        client.connection.send(each)
    for each in noise:
        network.inject(each, stranger, server.source)
        network.inject(each, stranger, client.source)
    network.run(lambda: len(server.inbox) >= 5)
    for packet in seen[: len(noise)]:
        network.inject(packet, stranger, server.source)
    finish(network, client)
    assert received(server) == sorted(sent)
    assert len(server.acceptor.connections) == 1


def test_a_flood_of_hellos_leaves_no_trace() -> None:
    """Spoofed sources: each gets no more bytes than it sent, and nothing is remembered."""
    network = Network()
    server = ServerPeer(network, "10.0.0.2")
    answers: list[bytes] = []
    network.tap = lambda packet, source, target: answers.append(packet)
    probe = ClientPeer(network, "10.0.0.1", server.source)
    hello = next(probe.connection.transmit(network.clock.now))
    for index in range(5000):
        server.receive(hello, Source(index.to_bytes(16, "big"), index % 65536))
    assert len(answers) == 5000
    assert all(len(answer) <= len(hello) for answer in answers)
    assert server.acceptor.connections == {}
    assert server.budget.used == 0
    state = vars(server.acceptor)
    assert all(not state[name] for name in ("connections", "_sources", "_closed"))


def test_a_late_copy_after_the_end_opens_nothing() -> None:
    network = Network()
    client, server = pair(network)
    seen: list[bytes] = []
    network.tap = lambda packet, source, target: seen.append(packet)
    client.connection.send(b"once")
    finish(network, client)
    close(network, client, server)
    for packet in seen:
        server.receive(packet, client.source)
    server.step()
    assert [each.data for each in server.inbox] == [b"once"]
    assert not server.acceptor.connections


def test_close_towards_a_session_is_for_all_instances() -> None:
    network = Network()
    client, server = pair(network)
    flags: list[int] = []
    network.tap = lambda packet, source, target: (
        flags.append(packet[1]) if parse(packet).type == Type.CLOSE and source == client.source else None
    )
    client.connection.send(b"x")
    close(network, client, server)
    assert flags == [CONTROL]


def test_options_order_and_instance_arrive() -> None:
    network = Network()
    client, server = pair(network)
    client.connection.send(b"a", order=2**63, control=True)
    client.connection.send(bytes(5000), order=0, instance=7)
    finish(network, client)
    small, large = sorted(server.inbox, key=lambda each: len(each.data))
    assert (small.order, small.control, small.instance) == (2**63, True, 0)
    assert (large.order, large.control, large.instance) == (0, False, 7)
