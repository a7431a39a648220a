"""Session records → what each unit must have for the session: ``dipronn.v1.Slice``.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2s

from controller.placement.wanted import DEFAULT_MEMORY
from controller.record import InstanceRecord, SessionRecord
from controller.steering import addressing, wire
from controller.steering.compile import Compiled, compile_machines
from controller.steering.deployment import NodeUnit, control_ports
from controller.steering.model import Tables
from controller.steering.node_rows import unit_rows
from dipronn.v1 import images_pb2, kernel_pb2, session_pb2, unit_pb2

ARTP_KEY = "DIPRONN_ARTP_KEY"
"""The same for all instances of a program: each can answer for the others (``docs/artp.md``, section 5)."""
_KINDS = {
    "kernel": (images_pb2.IMAGE_KIND_KERNEL, images_pb2.DISK_FORMAT_UNSPECIFIED),
    "raw": (images_pb2.IMAGE_KIND_DISK, images_pb2.DISK_FORMAT_RAW),
    "qcow2": (images_pb2.IMAGE_KIND_DISK, images_pb2.DISK_FORMAT_QCOW2),
}
NODE_SESSION = 0
"""The number of the slice that is the node's own: who is alive, and the unit's links."""


def machine_slices(record: SessionRecord, units: dict[str, NodeUnit]) -> dict[str, unit_pb2.Slice]:
    """Machines and their taps, before any name is registered."""
    return _slices(record, compile_machines(record.deployment(units)))


def full_slices(record: SessionRecord, compiled: Compiled) -> dict[str, unit_pb2.Slice]:
    """Machines and every row."""
    slices = _slices(record, compiled.tables)
    for unit, slice_ in slices.items():
        if told := compiled.sequencers.get(unit):
            slice_.sequencer.CopyFrom(told)
    return slices


def node_slice(alive: Mapping[int, bool]) -> unit_pb2.Slice:
    """The same on every unit."""
    return unit_pb2.Slice(session=NODE_SESSION, name="node", tables=wire.encode(unit_rows(alive)))


def _slices(record: SessionRecord, tables: Mapping[str, Tables]) -> dict[str, unit_pb2.Slice]:
    slices = {}
    for unit, rows in tables.items():
        slices[unit] = unit_pb2.Slice(
            session=record.number,
            name=record.name,
            generation=record.generation,
            vms=[_vm(record, name) for name in _machines(record, unit)],
            programs=[
                _kernel_program(record, one) for one in record.instances if one.kernel and one.unit == unit
            ],
            tables=wire.encode(rows),
        )
    return slices


def _machines(record: SessionRecord, unit: str) -> list[str]:
    """Those in which an instance lives."""
    here = [one for one in record.instances if one.unit == unit and not one.kernel]
    living = (one.machine for one in here if one.alive)
    return list(dict.fromkeys(living))


def _kernel_program(record: SessionRecord, instance: InstanceRecord) -> kernel_pb2.KernelProgram:
    program = next(one for one in record.program.programs if one.name == instance.program)
    return kernel_pb2.KernelProgram(
        number=instance.kernel,
        name=instance.name,
        source_sha256=record.bundles[program.phonepl],
        file_name=program.phonepl,
        streams=[*program.inputs, *program.outputs],
        inputs=len(program.inputs),
        memory_bytes=program.needs.memory_bytes or DEFAULT_MEMORY,
    )


def _vm(record: SessionRecord, machine: str) -> unit_pb2.Vm:
    """A machine with all its programs, also with those that have ended: it stays the same machine."""
    instances = [one for one in record.instances if one.machine == machine]
    instance = instances[0]
    programs = {one.name: one for one in record.program.programs}
    return unit_pb2.Vm(
        name=machine,
        device=addressing.tap_device(instance.number),
        host_mac=addressing.HOST_MAC.octets,
        mac=addressing.guest_mac(instance.number).octets,
        addresses=[str(addressing.instance_address(instance.number, record.version))],
        gateways=[str(addressing.gateway(record.version))],
        mtu=addressing.GUEST_MTU,
        cpu=instance.cpu,
        memory_bytes=instance.memory_bytes,
        programs=[_program(record, programs[one.program], one) for one in instances],
        image=_image(record, programs[instance.program], instance),
    )


def _program(
    record: SessionRecord, program: session_pb2.ActiveProgram, instance: InstanceRecord
) -> unit_pb2.VmProgram:
    return unit_pb2.VmProgram(
        name=program.name,
        bundle_sha256=record.bundles[program.bundle] if program.bundle else b"",
        command=program.run,
        environment=_environment(record, program, instance),
        inputs=[*program.inputs, *_undeclared(record, program)],
        outputs=program.outputs,
    )


def _image(
    record: SessionRecord, program: session_pb2.ActiveProgram, instance: InstanceRecord
) -> unit_pb2.VmImage | None:
    if not program.vm:
        return None
    image = record.images[program.vm]
    kind, format_ = _KINDS[image.kind]
    return unit_pb2.VmImage(
        kind=kind, format=format_, sha256=image.sha256, size=image.size, disk_bytes=instance.storage_bytes
    )


def _undeclared(record: SessionRecord, program: session_pb2.ActiveProgram) -> list[str]:
    """Ports that stand in `control` lines only."""
    declared = {*program.inputs, *program.outputs}
    return [port for port in control_ports(record.program, program.name) if port not in declared]


def _environment(
    record: SessionRecord, program: session_pb2.ActiveProgram, instance: InstanceRecord
) -> dict[str, str]:
    """A program's own parameters win over the session's of the same name."""
    parameters = [*record.program.parameters, *program.parameters]
    named = {f"DIPRONN_PARAM_{one.name.replace('-', '_')}": one.value for one in parameters}
    key = blake2s(program.name.encode(), key=bytes.fromhex(record.secret), digest_size=16)
    return {
        **named,
        "DIPRONN_SESSION": record.name,
        "DIPRONN_INSTANCE": str(instance.index),
        ARTP_KEY: key.hexdigest(),
    }
