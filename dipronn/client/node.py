"""A node, as its users reach it over gRPC."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import grpc

from dipronn.client import bundles as packing
from dipronn.client import images as pushing
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
from dipronn.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    kernel_pb2,
    kernel_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    unit_pb2,
)

ADDRESS_VARIABLE = "DIPRONN_NODE_ADDRESS"
CERTS_VARIABLE = "DIPRONN_CERTS"
DEFAULT_ADDRESS = "unix:/run/dipronn/dipronn/control.sock"
MAX_MESSAGE = 64 << 20
_ERROR_KEY = "dipronn-error"
_ERRORS: dict[grpc.StatusCode, type[DipronnError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidSession,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: InUse,
    grpc.StatusCode.RESOURCE_EXHAUSTED: InsufficientResources,
    grpc.StatusCode.PERMISSION_DENIED: PermissionRefused,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}

Bundles = Mapping[str, bytes | str | Path]


class Unreachable(Unavailable):
    """The node does not answer at its address."""


def connect(address: str = "", certs: Path | None = None) -> Node:
    """A node by ``unix:PATH`` or ``HOST:PORT``; the latter needs ``certs`` (ca.pem, cert.pem, key.pem).

    What is not stated is taken from DIPRONN_NODE_ADDRESS and DIPRONN_CERTS.  Nothing is sent yet.
    """
    address = address or os.environ.get(ADDRESS_VARIABLE, "") or DEFAULT_ADDRESS
    if certs is None and CERTS_VARIABLE in os.environ:
        certs = Path(os.environ[CERTS_VARIABLE])
    return Node(address, certs)


class Node:
    """Methods raise DipronnError with the node's message.  ``timeout``: seconds, None waits for ever."""

    def __init__(self, address: str, certs: Path | None = None) -> None:
        self.address = address
        limits = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
        ]
        if address.startswith("unix:"):
            self._channel = grpc.aio.insecure_channel(address, options=limits)
        else:
            self._channel = grpc.aio.secure_channel(address, _credentials(address, certs), options=limits)
        self._sessions = session_pb2_grpc.SessionsStub(self._channel)
        self._accounts = accounts_pb2_grpc.AccountsStub(self._channel)
        self._images = images_pb2_grpc.ImagesStub(self._channel)
        self._node = node_pb2_grpc.NodeStub(self._channel)
        self._kernel = kernel_pb2_grpc.KernelProgramsStub(self._channel)

    async def __aenter__(self) -> Node:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._channel.close()

    # sessions

    async def negotiate(
        self,
        session: str | session_pb2.Program,
        *,
        file_name: str = "",
        valid_for: float | None = None,
        hold: bool = False,
    ) -> session_pb2.Offer:
        """What ``establish`` would do now: how many instances where, and what would be cut.

        Nothing is started.  The offer stands for ``valid_for`` seconds (30); ``hold`` keeps its resources.
        """
        request = session_pb2.NegotiateRequest(file_name=file_name, hold=hold)
        if isinstance(session, str):
            request.text = session
        else:
            request.program.CopyFrom(session)
        if valid_for is not None:
            request.valid_for.FromNanoseconds(int(valid_for * 1e9))
        with self._errors():
            return await self._sessions.Negotiate(request)

    async def establish(
        self,
        session: str | session_pb2.Program | None = None,
        bundles: Bundles | None = None,
        *,
        offer: str = "",
        file_name: str = "",
        registration_timeout: float | None = None,
        timeout: float | None = None,
    ) -> session_pb2.Session:
        """Establish a session, given as text or message; returns when it is active.

        ``bundles``: by the name in the session, a tar file's bytes or path, or a folder.  ``offer``: the id
        of one to be taken; then the session need not be given.  When the call is cancelled or ``timeout``
        passes, the node undoes everything.
        """
        request = session_pb2.EstablishRequest(file_name=file_name, offer=offer)
        if isinstance(session, str):
            request.text = session
        elif session is not None:
            request.program.CopyFrom(session)
        for name, source in (bundles or {}).items():
            request.bundles[name] = packing.load(source)
        if registration_timeout is not None:
            request.registration_timeout.FromNanoseconds(int(registration_timeout * 1e9))
        with self._errors():
            return await self._sessions.Establish(request, timeout=timeout)

    async def session(self, name: str) -> session_pb2.Session:
        with self._errors():
            return await self._sessions.Get(session_pb2.GetSessionRequest(name=name))

    async def sessions(self) -> list[session_pb2.Session]:
        with self._errors():
            return list((await self._sessions.List(session_pb2.ListSessionsRequest())).sessions)

    async def watch(self, name: str) -> AsyncGenerator[session_pb2.SessionEvent, None]:
        """The present state, then every change, until the session has ended."""
        with self._errors():
            async for event in self._sessions.Watch(session_pb2.WatchSessionRequest(name=name)):
                yield event

    async def close_session(self, name: str) -> session_pb2.Session:
        with self._errors():
            return await self._sessions.Close(session_pb2.CloseSessionRequest(name=name))

    async def replace_program(
        self, session: str, program: str, source: bytes | str | Path, *, file_name: str = ""
    ) -> session_pb2.Session:
        """Another source for a Phonepl program of an active session; no packet is lost.

        Raises InvalidSession with the compiler's words; then the former program goes on.
        """
        request = kernel_pb2.ReplaceProgramRequest(
            session=session, program=program, source=packing.load(source), file_name=file_name
        )
        with self._errors():
            return await self._kernel.Replace(request)

    # images

    async def push_image(
        self,
        name: str,
        source: Path,
        kind: images_pb2.ImageKind.ValueType = images_pb2.IMAGE_KIND_BUNDLE,
        *,
        format: images_pb2.DiskFormat.ValueType = images_pb2.DISK_FORMAT_UNSPECIFIED,
        owner: str = "",
        progress: pushing.Progress = lambda done, total: None,
    ) -> images_pb2.Image:
        """Upload a file, or a folder as a tar file; an attempt that was broken off goes on where it was.

        Sessions name it in place of a bundle of their own.  ``format``: of a disk, and only of that.
        """
        image = images_pb2.Image(name=name, owner=owner, kind=kind, format=format)
        with self._errors():
            return await pushing.push(self._images, image, source, progress)

    async def images(self, owner: str = "") -> images_pb2.ListImagesResponse:
        """Every image that the caller may see, or those of one owner, with their quotas."""
        with self._errors():
            return await self._images.List(images_pb2.ListImagesRequest(owner=owner))

    async def remove_image(self, name: str, owner: str = "") -> images_pb2.Image:
        with self._errors():
            return await self._images.Remove(images_pb2.RemoveImageRequest(name=name, owner=owner))

    # accounts

    async def accounts(self, session: str = "") -> list[accounts_pb2.Account]:
        """What sessions have used, those that are and those that were; of one name or of all."""
        with self._errors():
            answer = await self._accounts.List(accounts_pb2.ListAccountsRequest(session=session))
        return list(answer.accounts)

    # the node

    async def status(self) -> node_pb2.NodeStatus:
        with self._errors():
            return await self._node.Status(node_pb2.NodeStatusRequest())

    async def units(self) -> list[node_pb2.UnitStatus]:
        return list((await self.status()).units)

    async def explain(self, unit: str, device: str, frame: bytes) -> list[node_pb2.ExplainStep]:
        """Which rules an Ethernet frame meets that enters ``unit`` by ``device``, to the end."""
        request = node_pb2.ExplainRequest(unit=unit, device=device, frame=frame)
        with self._errors():
            return list((await self._node.Explain(request)).steps)

    async def desired(self) -> dict[str, list[unit_pb2.Slice]]:
        """What every unit must have, by unit."""
        with self._errors():
            answer = await self._node.Desired(node_pb2.DesiredRequest())
        return {unit.unit: list(unit.slices) for unit in answer.units}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            raise _error(self.address, error) from None


def _error(address: str, error: grpc.aio.AioRpcError) -> DipronnError:
    ours = any(key == _ERROR_KEY for key, _ in error.trailing_metadata() or ())
    details = error.details() or error.code().name
    if error.code() is grpc.StatusCode.UNAVAILABLE and not ours:
        return Unreachable(f"no node answers at {address}: {details}; is it up, and is the address right?")
    return _ERRORS.get(error.code(), DipronnError)(details)


def _credentials(address: str, certs: Path | None) -> grpc.ChannelCredentials:
    if certs is None:
        raise Unavailable(
            f"{address} is reached by mutual TLS; state a directory of certificates ({CERTS_VARIABLE})"
        )
    try:
        authority, key, chain = ((certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem"))
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}; `dipronn certs {certs}` makes it") from error
    return grpc.ssl_channel_credentials(authority, key, chain)
