"""Classes of service: what the compiler writes, and where a session of a class may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.program import check_text
from controller.program.support import unsupported
from controller.steering.model import Limit, Service
from controller.steering.wire import decode
from dipronn.errors import InsufficientResources
from dipronn.unit.config import LinkConfig
from vmhost.agent.links import link_limits, unscheduled

from .agents import cluster, eventually
from .test_server import tar

TEXT = """
session s {
  owner "ann";
  input x : udp rate 1Mbps;
  output y to 198.51.100.7:6000;
  output z to 198.51.100.7:6002;
  program fast { bundle "p.tar"; in i; out o; needs bandwidth 1Mbps; }
  program kept { bundle "p.tar"; in i; out o; needs bandwidth 1Mbps; }
  program free { bundle "p.tar"; in i; out o; }
  data x -> fast.i; data fast.o -> kept.i; data kept.o -> free.i; data free.o -> y;
  data fast.o -> z; data x -> z;
  quality fast { class realtime; }
}
"""
BUNDLES = {"p.tar": tar()}


@pytest.mark.req("A44", "A58", "D60")
async def test_lines_have_the_class_of_who_sends_and_realtime_goes_where_it_is_kept(tmp_path: Path) -> None:
    async with cluster(
        tmp_path, ("solo",), unheld={"sending by class": "no `rate` in [[links]] of out0"}
    ) as node:
        with pytest.raises(InsufficientResources) as refused:
            await node.node.establish(TEXT, BUNDLES)
        assert "sending by class cannot be assured: no `rate` in [[links]] of out0" in str(refused.value)
        node["solo"].unheld = {}
        await node["solo"].stop()
        node["solo"].start()

        async def holds() -> bool:
            (unit,) = await node.node.units()
            return unit.alive and not unit.unheld

        await eventually(holds)
        session = await node.node.establish(TEXT, BUNDLES)
        rows = decode(node["solo"].held[session.id].tables)
        services: dict[str, set[Service]] = {}
        for channel in rows.channel.values():
            for key, slot in rows.slot.items():
                if key.group == channel.group:
                    where = str(rows.endpoint[slot.endpoint].destination)
                    services.setdefault(where, set()).add(channel.service)
        addresses = {one.program: f"{one.address}:5000" for one in session.instances}
        assert services[addresses["fast"]] == {Service.REALTIME}
        assert Service.REALTIME in services[addresses["kept"]], "what fast sends"
        assert Service.ASSURED in services[addresses["free"]], "what kept sends: its bandwidth is reserved"
        assert Service.BEST_EFFORT in services["198.51.100.7:6000"], "what free sends"
        assert Service.REALTIME in services["198.51.100.7:6002"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("needs bandwidth 1Mbps; }\n  program kept", "}\n  program kept"),
            "`class realtime` without `needs bandwidth`",
        ),
        (("class realtime;", "class realtime; latency 20ms;"), "`latency` (quality of program `fast`)"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(change: tuple[str, str], said: str) -> None:
    (finding,) = unsupported(check_text(TEXT.replace(*change)).program)
    assert said in finding.message


def test_a_link_with_a_rate_is_limited_and_one_without_is_named() -> None:
    links = [
        LinkConfig("a", "n", rate=100_000_000),
        LinkConfig("a", "m", 7, rate=80_000_000),
        LinkConfig("b", "o"),
    ]
    assert link_limits(links) == {"a": Limit(sent=80_000_000, burst=100_000)}
    assert link_limits([LinkConfig("a", "n", rate=1000)])["a"].burst == 65536
    assert unscheduled(links) == {"sending by class": "no `rate` in [[links]] of b"}
    assert unscheduled([*links[:2], LinkConfig("c", "p", control=True)]) == {}
