"""The same client for programs without asyncio: one thread with a loop of its own behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from dipronn.client.images import Progress
from dipronn.client.node import Bundles, Node, connect
from dipronn.v1 import accounts_pb2, images_pb2, node_pb2, session_pb2, unit_pb2

_T = TypeVar("_T")


def connect_sync(address: str = "", certs: Path | None = None) -> SyncNode:
    """As ``connect``; methods block."""
    return SyncNode(address, certs)


class SyncNode:
    """What ``Node`` does, method for method; may be used from several threads."""

    def __init__(self, address: str, certs: Path | None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dipronn client", daemon=True)
        self._thread.start()
        try:
            self._node = self._call(self._connect(address, certs))
        except BaseException:
            self._end()
            raise

    @staticmethod
    async def _connect(address: str, certs: Path | None) -> Node:
        return connect(address, certs)  # here, because the channel belongs to the loop that it is made in

    def __enter__(self) -> SyncNode:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._call(self._node.aclose())
        self._end()

    def negotiate(
        self,
        session: str | session_pb2.Program,
        *,
        file_name: str = "",
        valid_for: float | None = None,
        hold: bool = False,
    ) -> session_pb2.Offer:
        return self._call(self._node.negotiate(session, file_name=file_name, valid_for=valid_for, hold=hold))

    def establish(
        self,
        session: str | session_pb2.Program | None = None,
        bundles: Bundles | None = None,
        *,
        offer: str = "",
        file_name: str = "",
        registration_timeout: float | None = None,
        timeout: float | None = None,
    ) -> session_pb2.Session:
        return self._call(
            self._node.establish(
                session,
                bundles,
                offer=offer,
                file_name=file_name,
                registration_timeout=registration_timeout,
                timeout=timeout,
            )
        )

    def session(self, name: str) -> session_pb2.Session:
        return self._call(self._node.session(name))

    def sessions(self) -> list[session_pb2.Session]:
        return self._call(self._node.sessions())

    def watch(self, name: str) -> Iterator[session_pb2.SessionEvent]:
        events = self._node.watch(name)
        try:
            while True:
                try:
                    yield self._call(events.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            self._call(events.aclose())

    def close_session(self, name: str) -> session_pb2.Session:
        return self._call(self._node.close_session(name))

    def replace_program(
        self, session: str, program: str, source: bytes | str | Path, *, file_name: str = ""
    ) -> session_pb2.Session:
        return self._call(self._node.replace_program(session, program, source, file_name=file_name))

    def push_image(
        self,
        name: str,
        source: Path,
        kind: images_pb2.ImageKind.ValueType = images_pb2.IMAGE_KIND_BUNDLE,
        *,
        format: images_pb2.DiskFormat.ValueType = images_pb2.DISK_FORMAT_UNSPECIFIED,
        owner: str = "",
        progress: Progress = lambda done, total: None,
    ) -> images_pb2.Image:
        return self._call(
            self._node.push_image(name, source, kind, format=format, owner=owner, progress=progress)
        )

    def images(self, owner: str = "") -> images_pb2.ListImagesResponse:
        return self._call(self._node.images(owner))

    def remove_image(self, name: str, owner: str = "") -> images_pb2.Image:
        return self._call(self._node.remove_image(name, owner))

    def accounts(self, session: str = "") -> list[accounts_pb2.Account]:
        return self._call(self._node.accounts(session))

    def status(self) -> node_pb2.NodeStatus:
        return self._call(self._node.status())

    def units(self) -> list[node_pb2.UnitStatus]:
        return self._call(self._node.units())

    def explain(self, unit: str, device: str, frame: bytes) -> list[node_pb2.ExplainStep]:
        return self._call(self._node.explain(unit, device, frame))

    def desired(self) -> dict[str, list[unit_pb2.Slice]]:
        return self._call(self._node.desired())

    def _call(self, work: Coroutine[Any, Any, _T]) -> _T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupted call must not go on behind our back
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
