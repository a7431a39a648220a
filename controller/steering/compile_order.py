"""Outputs that keep order or are merged: what goes through the unit's sequencer on its way to the receivers.

A sequencer stands behind a device of its own. Whatever leads to such an output is sent there, to a
destination by which no outside link may enter; from there the packets go on to the receivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.steering import addressing
from controller.steering.branch import Branch
from controller.steering.deployment import Deployment, Exit
from controller.steering.model import (
    UDP,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Selector,
    Slot,
    Target,
    TargetKind,
)
from dipronn.v1 import order_pb2
from dipronn.v1 import session_pb2 as pb

if TYPE_CHECKING:
    from controller.steering.compile import Compiler

PATIENCE_NS = 10**9
"""How long `strict` waits for a missing packet, and copies for each other where nothing is kept in order."""


def by_sequencer(compiler: Compiler, unit: str, output: str, channel: str) -> Branch:
    """The channel of this name, to the sequencer on the unit by which the output leaves."""
    deployment = compiler.deployment
    ordered = deployment.exits[output].ordered
    assert ordered is not None
    number = compiler.number("endpoint", f"order {output}")
    compiler.tables[unit].endpoint[number] = Endpoint(
        EndpointKind.NODE,
        addressing.order_device(deployment.session),
        addressing.ORDER_MAC,
        addressing.ORDER_MAC,  # the sequencer sends it back as it came
        ordered,
        mtu=addressing.ORDER_MTU,
    )
    return Branch(compiler.number("channel", channel), Selector.ZERO, (Slot(number),))


def order_entrance(compiler: Compiler, output: str, exit_: Exit) -> None:
    """The sequencer's link, and what other units send to the output."""
    tables = compiler.tables[exit_.unit]
    device = LinkKey(addressing.order_device(compiler.deployment.session))
    tables.link[device] = Link(LinkKind.NODE, addressing.ORDER_MAC)
    if compiler.unit(exit_.unit).on_node_network:
        branch = by_sequencer(compiler, exit_.unit, output, f"order {output}")
        compiler.channel(exit_.unit, branch)
        target = Target(TargetKind.CHANNEL, branch.channel)
        tables.flow[FlowKey(UDP, exit_.internal)] = Flow(target, LinkScope.NODE)


def sequencer_of(deployment: Deployment, unit: str) -> order_pb2.Sequencer | None:
    """What the unit's sequencer for this session is told; None: the unit needs none."""
    told = order_pb2.Sequencer(
        device=addressing.order_device(deployment.session), mac=addressing.ORDER_MAC.octets
    )
    for output in deployment.program.outputs:
        exit_ = deployment.exits[output.name]
        if exit_.unit == unit and exit_.ordered:
            told.outputs.append(_rules(output, exit_.ordered.port))
    return told if told.outputs else None


def _rules(output: pb.Output, port: int) -> order_pb2.SequencedOutput:
    window = output.order_window.ToNanoseconds() if output.order == pb.ORDER_WINDOW else PATIENCE_NS
    return order_pb2.SequencedOutput(
        name=output.name,
        port=port,
        token=output.token or pb.ORDER_TOKEN_ARTP,
        order=output.order,
        window_ns=window,
        merge=output.merge,
        copies=output.merge_k,
    )
