"""``dipronn doctor``: what the node wants of its units and switches against what is really there.

Of units on this machine it looks into kernel, devices and machines; of switches whose agents have their state
on this machine it reads every entry back.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.drivers.p4runtime import inspection, read_back
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering import wire
from controller.steering.model import Endpoint, Limit, Link, LinkKind, Tables
from dipronn.cli.inspection import COMPARED
from dipronn.cli.output import write, write_table
from dipronn.cli.target import Target
from dipronn.client import DEFAULT_ADDRESS
from dipronn.errors import DipronnError
from dipronn.v1 import steering_pb2, unit_pb2
from vmhost.agent.desired import session_of
from vmhost.vm.cgroups import group_vms

app = typer.Typer()
_TAP = re.compile(r"dt[0-9a-f]+")
_INSPECTION_SECONDS = 60.0
_START_SWITCH = "start the switch, then its agent: it brings the pipeline and all entries"
_REPAIR = "restart the switch's agent: whenever it starts it reads back and repairs"
_OUST = f"{_REPAIR}; if it comes back, see who else writes to the switch"
_CHANGE_SESSION = "change the session, or let an XDP unit be its edge"


@dataclass(frozen=True)
class Finding:
    """``kind``: drift (something wanted is missing or different) or residue (something is there unwanted)."""

    unit: str
    kind: str
    what: str
    remedy: str = "restart the unit's agent: whenever it starts it has here what is wanted"


@dataclass(frozen=True)
class Seen:
    """A unit as it is: its kernel's rows, its devices with the XDP program on each, its machines, and which
    machines have control groups."""

    rows: Tables
    devices: Mapping[str, int | None]
    vms: Mapping[tuple[int, str], bool]
    groups: Collection[tuple[int, str]] = ()


@app.command(name="doctor")
def doctor(
    context: typer.Context,
    state: Annotated[
        list[Path], typer.Option(help="An agent's state folder; those of the node if not stated.")
    ] = [],  # noqa: B006 - typer's way
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """Compare desired state with maps, taps, machines and switches; status 1 if they differ."""
    desired = asyncio.run(_fetch(context.obj))
    states = state or _states(context.obj.address)
    agents = {agent["unit"]: agent for agent in map(_agent, states) if agent["unit"] in desired}
    findings: list[Finding] = []
    for unit, agent in agents.items():
        if "switch" in agent:
            findings += inspect_switch(unit, desired[unit], agent)
            continue
        seen = _inspect(agent)
        if isinstance(seen, str):
            findings.append(Finding(unit, "drift", seen))
        else:
            findings += compare(unit, desired[unit], seen)
    if as_json:
        write(json.dumps({"units": sorted(agents), "findings": [vars(one) for one in findings]}, indent=2))
    elif findings:
        write_table(("unit", "kind", "what"), ((one.unit, one.kind, one.what) for one in findings))
        for remedy in dict.fromkeys(one.remedy for one in findings):
            units = dict.fromkeys(one.unit for one in findings if one.remedy == remedy)
            write(f"{', '.join(units)}: {remedy}")
    else:
        here = ", ".join(sorted(agents)) or "no unit: none of this node is here"
        write(f"all is as it should be on {here}")
    raise typer.Exit(1 if findings else 0)


async def _fetch(target: Target) -> dict[str, list[unit_pb2.Slice]]:
    async with target.connect() as node:
        return await node.desired()


def compare(unit: str, slices: list[unit_pb2.Slice], seen: Seen) -> list[Finding]:
    """Everything in which a unit differs from what it should be.  Pure."""
    wanted = Tables()
    machines: dict[tuple[int, str], str] = {}
    for slice_ in slices:
        wanted.merge(wire.decode(slice_.tables))
        machines.update({(slice_.session, vm.name): vm.device for vm in slice_.vms})
    findings = [Finding(unit, "drift", what) for what in _missing(wanted, seen.rows)]
    findings += [Finding(unit, "residue", what) for what in _unwanted(wanted, seen.rows)]
    for device in [key.device for key in seen.rows.link]:
        if device not in seen.devices:
            findings.append(Finding(unit, "drift", f"device {device} is gone, but has a link row"))
        elif seen.devices[device] is None:
            findings.append(Finding(unit, "drift", f"no steering program is attached to {device}"))
    for (session, name), device in machines.items():
        if not seen.vms.get((session, name)):
            findings.append(Finding(unit, "drift", f"machine {name} of session {session} does not run"))
        if device not in seen.devices:
            findings.append(Finding(unit, "drift", f"tap {device} of machine {name} is gone"))
    for (session, name), running in seen.vms.items():
        if running and (session, name) not in machines:
            findings.append(Finding(unit, "residue", f"machine {name} of session {session} runs"))
    for session, name in sorted(set(seen.groups) - seen.vms.keys()):
        findings.append(Finding(unit, "residue", f"control group of machine {name} of session {session}"))
    for device in seen.devices:
        if _TAP.fullmatch(device) and device not in machines.values():
            findings.append(Finding(unit, "residue", f"tap {device} is nobody's"))
    return findings


def _missing(wanted: Tables, held: Tables) -> Iterator[str]:
    for table, key, row in wanted.rows():
        if table not in COMPARED:
            continue
        found = getattr(held, table).get(key)
        if found is None:
            yield f"{table} row {key} is missing"
        elif differences := _differences(row, found):
            yield f"{table} row {key}: {', '.join(differences)}"


def _differences(wanted: Any, found: Any) -> list[str]:
    """Field by field; the next hop of a receiver is the unit's to find."""
    free = ("device", "vlan", "source_mac", "destination_mac", "mtu")
    unresolved = isinstance(wanted, Endpoint) and not wanted.device
    return [
        f"{field.name} is {getattr(found, field.name)}, not {getattr(wanted, field.name)}"
        for field in fields(wanted)
        if getattr(found, field.name) != getattr(wanted, field.name)
        and not (unresolved and field.name in free)
    ]


