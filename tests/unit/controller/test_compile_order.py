"""Outputs that keep order, compiled: by the sequencer of their unit, and only by that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from controller.steering import addressing
from controller.steering.deployment import NodeUnit
from controller.steering.model import Socket
from dipronn.v1 import session_pb2 as pb
from tests.conformance.artp_packet import DATA, artp

from .nodes import ALONE, SPREAD, Node, datagram, headers, lay, verdicts

TEXT = """
session s {
  input x : udp to 192.0.2.2:5004;
  output y to 198.51.100.7:6000, 198.51.100.8:6000 order window 5ms merge 2 of 3 by rtp;
  output z to 198.51.100.9:6000;
  program p { bundle "p"; in i; out o; parallelizable 2; }
  data x -> p.i; data p.o -> y; data p.o -> z;
}
"""
ARTP = """
session s {
  input x : artp;
  output y to 198.51.100.7:6000 order strict override 198.51.100.0/24;
  program p { bundle "p"; in i; out o; }
  data x -> p.i; data p.o -> y;
}
"""
LAYOUTS = {
    "spread": (SPREAD, ["u1", "u2"]),
    "alone": (ALONE, ["solo"]),
    "mixed": (SPREAD, ["agg", "u1"]),
}
SEQUENCER = f"{addressing.ORDER_DEVICE}7"


@pytest.fixture(params=list(LAYOUTS))
def layout(request: pytest.FixtureRequest) -> tuple[Sequence[NodeUnit], list[str]]:
    return LAYOUTS[request.param]


@pytest.mark.req("A35")
def test_every_packet_of_the_output_goes_once_by_the_sequencer(
    layout: tuple[Sequence[NodeUnit], list[str]],
) -> None:
    node = Node(lay(TEXT, *layout))
    for sender in ("p-0", "p-1"):
        way = node.program_sends(sender, "o", b"data")
        found = sorted(headers(packet)[2:] for _, packet in node.reached(way))
        assert found == [("198.51.100.7", 6000), ("198.51.100.8", 6000), ("198.51.100.9", 6000)]
        by = [step.rule for step in way.steps if step.table == "link" and SEQUENCER in step.rule]
        assert len(by) == 1, (
            "the ordered output's packets come back by the sequencer's device, the other's do not"
        )
    assert all(oracle.counters.conserved for oracle in node.oracles.values())


def test_the_sequencer_is_told_what_the_session_says(layout: tuple[Sequence[NodeUnit], list[str]]) -> None:
    node = Node(lay(TEXT, *layout))
    exit_ = node.deployment.exits["y"]
    assert list(node.compiled.sequencers) == [exit_.unit] and exit_.ordered
    told = node.compiled.sequencers[exit_.unit]
    (output,) = told.outputs
    assert told.device == SEQUENCER and output.port == exit_.ordered.port and output.name == "y"
    assert (output.token, output.order, output.window_ns) == (
        pb.ORDER_TOKEN_RTP,
        pb.ORDER_WINDOW,
        5_000_000,
    )
    assert (output.merge, output.copies) == (pb.MERGE_K_OF_N, 2)


def test_nobody_comes_behind_the_sequencer_from_outside() -> None:
    node = Node(lay(TEXT, *LAYOUTS["alone"]))
    ordered = node.deployment.exits["y"].ordered
    assert ordered is not None
    way = node.arrive("203.0.113.9", ordered)
    assert verdicts(way) == ["dropped wrong_link"] and not node.reached(way)


def test_without_order_there_is_no_sequencer() -> None:
    text = TEXT.replace("order window 5ms merge 2 of 3 by rtp", "")
    assert not Node(lay(text, *LAYOUTS["spread"])).compiled.sequencers


def test_destinations_of_artp_are_read_behind_the_sequencer(
    layout: tuple[Sequence[NodeUnit], list[str]],
) -> None:
    laid = lay(ARTP, *layout)
    spoken = replace(laid, instances=tuple(replace(one, artp=frozenset(one.ports)) for one in laid.instances))
    node = Node(spoken)
    packet = artp(type=DATA, destinations=(Socket(ip_address("198.51.100.66"), 7000),))
    way = node.program_sends("p-0", "o", packet)
    assert [headers(found)[2:] for _, found in node.reached(way)] == [("198.51.100.66", 7000)]
    (told,) = node.compiled.sequencers.values()
    assert told.outputs[0].token == pb.ORDER_TOKEN_ARTP and told.outputs[0].window_ns == 10**9


def test_a_sequencer_that_sends_a_packet_of_nobody_reaches_nobody() -> None:
    node = Node(lay(TEXT, *LAYOUTS["alone"]))
    stray = datagram(
        "203.0.113.9",
        1,
        node.deployment.exits["y"].internal,
        b"x",
        destination_mac=str(addressing.ORDER_MAC),
    )
    assert not node.reached(node.send("solo", SEQUENCER, stray))
