"""Images over real gRPC: pushed, listed, used by sessions, removed when nobody uses them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path

import grpc
import pytest

from controller.server import ControlUnit, Settings
from dipronn import certs
from dipronn.client import connect
from dipronn.errors import AlreadyExists, InUse, InvalidSession, NotFound, PermissionRefused
from dipronn.v1 import images_pb2 as pb
from dipronn.v1 import images_pb2_grpc, unit_pb2, unit_pb2_grpc
from tests.unit.vmhost.tars import make_tar

from .agents import cluster, eventually

TEXT = """
session s {
  owner "ann";
  input x : udp rate 1Mbps;
  output y to 198.51.100.7:6000;
  program p { bundle "BUNDLE"; in i; out o; needs cpu 0.5, memory 64MiB; }
  data x -> p.i; data p.o -> y;
}
"""


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    return make_tar(tmp_path / "p.tar", {"run": b"#!/bin/sh\n" + os.urandom(9 << 20)})


def content(tar: Path) -> bytes:
    return tar.read_bytes()


@pytest.mark.req("D24")
async def test_a_session_runs_a_pushed_bundle(tmp_path: Path, tar: Path) -> None:
    data = content(tar)
    sha256 = hashlib.sha256(data).digest()
    async with cluster(tmp_path) as node:
        with pytest.raises(InvalidSession, match=r"`thin` was not sent along, and there is no image `thin`"):
            await node.node.establish(TEXT.replace("BUNDLE", "thin"))
        told: list[tuple[int, int]] = []
        image = await node.node.push_image("thin", tar, owner="ann", progress=lambda *now: told.append(now))
        assert (image.sha256, image.size, image.kind) == (sha256, len(data), pb.IMAGE_KIND_BUNDLE)
        assert told == sorted(told) and told[-1] == (image.size, image.size) and len(told) > 1

        for name in ("thin", f"sha256:{sha256.hex()}"):
            session = await node.node.establish(TEXT.replace("BUNDLE", name))
            held = node[session.instances[0].unit].held[session.id]
            assert held.vms[0].programs[0].bundle_sha256 == sha256
            assert await fetched(node.address, sha256) == data
            (listed,) = (await node.node.images()).images
            assert list(listed.sessions) == ["s"]
            with pytest.raises(InUse, match="used by s; close that first"):
                await node.node.remove_image("thin", "ann")
            await node.node.close_session("s")

        answer = await node.node.images("ann")
        assert [(one.used_bytes, one.limit_bytes) for one in answer.quotas] == [(image.size, 16 << 30)]
        await node.node.remove_image("thin", "ann")
        assert not (await node.node.images()).images
        with pytest.raises(NotFound):
            await node.node.remove_image("thin", "ann")


async def test_a_broken_upload_goes_on(tmp_path: Path, tar: Path) -> None:
    data = content(tar)
    header = pb.Image(
        name="p.tar", kind=pb.IMAGE_KIND_BUNDLE, size=len(data), sha256=hashlib.sha256(data).digest()
    )
    async with cluster(tmp_path, ()) as node, grpc.aio.insecure_channel(node.address) as channel:
        call = images_pb2_grpc.ImagesStub(channel).Push()
        await call.write(pb.PushImageRequest(image=header))
        for at in range(0, 6 << 20, 1 << 20):
            await call.write(pb.PushImageRequest(data=data[at : at + (1 << 20)]))
        answers = [await call.read(), await call.read()]
        assert [one.received for one in answers if isinstance(one, pb.PushImageProgress)] == [0, 4 << 20]
        with pytest.raises(AlreadyExists, match="being uploaded already"):
            await node.node.push_image("p.tar", tar)
        call.cancel()

        async def free() -> bool:
            try:
                image = await node.node.push_image("p.tar", tar, progress=lambda *now: told.append(now[0]))
            except AlreadyExists:
                return False
            return image.size == len(data)

        told: list[int] = []
        await eventually(free)
        assert told[0] >= 4 << 20, "what was there is not sent again"


async def test_an_upload_that_makes_no_sense_is_refused(tmp_path: Path, tar: Path) -> None:
    async with cluster(tmp_path, ()) as node:
        with pytest.raises(InvalidSession, match="state its kind"):
            await node.node.push_image("d", tar, pb.IMAGE_KIND_DISK)
        with pytest.raises(InvalidSession, match=r"disk d: .*sectors|begins like|no such header"):
            await node.node.push_image("d", tar, pb.IMAGE_KIND_DISK, format=pb.DISK_FORMAT_QCOW2)
        with pytest.raises(NotFound, match="no such file"):
            await node.node.push_image("d", tmp_path / "none")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "run").write_text("#!/bin/sh\n")
        (tmp_path / "folder" / "run").chmod(0o755)
        assert (await node.node.push_image("f.tar", tmp_path / "folder")).size > 0
        async with grpc.aio.insecure_channel(node.address) as channel:
            stub = images_pb2_grpc.ImagesStub(channel)
            for requests, why in (
                ([], "says what comes"),
                ([pb.PushImageRequest(data=b"x")], "says what comes"),
                (
                    [
                        pb.PushImageRequest(
                            image=pb.Image(
                                name="x", kind=pb.IMAGE_KIND_BUNDLE, sha256=bytes(32), size=3 << 20
                            )
                        ),
                        pb.PushImageRequest(data=bytes(2 << 20)),
                    ],
                    "send at most",
                ),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    async for _ in stub.Push(iter(requests)):
                        pass
                assert why in (refused.value.details() or "")


async def test_over_tcp_everybody_has_their_own(tmp_path: Path, tar: Path) -> None:
    folders = {}
    for name in ("node", "ann", "bob"):
        certs.make(tmp_path / "authority", [name])
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for part in ("ca.pem", "cert.pem", "key.pem"):
            (folders[name] / part).write_bytes((tmp_path / "authority" / part).read_bytes())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    control = ControlUnit(
        Settings(tmp_path / "state", tmp_path / "c.sock", tcp=address, certs=folders["node"])
    )
    await control.start()
    try:
        await eventually(lambda: _listens(address))
        async with (
            connect(f"unix:{tmp_path / 'c.sock'}") as operator,
            connect(address, folders["ann"]) as ann,
            connect(address, folders["bob"]) as bob,
        ):
            assert (await ann.push_image("p.tar", tar)).owner == "ann"
            assert (await operator.push_image("shared", tar)).owner == ""
            for attempt in (
                bob.push_image("q", tar, owner="ann"),
                bob.images("ann"),
                bob.remove_image("p", "ann"),
            ):
                with pytest.raises(PermissionRefused, match="not for `ann`"):
                    await attempt
            assert [one.name for one in (await bob.images()).images] == ["shared"]
            assert {one.name for one in (await ann.images()).images} == {"p.tar", "shared"}
            with pytest.raises(NotFound):
                await bob.remove_image("p.tar")
            with pytest.raises(NotFound, match="the operator's"):
                await bob.remove_image("shared")
            assert (await operator.images("ann")).images[0].name == "p.tar"
            await operator.remove_image("p.tar", "ann")
    finally:
        await control.stop()


async def fetched(address: str, sha256: bytes) -> bytes:
    """As a unit's agent gets it."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = unit_pb2_grpc.UnitsStub(channel)
        return b"".join(
            [chunk.data async for chunk in stub.FetchBundle(unit_pb2.FetchBundleRequest(sha256=sha256))]
        )


async def _listens(address: str) -> bool:
    host, port = address.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True
