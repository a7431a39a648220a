"""The words of the language that stand for a value of an enumeration."""

from __future__ import annotations

from collections.abc import Mapping

from dipronn.v1 import session_pb2 as pb

TRANSPORTS = {"udp": pb.TRANSPORT_UDP, "artp": pb.TRANSPORT_ARTP}
ORDER_TOKENS = {"rtp": pb.ORDER_TOKEN_RTP, "artp": pb.ORDER_TOKEN_ARTP}
POLICIES = {
    "round_robin": pb.POLICY_ROUND_ROBIN,
    "duplicate": pb.POLICY_DUPLICATE,
    "hash": pb.POLICY_HASH,
    "weighted": pb.POLICY_WEIGHTED,
    "least_loaded": pb.POLICY_LEAST_LOADED,
    "chosen": pb.POLICY_CHOSEN,
}
CLASSES = {
    "realtime": pb.SERVICE_CLASS_REALTIME,
    "assured": pb.SERVICE_CLASS_ASSURED,
    "best_effort": pb.SERVICE_CLASS_BEST_EFFORT,
}


def spelled(words: Mapping[str, int], value: int) -> str:
    """The word for a value that is one of ``words``."""
    return next(word for word, one in words.items() if one == value)
