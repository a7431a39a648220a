"""Commands that speak to a node, as processes, against a control unit with scripted agents."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from dipronn.client import bundles
from dipronn.errors import NotFound
from tests.unit.controller.agents import Cluster, cluster, spawn

SESSION = """session s {
  owner "o"; input x : udp; output y to 198.51.100.7:6000;
  program p { bundle "p.tar"; in i; out o; }
  data x -> p.i; data p.o -> y;
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A session file whose bundle is a folder beside it."""
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "run").write_text("#!/bin/sh\n")
    (tmp_path / "p" / "run").chmod(0o755)
    path = tmp_path / "s.dpn"
    path.write_text(SESSION)
    return path


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def dipronn(node: Cluster | str, *arguments: str) -> tuple[int, str, str]:
    address = node if isinstance(node, str) else node.address
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dipronn.cli.main", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DIPRONN_NODE_ADDRESS": address},
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_session_from_the_command_line(tmp_path: Path, file: Path) -> None:
    async with cluster(tmp_path / "c", ("solo",)) as node:
        status, out, err = await dipronn(node, "session", "establish", str(file))
        assert status == 0, err
        assert "session s: active" in out and "input  x: send to 192.0.2.1:" in out and "p-0" in out
        status, out, _ = await dipronn(node, "session", "list", "--json")
        assert status == 0 and [one["state"] for one in json.loads(out)] == ["SESSION_STATE_ACTIVE"]
        watching = spawn(dipronn(node, "session", "watch", "s", "--json"))
        status, out, _ = await dipronn(node, "session", "explain", "s", "--json")
        steps = json.loads(out)
        assert status == 0 and steps[0]["unit"] == "solo" and steps[-1]["verdict"].startswith("sent on dt")
        status, out, _ = await dipronn(node, "unit", "list")
        assert status == 0 and "solo" in out and "distribution, processing, aggregation" in out
        status, _, err = await dipronn(node, "session", "establish", str(file))
        assert status == 1 and "there is a session `s` already" in err
        status, out, _ = await dipronn(node, "session", "close", "s")
        assert status == 0 and out == "session s: closed\n"
        status, out, _ = await watching
        states = [json.loads(line)["session"]["state"] for line in out.splitlines()]
        assert status == 0 and states[-1] == "SESSION_STATE_CLOSED"
        status, _, err = await dipronn(node, "session", "show", "s")
        assert status == 1 and "no session `s`" in err


async def test_a_refused_session_has_status_1_and_its_diagnostics(tmp_path: Path, file: Path) -> None:
    async with cluster(tmp_path / "c", ("solo",)) as node:
        write(file, SESSION.replace("out o;", "out o; parallelizable 2 by chosen;"))
        status, _, err = await dipronn(node, "session", "establish", str(file))
        assert status == 1 and f"{file}:3:" in err
        assert "the policy `chosen` (program `p`) without ARTP (input `x`)" in err
        write(file, SESSION.replace("p.tar", "../../etc.tar"))
        status, _, err = await dipronn(node, "session", "establish", str(file))
        assert status == 1 and "is not inside the folder of its session file" in err


async def test_an_unreachable_node_has_status_3(tmp_path: Path) -> None:
    for command in (["session", "list"], ["unit", "list"], ["doctor"]):
        status, _, err = await dipronn(f"unix:{tmp_path}/none.sock", *command)
        assert status == 3 and "no node answers at" in err


SYNC_PROGRAM = """
import sys
from pathlib import Path
import dipronn
from dipronn.errors import NotFound
address, folder, text = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
with dipronn.connect_sync(address) as node:
    session = node.establish(text, {"p.tar": folder}, timeout=30)
    assert node.session("s").id == session.id and node.units()[0].name == "solo"
    events = node.watch("s")
    states = [next(events).session.state]
    node.close_session("s")
    states += [event.session.state for event in events]
    try:
        node.session("s")
    except NotFound as error:
        print(states, error)
"""


async def test_the_client_without_asyncio(tmp_path: Path, file: Path) -> None:
    async with cluster(tmp_path / "c", ("solo",)) as node:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SYNC_PROGRAM, node.address, str(file.parent / "p"), SESSION),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == 0 and out.decode() == "[3, 5, 6] no session `s`; there are: none\n"


def test_a_folder_is_packed_the_same_way_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "run").write_text("x")
        (tmp_path / name / "run").chmod(0o755 if name == "a" else 0o700)
        (tmp_path / name / "lib" / "data").write_text("y")
        (tmp_path / name / "link").symlink_to("/etc/passwd")
        os.utime(tmp_path / name / "run", (1, len(name)))
    assert bundles.pack(tmp_path / "a") == bundles.pack(tmp_path / "b")
    assert b"passwd" not in bundles.pack(tmp_path / "a")


def test_bundles_lie_inside_the_folder_of_their_session(tmp_path: Path) -> None:
    (tmp_path / "s" / "p").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    assert bundles.find(tmp_path / "s", "p.tar") == tmp_path / "s" / "p"
    for name in ("../secret", "/etc", "p/../../secret", ""):
        with pytest.raises(NotFound):
            bundles.find(tmp_path / "s", name)
    (tmp_path / "s" / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFound, match="not inside"):
        bundles.find(tmp_path / "s", "out")
