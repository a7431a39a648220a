"""Each data plane agrees with the oracle, packet for packet, on tables and frames that nobody thought of."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controller.steering.drops import Drop
from controller.steering.model import EndpointKind, LinkKind, Tables
from tests.conformance.network import LAN, WAN
from tests.conformance.plane import Arrival, DataPlane, Event, OraclePlane, check
from tests.conformance.strategies import worlds
from tests.conformance.test_golden import ELSEWHERE


@pytest.mark.req("R10", "R9")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_every_frame_meets_the_oracles_fate(plane: DataPlane, data: st.DataObject) -> None:
    tables, events = data.draw(
        worlds(
            guests=not plane.edge,
            artp=plane.artp,
            waits=plane.virtual_time,
            shortest_frame=plane.shortest_frame,
        )
    )
    expected = OraclePlane().run(tables, events)
    check(tables, events, expected, plane.run(tables, events), plane.name)


def test_the_generator_reaches_every_fate() -> None:
    """Generated frames that were all dropped for one reason would prove little."""
    fates: Counter[object] = Counter()

    @settings(
        max_examples=400,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds())
    def collect(world: tuple[Tables, list[Event]]) -> None:
        run = OraclePlane().run(*world)
        for observation in run.observations:
            fates.update(observation.drops)
            fates["sent"] += len(observation.sent)
            fates["copied"] += len(observation.sent) > 1
            fates["to host"] += observation.to_host

    collect()
    # Hundreds of packets; one header of one address.
    rare = {Drop.GUEST_RATE, Drop.CONTROL_RATE, Drop.MULTICAST_LISTENER, Drop.CHAIN_TOO_LONG}
    assert {"sent", "copied", "to host", *Drop} - set(ELSEWHERE) - rare <= set(fates)
    dropped = sum(count for fate, count in fates.items() if isinstance(fate, Drop))
    assert fates["sent"] > dropped / 10, fates


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(worlds(guests=False))
def test_a_plane_without_guests_is_given_none(world: tuple[Tables, list[Event]]) -> None:
    tables, events = world
    assert not tables.binding
    kinds = {link.kind for link in tables.link.values()}, {row.kind for row in tables.endpoint.values()}
    assert LinkKind.GUEST not in kinds[0] and EndpointKind.GUEST not in kinds[1]
    assert {event.device for event in events if isinstance(event, Arrival)} <= {WAN, LAN}
    devices = {row.device for row in tables.endpoint.values()} | {row.device for row in tables.peer.values()}
    assert devices <= {WAN, LAN}
