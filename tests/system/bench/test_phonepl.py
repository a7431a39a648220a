"""The measurements of Phonepl measure what they say; how fast it is, is not asked here."""

from __future__ import annotations

import pytest

from bench import phonepl, phonepl_p4, phonepl_traffic
from phonepl.targets.p4 import p4c

pytestmark = pytest.mark.root


def test_nanoseconds_are_of_packets_that_were_handled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 3, "WARM": 10, "REPEAT": 2000}.items():
        monkeypatch.setattr(phonepl, name, value)
    case = phonepl.CASES[1]
    assert phonepl._nanoseconds(case).peers.keys() == {"Phonepl ns", "C ns"}
    assert phonepl._by_size(case).peers.keys() == {"64 B ns", "1500 B ns", "9000 B ns"}


def test_rates_losses_and_delays_are_of_frames_that_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"ROUNDS": 3, "FRAMES": 3000, "SIZES": (1400,), "BURST": 64, "BURSTS": 10, "PACED": 25}
    for name, value in small.items():
        monkeypatch.setattr(phonepl_traffic, name, value)
    results = {result.name: result for result in phonepl_traffic.phonepl_traffic()}
    assert results.keys() >= {"phonepl_spread_1400", "phonepl_gbps_per_core"}
    assert 0 <= results["phonepl_loss_below_saturation"].peers["lost"] < 640
    # So few frames may take less time than the set-up that is taken off; no rate is zero all the same.
    assert all(rate != 0 for rate in results["phonepl_spread_1400"].peers.values())
    assert results["phonepl_delay"].value > 0


@pytest.mark.bmv2
@pytest.mark.skipif(not p4c.is_here(), reason="needs p4c-bm2-ss")
def test_both_programs_of_a_function_forward_on_bmv2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contender that forwards nothing is an error, not a rate."""
    monkeypatch.setattr(phonepl_p4, "ROUNDS", 2)
    monkeypatch.setattr(phonepl_p4, "FUNCTIONS", [each for each in phonepl_p4.FUNCTIONS if each.reverse])
    monkeypatch.setattr("bench.p4_forwarding.WARM", 32)
    monkeypatch.setattr("bench.p4_forwarding.FRAMES", 64)
    results = list(phonepl_p4.phonepl_p4())
    assert [result.name for result in results] == ["phonepl_p4_delete_mac_to_by_hand"]
    assert results[0].value > 0


def test_without_p4c_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(p4c, "COMPILER", "a-compiler-that-nobody-has")
    assert list(phonepl_p4.phonepl_p4()) == []
    assert "a-compiler-that-nobody-has is not on PATH" in capsys.readouterr().err
