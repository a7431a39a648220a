"""``dipronn image``, against a control unit. Both in this process, so its log stands before the output."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

from typer.testing import CliRunner

from dipronn.cli.main import app
from tests.unit.cli.test_node import SESSION
from tests.unit.controller.agents import Cluster, cluster
from tests.unit.images.qcow2 import make_qcow2
from tests.unit.vmhost.tars import make_tar


async def test_images_from_the_command_line(tmp_path: Path) -> None:
    tar = make_tar(tmp_path / "thin.tar", {"run": b"#!/bin/sh\n"})
    disk = make_qcow2(tmp_path / "studio.img")
    write(tmp_path / "s.dpn", SESSION.replace("p.tar", "thin"))
    async with cluster(tmp_path / "c", ("solo",)) as node:
        push_disk = ("image", "push", str(disk), "--kind", "disk")
        status, out, err = await dipronn(node, "image", "push", str(tar), "--name", "thin", "--owner", "o")
        wrong = await dipronn(node, *push_disk)
        disk_pushed = await dipronn(node, *push_disk, "--format", "qcow2", "--json")
        assert (status, err) == (0, "")
        assert out.endswith(f"image thin: {size(tar)} bytes, sha256:{sha256(tar)}\n")
        assert wrong[0] == 2 and "state --format" in wrong[2]
        assert json.loads(disk_pushed[1][disk_pushed[1].index("{") :])["format"] == "DISK_FORMAT_QCOW2"

        # There is no such file beside the session's: it is the pushed one.
        status, _, err = await dipronn(node, "session", "establish", str(tmp_path / "s.dpn"))
        assert status == 0, err
        remove = ("image", "rm", "thin", "--owner", "o")
        listed, refused = await dipronn(node, "image", "list"), await dipronn(node, *remove)
        (line,) = (line for line in listed[1].splitlines() if line.startswith("thin"))
        assert line.split()[-1] == "s" and "disk, qcow2" in listed[1] and "(operator)" in listed[1]
        assert refused[0] == 1 and "used by s" in refused[2]
        await node.node.close_session("s")
        status, out, _ = await dipronn(node, *remove)
        assert status == 0 and out.endswith("image thin: removed\n")


async def dipronn(node: Cluster, *arguments: str) -> tuple[int, str, str]:
    """Status, output, and what went wrong."""
    command = ["--node", node.address, *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    return result.exit_code, result.stdout, result.stderr + str(result.exception or "")


def write(path: Path, text: str) -> None:
    path.write_text(text)


def size(path: Path) -> int:
    return path.stat().st_size


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
