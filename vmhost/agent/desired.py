"""What a slice, as it was ordered, asks of this unit. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

from controller.steering import wire
from controller.steering.model import EndpointKind, Link, LinkKey, LinkKind, Mac, PutKey, Tables
from dipronn.errors import InvalidSession
from dipronn.unit.orders import BASE
from dipronn.v1 import images_pb2, unit_pb2
from vmhost.agent.kernel import ordered as ordered_program
from vmhost.agent.plan import Machine, SliceState, device_of
from vmhost.order.messages import ordered
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec

_KINDS = {
    (images_pb2.IMAGE_KIND_KERNEL, images_pb2.DISK_FORMAT_UNSPECIFIED): BootKind.KERNEL,
    (images_pb2.IMAGE_KIND_DISK, images_pb2.DISK_FORMAT_RAW): BootKind.RAW,
    (images_pb2.IMAGE_KIND_DISK, images_pb2.DISK_FORMAT_QCOW2): BootKind.QCOW2,
}


def desired_state(
    slice_: unit_pb2.Slice, bundle: Callable[[bytes], Path], own_links: Mapping[LinkKey, Link]
) -> SliceState:
    """The state that a slice asks for; ``bundle`` tells where a bundle of that SHA-256 lies.

    The rows of the unit's own links stand in the base slice and are the unit's. Raises InvalidSession or
    MalformedTables: the order makes no sense and nothing of it is done.
    """
    rows = wire.decode(slice_.tables)
    if slice_.session == BASE:
        rows.link.update(own_links)
    elif taken := own_links.keys() & rows.link.keys():
        raise InvalidSession(f"session {slice_.session}: {next(iter(taken))} is a link of the unit itself")
    machines = [_machine(slice_.session, vm, bundle) for vm in slice_.vms]
    for machine in machines:
        _check_link(machine, rows)
    guests = {key.device for key, link in rows.link.items() if link.kind is LinkKind.GUEST}
    if strangers := guests - {machine.device for machine in machines}:
        raise InvalidSession(f"session {slice_.session}: {', '.join(sorted(strangers))}: links of no machine")
    sequencer = ordered(slice_.session, slice_.sequencer) if slice_.HasField("sequencer") else None
    sequenced = {sequencer.device} if sequencer else set()
    _check_devices(slice_.session, rows, {key.device for key in own_links} | guests | sequenced)
    programs = {one.number: ordered_program(slice_.session, one) for one in slice_.programs}
    _check_programs(slice_.session, rows, set(programs))
    if slice_.session != BASE and (others := rows.limit.keys() - guests):
        raise InvalidSession(f"session {slice_.session}: a limit of {others.pop()}, which is no tap of it")
    by_name = {machine.spec.name: machine for machine in machines}
    if len(by_name) < len(machines) or len(guests) < len(machines):
        raise InvalidSession(f"session {slice_.session}: two machines share a name or a device")
    return SliceState(
        machines=by_name,
        attached={key.device for key, link in rows.link.items() if link.kind is not LinkKind.FORK},
        serving=set(by_name),
        rows=rows,
        sequencer=sequencer,
        programs=programs,
    )


def _check_programs(session: int, rows: Tables, own: set[int]) -> None:
    """A session's rows lead to its own kernel programs, and tell of no other's puts."""
    met = {key.program for key in rows.binding if isinstance(key, PutKey)}
    met |= {row.program for row in rows.endpoint.values() if row.kind is EndpointKind.KERNEL}
    if strangers := met - own:
        raise InvalidSession(f"session {session}: rows of kernel program {min(strangers)}, which it has not")


def unit_name(session: int, vm: str) -> str:
    """A machine's name that is unique in the unit; ``session_of`` reads it."""
    return f"{session}.{vm}"


def session_of(name: str) -> tuple[int, str]:
    """Session and name in it, of a machine's name in the unit."""
    session, _, vm = name.partition(".")
    return int(session), vm


def _machine(session: int, vm: unit_pb2.Vm, bundle: Callable[[bytes], Path]) -> Machine:
    try:
        addresses = tuple(ip_address(text) for text in vm.addresses)
        gateways = tuple(ip_address(text) for text in vm.gateways)
        spec = VmSpec(
            name=unit_name(session, vm.name),
            memory_mib=vm.memory_bytes >> 20,
            cpus=max(1, math.ceil(vm.cpu)),
            mac=str(Mac(vm.mac)),
            addresses=addresses,
            programs=tuple(
                GuestProgram(
                    each.name,
                    None if each.command else bundle(each.bundle_sha256),
                    environment=dict(each.environment),
                    command=each.command,
                )
                for each in vm.programs
            ),
            gateways=gateways,
            mtu=vm.mtu,
            cores=vm.cpu or 1.0,
            image=_image(vm.image, bundle) if vm.HasField("image") else None,
        )
        host_mac = str(Mac(vm.host_mac))
    except ValueError as error:
        raise InvalidSession(f"session {session}, VM {vm.name}: {error}") from error
    names = [f"{each.name}/{port}" for each in vm.programs for port in (*each.inputs, *each.outputs)]
    return Machine(
        session=session,
        name=vm.name,
        device=vm.device,
        host_mac=host_mac,
        spec=spec,
        bundles=tuple(each.bundle_sha256 for each in vm.programs if not each.command),
        image=(vm.image.sha256, vm.image.size) if vm.HasField("image") else None,
        names=tuple(sorted(names)),
    )


def _image(image: unit_pb2.VmImage, bundle: Callable[[bytes], Path]) -> BootImage:
    kind = _KINDS.get((image.kind, image.format))
    if kind is None:
        raise ValueError(f"an image of kind {image.kind} and format {image.format} boots no machine")
    return BootImage(kind, bundle(image.sha256), image.disk_bytes)


def _check_devices(session: int, rows: Tables, permitted: set[str]) -> None:
    """A session sends and receives by the unit's links and its own taps, never by those of another."""
    for table, key, value in rows.rows():
        for device in (device_of(key), device_of(value)):
            if device and device not in permitted:
                what = f"session {session}: {table} row {key} names {device}"
                raise InvalidSession(f"{what}, neither a link of the unit nor a tap of the session")


def _check_link(machine: Machine, rows: Tables) -> None:
    """A machine's link row must say what tap and guest will be: else nothing would pass, or too much."""
    link = rows.link.get(LinkKey(machine.device))
    what = f"session {machine.session}, VM {machine.name}: link {machine.device}"
    if link is None or link.kind is not LinkKind.GUEST:
        raise InvalidSession(f"{what} has no row for a guest")
    if str(link.mac) != machine.host_mac or str(link.guest_mac) != machine.spec.mac:
        raise InvalidSession(f"{what} has other MACs than the machine")
    if foreign := set(link.addresses) ^ set(machine.spec.addresses):
        raise InvalidSession(f"{what} and the machine differ in {', '.join(map(str, foreign))}")
