"""Session records → what each unit must have for the session: ``dipronn.v1.Slice``.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2s

from controller.record import InstanceRecord, SessionRecord
from controller.steering import addressing, wire
from controller.steering.compile import Compiled, compile_machines
from controller.steering.deployment import NodeUnit
from controller.steering.model import Tables
from controller.steering.node_rows import unit_rows
from dipronn.v1 import session_pb2, unit_pb2

ARTP_KEY = "DIPRONN_ARTP_KEY"
"""The same for all instances of a program: each can answer for the others (``docs/artp.md``, section 5)."""
NODE_SESSION = 0
"""The number of the slice that is the node's own: who is alive, and the unit's links."""


def machine_slices(record: SessionRecord, units: dict[str, NodeUnit]) -> dict[str, unit_pb2.Slice]:
    """Machines and their taps, before any name is registered."""
    return _slices(record, compile_machines(record.deployment(units)))


def full_slices(record: SessionRecord, compiled: Compiled) -> dict[str, unit_pb2.Slice]:
    """Machines and every row."""
    return _slices(record, compiled.tables)


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
            vms=[_vm(record, one) for one in record.instances if one.unit == unit and one.alive],
            tables=wire.encode(rows),
        )
    return slices


def _vm(record: SessionRecord, instance: InstanceRecord) -> unit_pb2.Vm:
    """An execution environment: one machine for one instance."""
    program = next(one for one in record.program.programs if one.name == instance.program)
    return unit_pb2.Vm(
        name=instance.name,
        device=addressing.tap_device(instance.number),
        host_mac=addressing.HOST_MAC.octets,
        mac=addressing.guest_mac(instance.number).octets,
        addresses=[str(addressing.instance_address(instance.number, record.version))],
        gateways=[str(addressing.gateway(record.version))],
        mtu=addressing.GUEST_MTU,
        cpu=instance.cpu,
        memory_bytes=instance.memory_bytes,
        programs=[
            unit_pb2.VmProgram(
                name=program.name,
                bundle_sha256=record.bundles[program.bundle],
                environment=_environment(record, program, instance),
                inputs=program.inputs,
                outputs=program.outputs,
            )
        ],
    )


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
