"""``dipronn.v1.Units``: the streams of the agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import structlog

from controller.accounting import Accounts
from controller.api.identity import Context, require_unit
from controller.api.status import errors_as_status
from controller.elasticity import Elasticity
from controller.images import ImageStore
from controller.reports import Reports
from controller.store import Store
from controller.units import Member, Units, UnitState
from dipronn.errors import DipronnError, InvalidSession, NotFound
from dipronn.v1 import unit_pb2, unit_pb2_grpc

_log = structlog.get_logger(__name__)
_CHUNK = 1 << 20


class UnitsService(unit_pb2_grpc.UnitsServicer):
    def __init__(
        self,
        units: Units,
        reports: Reports,
        store: Store,
        images: ImageStore,
        accounts: Accounts,
        elasticity: Elasticity,
    ) -> None:
        self._units = units
        self._reports = reports
        self._store = store
        self._images = images
        self._accounts = accounts
        self._elasticity = elasticity

    async def Join(
        self, request_iterator: AsyncIterator[unit_pb2.UnitReport], context: Context
    ) -> AsyncIterator[unit_pb2.UnitOrder]:
        async with errors_as_status(context):
            first = await anext(aiter(request_iterator), None)
            if first is None or first.WhichOneof("report") != "hello":
                raise InvalidSession("the first report of a unit is its Hello")
            require_unit(first.hello.unit, context)
            state = self._units.join(first.hello)
            member = state.member
            assert member is not None
            _log.info("unit joined", unit=state.name, held=len(first.hello.held))
            reader = asyncio.ensure_future(self._read(state, member, request_iterator))
            welcome = asyncio.ensure_future(self._welcome(state, member, first.hello))
            try:
                while (order := await member.outgoing.get()) is not None:
                    yield order
            finally:
                reader.cancel()
                welcome.cancel()
                self._units.leave(member)
                _log.info("unit left", unit=state.name)

    async def FetchBundle(
        self, request: unit_pb2.FetchBundleRequest, context: Context
    ) -> AsyncIterator[unit_pb2.BundleChunk]:
        async with errors_as_status(context):
            if path := self._images.path(request.sha256):
                with path.open("rb") as file:
                    while chunk := await asyncio.to_thread(file.read, _CHUNK):
                        yield unit_pb2.BundleChunk(data=chunk)
                return
            data = self._store.bundle(request.sha256)
            if data is None:
                raise NotFound(f"no bundle {request.sha256.hex()}")
            for start in range(0, len(data), _CHUNK):
                yield unit_pb2.BundleChunk(data=data[start : start + _CHUNK])

    async def _welcome(self, state: UnitState, member: Member, hello: unit_pb2.Hello) -> None:
        try:
            await self._reports.welcome(state, hello)
            member.welcomed = True
        except DipronnError as error:
            _log.warning("a unit could not be brought in line", unit=state.name, error=str(error))
            member.outgoing.put_nowait(None)  # it joins again, and we try again
        except Exception:
            _log.exception("a unit could not be brought in line", unit=state.name)
            member.outgoing.put_nowait(None)

    async def _read(
        self, state: UnitState, member: Member, reports: AsyncIterator[unit_pb2.UnitReport]
    ) -> None:
        try:
            async for report in reports:
                self._take(state, member, report)
        except grpc.aio.AioRpcError:
            pass
        except Exception:
            _log.exception("a report could not be taken", unit=state.name)
        finally:
            member.outgoing.put_nowait(None)

    def _take(self, state: UnitState, member: Member, report: unit_pb2.UnitReport) -> None:
        self._units.heartbeat(state)
        match report.WhichOneof("report"):
            case "heartbeat":
                if member.welcomed and not state.alive and self._units.lives_without_beacon(state):
                    self._reports.revive(state)
            case "order_done":
                self._units.done(member, report.order_done)
            case "vm":
                self._reports.on_vm(report.vm, state.name)
            case "program":
                self._reports.on_program(report.program, state.name)
            case "name":
                self._reports.on_name(report.name, state.name)
            case "counters":
                state.counters = report.counters
                self._accounts.on_counters(state.name, report.counters)
                self._reports.on_counters(state.name, report.counters)
            case "usage":
                self._accounts.on_usage(state.name, report.usage)
                self._elasticity.on_usage(report.usage)
            case other:
                _log.warning("a report of an unknown or unexpected kind", unit=state.name, kind=other)
