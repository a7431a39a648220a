"""Users' whole machines in a node: made from a folder, pushed, run in a session, restarted when they die."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.node.conftest import PATIENTLY, NodeUnderTest
from tests.system.node.test_node import vms

pytestmark = [pytest.mark.root, pytest.mark.vm]

LIBRARY = Path(__file__).parents[3] / "vmhost" / "guest" / "lib"
SESSION = """
session machine {
  input  words : udp rate 1Mbps to 192.0.2.1:5000;
  input  asked : udp to 192.0.2.1:5001;
  output told to 198.51.100.7:6000;
  vm studio { image "studio.img"; cpu 0.3; memory 128MiB; storage 16MiB; }
  program greet in studio { run "exec prefixing words greetings 'Hello, '"; in words; out greetings; }
  program lease in studio {
    run "ask-for-a-lease && exec prefixing asked leases \\"$(cat /tmp/lease)\\""; in asked; out leases;
  }
  data words -> greet.words; data greet.greetings -> told;
  data asked -> lease.asked; data lease.leases -> told;
}
"""
ASK = """#!/bin/sh
exec udhcpc -f -q -n -t 30 -T 1 -i eth0 -s /bin/leased
"""
LEASED = """#!/bin/sh
[ "$1" != bound ] || echo -n "$ip $subnet $router $mtu: " > /tmp/lease
"""


@pytest.fixture
def machine(node: NodeUnderTest, tmp_path: Path) -> Iterator[Path]:
    """The session's file, with its image made and pushed; both are gone from the node afterwards."""
    programs = tmp_path / "studio" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("ask-for-a-lease", ASK), ("leased", LEASED)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    sources = [Path(__file__).with_name("prefixing.c"), LIBRARY / "dipronn_guest.c"]
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(programs / "prefixing")]
    subprocess.run([*command, *map(str, sources)], check=True)
    built = node.dipronn("image", "build", str(tmp_path / "studio"))
    assert built.returncode == 0, built.stderr
    pushed = node.dipronn("image", "push", str(tmp_path / "studio.img"), "--kind", "kernel")
    assert pushed.returncode == 0, pushed.stderr
    file = tmp_path / "machine.dpn"
    file.write_text(SESSION)
    yield file
    node.dipronn("session", "close", "machine")
    removed = node.dipronn("image", "rm", "studio.img")
    assert removed.returncode == 0, removed.stderr


def told(node: NodeUnderTest, port: str) -> list[str]:
    """What the receiver gets of a few datagrams sent to an input's port."""
    receiver = node.traffic("receiver1", "receive", "198.51.100.7", "6000", "2")
    node.traffic("source", "send", "192.0.2.1", port, "3", "100").result()
    received = receiver.result()["received"]
    assert isinstance(received, list)
    return received


@pytest.mark.req("D25", "D46", "D63")
def test_two_programs_in_a_users_machine(node: NodeUnderTest, machine: Path) -> None:
    established = node.dipronn("session", "establish", str(machine), *PATIENTLY)
    assert established.returncode == 0, established.stderr
    assert len(vms(node)) == 1
    assert told(node, "5000") == ["Hello, 0", "Hello, 1", "Hello, 2"]
    # Its own DHCP client was answered through the steering program.
    (instance, _) = node.json("session", "show", "machine")["instances"]
    lease = f"{instance['address']} 255.255.255.255 100.64.0.1 1500: "
    assert told(node, "5001") == [f"{lease}{number}" for number in range(3)]
