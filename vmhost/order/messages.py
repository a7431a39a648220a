"""Sequencers as the control unit orders them and is told of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.steering import addressing
from controller.steering.model import Mac
from dipronn.errors import InvalidSession
from dipronn.v1 import order_pb2, session_pb2
from vmhost.order.rules import MAX_OUTPUTS, Merge, Order, OrderedOutput, Sequencer, Token
from vmhost.order.sequencers import SequencerCounts

_TOKENS = {session_pb2.ORDER_TOKEN_ARTP: Token.ARTP, session_pb2.ORDER_TOKEN_RTP: Token.RTP}
_ORDERS = {
    session_pb2.ORDER_NONE: Order.NONE,
    session_pb2.ORDER_WINDOW: Order.WINDOW,
    session_pb2.ORDER_STRICT: Order.STRICT,
}
_MERGES = {
    session_pb2.MERGE_UNSPECIFIED: Merge.NONE,
    session_pb2.MERGE_ALL: Merge.ALL,
    session_pb2.MERGE_FIRST: Merge.FIRST,
    session_pb2.MERGE_K_OF_N: Merge.K_OF_N,
}


def ordered(session: int, told: order_pb2.Sequencer) -> Sequencer:
    """Raises InvalidSession: the order makes no sense."""
    device = addressing.order_device(session)
    if told.device != device:
        raise InvalidSession(f"session {session}: a sequencer behind {told.device}, not {device}")
    if not 0 < len(told.outputs) <= MAX_OUTPUTS:
        raise InvalidSession(f"session {session}: a sequencer with {len(told.outputs)} outputs")
    try:
        outputs = tuple(
            OrderedOutput(
                one.name,
                one.port,
                _TOKENS[one.token],
                _ORDERS[one.order],
                one.window_ns,
                _MERGES[one.merge],
                one.copies,
            )
            for one in told.outputs
        )
        return Sequencer(session, device, str(Mac(told.mac)), outputs)
    except (KeyError, ValueError) as error:
        raise InvalidSession(f"session {session}: its sequencer is told {error}") from error


def reports(counted: Iterable[SequencerCounts]) -> list[order_pb2.SequencerReport]:
    return [
        order_pb2.SequencerReport(
            session=one.session,
            running=one.running,
            restarts=one.restarts,
            outputs=[
                order_pb2.SequencedOutputCounts(name=output.output, counts=output.counts)
                for output in one.outputs
            ],
            losses=one.losses,
        )
        for one in counted
    ]
