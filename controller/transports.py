"""What a port speaks, UDP or ARTP: sessions say it of their inputs, programs of the ports they register."""

from __future__ import annotations

from controller.record import InstanceRecord, SessionRecord
from dipronn.v1 import session_pb2 as pb

UDP, ARTP = "udp", "artp"


def objection(record: SessionRecord, instance: InstanceRecord, port: str, transport: str) -> str:
    """Why a port may not be registered with this transport; empty: it may."""
    if transport not in (UDP, ARTP):
        return f"it was registered as {transport}; ports speak udp or artp"
    if transport == ARTP and sum(one.machine == instance.machine for one in record.instances) > 1:
        # Instances are told apart by what their machine's unit writes into their packets.
        return "it was registered as artp, which a machine with several programs cannot speak"
    for line in record.program.channels:
        if line.kind != pb.CHANNEL_KIND_DATA:
            ends = ((end.program, end.name) for end in (line.source, line.destination))
            if transport != UDP and (instance.program, port) in ends:
                return f"it was registered as {transport}, but control channels speak udp"
            continue
        if (line.destination.program, line.destination.name) == (instance.program, port):
            spoken, other = _spoken(record, line.source), line.source
        elif (line.source.program, line.source.name) == (instance.program, port):
            spoken, other = _expected(record, line.destination), line.destination
        else:
            continue
        if spoken not in ("", transport):
            name = f"{other.program}.{other.name}" if other.program else other.name
            return (
                f"it was registered as {transport}, but `{name}` at the other end of its line speaks {spoken}"
            )
    return ""


def _spoken(record: SessionRecord, port: pb.Port) -> str:
    """By a session input, or the instances of a program; empty: not known yet."""
    if not port.program:
        item = next(one for one in record.program.inputs if one.name == port.name)
        return ARTP if item.transport == pb.TRANSPORT_ARTP else UDP
    for one in record.instances:
        if one.alive and one.program == port.program and port.name in one.ports:
            return ARTP if port.name in one.artp else UDP
    return ""


def _expected(record: SessionRecord, port: pb.Port) -> str:
    """At the end of a line: instances are chosen by what stands in ARTP's header only."""
    program = next((one for one in record.program.programs if one.name == port.program), None)
    if program is None:
        return ""
    return ARTP if program.policy == pb.POLICY_CHOSEN else _spoken(record, port)
