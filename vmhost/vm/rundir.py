"""The run directory of a VM: what must be known to find it again after its owner is gone.

`<root>/<vm>/` belongs to root alone and holds `vm.json` (the record: specification, tap, process),
`serial.log`, `serial.log.1`, `qemu.log`, a whole machine's own `disk.qcow2`, and the sockets `qmp` and
`events`, on which QEMU listens. It is made before QEMU is started and removed after QEMU is gone; a kill at
any point leaves what the next owner can judge.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from dipronn.errors import TimedOut
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec

_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from any other that gets its number later.

    `start` is field 22 of /proc/PID/stat, in clock ticks since the boot `boot_id`.
    """

    pid: int
    start: int
    boot_id: str

    @staticmethod
    def of(pid: int) -> Process | None:
        """The living process of that number, if there is one (a zombie lives no more)."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else Process(pid, int(fields[18]), boot_id())

    def kill(self) -> None:
        """End this very process, if it still lives."""
        if (fd := self.open()) is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)

    def open(self) -> int | None:
        """A pidfd of this very process, or None if it is gone."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if Process.of(self.pid) != self:
            os.close(fd)
            return None
        return fd


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True, slots=True)
class Record:
    """What is written down of a VM; `process` is None until QEMU was started."""

    spec: VmSpec
    tap: str
    uid: int
    process: Process | None


class RunDirectory:
    """The run directory at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.serial_log = path / "serial.log"
        self.qemu_log = path / "qemu.log"
        self.disk = path / "disk.qcow2"

    def make(self) -> None:
        """Raises FileExistsError."""
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def end(self) -> None:
        """End the VM, whoever started it, and remove what is left of it. Blocks. Raises TimedOut."""
        record = self.read_record()
        if record is None or record.process is None:
            self.kill_unrecorded()
        elif (fd := record.process.open()) is not None:
            try:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                if not select.select([fd], [], [], _END_SECONDS)[0]:
                    raise TimedOut(
                        f"VM {self.path.name}: QEMU (process {record.process.pid}) cannot be killed; "
                        "look at the host"
                    )
            finally:
                os.close(fd)
        self.remove()

    def write_record(self, record: Record) -> None:
        """Atomic: the old record or the new one is there, whole."""
        temporary = self.path / ".vm.json"
        temporary.write_text(json.dumps(dataclasses.asdict(record), default=str, indent=1))
        temporary.rename(self.path / "vm.json")

    def read_record(self) -> Record | None:
        """None if there is none, or none that this version understands."""
        try:
            raw = json.loads((self.path / "vm.json").read_text())
            process = Process(**raw["process"]) if raw["process"] else None
            return Record(_spec(raw["spec"]), raw["tap"], raw["uid"], process)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def open_log(self, path: Path) -> int:
        """A descriptor that only appends, so that the file can be truncated under its writer."""
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def listen(self, name: str) -> socket.socket:
        """A listening socket for QEMU to inherit; who connects before QEMU accepts is served later."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._short(name) as path:
            listener.bind(path)
        listener.listen(1)
        return listener

    def connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with self._short(name) as path:
                connection.connect(path)
        except OSError:
            connection.close()
            raise
        connection.setblocking(False)
        return connection

    @contextlib.contextmanager
    def _short(self, name: str) -> Iterator[str]:
        """A path to a socket that fits into sun_path's 108 bytes however deep the directory lies."""
        folder = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{folder}/{name}"
        finally:
            os.close(folder)

    def kill_unrecorded(self) -> None:
        """Kill a QEMU whose owner died before recording it: whoever has the serial log open to write."""
        try:
            log = self.serial_log.stat()
        except FileNotFoundError:
            return
        for folder in Path("/proc").glob("[0-9]*"):
            if int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if any(_writes(fd, log) for fd in (folder / "fd").iterdir()):
                    os.kill(int(folder.name), signal.SIGKILL)


def _writes(fd: Path, file: os.stat_result) -> bool:
    """Whether an entry of /proc/PID/fd is that file, open to write."""
    with contextlib.suppress(OSError):
        if os.path.samestat(fd.stat(), file):
            info = (fd.parents[1] / "fdinfo" / fd.name).read_text()
            flags = int(info.split("flags:")[1].split()[0], 8)
            return flags & os.O_ACCMODE != os.O_RDONLY
    return False


def _spec(raw: dict[str, Any]) -> VmSpec:
    def addresses(values: list[str]) -> tuple[Any, ...]:
        return tuple(ip_address(value) for value in values)

    programs = tuple(
        GuestProgram(
            p["name"],
            Path(p["bundle"]) if p["bundle"] else None,
            addresses(p["addresses"]),
            p["environment"],
            p.get("command", ""),
        )
        for p in raw["programs"]
    )
    image = raw.get("image")
    boot = BootImage(BootKind(image["kind"]), Path(image["path"]), image["disk_bytes"]) if image else None
    changed = {"programs": programs, **{key: addresses(raw[key]) for key in ("addresses", "gateways")}}
    return VmSpec(**{**raw, **changed, "image": boot})
