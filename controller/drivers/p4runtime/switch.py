"""The session with one switch: primary controller of it whenever that can be had, joined again for ever.

finsy brings the messages and reads the errors. The channel is our own: finsy's takes 4 MB at most, which is
less than a full table in bmv2's one answer, and waits 10 s before it joins again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import NoReturn

import grpc
import structlog
from finsy.p4client import P4RpcStatus
from finsy.proto import p4r, p4r_grpc

from controller.drivers.p4runtime.apply import Change
from controller.drivers.p4runtime.encoding import ChangeEncoder, Encoded
from controller.drivers.p4runtime.entries import Entries
from controller.drivers.p4runtime.pipeline import Pipeline, encode_number
from controller.drivers.p4runtime.read_back import any_group, read_entries
from dipronn.errors import DipronnError, Unavailable

_log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.2
"""Between attempts to reach a switch."""
RPC_SECONDS = 20.0
"""For one request; the largest is a full table."""
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # What was refused comes as metadata, a hundred bytes for each update of a request.
    ("grpc.max_metadata_size", 4 << 20),
    ("grpc.absolute_max_metadata_size", 4 << 20),
]
_OK, _NOT_FOUND = 0, 5
_WRITE = "/p4.v1.P4Runtime/Write"

Call = grpc.aio.StreamStreamCall[p4r.StreamMessageRequest, p4r.StreamMessageResponse]


class Pushed(Enum):
    """Whether the switch had our pipeline already, or has it not and was left so."""

    KEPT = 1
    ANEW = 2
    OTHER = 3


class Switch:
    """One switch behind its P4Runtime server.

    ``ready`` is awaited whenever the switch has become ours, with its pipeline in place; ``packet`` gets each
    packet-in (port, frame), ``digest`` each digest list, already acknowledged. Without ``push`` a switch
    keeps whatever pipeline it has, and nothing is subscribed to.
    """

    def __init__(
        self,
        address: str,
        device_id: int,
        election_id: int,
        pipeline: Pipeline,
        *,
        ready: Callable[[Pushed], Awaitable[None]],
        packet: Callable[[int, bytes], None],
        digest: Callable[[p4r.DigestList], None],
        push: bool = True,
    ) -> None:
        self.address = address
        self.pipeline = pipeline
        self._device_id = device_id
        self._election_id = p4r.Uint128(low=election_id)
        self._ready, self._packet, self._digest = ready, packet, digest
        self._pushes = push
        self._stub: p4r_grpc.P4RuntimeAsyncStub | None = None
        self._write: grpc.aio.UnaryUnaryMultiCallable[bytes, p4r.WriteResponse] | None = None
        self._encoder = ChangeEncoder(pipeline)
        self._prepared: tuple[Sequence[Change], Encoded] = (), self._encoder.encode(())
        self._outgoing: asyncio.Queue[p4r.StreamMessageRequest] = asyncio.Queue()
        self._primary = asyncio.Event()
        self._demoted = asyncio.Event()
        self._broken = asyncio.Event()
        self._up = asyncio.Event()
        self._told = ""
        self.trouble = f"switch {address}: not reached yet"
        """Why the switch is not ours now."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Entries that each table holds."""
        return {table.preamble.alias: table.size for table in self.pipeline.info.tables}

    @property
    def up(self) -> bool:
        """The switch is ours and ready."""
        return self._up.is_set()

    async def require_up(self, patience: float | None) -> None:
        """Return once the switch is ours and ready. Raises Unavailable after ``patience`` seconds, if any."""
        try:
            async with asyncio.timeout(patience):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable(self.trouble) from None

    async def run(self) -> NoReturn:
        """Be the switch's primary controller; after every break try again."""
        while True:
            try:
                await self._session()
            except grpc.aio.AioRpcError as error:
                self._say(f"switch {self.address}: {error.code().name.lower()}: {error.details()}")
            except DipronnError as error:
                self._say(str(error))
            except Exception as error:
                _log.exception("the session with the switch broke", switch=self.address)
                self._say(f"switch {self.address}: {error!r}")
            await asyncio.sleep(RETRY_SECONDS)

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        # What lasts is told once, not with every attempt.
        (_log.debug if trouble == self._told else _log.warning)("the switch is not ours", why=trouble)
        self._told = trouble

    # the session

    async def _session(self) -> None:
        async with grpc.aio.insecure_channel(self.address, options=_OPTIONS) as channel:
            self._stub = p4r_grpc.P4RuntimeStub(channel)
            # Requests come ready as bytes.
            self._write = channel.unary_unary(_WRITE, response_deserializer=p4r.WriteResponse.FromString)
            call: Call = self._stub.StreamChannel()
            self._outgoing = asyncio.Queue()
            self._primary.clear()
            self._broken.clear()
            await self._arbitrate()
            tasks = [
                asyncio.create_task(self._broken.wait(), name="break"),
                asyncio.create_task(self._write_stream(call), name="to the switch"),
                asyncio.create_task(self._read_stream(call), name="from the switch"),
                asyncio.create_task(self._take_over(), name="take over the switch"),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._up.clear()
                self._stub = self._write = None
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                call.cancel()

    async def _arbitrate(self) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=self._device_id, election_id=self._election_id)
        await self._outgoing.put(p4r.StreamMessageRequest(arbitration=update))

    async def _write_stream(self, call: Call) -> None:
        try:
            while True:
                await call.write(await self._outgoing.get())
        except asyncio.InvalidStateError:  # the call is over; its status is the reader's to tell
            await asyncio.Event().wait()

    async def _read_stream(self, call: Call) -> None:
        async for message in call:
            match message.WhichOneof("update"):
                case "arbitration":
                    await self._arbitrated(message.arbitration)
                case "packet":
                    values = {each.metadata_id: each.value for each in message.packet.metadata}
                    port = int.from_bytes(values.get(self._ingress_port, b""), "big")
                    self._packet(port, message.packet.payload)
                case "digest":
                    digest = message.digest
                    ack = p4r.DigestListAck(digest_id=digest.digest_id, list_id=digest.list_id)
                    self._outgoing.put_nowait(p4r.StreamMessageRequest(digest_ack=ack))
                    self._digest(digest)
                case "error":
                    _log.error("the switch complains", why=message.error.message)
        raise Unavailable(f"switch {self.address}: ended the session")

    async def _arbitrated(self, update: p4r.MasterArbitrationUpdate) -> None:
        """Who is primary has been decided, perhaps anew."""
        if update.election_id == self._election_id and update.status.code == _OK:
            self._demoted.clear()
            self._primary.set()
            return
        self._primary.clear()
        self._demoted.set()
        self._up.clear()
        if update.status.code == _NOT_FOUND:
            await self._arbitrate()  # nobody is: the former one has left
            return
        self._say(
            f"switch {self.address}: another controller is primary (election id {update.election_id.low}, "
            f"ours is {self._election_id.low}); end it, or give this agent a higher election_id"
        )

    async def _take_over(self) -> None:
        """Whenever we are primary: have our pipeline there, then let the agent converge."""
        while True:
            await self._primary.wait()
            pushed = await self._push()
            if self._pushes:
                await self._subscribe()
            await self._ready(pushed)
            if self._primary.is_set():
                self._up.set()
                self._told = ""
                _log.info("the switch is ours", switch=self.address, pipeline=pushed.name.lower())
            await self._demoted.wait()

    async def _push(self) -> Pushed:
        request = p4r.GetForwardingPipelineConfigRequest(
            device_id=self._device_id,
            response_type=p4r.GetForwardingPipelineConfigRequest.ResponseType.COOKIE_ONLY,
        )
        try:
            answer = await self._service().GetForwardingPipelineConfig(request, timeout=RPC_SECONDS)
            if answer.config.cookie.cookie == self.pipeline.cookie:
                return Pushed.KEPT
            if not self._pushes:
                return Pushed.OTHER
            _log.warning("the switch runs another pipeline; ours replaces it", switch=self.address)
            # A new pipeline may leave former multicast groups with stale replicas.
            await self._forget_groups()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:  # it has no pipeline
                raise
            if not self._pushes:
                return Pushed.OTHER
        await self._service().SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=self._device_id,
                election_id=self._election_id,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=self.pipeline.forwarding(),
            ),
            timeout=RPC_SECONDS,
        )
        return Pushed.ANEW

    async def _forget_groups(self) -> None:
        groups = await self.read([any_group()])
        if groups:
            await self._send(p4r.Update.DELETE, groups)

    async def _subscribe(self) -> None:
        """To every digest, at once; a modified subscription is the same one."""
        config = p4r.DigestEntry.Config(max_timeout_ns=0, max_list_size=1, ack_timeout_ns=1_000_000_000)
        for number in self.pipeline.digests.values():
            entity = p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=number, config=config))
            if await self._send(p4r.Update.INSERT, [entity]):
                refused = await self._send(p4r.Update.MODIFY, [entity])
                if refused:
                    raise Unavailable(f"switch {self.address}: no digests: {refused[0]}")

    # requests

    def _service(self) -> p4r_grpc.P4RuntimeAsyncStub:
        if self._stub is None:
            raise Unavailable(self.trouble)
        return self._stub

    @contextmanager
    def _request(self) -> Iterator[None]:
        """A request whose session ends meanwhile is cancelled by gRPC, which is no cancellation of ours."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            raise Unavailable(f"switch {self.address}: the session ended during a request") from None
        except grpc.aio.UsageError as error:
            raise Unavailable(f"switch {self.address}: the session has ended") from error

    async def unsubscribe(self) -> None:
        """From every digest."""
        entities = (
            p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=number))
            for number in self.pipeline.digests.values()
        )
        await self._send(p4r.Update.DELETE, entities)

    async def read(self, entities: Iterable[p4r.Entity]) -> list[p4r.Entity]:
        """What the switch has of these. Raises Unavailable."""
        request = p4r.ReadRequest(device_id=self._device_id, entities=entities)
        try:
            found: list[p4r.Entity] = []
            with self._request():
                async for answer in self._service().Read(request, timeout=RPC_SECONDS):
                    found += answer.entities
            return found
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"switch {self.address}: {error.details()}") from error

    async def read_entries(self) -> Entries:
        """Every entry and multicast group."""
        return await read_entries(self.pipeline, self.read)

    async def write(self, changes: Sequence[Change]) -> Mapping[int, str]:
        """See ``apply.Writer``."""
        encoded = self._encoded(changes)
        owners = encoded.owners
        refused = await self._send_updates(encoded.updates)
        whole = Counter(owners)
        parts = Counter(owners[number] for number in refused)
        for index, part in parts.items():
            if part < whole[index]:
                # Of one change a part is done: neither it nor the former state is there.
                self._broken.set()
                why = next(why for number, why in refused.items() if owners[number] == index)
                raise Unavailable(f"switch {self.address}: {changes[index].key} is changed in part: {why}")
        return {owners[number]: why for number, why in refused.items()}

    def prepare(self, changes: Sequence[Change]) -> None:
        """See ``apply.Writer``."""
        self._prepared = changes, self._encoder.encode(changes)

    def _encoded(self, changes: Sequence[Change]) -> Encoded:
        prepared, encoded = self._prepared
        return encoded if prepared is changes else self._encoder.encode(changes)

    async def _send(self, kind: p4r.Update.Type.ValueType, entities: Iterable[p4r.Entity]) -> dict[int, str]:
        updates = [p4r.Update(type=kind, entity=each) for each in entities]
        return await self._send_updates(p4r.WriteRequest(updates=updates).SerializeToString())

    async def _send_updates(self, updates: bytes) -> dict[int, str]:
        """What was refused, by its index. Raises Unavailable if nothing, or nobody knows what, was done."""
        if self._write is None:
            raise Unavailable(self.trouble)
        # Protobuf's messages are joined by joining their bytes.
        head = p4r.WriteRequest(device_id=self._device_id, election_id=self._election_id)
        try:
            with self._request():
                await self._write(head.SerializeToString() + updates, timeout=RPC_SECONDS)
        except grpc.aio.AioRpcError as error:
            status = P4RpcStatus.from_rpc_error(error)
            if not status.details:
                self._broken.set()  # the next session reads what there is
                raise Unavailable(f"switch {self.address}: {status.message}") from error
            return {
                number: f"{each.canonical_code.name.lower()}{f': {each.message}' if each.message else ''}"
                for number, each in status.details.items()
            }
        return {}

    def send_packet(self, port: int, frame: bytes) -> None:
        """Let a frame leave by a port, if the switch is there; nobody says whether it did."""
        packet = p4r.PacketOut(payload=frame)
        for number, value in ((self._egress_port, port), (self._egress_padding, 0)):
            packet.metadata.add(metadata_id=number, value=encode_number(value))
        self._outgoing.put_nowait(p4r.StreamMessageRequest(packet=packet))

    @property
    def _ingress_port(self) -> int:
        return self._metadata("packet_in", "ingress_port")

    @property
    def _egress_port(self) -> int:
        return self._metadata("packet_out", "egress_port")

    @property
    def _egress_padding(self) -> int:
        return self._metadata("packet_out", "padding")

    def _metadata(self, header: str, name: str) -> int:
        for each in self.pipeline.info.controller_packet_metadata:
            if each.preamble.name == header:
                return next(field.id for field in each.metadata if field.name == name)
        raise Unavailable(f"the compiled P4 pipeline has no {header}; run `make p4`")
