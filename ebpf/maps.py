"""The maps of one unit: made, or adopted from their pins."""

from __future__ import annotations

import subprocess
from pathlib import Path

from dipronn.errors import Unavailable
from ebpf.bpf import Map, MapType
from ebpf.layout import MAPS, TRACE_MAP, MapLayout, Sizes

BPFFS = Path("/sys/fs/bpf")


def mount_bpffs() -> None:
    """Mount a bpffs where the kernel has the place for it, if nobody has. Unavailable when that fails."""
    mounts = Path("/proc/thread-self/mounts").read_text().splitlines()
    if any(line.split()[1:3] == [str(BPFFS), "bpf"] for line in mounts):
        return
    done = subprocess.run(
        ["mount", "-t", "bpf", "bpf", str(BPFFS)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"no bpffs at {BPFFS} and none can be mounted: {done.stderr.strip()}")


def new_devmap(entries: int) -> Map:
    """A plan's devices, one entry per copy."""
    return Map.create("plan_devices", MapType.DEVMAP, 4, 8, entries)


def _create(name: str, layout: MapLayout, sizes: Sizes) -> Map:
    inner = new_devmap(1) if layout.kind is MapType.ARRAY_OF_MAPS else None
    try:
        return Map.create(
            name, layout.kind, layout.key_size, layout.value_size, layout.entries(sizes), inner=inner
        )
    except OSError as error:
        raise Unavailable(f"the kernel makes no map {name}: {error}") from None
    finally:
        if inner is not None:
            inner.close()


def _adopt(path: Path, name: str, layout: MapLayout, sizes: Sizes) -> Map:
    adopted = Map.pinned(name, str(path))
    info = adopted.info
    found = (info.type, info.key_size, info.value_size, info.max_entries)
    expected = (layout.kind, layout.key_size, layout.value_size, layout.entries(sizes))
    if found != expected:
        adopted.close()
        raise Unavailable(
            f"{path} was made by another version or with other sizes (type, key, value, entries {found}, not "
            f"{expected}); take the old unit down before this one comes up"
        )
    return adopted


def open_maps(pins: Path | None, sizes: Sizes, trace: bool) -> dict[str, Map]:
    """Every map by name; those that are not pinned yet are made, and pinned if there is a place."""
    if pins is not None:
        mount_bpffs()
        pins.mkdir(parents=True, exist_ok=True)
    layouts = MAPS | ({"trace": TRACE_MAP} if trace else {})
    opened: dict[str, Map] = {}
    try:
        for name, layout in layouts.items():
            if pins is not None and (pins / name).exists():
                opened[name] = _adopt(pins / name, name, layout, sizes)
            else:
                opened[name] = _create(name, layout, sizes)
                if pins is not None:
                    opened[name].pin(str(pins / name))
    except BaseException:
        close_maps(opened)
        raise
    return opened


def close_maps(maps: dict[str, Map]) -> None:
    for each in maps.values():
        each.close()
    maps.clear()


def remove_pins(pins: Path) -> None:
    """The folder and what is pinned in it; nothing happens when it is not there."""
    if not pins.is_dir():
        return
    for entry in pins.iterdir():
        entry.unlink()
    pins.rmdir()
