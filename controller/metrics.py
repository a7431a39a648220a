"""Accounts and counters for Prometheus: text over HTTP at an address of the operator's, to be scraped.

Whoever reaches the address may read it, and it names every session and owner: it should be a loopback
address, or one of the control network.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.accounting import Entry
from controller.session import LiveSession
from controller.units import UnitState
from dipronn.errors import Unavailable
from dipronn.v1 import session_pb2 as pb

_PATIENCE = 10.0
"""Seconds that a scrape waits for the control unit."""
_ACCOUNT = ("session", "number", "owner")


class Source:
    """What is exported; called in the control unit's own thread."""

    def __init__(
        self,
        accounts: Callable[[], Iterable[Entry]],
        units: Callable[[], Iterable[UnitState]],
        sessions: Callable[[], Iterable[LiveSession]],
    ) -> None:
        self._accounts = accounts
        self._units = units
        self._sessions = sessions

    def families(self) -> list[Metric]:
        return [*self._sessions_now(), *self._of_accounts(), *self._of_units()]

    def _sessions_now(self) -> Iterator[Metric]:
        states = Counter(session.state for session in self._sessions())
        family = GaugeMetricFamily("dipronn_sessions", "Sessions that there are", labels=("state",))
        for state, count in states.items():
            name = pb.SessionState.Name(state).removeprefix("SESSION_STATE_").lower()
            family.add_metric((name,), count)
        yield family

    def _of_accounts(self) -> Iterator[Metric]:
        cpu = CounterMetricFamily(
            "dipronn_session_cpu_seconds", "CPU time of a session's machines", labels=_ACCOUNT
        )
        memory = CounterMetricFamily(
            "dipronn_session_memory_byte_seconds", "Memory of a session's machines over time", labels=_ACCOUNT
        )
        of_channel = (*_ACCOUNT, "channel")
        packets = CounterMetricFamily("dipronn_channel_packets", "Packets of a channel", labels=of_channel)
        octets = CounterMetricFamily(
            "dipronn_channel_bytes", "Bytes of a channel's packets", labels=of_channel
        )
        for entry in self._accounts():
            labels = (entry.session, str(entry.number), entry.owner)
            cpu.add_metric(labels, entry.cpu_ns / 1e9)
            memory.add_metric(labels, entry.memory_byte_seconds)
            for channel, (count, size) in entry.channels.items():
                packets.add_metric((*labels, channel), count)
                octets.add_metric((*labels, channel), size)
        yield from (cpu, memory, packets, octets)

    def _of_units(self) -> Iterator[Metric]:
        alive = GaugeMetricFamily("dipronn_unit_alive", "Whether a unit lives", labels=("unit",))
        fates = {
            name: CounterMetricFamily(f"dipronn_unit_{name}_packets", what, labels=("unit",))
            for name, what in {
                "received": "Packets that a unit received",
                "copied": "Copies that it made of them",
                "sent": "Packets that it sent",
                "host": "Packets that it left to its host",
            }.items()
        }
        dropped = CounterMetricFamily(
            "dipronn_unit_dropped_packets", "Packets that a unit dropped", labels=("unit", "reason")
        )
        limited = CounterMetricFamily(
            "dipronn_unit_limited_packets",
            "Packets beyond the limit of a device, since that was set",
            labels=("unit", "device", "direction"),
        )
        for unit in self._units():
            counters = unit.counters
            alive.add_metric((unit.name,), unit.alive)
            for name, count in {
                "received": counters.received,
                "copied": counters.copies,
                "sent": counters.sent,
                "host": counters.to_host,
            }.items():
                fates[name].add_metric((unit.name,), count)
            for reason, count in counters.drops.items():
                dropped.add_metric((unit.name, reason), count)
            for device, refused in counters.refused.items():
                limited.add_metric((unit.name, device, "received"), refused.received)
                limited.add_metric((unit.name, device, "sent"), refused.sent)
        yield from (alive, *fates.values(), dropped, limited)


class _Scrape(Collector):
    """Asks the source in its own thread, whatever thread serves the request."""

    def __init__(self, source: Source, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        return ()  # without it the registry would collect, and wait for this very loop

    def collect(self) -> Iterable[Metric]:
        try:
            return asyncio.run_coroutine_threadsafe(self._ask(), self._loop).result(_PATIENCE)
        except (TimeoutError, CancelledError):
            return ()

    async def _ask(self) -> list[Metric]:
        return self._source.families()


class Exporter:
    """Serves ``http://ADDRESS:PORT/metrics`` from a thread until ``close``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._server: WSGIServer | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0: nowhere."""
        return self._server.server_port if self._server else 0

    def listen(self, where: str) -> None:
        """``where``: ADDRESS:PORT, port 0 for any.  Raises Unavailable."""
        address, _, port = where.rpartition(":")
        if not address or not port.isdigit() or int(port) > 65535:
            raise Unavailable(f"metrics: {where!r} is no ADDRESS:PORT; state for example 127.0.0.1:9464")
        registry = CollectorRegistry()
        registry.register(_Scrape(self._source, asyncio.get_running_loop()))
        try:
            self._server, _ = start_http_server(int(port), address.strip("[]"), registry)
        except OSError as error:
            raise Unavailable(f"metrics: cannot listen at {where}: {error.strerror or error}") from error

    async def close(self) -> None:
        if self._server:
            server, self._server = self._server, None
            await asyncio.to_thread(server.shutdown)  # a request under way waits for this loop
            server.server_close()
