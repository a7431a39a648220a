"""How long a switch still sends packets to a unit whose host has died."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator

from bench.failover import RATE, last_misdirected
from bench.p4_forwarding import build
from bench.registry import Result, measurement
from bench.switch_process import missing

KILLS, LISTEN_SECONDS = 20, 2.0


@measurement
def switch_failover() -> Iterator[Result]:
    """As ``failover``, with bmv2 as distribution."""
    if missing("fail-over in a switch"):
        return
    milliseconds = sorted(each * 1e3 for each in asyncio.run(last_misdirected("p4", KILLS, LISTEN_SECONDS)))
    yield Result(
        "switch_failover_last_misdirected_ms",
        milliseconds[-1],
        "ms",
        peers={"median": statistics.median(milliseconds), "least": milliseconds[0]},
        conditions=f"bmv2 {build()} as distribution; the longest of {KILLS} deaths; two units in turn at "
        f"{RATE} packets/s, one cut off from both networks at once; seen on the wire behind distribution",
    )
