"""Sessions with whole machines: what is reserved, what units are ordered to boot, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.placement.wanted import DEFAULT_MACHINE_MEMORY, needs
from controller.program import check_text, render_all, unsupported
from dipronn.errors import InUse, InvalidSession
from dipronn.v1 import images_pb2 as pb
from dipronn.v1 import session_pb2
from tests.unit.images.test_kernel import KERNEL
from tests.unit.vmhost.tars import make_tar

from .agents import cluster, eventually

TEXT = """
session s {{
  owner "ann";
  input x : udp; input z : udp;
  output y to 198.51.100.7:6000;
  vm studio {{ image "studio"; cpu 2; memory 1GiB; {storage} }}
  program tv in studio {{ run "transcode --to 2M"; in i; out o; param gain 3; {tv} }}
  program ta in studio {{ run "mix"; in a; out b; }}
  data x -> tv.i; data tv.o -> y; data z -> ta.a; data ta.b -> y;
}}
"""


def text(storage: str = "", tv: str = "") -> str:
    return TEXT.format(storage=storage, tv=tv)


@pytest.mark.req("D25")
@pytest.mark.req("D46")
async def test_two_programs_share_a_machine_that_boots_the_users_kernel(tmp_path: Path) -> None:
    image = make_tar(tmp_path / "k.tar", {"kernel": KERNEL})
    async with cluster(tmp_path, storage=8 << 30) as node:
        with pytest.raises(InvalidSession, match="no image `studio`"):
            await node.node.establish(text())
        pushed = await node.node.push_image("studio", image, pb.IMAGE_KIND_KERNEL, owner="ann")
        session = await node.node.establish(text(storage="storage 1GiB;"))

        first, second = session.instances
        assert (first.program, second.program) == ("tv", "ta")
        assert first.unit == second.unit and first.address == second.address
        (vm,) = node[first.unit].held[session.id].vms
        assert vm.image.sha256 == pushed.sha256 and vm.image.kind == pb.IMAGE_KIND_KERNEL
        assert (vm.cpu, vm.memory_bytes, vm.image.disk_bytes) == (2, 1 << 30, 1 << 30)
        assert [(one.name, one.command) for one in vm.programs] == [
            ("tv", "transcode --to 2M"),
            ("ta", "mix"),
        ]
        assert vm.programs[0].environment["DIPRONN_PARAM_gain"] == "3" and not vm.programs[0].bundle_sha256
        # Reserved once, and given back.
        (unit,) = [one for one in (await node.node.units()) if one.name == first.unit]
        assert (unit.reserved.cpu, unit.reserved.memory_bytes) == (2, 1 << 30)
        with pytest.raises(InUse):
            await node.node.remove_image("studio", "ann")

        # One program ends: the machine goes on for the other.
        node[first.unit].program_ends(session.id, vm.name, "tv", 3)

        async def one_is_gone() -> bool:
            states = {one.program: one.state for one in (await node.node.session("s")).instances}
            return states == {
                "tv": session_pb2.INSTANCE_STATE_EXITED,
                "ta": session_pb2.INSTANCE_STATE_RUNNING,
            }

        await eventually(one_is_gone)
        assert [one.name for one in node[first.unit].held[session.id].vms[0].programs] == ["tv", "ta"]
        await node.node.close_session("s")
        await node.node.remove_image("studio", "ann")


async def test_a_disk_needs_room_for_all_that_its_guest_may_write(tmp_path: Path) -> None:
    disk = tmp_path / "d.raw"
    disk.write_bytes(bytes(3 << 20))
    bundle = make_tar(tmp_path / "b.tar", {"run": b"#!/bin/sh\n"})
    async with cluster(tmp_path, storage=8 << 30) as node:
        await node.node.push_image("studio", disk, pb.IMAGE_KIND_DISK, format=pb.DISK_FORMAT_RAW, owner="ann")
        with pytest.raises(InvalidSession, match=r"write `storage 3MiB` or more"):
            await node.node.establish(text(storage="storage 2MiB;"))
        session = await node.node.establish(text(storage="storage 3MiB;"))
        (vm,) = node[session.instances[0].unit].held[session.id].vms
        assert (vm.image.format, vm.image.disk_bytes) == (pb.DISK_FORMAT_RAW, 3 << 20)
        await node.node.close_session("s")
        await node.node.push_image("b", bundle, owner="ann")
        with pytest.raises(InvalidSession, match="is a bundle"):
            await node.node.establish(text().replace('image "studio"', 'image "b"'))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda: text(tv="parallelizable 2;"), "differ in their instances"),
        (lambda: text().replace("input x : udp", "input x : artp"), "ARTP (input `x`) into a machine"),
        (lambda: text().replace('run "mix"', 'bundle "mix"'), "bundles in whole virtual machines"),
        (lambda: text().replace(" in studio", "").replace("run ", "bundle "), "a machine without a program"),
    ],
)
def test_what_no_machine_runs_yet_is_named(change: object, what: str) -> None:
    assert callable(change)
    parsed = check_text(change())
    assert not parsed.diagnostics, parsed.diagnostics
    assert what in render_all(unsupported(parsed.program, parsed.places), "s.dpn", "")


def test_a_machine_that_states_nothing_gets_what_its_programs_ask_for() -> None:
    stated = text(tv="needs cpu 0.5, memory 300MiB, bandwidth 3Mbps;").replace("cpu 2; memory 1GiB;", "")
    program = check_text(stated).program
    tv, ta = (needs(program, one) for one in program.programs)
    assert (tv.cpu, tv.memory_bytes, tv.bandwidth_bps) == (0.5, 300 << 20, 3_000_000)
    assert ta.whole() == (0, 0, 0, 0)
    program.programs[0].ClearField("needs")
    assert needs(program, program.programs[0]).memory_bytes == DEFAULT_MACHINE_MEMORY
