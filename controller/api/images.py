"""``dipronn.v1.Images``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import structlog

from controller.api.identity import caller, owner_of
from controller.api.status import errors_as_status
from controller.images import ImageRecord, ImageStore, Kind
from controller.registry import Registry
from dipronn.errors import InUse, InvalidSession, NotFound
from dipronn.v1 import images_pb2 as pb
from dipronn.v1 import images_pb2_grpc

_log = structlog.get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]

MAX_DATA = 1 << 20
_TOLD_EVERY = 4 << 20
_KINDS = {
    (pb.IMAGE_KIND_BUNDLE, pb.DISK_FORMAT_UNSPECIFIED): Kind.BUNDLE,
    (pb.IMAGE_KIND_KERNEL, pb.DISK_FORMAT_UNSPECIFIED): Kind.KERNEL,
    (pb.IMAGE_KIND_DISK, pb.DISK_FORMAT_RAW): Kind.RAW,
    (pb.IMAGE_KIND_DISK, pb.DISK_FORMAT_QCOW2): Kind.QCOW2,
}
_MESSAGES = {kind: pair for pair, kind in _KINDS.items()}


class ImagesService(images_pb2_grpc.ImagesServicer):
    def __init__(self, images: ImageStore, registry: Registry) -> None:
        self._images = images
        self._registry = registry

    async def Push(
        self, request_iterator: AsyncIterator[pb.PushImageRequest], context: Context
    ) -> AsyncIterator[pb.PushImageProgress]:
        async with errors_as_status(context):
            first = await anext(aiter(request_iterator), None)
            if first is None or first.WhichOneof("part") != "image":
                raise InvalidSession("the first request of an upload says what comes")
            upload = self._images.begin(_record(first.image, owner_of(context, first.image.owner)))
            try:
                await upload.open()
                told = upload.received
                yield pb.PushImageProgress(received=told)
                async for request in request_iterator:
                    if len(request.data) > MAX_DATA:
                        raise InvalidSession(f"{len(request.data)} bytes at once; send at most {MAX_DATA}")
                    await upload.write(request.data)
                    if upload.received - told >= _TOLD_EVERY:
                        told = upload.received
                        yield pb.PushImageProgress(received=told)
                record = await upload.finish()
            finally:
                upload.close()
            _log.info(
                "image pushed", image=record.name, owner=record.owner, kind=record.kind, size=record.size
            )
            yield pb.PushImageProgress(received=record.size, image=self._message(record))

    async def List(self, request: pb.ListImagesRequest, context: Context) -> pb.ListImagesResponse:
        async with errors_as_status(context):
            owner = owner_of(context, request.owner)
            limit = self._images.limits.quota
            # Users see their own and those that all may use; the operator sees all.
            seen = {owner} if owner else self._images.owners()
            shown = seen if caller(context) is None else seen | {""}
            return pb.ListImagesResponse(
                images=[self._message(one) for one in self._images.images() if one.owner in shown],
                quotas=[
                    pb.ImageQuota(owner=one, used_bytes=self._images.used(one), limit_bytes=limit)
                    for one in sorted(seen)
                ],
            )
        raise AssertionError

    async def Remove(self, request: pb.RemoveImageRequest, context: Context) -> pb.Image:
        async with errors_as_status(context):
            owner = owner_of(context, request.owner)
            record = self._images.find(owner, request.name)
            if record.owner != owner:
                raise NotFound(f"image `{request.name}` is the operator's, who alone removes it")
            sessions = self._sessions(record)
            if sessions and self._images.is_last(record):
                raise InUse(f"image `{record.name}` is used by {', '.join(sessions)}; close that first")
            message = self._message(record)
            self._images.remove(record)
            return message
        raise AssertionError

    def _sessions(self, record: ImageRecord) -> list[str]:
        return sorted(one.name for one in self._registry.records() if record.sha256 in one.contents())

    def _message(self, record: ImageRecord) -> pb.Image:
        kind, format_ = _MESSAGES[record.kind]
        message = pb.Image(
            name=record.name,
            owner=record.owner,
            kind=kind,
            format=format_,
            sha256=record.sha256,
            size=record.size,
            sessions=self._sessions(record),
        )
        message.created.FromNanoseconds(int(record.created * 1e9))
        return message


def _record(image: pb.Image, owner: str) -> ImageRecord:
    kind = _KINDS.get((image.kind, image.format))
    if kind is None:
        raise InvalidSession(
            f"image {image.name[:60]!r}: state its kind, and of a disk (only) its format, raw or qcow2"
        )
    return ImageRecord(owner, image.name, kind, image.sha256, image.size, time.time())
