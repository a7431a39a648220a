"""Every data plane that reads ARTP judges the shared corpus as it is written there (``docs/artp.md``)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from controller.steering.drops import Drop
from controller.steering.model import Artp
from tests.conformance.golden.artp import spoken
from tests.conformance.golden.tables import PUBLIC, SOURCE, channel, from_outside
from tests.conformance.network import WAN
from tests.conformance.plane import Arrival, DataPlane
from tests.conformance.script import ip

CORPUS = Path(__file__).parents[1] / "fuzz" / "artp" / "corpus.jsonl"


@pytest.mark.req("R2", "D37")
def test_the_corpus_is_judged_alike(plane: DataPlane) -> None:
    if not plane.artp:
        pytest.skip(f"{plane.name} does not read ARTP yet")
    entries = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    entries = [each for each in entries if len(each["packet"]) < 2 * 1400]
    events = [
        Arrival(WAN, from_outside(ip(SOURCE, PUBLIC, bytes.fromhex(each["packet"])))) for each in entries
    ]
    run = plane.run(spoken(Artp(channel(1), control=channel(1))), events)
    for entry, seen in zip(entries, run.observations, strict=True):
        malformed = seen.drops == (Drop.MALFORMED_ARTP,)
        assert malformed == (entry["fixed"] is not None), f"{entry['name']}: {seen}"
        assert malformed or len(seen.sent) == 1, f"{entry['name']}: {seen}"
    assert {entry["fixed"] is None for entry in entries} == {True, False}
