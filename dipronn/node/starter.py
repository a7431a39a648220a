"""Brings a whole node up on this machine, and takes it down again, whatever state it is in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from dipronn import certs
from dipronn.errors import AlreadyExists, TimedOut, Unavailable
from dipronn.node import namespaces, processes, switches
from dipronn.node.agent_config import CACHE, agent_config
from dipronn.node.config import NodeConfig
from dipronn.node.topology import Topology, UnitPlace, plan_topology
from dipronn.v1 import node_pb2, node_pb2_grpc
from vmhost.agent.machines import prepare
from vmhost.vm.cgroups import Cgroups, group_name, groups_of

RUN = Path("/run/dipronn")
PINS = Path("/sys/fs/bpf/dipronn")
CONTROL_PORT = 7443
READY_SECONDS = 120.0
"""How long the units may take to join; the first time a unit compiles its kernel program."""

_AGENT_FILE = "agent.toml"

Progress = Callable[[str], None]
Build = Callable[[Topology], None]


@dataclass(frozen=True)
class Places:
    """Where a node keeps its things; all of it is gone after ``down``."""

    node: str

    @property
    def run(self) -> Path:
        return RUN / self.node

    @property
    def socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def certs(self) -> Path:
        return self.run / "certs"

    @property
    def control_state(self) -> Path:
        return self.run / "control"

    def log(self, process: str) -> Path:
        return self.run / "log" / f"{process}.log"

    def unit(self, unit: str) -> Path:
        return self.run / "units" / unit

    @property
    def pins(self) -> Path:
        return PINS / self.node


async def up(config: NodeConfig, progress: Progress, build: Build = namespaces.build) -> Topology:
    """Start a node and return when every unit has joined; on any failure what was started is removed.

    ``build`` makes the network.
    """
    if os.geteuid() != 0:
        raise Unavailable("a node needs root for its namespaces, XDP programs and taps; run it as root")
    if config.dataplane == "p4":
        switches.require()
    places = Places(config.name)
    topology = plan_topology(config)
    with _only_one(config.name):
        if namespaces.existing(config.name) or places.run.exists():
            raise AlreadyExists(
                f"node {config.name!r} is up already, or was and left something; "
                f"`dipronn down --name {config.name}` removes it"
            )
        # Before there are namespaces: those of the units have no way to Debian's packages.
        progress("preparing guest images; the first time this takes a minute")
        await prepare(CACHE)
        try:
            progress("making namespaces and links")
            places.run.mkdir(parents=True)
            await asyncio.to_thread(build, topology)
            certs.make(places.certs, [topology.control_address, *(unit.name for unit in topology.units)])
            progress("starting the control unit and the unit agents")
            _start_processes(config, topology, places)
            await _all_joined(topology, places, progress)
        except BaseException:
            _remove(config.name, lambda _: None)
            raise
    return topology


def down(name: str, progress: Progress) -> bool:
    """Remove a node and everything that it left; False if there was nothing."""
    with _only_one(name):
        return _remove(name, progress)


def residue(name: str) -> list[str]:
    """What exists of a node: namespaces, processes, control groups, pins and files."""
    places = Places(name)
    left = [f"namespace {namespace}" for namespace in namespaces.existing(name)]
    left += [f"process {found.pid}: {found.command}" for found in processes.find(name)]
    left += [f"control group {group}" for group in groups_of(group_name(places.pins))]
    left += [str(path) for path in (places.run, places.pins) if path.exists()]
    return left


def _start_processes(config: NodeConfig, topology: Topology, places: Places) -> None:
    python = [sys.executable, "-m"]
    control = [*python, "controller", "--state", str(places.control_state), "--socket", str(places.socket)]
    control += ["--tcp", f"{topology.control_address}:{CONTROL_PORT}", "--certs", str(places.certs)]
    if config.limits:
        control += ["--limits", str(config.limits)]
    if config.elasticity:
        control += ["--elasticity", json.dumps(dict(config.elasticity), separators=(",", ":"))]
    name = places.node
    processes.start(name, f"{name}-control", control, places.log("control"))
    sharing = sum("processing" in unit.roles for unit in topology.units)
    for unit in topology.units:
        directory = places.unit(unit.name)
        directory.mkdir(parents=True)
        if unit.ports:
            _start_switch(topology, places, unit)
            continue
        text = agent_config(
            unit,
            state=directory / "state",
            pins=places.pins / unit.name,
            control=f"{topology.control_address}:{CONTROL_PORT}",
            certs=places.certs,
            sharing=sharing,
            beacon=config.beacon,
        )
        file = directory / _AGENT_FILE
        file.write_text(text, encoding="utf-8")
        agent = [*python, "vmhost.agent", "--config", str(file)]
        processes.start(name, unit.namespace, agent, places.log(unit.name))


def _start_switch(topology: Topology, places: Places, unit: UnitPlace) -> None:
    directory = places.unit(unit.name)
    text = switches.agent_config(
        unit,
        state=directory / "state",
        control=f"{topology.control_address}:{CONTROL_PORT}",
        certs=places.certs,
    )
    config = directory / "switch.toml"
    config.write_text(text, encoding="utf-8")
    switch = switches.command(unit, directory)
    processes.start(places.node, unit.namespace, switch, places.log(f"{unit.name}-switch"))
    deepen = [sys.executable, "-m", "dipronn.node.switch_queues", *switches.queue_arguments()]
    processes.start(places.node, unit.namespace, deepen, places.log(f"{unit.name}-switch"))
    agent = [sys.executable, "-m", "controller.drivers.p4runtime", "--config", str(config)]
    processes.start(places.node, unit.namespace, agent, places.log(unit.name))


async def _all_joined(topology: Topology, places: Places, progress: Progress) -> None:
    wanted = {unit.name for unit in topology.units}
    deadline = time.monotonic() + READY_SECONDS
    joined: set[str] = set()
    async with grpc.aio.insecure_channel(f"unix:{places.socket}") as channel:
        stub = node_pb2_grpc.NodeStub(channel)
        while joined != wanted:
            if time.monotonic() > deadline:
                missing = ", ".join(sorted(wanted - joined))
                raise TimedOut(
                    f"these units did not join within {READY_SECONDS:.0f} s: {missing}; "
                    f"the last lines of their logs:\n{_last_lines(places, wanted - joined)}"
                )
            try:
                status = await stub.Status(
                    node_pb2.NodeStatusRequest(), wait_for_ready=True, timeout=deadline - time.monotonic()
                )
            except grpc.aio.AioRpcError:
                continue
            now = {unit.name for unit in status.units if unit.alive}
            for unit in sorted(now - joined):
                progress(f"unit {unit} joined")
            joined = now
            await asyncio.sleep(0.1)


def _last_lines(places: Places, units: set[str]) -> str:
    lines = []
    for process in ["control", *sorted(units)]:
        log = places.log(process)
        text = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else ["(no log)"]
        lines += [f"{process}: {line}" for line in text]
    return "\n".join(lines)


def _remove(name: str, progress: Progress) -> bool:
    places = Places(name)
    if not residue(name):
        return False
    progress("stopping virtual machines and agents")
    agents = [found for found in processes.find(name) if "vmhost.agent" in found.command]
    processes.end(agents)
    configs = sorted(places.run.glob(f"units/*/{_AGENT_FILE}"))
    existing = set(namespaces.existing(name))
    removers = []
    for config in configs:
        namespace = f"{name}-{config.parent.name}"
        if namespace in existing:
            command = [sys.executable, "-m", "vmhost.agent", "--config", str(config), "--remove"]
            removers.append(processes.start(name, namespace, command, places.log(config.parent.name)))
    for remover in removers:
        try:
            remover.wait(timeout=30)
        except subprocess.TimeoutExpired:
            remover.kill()
    progress("removing namespaces, pins and files")
    processes.end(processes.find(name))
    for group in groups_of(group_name(places.pins)):
        Cgroups(group, RUN.parent).remove_all()
    for namespace in existing:
        namespaces.remove(namespace)
    for path in (places.pins, places.run):
        shutil.rmtree(path, ignore_errors=True)
    for parent in (PINS, RUN):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    return True


@contextmanager
def _only_one(name: str) -> Iterator[None]:
    """At most one process at a time starts or removes a node of this name."""
    # An abstract socket is a lock that leaves no file and ends with its holder.
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0dipronn-node-{name}")
        except OSError as error:
            raise AlreadyExists(
                f"node {name!r} is being started or removed by another process; wait"
            ) from error
        yield
