"""How fast the driver installs entries in a switch, against what the switch takes of ready messages."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Address

import grpc
from finsy.proto import p4r, p4r_grpc

from bench.p4_forwarding import build
from bench.registry import Goal, Result, interleaved, measurement, noise
from bench.switch_process import DEVICE_ID, missing, switch_process
from controller.drivers.p4runtime import apply
from controller.drivers.p4runtime.entries import Entries, Ports, encode
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.drivers.p4runtime.switch import Pushed, Switch
from controller.steering.model import UDP, Flow, FlowKey, LinkScope, Socket, Tables, Target, TargetKind

FLOWS, ROUNDS = 20_000, 7
GOAL = 0.6
ELECTION_ID = 100
PUBLIC = Socket(IPv4Address("10.1.0.0"), 5000)


def flows() -> Tables:
    """Exact flows: the rows that there are most of."""
    flow = Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE)
    sources = (Socket(IPv4Address("10.64.0.0") + number, 4000) for number in range(FLOWS))
    return Tables(flow={FlowKey(UDP, PUBLIC, source): flow for source in sources})


class Contenders:
    """The driver's session with the switch, which is primary also for the raw requests."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._pipeline = Pipeline.load()
        self._rows = flows()
        self._entries = encode(self._rows, Ports({}))
        messages = [self._pipeline.message(key, action) for key, action in self._entries.items()]
        self._raw = {kind: self._requests(messages, kind) for kind in (p4r.Update.INSERT, p4r.Update.DELETE)}
        self._loop = asyncio.new_event_loop()
        self._switch = Switch(
            address,
            DEVICE_ID,
            ELECTION_ID,
            self._pipeline,
            ready=self._ready,
            packet=lambda port, frame: None,
            digest=lambda digest: None,
        )
        self._session = self._loop.create_task(self._switch.run())
        self._loop.run_until_complete(self._switch.require_up(60))

    @staticmethod
    async def _ready(pushed: Pushed) -> None:
        return None

    def _requests(
        self, messages: list[p4r.Entity], kind: p4r.Update.Type.ValueType
    ) -> list[p4r.WriteRequest]:
        starts = range(0, len(messages), apply.BATCH)
        return [
            p4r.WriteRequest(
                device_id=DEVICE_ID,
                election_id=p4r.Uint128(low=ELECTION_ID),
                updates=[p4r.Update(type=kind, entity=each) for each in messages[at : at + apply.BATCH]],
            )
            for at in starts
        ]

    def raw(self) -> float:
        """Installs per second by requests that were made before."""
        with grpc.insecure_channel(self._address) as channel:
            write = p4r_grpc.P4RuntimeStub(channel).Write
            start = time.perf_counter()
            for request in self._raw[p4r.Update.INSERT]:
                write(request)
            seconds = time.perf_counter() - start
            for request in self._raw[p4r.Update.DELETE]:
                write(request)
        return FLOWS / seconds

    def driver(self, encoded: bool = True) -> float:
        """Installs per second from entries, or from rows: compared, ordered, written, noted."""
        return self._loop.run_until_complete(self._driver(encoded))

    async def _driver(self, encoded: bool) -> float:
        mirror: Entries = {}
        start = time.perf_counter()
        entries = self._entries if encoded else encode(self._rows, Ports({}))
        await apply.execute(apply.diff(entries, mirror), self._switch, mirror)
        seconds = time.perf_counter() - start
        assert mirror == self._entries
        await apply.execute(apply.diff({}, dict(mirror)), self._switch, mirror)
        return FLOWS / seconds

    def close(self) -> None:
        self._session.cancel()
        self._loop.run_until_complete(asyncio.gather(self._session, return_exceptions=True))
        self._loop.close()


@measurement
def switch_installs() -> Iterator[Result]:
    if missing("installing entries in a switch"):
        return
    with switch_process() as process:
        contenders = Contenders(process.address)
        try:
            rates = interleaved(
                {
                    "raw": contenders.raw,
                    "driver": contenders.driver,
                    "rows": partial(contenders.driver, encoded=False),
                },
                ROUNDS,
            )
        finally:
            contenders.close()
    # Neighbours in a round met the same machine: the median of their ratios, not the ratio of medians.
    ratio = statistics.median(one / raw for one, raw in zip(rates["driver"], rates["raw"], strict=True))
    conditions = (
        f"bmv2 {build()}; {FLOWS} exact flows in requests of {apply.BATCH}, into an empty table; medians of "
        f"{ROUNDS} interleaved rounds, noise ±{noise(rates['driver']):.0%}"
    )
    peers = {"ready requests": statistics.median(rates["raw"]), "from rows": statistics.median(rates["rows"])}
    yield Result("switch_installs", statistics.median(rates["driver"]), "entries/s", None, peers, conditions)
    yield Result("switch_installs_ratio", ratio, "x raw gRPC", Goal(">=", GOAL), peers, conditions)
