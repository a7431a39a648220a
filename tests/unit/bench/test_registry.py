"""Goals are judged and rounds interleaved as the results say."""

from __future__ import annotations

from functools import partial

import pytest

from bench.registry import Goal, Result, discover, interleaved, noise


@pytest.mark.parametrize(
    ("op", "value", "ok"), [("<=", 1.0, True), ("<=", 1.1, False), (">=", 1.0, True), (">=", 0.9, False)]
)
def test_a_goal_is_met_or_missed(op: str, value: float, ok: bool) -> None:
    result = Result("x", value, "ns", Goal(op, 1.0), {"peer": 2.0}, "here")  # type: ignore[arg-type]
    assert result.ok is ok
    assert result.to_json() == {
        "name": "x",
        "value": value,
        "unit": "ns",
        "goal": {"op": op, "value": 1.0},
        "ok": ok,
        "peers": {"peer": 2.0},
        "conditions": "here",
    }


def test_without_a_goal_nothing_is_missed() -> None:
    assert Result("x", 1.0, "ns").ok
    assert Result("x", 1.0, "ns").to_json()["goal"] is None


def test_every_contender_runs_once_in_each_round() -> None:
    order: list[str] = []

    def run(name: str) -> float:
        order.append(name)
        return len(order)

    values = interleaved({name: partial(run, name) for name in "ab"}, 3)
    assert order == ["a", "b"] * 3
    assert values == {"a": [1, 3, 5], "b": [2, 4, 6]}


def test_noise_is_half_the_distance_of_the_quartiles() -> None:
    assert noise([10.0, 10.0, 10.0]) == 0.0
    assert noise([8.0, 9.0, 10.0, 11.0, 12.0]) == pytest.approx(0.15)


def test_measurements_join_by_being_there() -> None:
    assert {"prog_run", "forwarding", "forks", "flow_installs"} <= discover().keys()
