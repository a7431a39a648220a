"""Rows of the model survive the way into the kernel's bytes and back."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.steering.model import (
    MAX_STREAMS,
    Address,
    Artp,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    NextHop,
    Override,
    Peer,
    PeerKey,
    PutKey,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Target,
    TargetKind,
    Unit,
    Unmatched,
    kernel_endpoint,
)
from ebpf import rows


class Numbered:
    """Devices ``d7`` → 7."""

    def index(self, name: str) -> int:
        return int(name[1:])

    def name(self, index: int) -> str:
        return f"d{index}"


DEVICES = Numbered()
numbers = st.integers(1, 2**31 - 1)
ports = st.integers(0, 65535)
devices = st.builds("d{}".format, st.integers(1, 65535))
vlans = st.integers(0, 4094)
macs = st.builds(Mac, st.binary(min_size=6, max_size=6))
v4: st.SearchStrategy[Address] = st.integers(1, 2**32 - 1).map(IPv4Address)
v6: st.SearchStrategy[Address] = st.integers(1, 2**128 - 1).map(IPv6Address)
targets = st.builds(Target, st.sampled_from(TargetKind), st.integers(1, 2**30 - 1))
plain_targets = targets.filter(lambda target: target.kind is not TargetKind.ARTP)
families = st.sampled_from([v4, v6])


@st.composite
def sockets(draw: st.DrawFn, family: st.SearchStrategy[Address]) -> Socket:
    return Socket(draw(family), draw(ports))


def there_and_back(table: str, key: object, row: object) -> tuple[object, object]:
    name, raw_key, raw = rows.ENCODE[table](DEVICES, key, row)
    assert rows.encode_key(DEVICES, table, key) == (name, raw_key)
    (back,) = rows.decode(DEVICES, table, name, iter([(raw_key, raw)]))
    return back


@given(st.data())
def test_links(data: st.DataObject) -> None:
    gateways = [data.draw(strategy) for strategy in data.draw(st.sampled_from([(), (v4,), (v6,), (v4, v6)]))]
    row = Link(
        data.draw(st.sampled_from([LinkKind.OUTSIDE, LinkKind.NODE, LinkKind.GUEST])),
        data.draw(macs),
        data.draw(st.sampled_from(Unmatched)),
        data.draw(st.integers(0, 2**32 - 1)),
        data.draw(macs),
        tuple(data.draw(st.lists(st.one_of(v4, v6), max_size=4, unique=True))),
        tuple(gateways),
        data.draw(ports),
    )
    key = LinkKey(data.draw(devices), data.draw(vlans))
    assert there_and_back("link", key, row) == (key, row)


@given(st.data())
def test_flows(data: st.DataObject) -> None:
    family = data.draw(families)
    destination = data.draw(sockets(family))
    key = FlowKey(17, destination, data.draw(st.none() | sockets(family)))
    bits = destination.address.max_prefixlen
    network = st.builds(
        lambda address, length: ip_network((address, length), strict=False), family, st.integers(0, bits)
    )
    row = Flow(
        data.draw(targets), LinkScope(data.draw(st.sampled_from([2, 4, 6]))), data.draw(st.none() | network)
    )
    assert there_and_back("flow", key, row) == (key, row)


@given(st.data())
def test_artp(data: st.DataObject) -> None:
    family = data.draw(families)
    bits = 32 if family is v4 else 128
    permitted = st.builds(
        lambda address, length: ip_network((address, length), strict=False), family, st.integers(0, bits)
    )
    override = st.builds(Override, st.none() | permitted, numbers, st.none() | sockets(family))
    some = st.none() | plain_targets
    row = data.draw(st.builds(Artp, some, some, some, some, st.none() | override))
    assert there_and_back("artp", 7, row) == (7, row)


@given(st.data())
def test_next_hops(data: st.DataObject) -> None:
    row = data.draw(st.builds(NextHop, devices, vlans, macs, macs, ports))
    key = data.draw(st.one_of(v4, st.integers(1 << 64, 2**128 - 1).map(IPv6Address)))
    assert there_and_back("next_hop", key, row) == (key, row)


@given(st.data())
def test_bindings(data: st.DataObject) -> None:
    key = BindingKey(LinkKey(data.draw(devices), data.draw(vlans)), data.draw(sockets(data.draw(families))))
    row = Binding(data.draw(targets))
    assert there_and_back("binding", key, row) == (key, row)


@given(st.data())
def test_peers(data: st.DataObject) -> None:
    end = sockets(data.draw(families))
    key = PeerKey(data.draw(end), data.draw(end))
    row = Peer(
        data.draw(devices),
        data.draw(vlans),
        data.draw(macs),
        data.draw(macs),
        data.draw(st.none() | end),
        data.draw(ports),
        data.draw(st.booleans()),
    )
    assert there_and_back("peer", key, row) == (key, row)


@given(st.data())
def test_endpoints(data: st.DataObject) -> None:
    end = sockets(data.draw(families))
    row = Endpoint(
        data.draw(st.sampled_from(sorted(set(EndpointKind) - {EndpointKind.KERNEL}))),
        data.draw(devices),
        data.draw(macs),
        data.draw(macs),
        data.draw(end),
        data.draw(vlans),
        data.draw(st.none() | end),
        data.draw(st.none() | end),
        data.draw(ports),
        data.draw(st.integers(0, 255)),
    )
    assert there_and_back("endpoint", 7, row) == (7, row)


@given(st.integers(1, 60000), st.integers(0, 1000), numbers, st.none() | numbers)
def test_slots(group: int, index: int, endpoint: int, backup: int | None) -> None:
    key, row = SlotKey(group, index), Slot(endpoint, backup)
    assert there_and_back("slot", key, row) == (key, row)


@given(st.sampled_from(Selector), st.integers(0, 16), numbers, numbers, numbers)
def test_channels(selector: Selector, bits: int, group: int, session: int, member: int) -> None:
    row = Channel(selector, (1 << bits) - 1, group, session, member)
    name, key, raw = rows.encode_channel(DEVICES, 7, row)
    assert list(rows.decode(DEVICES, "channel", name, iter([(key, raw)]))) == [(7, row)]


@pytest.mark.parametrize("alive", [True, False])
def test_units(alive: bool) -> None:
    assert there_and_back("unit", 7, Unit(alive)) == (7, Unit(alive))


def test_what_the_kernel_would_misread_is_refused() -> None:
    mac, four, six = (
        Mac(b"\2\0\0\0\0\1"),
        Socket(ip_address("192.0.2.1"), 1),
        Socket(ip_address("2001:db8::1"), 1),
    )
    target = Target(TargetKind.CHANNEL, 1)
    for table, key, row in (
        ("link", LinkKey("d1"), Link(LinkKind.FORK, mac)),
        ("link", LinkKey("d1"), Link(LinkKind.GUEST, mac)),
        ("flow", FlowKey(17, four, six), Flow(target, LinkScope.NODE)),
        ("flow", FlowKey(17, four), Flow(target, LinkScope.NODE, ip_network("2001:db8::/32"))),
        ("peer", PeerKey(four, six), Peer("d1", 0, mac, mac)),
        ("endpoint", 1, Endpoint(EndpointKind.NODE, "d1", mac, mac, four, source=six)),
        ("slot", SlotKey(1, 0), Slot(0)),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            rows.ENCODE[table](DEVICES, key, row)
    with pytest.raises(ValueError, match="mask 2"):
        rows.encode_channel(DEVICES, 1, Channel(Selector.HASH, 2, 1, 1))


puts = st.builds(PutKey, st.integers(1, 255), st.integers(0, MAX_STREAMS - 1))


@given(puts)
def test_kernel_endpoints(key: PutKey) -> None:
    row = kernel_endpoint(key.program, key.stream)
    assert there_and_back("endpoint", 7, row) == (7, row)


@given(puts, targets.filter(lambda target: target.kind is not TargetKind.ARTP))
def test_puts(key: PutKey, target: Target) -> None:
    assert there_and_back("binding", key, Binding(target)) == (key, Binding(target))


@given(puts, targets.filter(lambda target: target.kind is TargetKind.ARTP))
def test_kernel_programs_do_not_speak_artp(key: PutKey, target: Target) -> None:
    with pytest.raises(ValueError, match="ARTP"):
        rows.encode_binding(DEVICES, key, Binding(target))
