"""``dipronn.v1.SharedState``: what programs ask of their session's state, by their unit's agent."""

from __future__ import annotations

import re

from controller.api.identity import Context, require_unit
from controller.api.status import errors_as_status
from controller.registry import Registry
from controller.sharing import Answer, SessionState, SharedStates
from dipronn.errors import InvalidSession, PermissionRefused
from dipronn.v1 import state_pb2, state_pb2_grpc

HOLD_SECONDS = 20.0
"""A watch or a barrier is answered by then; who still waits asks again."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,63}")


class SharingService(state_pb2_grpc.SharedStateServicer):
    def __init__(self, states: SharedStates, registry: Registry) -> None:
        self._states = states
        self._registry = registry

    async def Ask(self, request: state_pb2.StateRequest, context: Context) -> state_pb2.StateAnswer:
        async with errors_as_status(context):
            require_unit(request.unit, context)
            if self._registry.find(request.session, request.vm, request.unit) is None:
                raise PermissionRefused(
                    f"machine {request.vm} of session {request.session} is not on unit `{request.unit}`"
                )
            told = await answer(self._states.of(request.session), request)
            return state_pb2.StateAnswer(
                code=told.code, version=told.version, value=told.value, text=told.text
            )
        raise AssertionError


async def answer(state: SessionState, request: state_pb2.StateRequest) -> Answer:
    kind = request.WhichOneof("what")
    name = request.barrier.name if kind == "barrier" else getattr(request, kind or "get").key
    if not _NAME.fullmatch(name):
        raise InvalidSession(f"{name[:64]!r} is no key: 1 to 64 of A-Z a-z 0-9 _ . : / -")
    match kind:
        case "get":
            return state.get(name)
        case "put":
            put = request.put
            return state.put(name, put.value, put.expected if put.HasField("expected") else None)
        case "delete":
            return state.delete(name)
        case "watch":
            return await state.watch(name, request.watch.version, HOLD_SECONDS)
        case "barrier":
            asked, party = request.barrier, f"{request.vm} {request.address}"
            return await state.barrier(name, asked.count, asked.round, party, HOLD_SECONDS)
    raise InvalidSession("nothing was asked")
