"""A real bmv2 for measurements of what drives it: P4Runtime over a UNIX socket, in a namespace of its own."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.lab import Namespace, namespace
from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT

PROGRAM = "simple_switch_grpc"
DEVICE_ID = 1
PATIENCE = 60.0


def missing(what: str) -> bool:
    """Whether there is no bmv2; says then that this is not measured."""
    if shutil.which(PROGRAM):
        return False
    sys.stderr.write(f"{what} is not measured: {PROGRAM} is not on PATH\n")
    return True


class SwitchProcess:
    """``start`` also again after ``stop``: at the same address, with nothing in it."""

    def __init__(self, place: Namespace, folder: Path) -> None:
        self._place, self._folder = place, folder
        self.address = f"unix:{folder}/p4runtime"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it listens."""
        command = [
            *("nsenter", f"--net=/run/netns/{self._place.name}", "setpriv", "--pdeathsig", "KILL", PROGRAM),
            *("--no-p4", "--log-level", "off", "--device-id", str(DEVICE_ID)),
            *("--notifications-addr", f"ipc://{self._folder}/notifications"),
            *("--", "--cpu-port", str(CONTROLLER_PORT), "--grpc-server-addr", self.address),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"bmv2 did not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.001)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix:")) == 0

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def switch_process() -> Iterator[SwitchProcess]:
    with namespace("switch") as place, tempfile.TemporaryDirectory(prefix="bench-switch-") as folder:
        process = SwitchProcess(place, Path(folder))
        try:
            process.start()
            yield process
        finally:
            process.stop()
