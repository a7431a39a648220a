"""Session records as rows: the program in protobuf, the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from controller.record import InstanceRecord, MachineImage, Phase, SessionRecord
from controller.steering.deployment import Entrance, Exit
from controller.steering.model import Socket
from dipronn.v1 import session_pb2 as pb


def encode(record: SessionRecord) -> tuple[bytes, str]:
    """The program and the rest."""
    detail = {
        "version": record.version,
        "phase": record.phase.value,
        "generation": record.generation,
        "established": record.established,
        "pending": record.pending,
        "secret": record.secret,
        "user": record.user,
        "instances": [asdict(instance) for instance in record.instances],
        "entrances": {name: [one.unit, _socket(one.socket)] for name, one in record.entrances.items()},
        "exits": {
            name: [one.unit, *(_socket(each) for each in (one.internal, one.public, one.ordered) if each)]
            for name, one in record.exits.items()
        },
        "bundles": {name: sha256.hex() for name, sha256 in record.bundles.items()},
        "images": {name: [one.kind, one.sha256.hex(), one.size] for name, one in record.images.items()},
    }
    return record.program.SerializeToString(deterministic=True), json.dumps(detail)


def decode(number: int, program: bytes, detail: str) -> SessionRecord:
    read: dict[str, Any] = json.loads(detail)
    return SessionRecord(
        number=number,
        program=pb.Program.FromString(program),
        version=read["version"],
        instances=[InstanceRecord(**instance) for instance in read["instances"]],
        entrances={name: Entrance(unit, _read(socket)) for name, (unit, socket) in read["entrances"].items()},
        exits={name: Exit(unit, *map(_read, sockets)) for name, (unit, *sockets) in read["exits"].items()},
        bundles={name: bytes.fromhex(sha256) for name, sha256 in read["bundles"].items()},
        phase=Phase(read["phase"]),
        generation=read["generation"],
        established=read["established"],
        pending=read["pending"],
        secret=read["secret"],
        user=read.get("user", ""),
        images={
            name: MachineImage(kind, bytes.fromhex(sha256), size)
            for name, (kind, sha256, size) in read.get("images", {}).items()
        },
    )


def _socket(socket: Socket) -> list[object]:
    return [str(socket.address), socket.port]


def _read(socket: list[Any]) -> Socket:
    return Socket(ip_address(socket[0]), socket[1])
