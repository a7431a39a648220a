"""Every entry and multicast group of a switch: for its agent, and for one who only looks.

``python -m controller.drivers.p4runtime.read_back ADDRESS DEVICE_ID`` prints them as JSON, ``[table, match,
action, parameters]`` each: run by ``dipronn doctor`` where the switch can be reached. It claims nothing and
writes nothing, so it may run beside the agent, or when there is none. Status 1 with the reason otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterable

import grpc
from finsy.proto import p4r, p4r_grpc

from controller.drivers.p4runtime.apply import group_action, group_key
from controller.drivers.p4runtime.entries import Action, Entries, EntryKey
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from dipronn.errors import DipronnError, Unavailable

SECONDS = 20.0
"""For one table."""

Read = Callable[[Iterable[p4r.Entity]], Awaitable[list[p4r.Entity]]]


async def read_entries(pipeline: Pipeline, read: Read) -> Entries:
    """Table by table, then the groups. ``read`` answers one request; what it raises goes through."""
    found: Entries = {}
    for wanted in _tables(pipeline):
        found |= pipeline.entries(iter(await read([wanted])))
    return found | _groups(await read([any_group()]))


def any_group() -> p4r.Entity:
    return multicast_group(0)


def _tables(pipeline: Pipeline) -> list[p4r.Entity]:
    return [p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id)) for table in pipeline.tables.values()]


def _groups(entities: Iterable[p4r.Entity]) -> Entries:
    found: Entries = {}
    for entity in entities:
        group = entity.packet_replication_engine_entry.multicast_group_entry
        copies = sorted(replica.instance for replica in group.replicas)
        found[group_key(group.multicast_group_id)] = group_action(copies)
    return found


def look(address: str, device_id: int, pipeline: Pipeline) -> Entries:
    """What a switch has. Raises Unavailable if it is not there, or runs another pipeline."""
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        try:
            _require(stub, address, device_id, pipeline)
            found: Entries = {}
            for wanted in (*_tables(pipeline), any_group()):
                request = p4r.ReadRequest(device_id=device_id, entities=[wanted])
                answers = [each for answer in stub.Read(request, timeout=SECONDS) for each in answer.entities]
                found |= _groups(answers) if wanted == any_group() else pipeline.entries(iter(answers))
            return found
        except grpc.RpcError as error:
            raise Unavailable(f"switch {address}: {error.details()}") from error


def _require(stub: p4r_grpc.P4RuntimeStub, address: str, device_id: int, pipeline: Pipeline) -> None:
    request = p4r.GetForwardingPipelineConfigRequest(
        device_id=device_id,
        response_type=p4r.GetForwardingPipelineConfigRequest.ResponseType.COOKIE_ONLY,
    )
    try:
        cookie = stub.GetForwardingPipelineConfig(request, timeout=SECONDS).config.cookie.cookie
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        raise Unavailable(f"switch {address}: has no pipeline") from error
    if cookie != pipeline.cookie:
        raise Unavailable(f"switch {address}: runs another pipeline than ours")


def parse(text: str) -> Entries:
    """What this module printed."""
    return {
        EntryKey(table, tuple(match)): Action(name, tuple(parameters))
        for table, match, name, parameters in json.loads(text)
    }


def main(address: str, device_id: int) -> None:
    found = look(address, device_id, Pipeline.load())
    entries = [(key.table, key.match, action.name, action.parameters) for key, action in found.items()]
    sys.stdout.write(json.dumps(entries))


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except DipronnError as error:
        sys.exit(str(error))
