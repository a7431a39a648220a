"""Errors of ours as gRPC status codes, with the message as the details."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import grpc
import structlog

from controller.sessions import InstanceFailed
from dipronn.errors import (
    AlreadyExists,
    DipronnError,
    InsufficientResources,
    InUse,
    InvalidSession,
    NotFound,
    PermissionRefused,
    TimedOut,
    Unavailable,
)

_log = structlog.get_logger(__name__)

_CODES: dict[type[DipronnError], grpc.StatusCode] = {
    InvalidSession: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    InUse: grpc.StatusCode.FAILED_PRECONDITION,
    InsufficientResources: grpc.StatusCode.RESOURCE_EXHAUSTED,
    PermissionRefused: grpc.StatusCode.PERMISSION_DENIED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    InstanceFailed: grpc.StatusCode.ABORTED,
}
ERROR_KEY = "dipronn-error"
"""Metadata that tells a refusal of the node from a failure on the way to it."""
_LONGEST = 6000
"""Bytes of details as HTTP/2 carries them: clients refuse trailers of more than 8 KiB."""


@asynccontextmanager
async def errors_as_status(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    """Abort the call with the fitting code when its body raises."""
    try:
        yield
    except DipronnError as error:
        code = next(
            (_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), grpc.StatusCode.INTERNAL
        )
        await context.abort(code, shortened(str(error)), ((ERROR_KEY, type(error).__name__),))
    except grpc.aio.AbortError:
        raise
    except Exception as error:
        _log.exception("a call failed")
        await context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: see the control unit's log")


def shortened(text: str) -> str:
    """The first lines that fit into a status."""
    if len(quote(text)) <= _LONGEST:
        return text
    lines: list[str] = []
    room = _LONGEST - 20
    for line in text.split("\n"):
        room -= len(quote(line)) + 3
        if room < 0:
            break
        lines.append(line)
    return "\n".join([*lines, "… and more"])
