"""The measurements of steering measure what they say; how fast it is, is not asked here."""

from __future__ import annotations

import pytest

from bench import flow_installs, forks, forwarding, prog_run

pytestmark = pytest.mark.root


def test_ns_per_packet_are_of_packets_that_were_steered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 3, "WARM": 10, "REPEAT": 2000, "COUNTS": {"1": 1, "64k": 64}}.items():
        monkeypatch.setattr(prog_run, name, value)
    results = {result.name: result for result in prog_run.prog_run()}
    for count in ("1", "64k"):
        assert {f"{name}_ns_{count}" for name in ("hit", "wild", "miss", "hash")} <= results.keys()
        assert set(results[f"hit_ns_{count}"].peers) == {
            "bare rewrite and redirect",
            "one hash lookup, rewrite and redirect",
        }


def test_rates_are_of_frames_that_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 2, "MANY": 5000, "FEW": 2000}.items():
        monkeypatch.setattr(forwarding, name, value)
    results = {result.name: result for result in forwarding.forwarding()}
    # A rate of zero says that no frame arrived. So few frames may take less time than the set-up that is
    # taken off, and a rate come out below zero; that is no fault of the path.
    assert results["forwarding_mpps"].value != 0
    for peer, rate in results["forwarding_mpps"].peers.items():
        assert rate != 0, peer


def test_forks_and_installs_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "ROUNDS", 2)
    monkeypatch.setattr(forks, "MANY", 8000)
    assert all(result.value != 0 for result in forks.forks()), "copies arrived, however fast"
    monkeypatch.setattr(flow_installs, "ROUNDS", 2)
    monkeypatch.setattr(flow_installs, "COUNT", 1000)
    (result,) = flow_installs.flow_installs()
    assert result.value > 0
