"""What a VM may be called and have, and what its guest is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import pytest

from dipronn.errors import InvalidSession
from vmhost.vm.image import _config, environment
from vmhost.vm.machine import Accelerator, Descriptors, Load, Machine, MachineType, qemu_command
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec

V4, OTHER, V6 = IPv4Address("10.77.0.5"), IPv4Address("10.77.0.6"), IPv6Address("fd00::5")
BUNDLE = Path("b.tar")
SPEC = VmSpec(
    "s.tv-0",
    128,
    1,
    "52:54:00:00:00:01",
    (V4, V6),
    (
        GuestProgram("tv", BUNDLE, (V4,), {"DIPRONN_PARAM_GAIN": "3", "PATH": "/mine"}),
        GuestProgram("ta", BUNDLE, (V6,)),
    ),
)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../etc"},
        {"name": ".hidden"},
        {"name": "a,b"},
        {"name": "x" * 101},
        {"mac": "53:54:00:00:00:01"},
        {"mac": "52:54:00:00:00:01,csum=on"},
        {"memory_mib": 0},
        {"cpus": 0},
        {"programs": SPEC.programs + SPEC.programs[:1]},
        {"addresses": (V4,)},
    ],
)
def test_what_no_vm_can_be(change: dict[str, object]) -> None:
    with pytest.raises(InvalidSession):
        replace(SPEC, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "environment"), [("../x", {}), ("1p", {}), ("p", {"A=B": "x"}), ("p", {"A": "x\0y"})]
)
def test_what_no_program_can_be(name: str, environment: dict[str, str]) -> None:
    with pytest.raises(InvalidSession):
        GuestProgram(name, BUNDLE, (), environment)


def test_the_guest_is_told_its_modules_network_and_programs() -> None:
    assert _config(SPEC, ["virtio.ko"]).splitlines() == [
        "module virtio.ko",
        "mtu 1500",
        "address 10.77.0.5",
        "address fd00::5",
        "gateway 100.64.0.1",
        "gateway fd64:6970:726f::1",
        "program tv 10001",
        "program ta 10002",
    ]
    # A gateway of a family that the guest does not have would be a route to nowhere.
    only_v4 = replace(SPEC, addresses=(V4,), programs=SPEC.programs[:1])
    assert "gateway fd64:6970:726f::1" not in _config(only_v4, []).splitlines()


@pytest.mark.req("D48", "D68")
def test_a_program_finds_its_parameters_and_its_own_address() -> None:
    tv, ta = (environment(SPEC, program) for program in SPEC.programs)
    assert tv["DIPRONN_PROGRAM"] == "tv"
    assert tv["DIPRONN_PARAM_GAIN"] == "3"
    assert tv["PATH"] == "/mine"
    assert (tv["DIPRONN_ADDRESS"], tv["DIPRONN_GATEWAY"]) == ("10.77.0.5", "100.64.0.1")
    assert "DIPRONN_ADDRESS6" not in tv
    assert (ta["DIPRONN_ADDRESS"], ta["DIPRONN_GATEWAY"]) == ("fd00::5", "fd64:6970:726f::1")
    both = environment(SPEC, GuestProgram("x", BUNDLE, (), {"DIPRONN_ADDRESS": "forged"}))
    assert (both["DIPRONN_ADDRESS"], both["DIPRONN_ADDRESS6"]) == ("10.77.0.5", "fd00::5")
    assert both["DIPRONN_GATEWAY6"] == "fd64:6970:726f::1"


@pytest.mark.parametrize("machine_type", list(MachineType))
@pytest.mark.parametrize("accelerator", list(Accelerator))
def test_the_command_line_confines_qemu(machine_type: MachineType, accelerator: Accelerator) -> None:
    machine = Machine(accelerator, machine_type, 2_600_000 if accelerator is Accelerator.TCG else None)
    descriptors = Descriptors(Load(kernel=3, initramfs=4), serial=5, qmp=6, events=7, tap=8)
    command = qemu_command(machine, descriptors, name="v", memory_mib=128, cpus=2, mac=SPEC.mac)
    text = " ".join(command)
    assert "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny" in text
    assert {"-nodefaults", "-no-user-config", "-nographic", "-no-reboot"} <= set(command)
    # Nothing is opened by a path of the host's.
    assert not [word for word in command if "/" in word and not word.startswith(("/proc/self/fd/", "file,"))]
    for offload in ("csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ufo", "guest_ecn"):
        assert f",{offload}=off" in text
    assert ("tsc_early_khz=2600000" in text) == (accelerator is Accelerator.TCG)
    assert descriptors.all() == (3, 4, 5, 6, 7, 8)
    without = qemu_command(machine, Descriptors(Load(3, 4), 5, 6, 7), name="v", memory_mib=128, cpus=1)
    assert "-netdev" not in without


def test_a_disks_formats_are_told_to_qemu_and_never_looked_for() -> None:
    load = Load(disk=5, base=6, base_format="qcow2", programs=7)
    machine = Machine(Accelerator.TCG, MachineType.Q35)
    command = qemu_command(machine, Descriptors(load, 8, 9, 10), name="v", memory_mib=64, cpus=1)
    nodes = {
        node["node-name"]: node
        for flag, value in pairwise(command)
        if flag == "-blockdev" and (node := json.loads(value))
    }
    assert {name: node["driver"] for name, node in nodes.items()} == {
        "base-file": "file",
        "base": "qcow2",
        "disk-file": "file",
        "disk": "qcow2",
    }
    # What the image's header may say of another file is overruled; only the overlay can be written.
    assert nodes["base"]["backing"] is None and nodes["disk"]["backing"] == "base"
    assert [name for name, node in nodes.items() if not node.get("read-only")] == ["disk-file", "disk"]
    assert [nodes[f"{name}-file"]["filename"] for name in ("base", "disk")] == [
        "/dev/fdset/2",
        "/dev/fdset/3",
    ]
    assert "-kernel" not in command and "-drive" not in command and "-hda" not in command


@pytest.mark.parametrize(
    "change",
    [
        {"image": BootImage(BootKind.KERNEL, BUNDLE)},  # with programs of an execution environment
        {"programs": (GuestProgram("tv", None, (V4,), command="run"),)},  # a command without an image
    ],
)
def test_commands_and_bundles_are_of_different_machines(change: dict[str, object]) -> None:
    with pytest.raises(InvalidSession):
        replace(SPEC, **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidSession):
        GuestProgram("tv", BUNDLE, (), {}, "also a command")
    with pytest.raises(InvalidSession):
        BootImage(BootKind.RAW, BUNDLE, 1000)
