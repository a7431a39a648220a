"""Shared state over the name protocol: its lines to requests, and answers to lines (docs/shared-state.md).

Further verbs beside those of ``names.py``; the same connection, limits and rate. Values are percent-encoded.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from dipronn.v1 import state_pb2

VERBS = frozenset({"GET", "PUT", "CAS", "DELETE", "WATCH", "BARRIER"})
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_VALUE = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:,;@+*=")
USAGE = (
    "expected GET <key>, PUT <key> <value>, CAS <key> <version> <value>, DELETE <key>, "
    "WATCH <key> <version> or BARRIER <name> <count> <round>"
)


def read(words: list[str]) -> state_pb2.StateRequest | str:
    """What the words of a line ask, or what is wrong with them. Never raises."""
    verb, *arguments = words
    if not arguments or not _KEY.fullmatch(arguments[0]):
        return USAGE if len(arguments) == 0 else "a key is 1 to 64 of A-Z a-z 0-9 _ . : / -"
    key = arguments[0]
    match verb, arguments[1:]:
        case "GET", []:
            return state_pb2.StateRequest(get=state_pb2.StateGet(key=key))
        case "DELETE", []:
            return state_pb2.StateRequest(delete=state_pb2.StateDelete(key=key))
        case "PUT", [value] if _VALUE.fullmatch(value):
            put = state_pb2.StatePut(key=key, value=unquote_to_bytes(value))
            return state_pb2.StateRequest(put=put)
        case "CAS", [version, value] if _NUMBER.fullmatch(version) and _VALUE.fullmatch(value):
            put = state_pb2.StatePut(key=key, value=unquote_to_bytes(value), expected=int(version))
            return state_pb2.StateRequest(put=put)
        case "WATCH", [version] if _NUMBER.fullmatch(version):
            return state_pb2.StateRequest(watch=state_pb2.StateWatch(key=key, version=int(version)))
        case "BARRIER", [count, round_] if _is_count(count) and _NUMBER.fullmatch(round_):
            barrier = state_pb2.StateBarrier(name=key, count=int(count), round=int(round_))
            return state_pb2.StateRequest(barrier=barrier)
    return USAGE


def written(request: state_pb2.StateRequest, answer: state_pb2.StateAnswer) -> str:
    """The line that a program gets."""
    if answer.code:
        return f"ERR {answer.code} {answer.text}"
    match request.WhichOneof("what"):
        case "get" | "watch":
            return f"OK {answer.version} {quoted(answer.value)}"
        case "delete":
            return "OK"
    return f"OK {answer.version}"


def quoted(value: bytes) -> str:
    return "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in value)


def _is_count(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text)) and 1 <= int(text) <= 65535
