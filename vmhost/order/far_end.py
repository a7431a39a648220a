"""The veth between the steering program and a sequencer, and what stands at the sequencer's end of it.

With nobody there packets go back as they came (``bounce.bpf.c``): in no order, but they go, and are counted.
XDP and maps outlive the process that made them; the maps are pinned, for the next one.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pyroute2 import IPRoute

from dipronn.errors import Unavailable
from ebpf import devices
from ebpf.bpf import Map, MapType, ProgramType, close_all
from ebpf.compiler import compile
from ebpf.maps import mount_bpffs
from vmhost.order.rules import DEVICE_MTU, MAX_OUTPUTS, Sequencer

SOURCE = Path(__file__).with_name("bounce.bpf.c")
_MAPS = {
    "xsks": (MapType.XSKMAP, 4, 4, 1),
    "bypassed": (MapType.HASH, 4, 8, MAX_OUTPUTS),
    "taken": (MapType.ARRAY, 4, 8, 1),
}
_QUEUE = 1000
"""Packets that wait for the steering program: a full veth then pushes back, and drops nothing."""


def pin_of(pins: Path, session: int, name: str) -> Path:
    return pins / f"order_{session}_{name}"


def make(spec: Sequencer, pins: Path) -> None:
    """Have the veth, with the program on it and its maps pinned; what is there already stays.

    Raises Unavailable.
    """
    if not _exists(spec.device):
        _remove_pins(spec.session, pins)
        devices.create_veth(spec.device, spec.far_device, DEVICE_MTU)
    _dress(spec)
    compiled = compile(SOURCE, ("bounce",))
    with _maps(spec.session, pins) as maps:
        ports = {output.port for output in spec.outputs}
        counted = {int.from_bytes(key, "little") for key, _ in maps["bypassed"].items()}
        for port in ports - counted:
            maps["bypassed"].update(struct.pack("=I", port), bytes(8))
        try:
            program = compiled.load("bounce", ProgramType.XDP, maps)
        except OSError as error:
            raise Unavailable(f"the program at the sequencer's end does not load: {error}") from error
        try:
            devices.attach_xdp(devices.index_of(spec.far_device), program)
        finally:
            close_all([program])


def remove(session: int, device: str, pins: Path) -> None:
    """The veth and the pins; nothing happens when they are not there."""
    devices.delete_device(device)
    _remove_pins(session, pins)


def bypassed(session: int, pins: Path) -> dict[int, int]:
    """Packets that went back unordered, by the port of their output."""
    with _pinned(session, pins, "bypassed") as counts:
        found = counts.items() if counts else []
    return {int.from_bytes(key, "little"): int.from_bytes(value, "little") for key, value in found}


def taken(session: int, pins: Path) -> int:
    """Packets that were offered to a sequencer."""
    with _pinned(session, pins, "taken") as count:
        return int.from_bytes((count.lookup(bytes(4)) if count else None) or b"", "little")


def returned_lost(device: str) -> int:
    """Packets that came out of a sequencer and found the veth full."""
    path = Path(f"/sys/class/net/{device}/statistics/tx_dropped")
    return int(path.read_text()) if path.exists() else 0


def _exists(device: str) -> bool:
    try:
        devices.index_of(device)
    except Unavailable:
        return False
    return True


def _dress(spec: Sequencer) -> None:
    """The address that the steering program's row names, and a queue at the other end."""

    def work() -> None:
        with IPRoute() as route:
            near = devices.index_of(spec.device)
            route.link("set", index=near, address=spec.mac)
            route.tc("replace", "pfifo", devices.index_of(spec.far_device), 0x10000, limit=_QUEUE)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


@contextlib.contextmanager
def _maps(session: int, pins: Path) -> Iterator[dict[str, Map]]:
    """The session's maps, made and pinned where they are not."""
    mount_bpffs()
    pins.mkdir(parents=True, exist_ok=True)
    opened: dict[str, Map] = {}
    try:
        for name, (kind, key, value, entries) in _MAPS.items():
            path = pin_of(pins, session, name)
            if path.exists():
                opened[name] = Map.pinned(name, str(path))
            else:
                opened[name] = Map.create(name, kind, key, value, entries)
                opened[name].pin(str(path))
        yield opened
    except OSError as error:
        raise Unavailable(f"the kernel refuses the sequencer's maps: {error}") from error
    finally:
        for each in opened.values():
            each.close()


@contextlib.contextmanager
def _pinned(session: int, pins: Path, name: str) -> Iterator[Map | None]:
    try:
        opened = Map.pinned(name, str(pin_of(pins, session, name)))
    except OSError:
        yield None
        return
    try:
        yield opened
    finally:
        opened.close()


def _remove_pins(session: int, pins: Path) -> None:
    for name in _MAPS:
        pin_of(pins, session, name).unlink(missing_ok=True)
