"""A bmv2 of our own: it runs a pipeline, takes packets by its gRPC, and ends with us."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from phonepl.targets import NotAvailable
from phonepl.targets.p4.p4c import Pipeline
from phonepl.targets.p4.source import Manifest

PROGRAM = "simple_switch_grpc"
PATIENCE = 60.0
"""Seconds until an answer of the switch counts as lost."""
_ATTEMPTS = 3
_DEVICE = 1
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _packet_messages() -> tuple[Any, Any]:
    """The messages of bmv2's packet service, p4.bm.DataplaneInterface/PacketStream."""
    described = descriptor_pb2.FileDescriptorProto(
        name="phonepl_bmv2_packets.proto", package="p4.bm", syntax="proto3"
    )
    for name in ("PacketStreamRequest", "PacketStreamResponse"):
        message = described.message_type.add(name=name)
        fields = (("id", "UINT64"), ("device_id", "UINT64"), ("port", "UINT32"), ("packet", "BYTES"))
        for number, (field, kind) in enumerate(fields, 1):
            added = message.field.add(name=field, number=number, label="LABEL_OPTIONAL")
            added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    request, response = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"p4.bm.{name}"))
        for name in ("PacketStreamRequest", "PacketStreamResponse")
    )
    return request, response


_Request, _Response = _packet_messages()


class Switch:
    """A running bmv2 with a program in it. Raises NotAvailable where bmv2 is missing or fails."""

    def __init__(self, manifest: Manifest, pipeline: Pipeline) -> None:
        if shutil.which(PROGRAM) is None:
            raise NotAvailable(
                f"P4 is run by bmv2's {PROGRAM}, which is not on PATH; use --target interpreter"
            )
        self._stack = contextlib.ExitStack()
        self._info = text_format.Parse(pipeline.info, p4i.P4Info())
        self._counters = {c.preamble.alias: c.preamble.id for c in self._info.counters}
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            control, packets = self._stack.enter_context(_process(pipeline))
            self._take_control(control)
            self._push(pipeline)
            self._make_groups(manifest)
            self._open_ports(packets)
        except (grpc.RpcError, OSError) as wrong:
            self.close()
            raise NotAvailable(f"bmv2 does not take the program: {wrong}") from wrong
        except BaseException:
            self.close()
            raise

    def _take_control(self, control: str) -> None:
        channel = self._stack.enter_context(grpc.insecure_channel(control, options=_UNLIMITED))
        self._stub = p4r_grpc.P4RuntimeStub(channel)
        self._election = p4r.Uint128(low=1)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        arbitration = p4r.MasterArbitrationUpdate(device_id=_DEVICE, election_id=self._election)
        requests.put(p4r.StreamMessageRequest(arbitration=arbitration))
        self._session = self._stub.StreamChannel(iter(requests.get, None))  # we are primary while it lives
        self._stack.callback(requests.put, None)
        next(self._session)

    def _open_ports(self, packets: str) -> None:
        stream = self._stack.enter_context(grpc.insecure_channel(packets, options=_UNLIMITED))
        call = stream.stream_stream(
            "/p4.bm.DataplaneInterface/PacketStream",
            request_serializer=_Request.SerializeToString,
            response_deserializer=_Response.FromString,
        )
        responses = call(iter(self._outgoing.get, None))
        self._stack.callback(self._outgoing.put, None)
        threading.Thread(target=self._receive, args=(responses,), daemon=True).start()

    def _receive(self, responses: Any) -> None:
        try:
            for response in responses:
                self._incoming.put((response.port, response.packet))
        except grpc.RpcError as wrong:
            self._incoming.put(wrong)

    def _push(self, pipeline: Pipeline) -> None:
        config = p4r.ForwardingPipelineConfig(p4info=self._info, p4_device_config=pipeline.json.encode())
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=_DEVICE,
                election_id=self._election,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=config,
            ),
            timeout=PATIENCE,
        )

    def _make_groups(self, manifest: Manifest) -> None:
        for number, ports in enumerate(manifest.groups, 1):
            group = p4r.MulticastGroupEntry(multicast_group_id=number)
            for copy, port in enumerate(ports, 1):
                group.replicas.add(egress_port=port, instance=copy)
            engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
            self._write(p4r.Update.INSERT, p4r.Entity(packet_replication_engine_entry=engine))

    def _write(self, kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> None:
        updates = [p4r.Update(type=kind, entity=entity)]
        request = p4r.WriteRequest(device_id=_DEVICE, election_id=self._election, updates=updates)
        self._stub.Write(request, timeout=PATIENCE)

    def set_clock(self, nanoseconds: int) -> None:
        """What the program's clock shows from now on."""
        table = next(t.preamble.id for t in self._info.tables if t.preamble.alias == "clock")
        action = next(a for a in self._info.actions if a.preamble.alias == "standing")
        entry = p4r.TableEntry(table_id=table, is_default_action=True)
        entry.action.action.action_id = action.preamble.id
        value = nanoseconds & 0xFFFF_FFFF_FFFF_FFFF
        encoded = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
        entry.action.action.params.add(param_id=action.params[0].id, value=encoded)
        self._write(p4r.Update.MODIFY, p4r.Entity(table_entry=entry))

    def counts(self, name: str) -> tuple[int, ...]:
        """The packets in each cell of a counter."""
        wanted = p4r.Entity(counter_entry=p4r.CounterEntry(counter_id=self._counters[name]))
        found: dict[int, int] = {}
        for response in self._stub.Read(
            p4r.ReadRequest(device_id=_DEVICE, entities=[wanted]), timeout=PATIENCE
        ):
            for entity in response.entities:
                found[entity.counter_entry.index.index] = entity.counter_entry.data.packet_count
        return tuple(found[index] for index in sorted(found))

    def send(self, port: int, packet: bytes) -> None:
        """A packet of at least one byte that comes in there."""
        self._outgoing.put(_Request(device_id=_DEVICE, port=port, packet=packet))

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """The next packet that goes out, and its port; None if there is none in time."""
        try:
            found = self._incoming.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(found, grpc.RpcError):
            raise NotAvailable(f"bmv2 has ended: {found}")
        port, packet = found
        return port, packet

    def close(self) -> None:
        """End it; nothing is left."""
        self._stack.close()

    def __enter__(self) -> Switch:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextlib.contextmanager
def _process(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """bmv2 with a program, as it takes packets only then; where it listens for control and for packets."""
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="phonepl-", suffix=".json"))
        program.write(pipeline.json)
        program.flush()
        for attempt in range(1, _ATTEMPTS + 1):
            control, packets, thrift = _free_ports()
            output = stack.enter_context(tempfile.TemporaryFile())
            command = ["setpriv", "--pdeathsig", "KILL", PROGRAM, program.name, "--log-level", "off"]
            command += ["--device-id", str(_DEVICE), "--thrift-port", str(thrift)]
            command += ["--notifications-addr", "inproc://notifications", "--"]
            command += ["--grpc-server-addr", f"127.0.0.1:{control}"]
            command += ["--dp-grpc-server-addr", f"127.0.0.1:{packets}"]
            process = subprocess.Popen(command, stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.kill)
            if _listens(process, control) and _listens(process, packets):
                yield f"127.0.0.1:{control}", f"127.0.0.1:{packets}"
                return
            process.kill()
            output.seek(0)
            if attempt == _ATTEMPTS:  # once or twice somebody else may have taken a port meanwhile
                raise NotAvailable(f"bmv2 did not start: {output.read()[-1000:].decode(errors='replace')}")


def _free_ports() -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(3)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        threading.Event().wait(0.01)
    return False
