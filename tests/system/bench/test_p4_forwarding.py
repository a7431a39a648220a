"""The measurement of the P4 pipeline measures what it says; how fast it is, is not asked here."""

from __future__ import annotations

import pytest

from bench import p4_forwarding

pytestmark = [pytest.mark.root, pytest.mark.bmv2]


def test_rates_are_of_frames_that_came_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that forwards nothing is an error, not a rate."""
    for name, value in {"ROUNDS": 2, "WARM": 32, "FRAMES": 64}.items():
        monkeypatch.setattr(p4_forwarding, name, value)
    results = {result.name: result for result in p4_forwarding.p4_forwarding()}
    for name in set(p4_forwarding.CONTENDERS) - {"minimal L3"}:
        assert results[f"p4_kpps_{name.replace(' ', '_')}"].value > 0
        assert results[f"p4_ratio_{name.replace(' ', '_')}"].value > 0


def test_without_bmv2_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(p4_forwarding, "PROGRAM", "a-switch-that-nobody-has")
    assert list(p4_forwarding.p4_forwarding()) == []
    assert "a-switch-that-nobody-has is not on PATH" in capsys.readouterr().err