def _unwanted(wanted: Tables, held: Tables) -> Iterator[str]:
    for table, key, row in held.rows():
        # The rows of its own links are the unit's matter, and so are the node's copies.
        own = isinstance(row, Link) and row.kind is not LinkKind.GUEST
        # So is what they carry; a tap's limit goes with its link, which is looked at itself.
        own = own or isinstance(row, Limit)
        if table in COMPARED and key not in getattr(wanted, table) and not own:
            yield f"{table} row {key} is nobody's"


def _states(address: str) -> list[Path]:
    """The agents of an all-in-one node keep their state beside its socket, those of others anywhere."""
    socket = Path((address or DEFAULT_ADDRESS).removeprefix("unix:"))
    return sorted(socket.parent.glob("units/*/state"))


def _agent(state: Path) -> dict[str, Any]:
    try:
        described: dict[str, Any] = json.loads((state / "agent.json").read_text())
    except (OSError, ValueError):
        return {"unit": ""}
    return described


def _inspect(agent: dict[str, Any]) -> Seen | str:
    namespace = _namespace(agent)
    if namespace is None:
        return "neither its agent nor a machine of it runs, so its network namespace cannot be found"
    command = ["nsenter", f"--net={namespace}", sys.executable, "-m", "dipronn.cli.inspection", agent["pins"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSPECTION_SECONDS, check=False)
    if done.returncode:
        return f"its kernel state cannot be read: {done.stderr.strip().splitlines()[-1:]}"
    answer = json.loads(done.stdout)
    message = steering_pb2.Tables.FromString(base64.b64decode(answer["tables"]))
    vms = {(vm["session"], vm["name"]): _runs(vm["pid"]) for vm in agent["vms"]}
    groups = {session_of(name) for name in group_vms(agent.get("cgroup", ""))}
    return Seen(wire.decode(message), answer["devices"], vms, groups)


def inspect_switch(unit: str, slices: list[unit_pb2.Slice], agent: dict[str, Any]) -> list[Finding]:
    """Read a switch back and compare all of its entries and groups."""
    switch = inspection.described(agent["switch"])
    namespace = _switch_namespace(agent)
    if namespace is None:
        return [Finding(unit, "drift", "neither its agent nor its switch runs here", _START_SWITCH)]
    command = [*namespace, sys.executable, "-m", read_back.__name__, switch.address, str(switch.device_id)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSPECTION_SECONDS, check=False)
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:]
        return [Finding(unit, "drift", f"cannot be read back: {' '.join(why)}", _START_SWITCH)]
    try:
        found = inspection.differences(switch, slices, read_back.parse(done.stdout), Pipeline.load())
    except DipronnError as error:
        return [Finding(unit, "drift", f"cannot have what is wanted: {error}", _CHANGE_SESSION)]
    return [
        Finding(unit, "drift" if one.wanted else "residue", one.what, _REPAIR if one.wanted else _OUST)
        for one in found
    ]


def _switch_namespace(agent: dict[str, Any]) -> list[str] | None:
    """How to get where the agent is, or was: some process, the switch's own at least, is there yet."""
    there = agent["namespace"]
    for place in ("self", *(path.name for path in Path("/proc").glob("[0-9]*"))):
        try:
            if str(Path(f"/proc/{place}/ns/net").readlink()) == there:
                return [] if place == "self" else ["nsenter", f"--net=/proc/{place}/ns/net"]
        except OSError:  # it has ended, or is not ours to see
            continue
    return None


def _namespace(agent: dict[str, Any]) -> str | None:
    for pid in [agent["pid"], *(vm["pid"] for vm in agent["vms"])]:
        if _runs(pid):
            return f"/proc/{pid}/ns/net"
    return None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
