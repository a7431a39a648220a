"""A real bmv2 of the test's own, without root: packets in and out by its gRPC, control by P4Runtime."""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from finsy.proto import p4r, p4r_grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT, Pipeline

DEVICE_ID = 1
PATIENCE = 20.0
"""Seconds until an answer of the switch counts as lost."""
_UNLIMITED = [("grpc.max_receive_message_length", -1)]


def _packet_messages() -> tuple[Any, Any]:
    """The two messages of bmv2's packet injection service, p4.bm.DataplaneInterface/PacketStream."""
    described = descriptor_pb2.FileDescriptorProto(
        name="bmv2_packets.proto", package="p4.bm", syntax="proto3"
    )
    for name in ("PacketStreamRequest", "PacketStreamResponse"):
        message = described.message_type.add(name=name)
        for number, (field, kind) in enumerate(
            (("id", "UINT64"), ("device_id", "UINT64"), ("port", "UINT32"), ("packet", "BYTES")), 1
        ):
            added = message.field.add(name=field, number=number, label="LABEL_OPTIONAL")
            added.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    found = (pool.FindMessageTypeByName(f"p4.bm.{name.name}") for name in described.message_type)
    request, response = map(message_factory.GetMessageClass, found)
    return request, response


_Request, _Response = _packet_messages()


def free_ports(count: int) -> list[int]:
    """TCP ports of the loopback that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class SwitchProcess:
    """simple_switch_grpc on ports of its own.  It ends with its owner, however that ends."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # nameless: nothing is left behind
        self.address, self.packet_address, self._thrift = (f"127.0.0.1:{port}" for port in free_ports(3))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Also again after ``stop``: on the same addresses, with nothing in it."""
        command = ["setpriv", "--pdeathsig", "KILL", "simple_switch_grpc", "--no-p4", "--log-level", "off"]
        command += ["--device-id", str(DEVICE_ID), "--thrift-port", self._thrift.rpartition(":")[2]]
        command += ["--notifications-addr", "inproc://notifications"]
        command += [*self._arguments, "--", "--cpu-port", str(CONTROLLER_PORT)]
        command += ["--grpc-server-addr", self.address, "--dp-grpc-server-addr", self.packet_address]
        self._process = subprocess.Popen(command, stdout=self._output, stderr=self._output)
        deadline = time.monotonic() + PATIENCE
        for address in (self.address, self.packet_address):
            while not _listens(address):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._output.seek(0)
                    raise AssertionError(f"bmv2 did not start: {self._output.read()[-2000:]!r}")
                threading.Event().wait(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def switch_process(*arguments: str) -> Iterator[SwitchProcess]:
    process = SwitchProcess(*arguments)
    try:
        process.start()
        yield process
    finally:
        process.stop()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


class _Stream:
    """One bidirectional stream: what is put goes out, what came in can be awaited."""

    def __init__(self, call: Any) -> None:
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._responses = call(iter(self._outgoing.get, None))
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        try:
            for response in self._responses:
                self._incoming.put(response)
        except grpc.RpcError as error:
            self._incoming.put(error)

    def put(self, message: Any) -> None:
        self._outgoing.put(message)

    def get(self, timeout: float = PATIENCE) -> Any:
        try:
            response = self._incoming.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError("bmv2 says nothing") from None
        if isinstance(response, grpc.RpcError):
            raise response
        return response

    def close(self) -> None:
        self._outgoing.put(None)


class PacketPorts:
    """The switch's ports: frames in and out."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        call = self._channel.stream_stream(
            "/p4.bm.DataplaneInterface/PacketStream",
            request_serializer=_Request.SerializeToString,
            response_deserializer=_Response.FromString,
        )
        self._stream = _Stream(call)

    def send(self, port: int, frame: bytes) -> None:
        self._stream.put(_Request(device_id=DEVICE_ID, port=port, packet=frame))

    def receive(self, timeout: float = PATIENCE) -> tuple[int, bytes]:
        response = self._stream.get(timeout)
        return response.port, response.packet

    def close(self) -> None:
        self._stream.close()
        self._channel.close()


class Control:
    """A primary controller in the plainest words of P4Runtime."""

    def __init__(self, address: str, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._channel = grpc.insecure_channel(address, options=_UNLIMITED)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._stream = _Stream(self._stub.StreamChannel)
        self._election = p4r.Uint128(low=1)
        arbitration = p4r.MasterArbitrationUpdate(device_id=DEVICE_ID, election_id=self._election)
        self._stream.put(p4r.StreamMessageRequest(arbitration=arbitration))
        assert self.receive().arbitration.status.code == 0, "not the primary controller"

    def push(self) -> None:
        """The pipeline anew: all tables, groups, counters and registers empty."""
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=DEVICE_ID,
                election_id=self._election,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=self.pipeline.forwarding(),
            )
        )

    def write(self, kind: p4r.Update.Type.ValueType, entities: Iterable[p4r.Entity]) -> None:
        updates = [p4r.Update(type=kind, entity=entity) for entity in entities]
        if updates:
            self._stub.Write(
                p4r.WriteRequest(device_id=DEVICE_ID, election_id=self._election, updates=updates)
            )

    def read(self, entities: Iterable[p4r.Entity]) -> list[p4r.Entity]:
        request = p4r.ReadRequest(device_id=DEVICE_ID, entities=entities)
        return [entity for response in self._stub.Read(request) for entity in response.entities]

    def receive(self, timeout: float = PATIENCE) -> p4r.StreamMessageResponse:
        """The next message of the stream."""
        response: p4r.StreamMessageResponse = self._stream.get(timeout)
        return response

    def send(self, request: p4r.StreamMessageRequest) -> None:
        self._stream.put(request)

    def close(self) -> None:
        self._stream.close()
        self._channel.close()
