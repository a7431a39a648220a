"""Each data plane does what was written down by hand for each rule and each reason to drop."""

from __future__ import annotations

import pytest

from controller.steering.drops import Drop
from tests.conformance.golden import (
    answers,
    artp,
    channels,
    control,
    flows,
    frames,
    housekeeping,
    limits,
    programs,
)
from tests.conformance.plane import DataPlane, check
from tests.conformance.script import CASES, Case

assert answers and artp and channels and control and flows and frames and housekeeping and programs
assert limits
# They fill CASES.

ELSEWHERE = {
    Drop.DEVICE_DROP,  # a device's doing: on real devices only
}


def _parameter(case: Case) -> object:
    marks = [pytest.mark.req(*case.requirements)]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", map(_parameter, CASES))
def test_golden_case(case: Case, plane: DataPlane) -> None:
    if plane.edge and not case.edge:
        pytest.skip(f"{plane.name} has no guests")
    if case.artp and not plane.artp:
        pytest.skip(f"{plane.name} does not read ARTP yet")
    if case.waits and not plane.virtual_time:
        pytest.skip(f"{plane.name} has no time of its own to wait in")
    if case.shortest_frame < plane.shortest_frame:
        pytest.skip(f"{plane.name} cannot be given less than {plane.shortest_frame} bytes")
    actual = plane.run(case.script.tables, case.script.events)
    check(case.script.tables, case.script.events, case.script.expected, actual, plane.name)


def test_every_reason_to_drop_has_a_case() -> None:
    met = {drop for case in CASES for drop in case.script.counters.drops}
    assert met == set(Drop) - ELSEWHERE
