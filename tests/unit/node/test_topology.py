"""The all-in-one node's network is planned as data, from a checked configuration."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from controller.drivers.p4runtime.config import read_config as read_switch_config
from dipronn.node import switches
from dipronn.node.agent_config import agent_config
from dipronn.node.config import BadConfiguration, NodeConfig, read_config
from dipronn.node.topology import plan_topology
from vmhost.agent.config import read_config as read_agent_config


@pytest.mark.req("D9")
def test_every_unit_has_a_data_link_and_a_control_link() -> None:
    topology = plan_topology(NodeConfig(name="t", processing_units=3))
    assert [unit.name for unit in topology.units] == [
        *("distribution", "unit1", "unit2", "unit3", "aggregation"),
    ]
    ends = {(end.namespace, end.device) for veth in topology.veths for end in (veth.near, veth.far)}
    for unit in topology.units:
        assert {(unit.namespace, "data0"), (unit.namespace, "ctl0")} <= ends


def test_no_device_or_address_stands_twice() -> None:
    topology = plan_topology(NodeConfig(name="t", processing_units=16))
    ends = [end for veth in topology.veths for end in (veth.near, veth.far)]
    devices = [(end.namespace, end.device) for end in ends]
    devices += [(bridge.namespace, bridge.device) for bridge in topology.bridges]
    addresses = [address for end in ends for address in end.addresses]
    addresses += [address for bridge in topology.bridges for address in bridge.addresses]
    assert len(set(devices)) == len(devices)
    assert len(set(addresses)) == len(addresses)
    assert {end.namespace for end in ends} == set(topology.namespaces)
    assert all(len(device) <= 15 for _, device in devices)


def test_the_agent_understands_its_configuration(tmp_path: Path) -> None:
    topology = plan_topology(NodeConfig(name="t"))
    for unit in topology.units:
        file = tmp_path / f"{unit.name}.toml"
        paths = {"state": tmp_path / "state", "pins": tmp_path / "pins", "certs": tmp_path / "certs"}
        file.write_text(agent_config(unit, control="10.78.0.1:7443", sharing=2, beacon=0.2, **paths))
        config = read_agent_config(file)
        assert config.unit == unit.name
        devices = {link.device: (link.outside, link.control) for link in config.links}
        outside = {unit.outside_device: (True, False)} if unit.outside_device else {}
        assert devices == {"data0": (False, False), "ctl0": (False, True), **outside}


def test_the_agent_of_a_switch_understands_its_configuration(tmp_path: Path) -> None:
    topology = plan_topology(NodeConfig(name="t", dataplane="p4"))
    of_xdp = plan_topology(NodeConfig(name="t"))
    edges = [unit for unit in topology.units if unit.ports]
    assert [unit.name for unit in edges] == ["distribution", "aggregation"]
    for unit in edges:
        file = tmp_path / f"{unit.name}.toml"
        paths = {"state": tmp_path / "state", "certs": tmp_path / "certs"}
        file.write_text(switches.agent_config(unit, control="10.78.0.1:7443", **paths))
        config = read_switch_config(file)
        assert (config.unit, config.device_id) == (unit.name, switches.DEVICE_ID)
        ends = {
            end.device: end.addresses
            for veth in of_xdp.veths
            for end in (veth.near, veth.far)
            if end.namespace == unit.namespace
        }
        for link, port in zip(config.links, unit.ports, strict=True):
            assert link.port == port.number and link.outside == port.outside
            assert tuple(map(str, link.addresses)) == ends[link.key.device], "as its host would have"
            assert f"{port.number}@{port.device}" in switches.command(unit, tmp_path)
    silent = [end for veth in topology.veths for end in (veth.near, veth.far) if end.port]
    assert {(end.namespace, end.device) for end in silent} == {
        (unit.namespace, port.device) for unit in edges for port in unit.ports
    }
    assert not any(end.addresses for end in silent), "the kernel must not answer beside the agent"
    macs = [port.mac for unit in edges for port in unit.ports]
    assert len(set(macs)) == len(macs)


def test_a_configuration_file_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        'name = "lab"\ndataplane = "p4"\nprocessing_units = 4\nreceivers = [["198.51.100.9/24"]]\n'
    )
    (tmp_path / "limits.toml").write_text("[user]\nsessions = 1\n")
    file.write_text(file.read_text() + 'limits = "limits.toml"\n')
    config = read_config(file)
    assert config.limits == (tmp_path / "limits.toml").resolve()
    config = replace(config, limits=None)
    assert config == NodeConfig("lab", "p4", 4, receivers=(("198.51.100.9/24",),))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = 7", "name must be"),
        ('name = "../x"', "name must be"),
        ("processing_units = 0", "processing_units must be"),
        ("processing_units = true", "processing_units must be"),
        ('source = "192.0.2.1"', "source is no list"),
        ('source = ["192.0.2.1/99"]', "source is no list"),
        ("source = [4]", "4 is not a text"),
        ("receivers = []", "receivers must be"),
        ('limits = "none.toml"', "limits must name a file"),
        ("limits = 3", "limits must name a file"),
        ("elasticity = 3", "no threshold 'elasticity'; there are grow_above, "),
        ('elasticity = {grow_above = "a"}', "threshold grow_above is a number from 0, not 'a'"),
        ("colour = 1", "unknown entry 'colour'"),
        ("= 1", "not TOML"),
    ],
)
def test_a_bad_configuration_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(text)
    with pytest.raises(BadConfiguration, match=r"node\.toml") as refusal:
        read_config(file)
    assert named in str(refusal.value)


def test_a_missing_configuration_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="name a readable file"):
        read_config(tmp_path / "none.toml")


def test_the_agents_share_one_host(tmp_path: Path) -> None:
    unit = plan_topology(NodeConfig()).units[0]
    paths = {"state": tmp_path, "pins": tmp_path, "certs": tmp_path}
    alone = tomllib.loads(agent_config(unit, control="c", sharing=1, beacon=1, **paths))["resources"]
    shared = tomllib.loads(agent_config(unit, control="c", sharing=2, beacon=1, **paths))["resources"]
    assert shared["cpu"] == alone["cpu"] / 2
    assert shared["memory"] == alone["memory"] // 2
