"""The server itself: P4Runtime over gRPC in threads of this process, with the faults that a test asks for."""

from __future__ import annotations

import itertools
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import grpc
from finsy.proto import p4r, p4r_grpc, rpc_status
from google.protobuf import any_pb2

from tests.conformance.bmv2_switch import DEVICE_ID, PATIENCE
from tests.fake_switch.arbitration import Arbitration
from tests.fake_switch.tables import Held, Refusal

_THREADS = 48
"""Each stream of a controller holds one."""
_NUMBERS = itertools.count()
_VERIFY_AND_COMMIT = p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT
_NO_PIPELINE = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION, "No forwarding pipeline config set for this device"
)
_NOT_PRIMARY = Refusal(grpc.StatusCode.PERMISSION_DENIED, "Not primary")

Answer = TypeVar("Answer")


class FakeSwitch:
    """One device.  ``start`` and ``stop`` are what they are for a real one: nothing outlives a stop."""

    def __init__(self, *, heirs: bool = True) -> None:
        # Nobody else can come by this address while the switch is down, as by a port's number.
        self._socket = Path(tempfile.gettempdir(), f"dt{os.getpid():x}x-fake-{next(_NUMBERS)}")
        self.address = f"unix:{self._socket}"
        self.left: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        """Frames that the controller let leave: port and frame."""
        self.faults = Faults()
        self._heirs = heirs
        self._service: _Service | None = None
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._service = _Service(self.left, self.faults, self._heirs)
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS), options=options)
        p4r_grpc.add_P4RuntimeServicer_to_server(self._service, self._server)
        self._server.add_insecure_port(self.address)
        self._server.start()

    def stop(self) -> None:
        """At once, as if killed."""
        if self._server is not None and self._service is not None:
            self._service.end()
            self._server.stop(None).wait(PATIENCE)
            self._server = self._service = None
        self._socket.unlink(missing_ok=True)

    def arrive(self, port: int, frame: bytes) -> None:
        """A frame arrives at a port: a packet-in of the primary controller."""
        if self._service:
            self._service.packet_in(port, frame)

    def digest(self, name: str, *members: int) -> None:
        """The primary controller, if it has subscribed to it, gets a digest with these members."""
        if self._service:
            self._service.digest(name, members)

    def count(self, entity: p4r.Entity) -> None:
        """Have a counter show something, as if packets had come by."""
        if self._service:
            self._service.write_unasked(p4r.Update(type=p4r.Update.MODIFY, entity=entity))

    def limit(self, table: int, size: int) -> None:
        """Have a table hold fewer entries than the P4Info says."""
        if self._service:
            self._service.limit(table, size)


