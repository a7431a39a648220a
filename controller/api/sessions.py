"""``dipronn.v1.Sessions``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from controller.admission import reservations, total
from controller.api.identity import caller
from controller.api.offers import offer_message
from controller.api.status import errors_as_status
from controller.images import ImageStore
from controller.record import MachineImage
from controller.registry import Registry
from controller.request import Request, read, read_negotiation, validity
from controller.session import event
from controller.sessions import Sessions
from controller.units import Units
from dipronn.errors import DipronnError
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import session_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]


@contextmanager
def located(request: Request) -> Iterator[None]:
    """Refusals from the body are told with the line of the session that they are about."""
    try:
        yield
    except DipronnError as error:
        raise request.source.located(error) from error


class SessionsService(session_pb2_grpc.SessionsServicer):
    def __init__(self, sessions: Sessions, registry: Registry, images: ImageStore, units: Units) -> None:
        self._sessions = sessions
        self._registry = registry
        self._images = images
        self._units = units

    async def Negotiate(self, request: pb.NegotiateRequest, context: Context) -> pb.Offer:
        async with errors_as_status(context):
            seconds = validity(request)
            wanted = await asyncio.to_thread(read_negotiation, request, caller(context))
            with located(wanted):
                standing = await self._sessions.negotiate(wanted, seconds, request.hold)
                totals = {name: total(unit) for name, unit in self._units.known.items()}
                others = reservations(self._registry.reserving(standing.id))
                return offer_message(standing, totals, others)
        raise AssertionError

    async def Establish(self, request: pb.EstablishRequest, context: Context) -> pb.Session:
        async with errors_as_status(context):
            user = caller(context)

            def pushed(owner: str, name: str) -> bytes:
                return self._images.bundle(owner if user is None else user, name)

            def machines(owner: str, name: str) -> tuple[MachineImage, int]:
                image, disk = self._images.machine(owner if user is None else user, name)
                return MachineImage(image.kind, image.sha256, image.size), disk

            offer = self._registry.offers.get(request.offer, user) if request.offer else None
            wanted = await asyncio.to_thread(read, request, pushed, user, offer, machines)

            def confirm() -> None:
                images = {one.sha256 for one in wanted.images.values()}
                for sha256 in (wanted.bundle_hashes.values() - wanted.bundles.keys()) | images:
                    self._images.require(sha256)

            with located(wanted):
                return self._registry.snapshot(await self._sessions.establish(wanted, confirm))
        raise AssertionError

    async def Get(self, request: pb.GetSessionRequest, context: Context) -> pb.Session:
        async with errors_as_status(context):
            return self._registry.snapshot(self._registry.get(request.name))
        raise AssertionError

    async def List(self, request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        async with errors_as_status(context):
            return pb.ListSessionsResponse(
                sessions=[self._registry.snapshot(session) for session in self._registry.sessions.values()]
            )
        raise AssertionError

    async def Watch(
        self, request: pb.WatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.SessionEvent]:
        async with errors_as_status(context):
            session = self._registry.get(request.name)
            queue: asyncio.Queue[pb.SessionEvent | None] = asyncio.Queue()
            session.watchers.add(queue)
            try:
                yield event(self._registry.snapshot(session), session.message)
                while (change := await queue.get()) is not None:
                    yield change
            finally:
                session.watchers.discard(queue)

    async def Close(self, request: pb.CloseSessionRequest, context: Context) -> pb.Session:
        async with errors_as_status(context):
            return await self._sessions.close(request.name)
        raise AssertionError
