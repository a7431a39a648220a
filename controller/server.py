"""The control unit as a server: its parts put together, its listeners, its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from controller.accounting import Accounts
from controller.admission import Admission
from controller.advice import Thresholds
from controller.api.accounts import AccountsService
from controller.api.images import ImagesService
from controller.api.kernel import KernelProgramsService
from controller.api.node import NodeService
from controller.api.sessions import SessionsService
from controller.api.sharing import SharingService
from controller.api.units import UnitsService
from controller.background import Background
from controller.beacons import Beacons
from controller.convergence import Convergence
from controller.elasticity import Elasticity
from controller.images import ImageLimits, ImageStore
from controller.kernel_programs import KernelReplacement
from controller.limits import Limits
from controller.metrics import Exporter, Source
from controller.offers import Offers
from controller.placement import BestPlacer
from controller.recreation import RECREATE_SECONDS, Recreation
from controller.registry import Registry
from controller.reports import Reports
from controller.restarts import RestartPolicy, Restarts
from controller.scaling import Scaling
from controller.sessions import Sessions
from controller.sharing import SharedStates
from controller.steering.identifiers import Allotment, Identifiers
from controller.store import Store
from controller.units import Units, UnitState
from dipronn.errors import DipronnError, Unavailable
from dipronn.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    kernel_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    state_pb2_grpc,
    unit_pb2,
    unit_pb2_grpc,
)

_log = structlog.get_logger(__name__)

MAX_MESSAGE = 64 << 20
"""Bytes of one message: a session is sent along with its bundles."""
_GRACE_SECONDS = 1.0
_SERVICES = [
    accounts_pb2.DESCRIPTOR.services_by_name["Accounts"].full_name,
    images_pb2.DESCRIPTOR.services_by_name["Images"].full_name,
    node_pb2.DESCRIPTOR.services_by_name["Node"].full_name,
    session_pb2.DESCRIPTOR.services_by_name["Sessions"].full_name,
    unit_pb2.DESCRIPTOR.services_by_name["Units"].full_name,
]


@dataclass(frozen=True)
class Settings:
    """``tcp``: ADDRESS:PORT, only with ``certs`` (ca.pem, cert.pem, key.pem).  ``dead_after``: seconds.

    ``metrics``: ADDRESS:PORT for Prometheus, readable to whoever reaches it; empty: none.
    """

    state: Path
    socket: Path
    tcp: str = ""
    certs: Path | None = None
    name: str = "dipronn"
    dead_after: float = 1.0
    images: ImageLimits = field(default_factory=ImageLimits)
    limits: Limits = field(default_factory=Limits)
    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    recreate_after: float = RECREATE_SECONDS
    elasticity: Thresholds = field(default_factory=Thresholds)
    metrics: str = ""


class ControlUnit:
    """Started with ``start``; ``stop`` undoes what is under way and leaves active sessions running."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings.state)
        self._images = ImageStore(settings.state / "images", settings.images)
        stored = [Allotment("unit", "node", name, unit.number) for name, unit in self._store.units().items()]
        identifiers = Identifiers([*stored, *self._store.allotments()])
        self.units = Units(self._store, identifiers, settings.dead_after)
        self._background = Background()
        self.registry = Registry(identifiers, self.units, Offers(settings.limits))
        convergence = Convergence(self._store, identifiers, self.units, self.registry, self._background)
        admission = Admission(self.units, identifiers, BestPlacer(), settings.limits)
        self.sessions = Sessions(
            self._store, identifiers, self.units, admission, self.registry, convergence, self._background
        )
        self.reports = Reports(
            self.units, self.registry, convergence, self._background, self.sessions.forget_if_gone
        )
        self._recreation = Recreation(
            self.units,
            self.registry,
            convergence,
            self._background,
            self.sessions.admitting,
            settings.recreate_after,
        )
        self.units.on_alive = self._on_alive
        self._restarts = Restarts(settings.restarts, self.registry, convergence, self._background)
        self.reports.on_death = self._restarts.died
        self._accounts = Accounts(settings.state / "accounts.db", lambda: self.registry.sessions.values())
        scaling = Scaling(
            identifiers, self.units, settings.limits, self.registry, convergence, self.sessions.admitting
        )
        self._elasticity = Elasticity(self.registry, scaling, self._background, settings.elasticity)
        self._replacement = KernelReplacement(self._store, identifiers, admission, self.registry, convergence)
        self.sessions.on_end = self._on_end
        self._shared = SharedStates(settings.state / "shared.db")
        self._beacons = Beacons(self.units, self.reports.revive)
        self.metrics = Exporter(
            Source(self._accounts.entries, self.units.known.values, self.registry.sessions.values)
        )
        self._health = HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._watchdog: asyncio.Task[None] | None = None
        self._bookkeeping: asyncio.Task[None] | None = None

    def _on_alive(self, unit: UnitState) -> None:
        self.reports.on_alive(unit)
        self._recreation.on_alive(unit)

    def _on_end(self, number: int) -> None:
        self._accounts.close_session(number)
        self._elasticity.forget(number)
        try:
            self._shared.end(number)
        except DipronnError as error:  # the next start drops it
            _log.error("shared state is left of a session that has ended", session=number, error=str(error))

    async def start(self) -> None:
        """Listen.  Raises Unavailable when an address cannot be had."""
        settings = self._settings
        self.sessions.load()
        self._restarts.resume()
        self._shared.start([record.number for record in self.registry.records()])
        self._recreation.resume()
        limits = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
        ]
        server = self._server = grpc.aio.server(options=limits)
        session_pb2_grpc.add_SessionsServicer_to_server(
            SessionsService(self.sessions, self.registry, self._images, self.units), server
        )
        unit_pb2_grpc.add_UnitsServicer_to_server(
            UnitsService(
                self.units, self.reports, self._store, self._images, self._accounts, self._elasticity
            ),
            server,
        )
        node_pb2_grpc.add_NodeServicer_to_server(
            NodeService(settings.name, self.units, self.registry), server
        )
        kernel_pb2_grpc.add_KernelProgramsServicer_to_server(
            KernelProgramsService(self._replacement, self.registry), server
        )
        state_pb2_grpc.add_SharedStateServicer_to_server(SharingService(self._shared, self.registry), server)
        accounts_pb2_grpc.add_AccountsServicer_to_server(AccountsService(self._accounts), server)
        images_pb2_grpc.add_ImagesServicer_to_server(ImagesService(self._images, self.registry), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(
            [*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME],
            server,
        )
        settings.socket.parent.mkdir(parents=True, exist_ok=True)
        # The store's lock says that no other control unit is alive here, so this socket is a dead one's.
        settings.socket.unlink(missing_ok=True)
        self._listen(f"unix:{settings.socket}", None)
        settings.socket.chmod(0o600)
        if settings.tcp:
            self._listen(settings.tcp, _credentials(settings.certs))
        if settings.metrics:
            self.metrics.listen(settings.metrics)
        await self._beacons.listen(settings.socket, settings.tcp)
        await server.start()
        for service in ("", *_SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._watchdog = asyncio.create_task(self.units.watch())
        self._bookkeeping = asyncio.create_task(self._accounts.keep())
        _log.info("control unit ready", socket=str(settings.socket), tcp=settings.tcp)

    async def stop(self) -> None:
        await self._health.enter_graceful_shutdown()
        await self._background.settle()
        self.registry.end_watching()
        self.units.dismiss()
        for task in (self._watchdog, self._bookkeeping):
            if task:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._server:
            await self._server.stop(_GRACE_SECONDS)
        await self.metrics.close()
        self._beacons.close(self._settings.socket)
        self._settings.socket.unlink(missing_ok=True)
        self._accounts.close()
        self._shared.close()
        self._images.close()
        self._store.close()
        _log.info("control unit ended")

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None) -> None:
        assert self._server
        try:
            if credentials:
                port = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise Unavailable(f"cannot listen at {address}: {error}") from error
        if not port:
            raise Unavailable(f"cannot listen at {address}: it is taken or not an address of this host")


def _credentials(certs: Path | None) -> grpc.ServerCredentials:
    if certs is None:
        raise Unavailable(
            "TCP is served with mutual TLS only; state --certs DIR, made by `dipronn certs DIR`"
        )
    try:
        authority, key, chain = ((certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}; `dipronn certs {certs}` makes it") from error
    return grpc.ssl_server_credentials([(key, chain)], root_certificates=authority, require_client_auth=True)


async def serve(settings: Settings) -> None:
    """Run a control unit until SIGTERM or SIGINT."""
    control = ControlUnit(settings)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        await control.start()
        await ended.wait()
    finally:
        await control.stop()
