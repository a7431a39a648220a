"""``dipronn probe``: what this host can do, by trying it."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from dipronn.cli.output import write, write_table
from dipronn.errors import DipronnError
from ebpf.maps import mount_bpffs
from vmhost.vm.cgroups import Cgroups
from vmhost.vm.hierarchies import RESOURCES
from vmhost.vm.image import prepare_images
from vmhost.vm.trial import probe_machines

app = typer.Typer()
CACHE = Path("/var/cache/dipronn")
_TRIAL_SECONDS = 60.0


@dataclass(frozen=True)
class Capability:
    """``needed``: without it no node runs here, or a part of it does not."""

    name: str
    there: bool
    detail: str
    needed: bool = True


@app.command(name="probe")
def probe(
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    cache: Annotated[
        Path, typer.Option(help="Where guest images and the outcome of trial boots are kept.")
    ] = CACHE,
) -> None:
    """Try what this host can do; status 1 if something is missing that a node needs."""
    found = list(capabilities(cache))
    if as_json:
        write(json.dumps([asdict(one) for one in found], indent=2))
    else:
        write_table(
            ("capability", "here", "needed", "found"),
            (
                (one.name, "yes" if one.there else "no", "yes" if one.needed else "no", one.detail)
                for one in found
            ),
        )
    raise typer.Exit(0 if all(one.there for one in found if one.needed) else 1)


def capabilities(cache: Path) -> Iterator[Capability]:
    yield Capability("root", os.geteuid() == 0, f"user {os.geteuid()}")
    yield Capability("kernel", sys.platform == "linux", platform.release())
    yield _tried("bpffs", _bpffs)
    yield _tried("native XDP on veth and tap", _xdp)
    yield Capability("/dev/net/tun", os.access("/dev/net/tun", os.R_OK | os.W_OK), "for taps")
    yield from _limits()
    yield from _machines(cache)
    yield _program("ffmpeg", "for the demonstration")
    yield _program("simple_switch_grpc", "bmv2, the P4 switch in software")
    yield _program("p4c", "the P4 compiler")


def _tried(name: str, attempt: Callable[[], str]) -> Capability:
    try:
        return Capability(name, True, attempt())
    except (DipronnError, OSError, subprocess.SubprocessError) as error:
        return Capability(name, False, str(error))


def _bpffs() -> str:
    mount_bpffs()
    return "mounted"


def _xdp() -> str:
    """In a namespace of its own, which is gone with the process that tries."""
    command = ["unshare", "--net", sys.executable, "-m", "dipronn.cli.xdp_trial"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False)
    if done.returncode:
        raise DipronnError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout.strip()


def _limits() -> Iterator[Capability]:
    """Not needed: without them machines run, but a noisy one takes what others have reserved."""
    cgroups = Cgroups(f"dipronn.probe-{os.getpid()}", Path.cwd())
    for resource in RESOURCES.values():
        there = resource not in cgroups.unheld
        detail = cgroups.held[resource] if there else cgroups.unheld[resource]
        yield Capability(f"limits of {resource}", there, detail, needed=False)


def _machines(cache: Path) -> Iterator[Capability]:
    """KVM counts only if a guest really boots by it."""
    try:
        trials = asyncio.run(probe_machines(cache, prepare_images(cache)))
    except (DipronnError, OSError) as error:
        yield Capability("virtual machines", False, str(error))
        return
    for trial in trials:
        detail = f"a guest was up in {trial.seconds:.2f} s" if trial.seconds is not None else trial.failure
        yield Capability(f"machine {trial.machine}", trial.seconds is not None, detail, needed=False)
    booted = [str(trial.machine) for trial in trials if trial.seconds is not None]
    yield Capability("virtual machines", bool(booted), f"by {booted[0]}" if booted else "nothing boots")


def _program(name: str, purpose: str) -> Capability:
    path = shutil.which(name)
    return Capability(name, path is not None, path or f"not installed ({purpose})", needed=False)
