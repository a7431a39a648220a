"""The state folder: one agent at a time, whole files or none, and nothing left of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dipronn.errors import AlreadyExists
from tests.unit.agent import orders
from vmhost.agent.store import Store

HOLDER = """
import sys
from pathlib import Path
from vmhost.agent.store import Store
with Store(Path(sys.argv[1])).lock():
    sys.stdout.write("held\\n"); sys.stdout.flush(); sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "state")
    store.open()
    return store


def test_what_is_stored_is_read_back(store: Store) -> None:
    store.put_slice(orders.steered(7, 2))
    store.put_slice(orders.base())
    assert store.slices() == {0: orders.base(), 7: orders.steered(7, 2)}
    store.drop_slice(7)
    assert set(store.slices()) == {0}


def test_a_file_that_was_not_finished_does_not_count(store: Store) -> None:
    store.put_slice(orders.steered(7, 2))
    part = store.folder / "slices" / "7.pb.part"
    part.write_bytes(b"half of it")
    store.open()
    assert not part.exists()
    assert store.slices() == {7: orders.steered(7, 2)}


def test_one_agent_at_a_time_and_the_kernel_says_which(store: Store) -> None:
    assert store.holder() is None
    command = [sys.executable, "-c", HOLDER, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert store.holder() == other.pid
        with pytest.raises(AlreadyExists, match=f"pid {other.pid}"), store.lock():
            pytest.fail("the lock was had twice")
        other.kill()
    assert store.holder() is None, "a killed agent holds nothing"
    with store.lock():
        assert os.getpid()


def test_what_is_not_the_agents_stays(store: Store) -> None:
    foreign = store.folder / "agent.toml"
    foreign.write_text("")
    store.put_slice(orders.base())
    store.describe({"pid": 1})
    store.remove()
    assert list(store.folder.iterdir()) == [foreign]
    foreign.unlink()
    store.remove()
    assert not store.folder.exists()
