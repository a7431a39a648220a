"""``dipronn.v1.KernelPrograms``."""

from __future__ import annotations

from typing import Any

import grpc

from controller.api.status import errors_as_status
from controller.kernel_programs import KernelReplacement
from controller.registry import Registry
from dipronn.v1 import kernel_pb2 as pb
from dipronn.v1 import kernel_pb2_grpc, session_pb2

Context = grpc.aio.ServicerContext[Any, Any]


class KernelProgramsService(kernel_pb2_grpc.KernelProgramsServicer):
    def __init__(self, replacement: KernelReplacement, registry: Registry) -> None:
        self._replacement = replacement
        self._registry = registry

    async def Replace(self, request: pb.ReplaceProgramRequest, context: Context) -> session_pb2.Session:
        async with errors_as_status(context):
            session = await self._replacement.replace(
                request.session, request.program, request.source, request.file_name
            )
            return self._registry.snapshot(session)
        raise AssertionError
