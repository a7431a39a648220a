"""What is measured on a real switch is left out where there is none, and said to be."""

from __future__ import annotations

import pytest

from bench.registry import discover

ON_A_SWITCH = {"switch_installs", "switch_sessions", "switch_failover", "switch_fairness"}


@pytest.mark.parametrize("name", sorted(ON_A_SWITCH))
def test_without_a_switch_nothing_is_measured(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert list(discover()[name]()) == []
    assert "not measured: simple_switch_grpc is not on PATH" in capsys.readouterr().err