class Faults:
    """What goes wrong with the next requests; each fault happens once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lose = self._refuse = self._hang = -1
        self._released = threading.Event()
        self.hung = threading.Event()
        """Set when a request hangs."""

    def lose(self, writes: int) -> None:
        """Of the n-th write from now only the first half is done, and no answer comes."""
        with self._lock:
            self._lose = writes

    def refuse(self, updates: int) -> None:
        """The n-th update from now is refused; those after it in its request are done."""
        with self._lock:
            self._refuse = updates

    def hang(self, updates: int) -> None:
        """After n more updates nothing is done any more, and nobody gets an answer, until ``release``."""
        with self._lock:
            self._hang = updates
            self.hung.clear()
            self._released.clear()

    def release(self) -> None:
        """Requests that hang end undone; the next ones are done."""
        with self._lock:
            self._lose = self._refuse = self._hang = -1
            self._released.set()

    def lost(self) -> bool:
        """Whether this write is the one to lose."""
        with self._lock:
            self._lose -= self._lose >= 0
            return self._lose == 0

    def refused(self) -> bool:
        """Whether this update is the one to refuse."""
        with self._lock:
            self._refuse -= self._refuse >= 0
            return self._refuse == 0

    def stopped(self) -> bool:
        """Before an update: whether it must not be done; returns then only once it is released."""
        with self._lock:
            if self._hang != 0:
                self._hang -= self._hang > 0
                return False
        self.hung.set()
        self._released.wait(PATIENCE)
        return True


class _Controller:
    """A stream: what is put goes to it; None ends it."""

    def __init__(self) -> None:
        self.messages: queue.SimpleQueue[p4r.StreamMessageResponse | Refusal | None] = queue.SimpleQueue()


class _Service(p4r_grpc.P4RuntimeServicer):
    def __init__(self, left: queue.SimpleQueue[tuple[int, bytes]], faults: Faults, heirs: bool) -> None:
        self._left, self._faults, self._heirs = left, faults, heirs
        self._lock = threading.RLock()
        self._arbitrations: dict[int, Arbitration] = {}
        self._controllers: set[_Controller] = set()
        self._pipeline: p4r.ForwardingPipelineConfig | None = None
        self._held: Held | None = None
        self._lists = 0

    def end(self) -> None:
        with self._lock:
            self._faults.release()
            for controller in self._controllers:
                controller.messages.put(None)

    # streams

    def StreamChannel(
        self, request_iterator: Iterator[p4r.StreamMessageRequest], context: Any
    ) -> Iterator[p4r.StreamMessageResponse]:
        controller = _Controller()
        with self._lock:
            self._controllers.add(controller)
        threading.Thread(target=self._listen, args=(controller, request_iterator), daemon=True).start()
        context.add_callback(lambda: controller.messages.put(None))
        try:
            while (message := controller.messages.get()) is not None:
                if isinstance(message, Refusal):
                    context.abort(message.code, message.message)
                else:
                    yield message
        finally:
            with self._lock:
                self._controllers.discard(controller)
                for arbitration in self._arbitrations.values():
                    self._tell(arbitration.leave(controller))

    def _listen(self, controller: _Controller, requests: Iterator[p4r.StreamMessageRequest]) -> None:
        try:
            for request in requests:
                with self._lock:
                    match request.WhichOneof("update"):
                        case "arbitration":
                            self._arbitrate(controller, request.arbitration)
                        case "packet":
                            self._packet_out(controller, request.packet)
        except Refusal as refusal:
            controller.messages.put(refusal)
        except Exception:  # gRPC's own, when the stream is over
            controller.messages.put(None)
        else:
            controller.messages.put(None)

    def _arbitrate(self, controller: _Controller, update: p4r.MasterArbitrationUpdate) -> None:
        number = update.device_id
        arbitration = self._arbitrations.setdefault(number, Arbitration(number, self._heirs))
        self._tell(arbitration.update(controller, update.election_id.low))

    def _tell(self, told: list[tuple[object, p4r.MasterArbitrationUpdate]]) -> None:
        for controller, update in told:
            assert isinstance(controller, _Controller)
            controller.messages.put(p4r.StreamMessageResponse(arbitration=update))

    def _primary(self) -> _Controller | None:
        arbitration = self._arbitrations.get(DEVICE_ID)
        primary = arbitration.primary if arbitration else None
        return primary if isinstance(primary, _Controller) else None

    def _packet_out(self, controller: _Controller, packet: p4r.PacketOut) -> None:
        if controller is not self._primary() or self._pipeline is None:
            return
        values = {each.metadata_id: int.from_bytes(each.value, "big") for each in packet.metadata}
        self._left.put((values[self._metadata("packet_out", "egress_port")], packet.payload))

    def packet_in(self, port: int, frame: bytes) -> None:
        with self._lock:
            if self._pipeline is None or (primary := self._primary()) is None:
                return
            packet = p4r.PacketIn(payload=frame)
            number = self._metadata("packet_in", "ingress_port")
            packet.metadata.add(metadata_id=number, value=port.to_bytes(2, "big"))
            primary.messages.put(p4r.StreamMessageResponse(packet=packet))

    def _metadata(self, header: str, name: str) -> int:
        assert self._pipeline is not None
        for each in self._pipeline.p4info.controller_packet_metadata:
            if each.preamble.name == header:
                return next(field.id for field in each.metadata if field.name == name)
        raise AssertionError(f"the P4Info has no {header}")

    def digest(self, name: str, members: tuple[int, ...]) -> None:
        with self._lock:
            if self._pipeline is None or self._held is None or (primary := self._primary()) is None:
                return
            digests = self._pipeline.p4info.digests
            number = next(each.preamble.id for each in digests if each.preamble.alias == name)
            if self._held.subscribed(number):
                self._lists += 1
                digest = p4r.DigestList(digest_id=number, list_id=self._lists)
                struct = digest.data.add().struct
                for value in members:
                    struct.members.add(bitstring=value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
                primary.messages.put(p4r.StreamMessageResponse(digest=digest))

    # requests

    def SetForwardingPipelineConfig(
        self, request: p4r.SetForwardingPipelineConfigRequest, context: Any
    ) -> p4r.SetForwardingPipelineConfigResponse:
        def push() -> p4r.SetForwardingPipelineConfigResponse:
            self._require_primary(request)
            if request.action != _VERIFY_AND_COMMIT:
                raise Refusal(grpc.StatusCode.UNIMPLEMENTED, "this fake knows VERIFY_AND_COMMIT only")
            self._pipeline, self._held = request.config, Held(request.config.p4info)
            return p4r.SetForwardingPipelineConfigResponse()

        return self._answer(context, push)

    def GetForwardingPipelineConfig(
        self, request: p4r.GetForwardingPipelineConfigRequest, context: Any
    ) -> p4r.GetForwardingPipelineConfigResponse:
        def get() -> p4r.GetForwardingPipelineConfigResponse:
            self._require_pipeline(request.device_id)
            assert self._pipeline is not None
            kinds = p4r.GetForwardingPipelineConfigRequest.ResponseType
            config = p4r.ForwardingPipelineConfig(cookie=self._pipeline.cookie)
            if request.response_type in (kinds.ALL, kinds.P4INFO_AND_COOKIE):
                config.p4info.CopyFrom(self._pipeline.p4info)
            if request.response_type in (kinds.ALL, kinds.DEVICE_CONFIG_AND_COOKIE):
                config.p4_device_config = self._pipeline.p4_device_config
            return p4r.GetForwardingPipelineConfigResponse(config=config)

        return self._answer(context, get)

    def Write(self, request: p4r.WriteRequest, context: Any) -> p4r.WriteResponse:
        def write() -> p4r.WriteResponse:
            self._require_primary(request)
            held = self._require_pipeline(request.device_id)
            if request.atomicity != p4r.WriteRequest.CONTINUE_ON_ERROR:
                raise Refusal(
                    grpc.StatusCode.UNIMPLEMENTED,
                    "Support for atomic write modes has not been implemented yet",
                )
            lost = self._faults.lost()
            updates = request.updates[: len(request.updates) // 2] if lost else request.updates
            details = [self._update(held, update) for update in updates]
            if lost:
                raise Refusal(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
            if any(each.canonical_code for each in details):
                raise _Refusals(details)
            return p4r.WriteResponse()

        return self._answer(context, write)

    def _update(self, held: Held, update: p4r.Update) -> p4r.Error:
        if self._faults.stopped():
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "the request hung")
        try:
            if self._faults.refused():
                raise Refusal(grpc.StatusCode.UNKNOWN, "Error when adding match entry to target")
            with self._lock:
                held.write(update)
        except Refusal as refusal:
            code: int = refusal.code.value[0]
            return p4r.Error(canonical_code=code, message=refusal.message, space="ALL-sswitch-p4org")
        return p4r.Error()

    def write_unasked(self, update: p4r.Update) -> None:
        with self._lock:
            assert self._held is not None
            self._held.write(update)

    def limit(self, table: int, size: int) -> None:
        with self._lock:
            assert self._held is not None
            self._held.sizes[table] = size

    def Read(self, request: p4r.ReadRequest, context: Any) -> Iterator[p4r.ReadResponse]:
        def read() -> p4r.ReadResponse:
            held = self._require_pipeline(request.device_id)
            with self._lock:
                # All in one message, as bmv2 does: a client with gRPC's 4 MB limit reads no full table.
                return p4r.ReadResponse(
                    entities=[each for wanted in request.entities for each in held.read(wanted)]
                )

        yield self._answer(context, read)

    def Capabilities(self, request: p4r.CapabilitiesRequest, context: Any) -> p4r.CapabilitiesResponse:
        return p4r.CapabilitiesResponse(p4runtime_api_version="1.3.0")

    def _require_primary(self, request: p4r.WriteRequest | p4r.SetForwardingPipelineConfigRequest) -> None:
        with self._lock:
            arbitration = self._arbitrations.get(request.device_id)
            if arbitration is None or not arbitration.is_primary(request.election_id.low):
                raise _NOT_PRIMARY

    def _require_pipeline(self, device_id: int) -> Held:
        with self._lock:
            if self._held is None or device_id != DEVICE_ID:
                raise _NO_PIPELINE
            return self._held

    def _answer(self, context: Any, work: Callable[[], Answer]) -> Answer:
        try:
            return work()
        except _Refusals as refusals:
            context.set_trailing_metadata((("grpc-status-details-bin", refusals.status()),))
            context.abort(grpc.StatusCode.UNKNOWN, "")
        except Refusal as refusal:
            context.abort(refusal.code, refusal.message)
        raise AssertionError("unreachable: abort raises")


class _Refusals(Exception):
    """Of a write some updates were refused: one detail for each, also for those that were done."""

    def __init__(self, details: list[p4r.Error]) -> None:
        super().__init__()
        self._details = details

    def status(self) -> bytes:
        status = rpc_status.Status(code=grpc.StatusCode.UNKNOWN.value[0])
        for detail in self._details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status.SerializeToString()
