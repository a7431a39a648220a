"""Images on their way to a node."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from dipronn.client import bundles
from dipronn.errors import NotFound, Unavailable
from dipronn.v1 import images_pb2 as pb
from dipronn.v1 import images_pb2_grpc

Progress = Callable[[int, int], None]
"""Called with the bytes that the node has, and with all that it is to have."""
_CHUNK = 256 << 10
_AHEAD = 16 << 20


async def push(
    stub: images_pb2_grpc.ImagesAsyncStub, image: pb.Image, source: Path, progress: Progress
) -> pb.Image:
    """Send a file, or a folder packed; goes on where an attempt before was broken off. Raises NotFound."""
    packed, image.size, image.sha256 = await asyncio.to_thread(_measure, source)
    call = stub.Push()
    await call.write(pb.PushImageRequest(image=image))
    told = await call.read()
    sent = received = _received(told)
    async for data in _chunks(packed, sent):
        try:
            await call.write(pb.PushImageRequest(data=data))
        except asyncio.InvalidStateError:  # the node has refused it; its answer says why
            break
        sent += len(data)
        while sent - received > _AHEAD:  # what the node has not told yet is not safely there
            received = _received(await call.read())
            progress(received, image.size)
    await call.done_writing()
    while True:
        told = await call.read()
        received = _received(told)
        progress(received, image.size)
        if isinstance(told, pb.PushImageProgress) and told.HasField("image"):
            return told.image


def _received(told: object) -> int:
    if not isinstance(told, pb.PushImageProgress):
        raise Unavailable("the node ended the upload; push it again, and it goes on from there")
    return told.received


def _measure(source: Path) -> tuple[Path | bytes, int, bytes]:
    """What is to be sent, its size and SHA-256."""
    if source.is_dir():
        packed = bundles.pack(source)
        return packed, len(packed), hashlib.sha256(packed).digest()
    if not source.is_file():
        raise NotFound(f"no image {source}: no such file or folder")
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        return source, file.tell(), digest


async def _chunks(source: Path | bytes, start: int) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for at in range(start, len(source), _CHUNK):
            yield source[at : at + _CHUNK]
        return
    file = await asyncio.to_thread(source.open, "rb")
    with file:
        file.seek(start)
        while data := await asyncio.to_thread(file.read, _CHUNK):
            yield data
