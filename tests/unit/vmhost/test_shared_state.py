"""The guest libraries against a name server on the loopback: what programs see of shared state."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from controller.api.sharing import answer
from controller.sharing import SessionState
from controller.sharing.state import Barrier, Content, Entry
from dipronn.errors import Unavailable
from dipronn.v1 import state_pb2
from vmhost.names import Callers, Grant, NameServer, Registration, Resolution
from vmhost.sharing import written

pytestmark = [
    pytest.mark.req("D19"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc"),
]
LIBRARY = Path(__file__).parents[3] / "vmhost" / "guest" / "lib"
NET = f"127.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}"
GATEWAY, OWN, OTHER = (IPv4Address(f"{NET}.{host}") for host in (1, 2, 3))

C_PROGRAM = r"""
#include "dipronn_guest.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUIRE(what) if (!(what)) return fprintf(stderr, "line %d: %s\n", __LINE__, #what), 1

int main(void) {
    unsigned char value[DIPRONN_VALUE], all[DIPRONN_VALUE];
    uint64_t version = 0, older;
    for (int i = 0; i < DIPRONN_VALUE; i++) all[i] = i * 2;
    REQUIRE(dipronn_get("c/none", value, &version) == -1 && errno == ENOENT);
    REQUIRE(!dipronn_put("c/all", all, sizeof all, &version) && version);
    REQUIRE(dipronn_get("c/all", value, &older) == sizeof all && !memcmp(value, all, sizeof all));
    REQUIRE(older == version);
    REQUIRE(dipronn_put("c/all", all, sizeof all + 1, &version) == -1 && errno == EMSGSIZE);
    version = 0;
    REQUIRE(dipronn_compare_and_set("c/all", "", 0, &version) == -1 && errno == EBUSY);
    version = older;
    REQUIRE(!dipronn_compare_and_set("c/all", "100 %", 5, &version) && version > older);
    REQUIRE(dipronn_watch("c/all", value, &older) == 5 && !memcmp(value, "100 %", 5) && older == version);
    REQUIRE(!dipronn_delete("c/all") && dipronn_delete("c/all") == -1 && errno == ENOENT);
    REQUIRE(dipronn_put("no key", "x", 1, &version) == -1 && errno == EACCES);
    REQUIRE(!dipronn_barrier("both", 2, 1) && !dipronn_barrier("both", 2, 1));
    puts("all as it should be");
    return 0;
}
"""
PYTHON_PROGRAM = """
import dipronn_guest as dipronn

assert dipronn.get("p") == (0, None) and not dipronn.delete("p")
version = dipronn.put("p", bytes(range(128)))
assert dipronn.get("p") == (version, bytes(range(128)))
assert dipronn.compare_and_set("p", 0, b"x") is None
later = dipronn.compare_and_set("p", version, "100 % ž".encode())
assert dipronn.watch("p", version) == (later, "100 % ž".encode())
assert dipronn.delete("p") and dipronn.watch("p", later) == (0, None)
try:
    dipronn.put("p", bytes(129))
except dipronn.Refused as refused:
    assert refused.code == 413
assert dipronn.barrier("both", 2) == 1
print("all as it should be")
"""


class Nowhere:
    """Keeps nothing."""

    def keep_key(self, revision: int, key: str, entry: Entry | None) -> None:
        pass

    def keep_barrier(self, name: str, barrier: Barrier) -> None:
        pass


class NoNames:
    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        raise AssertionError

    async def unregistered(self, device: str, old: Registration) -> None:
        raise AssertionError

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        raise AssertionError


class Shared:
    """One session's state; it may be away."""

    def __init__(self) -> None:
        self.state = SessionState(Content(), Nowhere())
        self.away = 0
        self.asked = 0

    async def share(self, caller: IPv4Address, request: state_pb2.StateRequest) -> str:
        self.asked += 1
        if self.away:
            self.away -= 1
            raise Unavailable("the control unit is away")
        request.address = str(caller)
        told = await answer(self.state, request)
        return written(
            request,
            state_pb2.StateAnswer(code=told.code, version=told.version, value=told.value, text=told.text),
        )


@pytest.fixture
async def shared() -> AsyncIterator[Shared]:
    one = Shared()
    callers = Callers({each: {"p": frozenset({"in"})} for each in (OWN, OTHER)})
    server = NameServer("lo", callers, NoNames(), share=one.share)  # type: ignore[arg-type]
    await server.start([GATEWAY])
    yield one
    await server.close()


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("c")
    (folder / "p.c").write_text(C_PROGRAM)
    command = ["gcc", "-Wall", "-Werror", "-O2", f"-I{LIBRARY}", "-o", str(folder / "p"), str(folder / "p.c")]
    subprocess.run([*command, str(LIBRARY / "dipronn_guest.c")], check=True)
    yield folder / "p"


async def run(address: IPv4Address, *command: str) -> str:
    environment = {
        "PYTHONPATH": str(LIBRARY),
        "PATH": os.environ["PATH"],
        "DIPRONN_PROGRAM": "p",
        "DIPRONN_ADDRESS": str(address),
        "DIPRONN_GATEWAY": str(GATEWAY),
    }
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return output.decode() if process.returncode == 0 else errors.decode()


async def test_python_and_c_see_the_same_and_meet_at_a_barrier(shared: Shared, binary: Path) -> None:
    both = await asyncio.gather(run(OWN, str(binary)), run(OTHER, sys.executable, "-c", PYTHON_PROGRAM))
    assert list(both) == ["all as it should be\n"] * 2


async def test_the_library_asks_again_but_sets_nothing_twice(shared: Shared) -> None:
    shared.away = 2
    assert await run(OWN, sys.executable, "-c", "import dipronn_guest as d; d.put('k', b'1')") == ""
    assert shared.asked == 3
    shared.away = 1
    told = await run(OWN, sys.executable, "-c", "import dipronn_guest as d; d.compare_and_set('k', 1, b'2')")
    assert "ConnectionError" in told and shared.asked == 4
    assert shared.state.get("k").value == b"1"
