"""Membership: the one stream to the control unit, joined again for ever.

Orders are handed on as they come and answered when done. Reports that find no stream are dropped: the next
Hello tells the state that they led to.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import NoReturn

import grpc
import structlog

from dipronn.errors import Unavailable
from dipronn.unit.config import BadConfiguration, Control
from dipronn.unit.orders import ProgramRefused
from dipronn.v1 import state_pb2, state_pb2_grpc, unit_pb2, unit_pb2_grpc

_log = structlog.get_logger(__name__)

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
"""Seconds between attempts to join: doubled from the first to the longest, and varied by a half."""
_SHARED_SECONDS = 30  # who waits is answered after 20
_FETCH_SECONDS = 7200  # a disk image may have 64 GiB; a control unit that dies ends it at once
_STUCK = 10_000  # reports that wait: the control unit has stopped to read
_LIMITS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.max_send_message_length", 256 << 20)]


class Membership:
    """Dials the control unit, says hello, sends reports and heartbeats, receives orders.

    ``greeting``: the first reports of a membership, Hello before all. ``order`` carries one out and returns
    an error's text, or "". No heartbeat is sent while ``alive`` says no: the unit's packets go nowhere then.
    """

    def __init__(
        self,
        control: Control,
        greeting: Callable[[], Iterable[unit_pb2.UnitReport]],
        order: Callable[[unit_pb2.UnitOrder], Awaitable[str]],
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._control = control
        self._greeting = greeting
        self._order = order
        self._alive = alive
        self._reports: asyncio.Queue[unit_pb2.UnitReport] | None = None
        self._stub: unit_pb2_grpc.UnitsAsyncStub | None = None
        self._shared: state_pb2_grpc.SharedStateAsyncStub | None = None
        self._orders: set[asyncio.Task[None]] = set()
        self._sequence = 0
        self._away = False

    def report(self, report: unit_pb2.UnitReport) -> None:
        """Send a report if joined."""
        if self._reports is not None:
            self._reports.put_nowait(report)

    async def fetch_bundle(self, sha256: bytes) -> AsyncIterator[bytes]:
        """A bundle's bytes in chunks. Raises Unavailable: the control unit is away or has no such bundle."""
        if self._stub is None:
            raise Unavailable(f"bundle {sha256.hex()}: the control unit is not reachable now")
        try:
            async for chunk in self._stub.FetchBundle(
                unit_pb2.FetchBundleRequest(sha256=sha256), timeout=_FETCH_SECONDS
            ):
                yield chunk.data
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"bundle {sha256.hex()}: the control unit answers {error.details()}") from error

    async def ask_shared(self, request: state_pb2.StateRequest) -> state_pb2.StateAnswer:
        """What a program asks of its session's shared state. Raises Unavailable: ask again later."""
        if self._shared is None:
            raise Unavailable("shared state: the control unit is not reachable now")
        try:
            return await self._shared.Ask(request, timeout=_SHARED_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"shared state: the control unit answers {error.details()}") from error

    async def run(self) -> NoReturn:
        """Join, and after every break join again."""
        delay = FIRST_DELAY
        while True:
            started = asyncio.get_running_loop().time()
            why = "the control unit ended the membership"
            try:
                async with self._channel() as channel:
                    self._shared = state_pb2_grpc.SharedStateStub(channel)
                    await self._stay(unit_pb2_grpc.UnitsStub(channel))
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
            # A control unit that is away for long is told once, not with every attempt.
            log = _log.debug if self._away else _log.warning
            log("not joined", control=self._control.address, why=why)
            self._away = True
            if asyncio.get_running_loop().time() - started > 2 * LONGEST_DELAY:
                delay = FIRST_DELAY
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, LONGEST_DELAY)

    async def _stay(self, stub: unit_pb2_grpc.UnitsAsyncStub) -> None:
        """One membership, to its end."""
        call = stub.Join()
        self._stub = stub
        reports: asyncio.Queue[unit_pb2.UnitReport] = asyncio.Queue()
        self._reports = reports
        for report in self._greeting():
            reports.put_nowait(report)
        tasks = [
            asyncio.create_task(self._write(call, reports), name="reports"),
            asyncio.create_task(self._beat(reports), name="heartbeat"),
            asyncio.create_task(self._read(call, reports), name="orders"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._reports = self._stub = self._shared = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            call.cancel()

    async def _write(
        self,
        call: grpc.aio.StreamStreamCall[unit_pb2.UnitReport, unit_pb2.UnitOrder],
        reports: asyncio.Queue[unit_pb2.UnitReport],
    ) -> None:
        try:
            while True:
                await call.write(await reports.get())
                self._away = False
        except asyncio.InvalidStateError:  # the call is over; its status is the reader's to tell
            await asyncio.Event().wait()

    async def _beat(self, reports: asyncio.Queue[unit_pb2.UnitReport]) -> None:
        while reports.qsize() < _STUCK:
            if self._alive():
                self._sequence += 1
                beat = unit_pb2.Heartbeat(sequence=self._sequence)
                reports.put_nowait(unit_pb2.UnitReport(heartbeat=beat))
            await asyncio.sleep(self._control.heartbeat)

    async def _read(
        self,
        call: grpc.aio.StreamStreamCall[unit_pb2.UnitReport, unit_pb2.UnitOrder],
        reports: asyncio.Queue[unit_pb2.UnitReport],
    ) -> None:
        async for order in call:
            task = asyncio.create_task(self._carry_out(order, reports), name=f"order {order.order}")
            self._orders.add(task)
            task.add_done_callback(self._orders.discard)

    async def _carry_out(
        self, order: unit_pb2.UnitOrder, reports: asyncio.Queue[unit_pb2.UnitReport]
    ) -> None:
        error = await self._order(order)
        # Only the stream that brought the order knows its number.
        refused = isinstance(error, ProgramRefused)
        done = unit_pb2.OrderDone(order=order.order, error=error, invalid_program=refused)
        reports.put_nowait(unit_pb2.UnitReport(order_done=done))

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[grpc.aio.Channel]:
        address, certs = self._control.address, self._control.certs
        if certs is None:
            channel = grpc.aio.insecure_channel(address, options=_LIMITS)
        else:
            channel = grpc.aio.secure_channel(address, _credentials(certs), options=_LIMITS)
        async with channel:
            yield channel


def _credentials(certs: Path) -> grpc.ChannelCredentials:
    try:
        authority, key, chain = ((certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
    except OSError as error:
        raise BadConfiguration(f"{error.filename}: {error.strerror}; `dipronn certs` makes it") from error
    return grpc.ssl_channel_credentials(authority, key, chain)
