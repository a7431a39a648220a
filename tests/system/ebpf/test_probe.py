"""What the probe says is there is what these tests run on."""

from __future__ import annotations

import pytest

from dipronn.errors import Unavailable
from ebpf import devices, probe

pytestmark = pytest.mark.root


def test_this_host_can_do_all_of_it_and_nothing_stays() -> None:
    before = devices.namespace()
    assert {one.name: one.missing for one in probe.capabilities()} == dict.fromkeys(
        [
            "bpffs",
            "kernel BTF",
            "steering program",
            "native XDP on veth",
            "native XDP on tap",
            "copies by devmap broadcast",
            "losses by raw tracepoints",
        ]
    )
    assert devices.namespace() == before
    for name in ("near", "far", "probe"):
        with pytest.raises(Unavailable):
            devices.index_of(name)


def test_what_is_missing_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise Unavailable("the kernel has no BTF")

    monkeypatch.setattr(probe, "member_offsets", refuse)
    found = {one.name: one.missing for one in probe.capabilities()}
    assert found["kernel BTF"] == "the kernel has no BTF"
    assert found["bpffs"] is None
