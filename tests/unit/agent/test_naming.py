"""What the agent does about names: keeps them, tells them, answers RESOLVE."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from dipronn.errors import Unavailable
from dipronn.v1 import state_pb2, unit_pb2
from tests.unit.agent import orders
from tests.unit.agent.fakes import FakeNameServer
from vmhost.agent import naming
from vmhost.agent.desired import desired_state
from vmhost.agent.naming import Names, callers
from vmhost.agent.plan import Machine
from vmhost.agent.store import Store
from vmhost.names import Limits, Registration, answer


@pytest.fixture
def machine() -> Machine:
    state = desired_state(orders.starting(7, 2), lambda _: Path("/bundle"), {})
    return next(iter(state.machines.values()))


@pytest.fixture
def told() -> list[unit_pb2.NameReport]:
    return []


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(naming, "NameServer", FakeNameServer)
    store = Store(tmp_path)
    store.open()
    return store


async def nobody(_: state_pb2.StateRequest) -> state_pb2.StateAnswer:
    raise Unavailable("nobody shares anything here")


def registration(port: str, real_port: int) -> Registration:
    return Registration("echo", port, "udp", real_port, ip_address("100.64.0.2"))


@pytest.mark.req("D63")
async def test_names_are_told_and_outlive_the_agent(
    machine: Machine, store: Store, told: list[unit_pb2.NameReport]
) -> None:
    names = Names(store, told.append, nobody)
    await names.serve(machine)
    first = await names.registered("dt2", registration("in", 5000), None)
    second = await names.registered("dt2", registration("out", 5001), None)
    again = await names.registered("dt2", registration("in", 6000), registration("in", 5000))
    assert first.id == again.id != second.id
    await names.unregistered("dt2", registration("out", 5001))
    assert [(each.vm, each.port, each.real_port) for each in told] == [
        ("echo-0", "in", 5000),
        ("echo-0", "out", 5001),
        ("echo-0", "in", 6000),
        ("echo-0", "out", 0),
    ]
    later = Names(store, told.append, nobody)
    assert [(each.program, each.port, each.real_port) for each in later.reports(7)] == [("echo", "in", 6000)]
    later.forget_machine(machine)
    assert Names(store, told.append, nobody).reports(7) == []


async def test_ports_of_artp_get_their_channels_key(machine: Machine, store: Store) -> None:
    """The same on every unit, since it is made of what the control unit tells all instances."""
    told = {naming.ARTP_KEY: "5e" * 16}
    (program,) = machine.spec.programs
    spec = replace(machine.spec, programs=(replace(program, environment=told),))
    names = Names(store, lambda _: None, nobody)
    await names.serve(replace(machine, spec=spec))
    keys = [
        (await names.registered("dt2", replace(registration(port, real), transport=transport), None)).key
        for port, real, transport in (
            ("in", 1, "artp"),
            ("in", 2, "artp"),
            ("out", 3, "artp"),
            ("out", 4, "udp"),
        )
    ]
    assert keys[0] is not None and len(keys[0]) == 16
    assert keys[0] == keys[1] != keys[2] and keys[3] is None


async def test_resolve_tells_the_parameters(
    machine: Machine, store: Store, told: list[unit_pb2.NameReport]
) -> None:
    names = Names(store, told.append, nobody)
    await names.serve(machine)
    assert names.resolve("dt2", "echo", "in") is None
    await names.registered("dt2", registration("in", 5000), None)
    await names.serve(machine)  # the fake server learns what is held when it is made
    resolution = names.resolve("dt2", "echo", "in")
    assert resolution is not None
    assert (resolution.transport, resolution.port, resolution.copies) == ("udp", 5000, 1)
    assert resolution.params == {"GAIN": "3"}


@pytest.mark.req("D68")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"REGISTER echo/side udp 5000", "ERR 404"),
        (b"REGISTER other/in udp 5000", "ERR 403"),
        (b"RESOLVE other/in", "ERR 403"),
        (b"UNREGISTER echo/side", "ERR 404"),
    ],
)
def test_only_the_programs_own_names_are_accepted(machine: Machine, line: bytes, reply: str) -> None:
    said = answer(line, ip_address("100.64.0.2"), callers(machine), {}, Limits())
    assert said.text is not None
    assert said.text.startswith(reply)


def test_a_broken_file_of_names_is_set_aside(store: Store, tmp_path: Path) -> None:
    (tmp_path / "names" / "7.json").write_text('[["echo-0", {"program": "echo"}]]')
    assert store.names() == {}
    assert (tmp_path / "names" / "7.bad").exists()
