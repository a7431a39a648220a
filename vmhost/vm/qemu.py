"""The QEMU driver: starts virtual machines that outlive it, watches them, finds them again.

Each VM is one QEMU process in a session of its own, under a user ID of its own. Its death is told by a pidfd,
whoever is its parent; what its guest reports comes from a virtio-serial port and is not trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from qemu.qmp import QMPClient, QMPError

from dipronn.errors import AlreadyExists, DipronnError, TimedOut, Unavailable
from vmhost.vm.boot import Boot, prepare_boot
from vmhost.vm.cgroups import Cgroups
from vmhost.vm.hierarchies import RESOURCES, Limits
from vmhost.vm.image import GuestImages
from vmhost.vm.machine import Descriptors, Machine, qemu_command
from vmhost.vm.reports import GuestReports
from vmhost.vm.rundir import Process, Record, RunDirectory
from vmhost.vm.spawn import LOG_BYTES, spawn_unprivileged, unused_uid
from vmhost.vm.spec import DriverEvent, LimitPolicy, TapDevice, Usage, VmChanged, VmInfo, VmSpec, VmState

log = structlog.get_logger(__name__)

# It raises what it logs, and we log that.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

_GREETING_SECONDS = 20.0
_TERMINATION_SECONDS = 2.0
_LOG_CHECK_SECONDS = 1.0
# A guest that floods its port costs us this much and no more: bytes per read, seconds between reads.
_PORT_READ = 4096
_PORT_PAUSE = 0.02
_QEMU_MIB = 160
"""What QEMU may take beside its guest's memory and what it loads: itself, translated code."""


@dataclass(slots=True)
class _Vm:
    """One VM under watch. `gone` is set once its process has ended."""

    record: Record
    directory: RunDirectory
    process: Process
    pidfd: int
    reports: GuestReports
    child: subprocess.Popen[bytes] | None = None
    state: VmState = VmState.STARTING
    stopping: bool = False
    shutdown_reason: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def spec(self) -> VmSpec:
        return self.record.spec

    def info(self) -> VmInfo:
        programs = dict(self.reports.programs)
        return VmInfo(self.spec, self.record.tap, self.state, self.process.pid, programs)


class QemuDriver:
    """`vmhost.vm.spec.VmDriver` by QEMU. Run directories lie in `root`, which one driver owns at a time.

    `cgroups`: where VMs are held to their limits; without them nothing holds them. `policy`: what every VM is
    held to beside what it has reserved. Raises Unavailable if another driver owns `root`.
    """

    def __init__(
        self,
        root: Path,
        images: GuestImages,
        machine: Machine,
        *,
        cgroups: Cgroups | None = None,
        policy: LimitPolicy | None = None,
        log_bytes: int = LOG_BYTES,
    ) -> None:
        self._root = root.resolve()
        self._images = images
        self._machine = machine
        self._cgroups = cgroups
        self._policy = policy or LimitPolicy()
        self._log_bytes = log_bytes
        self._vms: dict[str, _Vm] = {}
        self._starting: set[str] = set()
        self._events: asyncio.Queue[DriverEvent | None] = asyncio.Queue()
        self._rotation: asyncio.Task[None] | None = None
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self._root / ".lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Unavailable(f"{self._root}: another agent owns the VMs here; stop it first") from error

    def vms(self) -> Mapping[str, VmInfo]:
        return {name: vm.info() for name, vm in self._vms.items()}

    def serial_log(self, name: str) -> Path:
        return RunDirectory(self._root / name).serial_log

    async def events(self) -> AsyncIterator[DriverEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def start(self, spec: VmSpec, tap: TapDevice) -> None:
        directory = RunDirectory(self._root / spec.name)
        if spec.name in self._vms or spec.name in self._starting:
            raise AlreadyExists(f"VM {spec.name} exists on this unit; stop it first")
        self._starting.add(spec.name)
        try:
            directory.make()
            await self._start(spec, tap, directory)
        except FileExistsError as error:
            raise AlreadyExists(
                f"{directory.path} is left of another VM; adopt or remove it first"
            ) from error
        finally:
            self._starting.discard(spec.name)
        self._ensure_rotation()

    async def _start(self, spec: VmSpec, tap: TapDevice, directory: RunDirectory) -> None:
        child: subprocess.Popen[bytes] | None = None
        try:
            with ExitStack() as stack:
                boot = await asyncio.to_thread(
                    prepare_boot, stack, self._images, self._machine, spec, directory
                )
                self._limit(spec, boot.memory_mib + boot.loaded_mib)
                async with unused_uid() as uid:
                    record = Record(spec, tap.name, uid, None)
                    directory.write_record(record)
                    child = self._spawn(stack, record, directory, boot, tap.fileno())
            process = Process.of(child.pid)
            if process is None or (pidfd := process.open()) is None:
                raise self._died(spec.name, child, directory)
            directory.write_record(Record(spec, tap.name, uid, process))
            vm = _Vm(record, directory, process, pidfd, GuestReports(spec.name, _names(spec)), child)
            await self._watch(vm)
        except BaseException as error:
            if child is not None:
                child.kill()
                child.wait()
            failure = error
            if isinstance(error, ConnectionError | QMPError) and child is not None:
                failure = self._died(spec.name, child, directory)
            if self._cgroups is not None:
                await self._cgroups.remove(spec.name)
            directory.remove()
            if isinstance(failure, OSError):
                failure = Unavailable(f"VM {spec.name} cannot be started: {failure}")
            raise failure from error
        log.info("vm started", vm=spec.name, machine=str(boot.machine), pid=process.pid)

    def _spawn(
        self,
        stack: ExitStack,
        record: Record,
        directory: RunDirectory,
        boot: Boot,
        tap: int,
    ) -> subprocess.Popen[bytes]:
        """Start QEMU; what is opened for it is closed on our side when the stack is left."""

        def keep(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        descriptors = Descriptors(
            load=boot.load,
            serial=keep(directory.open_log(directory.serial_log)),
            qmp=stack.enter_context(directory.listen("qmp")).fileno(),
            events=stack.enter_context(directory.listen("events")).fileno(),
            tap=tap,
        )
        spec = record.spec
        command = qemu_command(
            boot.machine,
            descriptors,
            name=spec.name,
            memory_mib=boot.memory_mib,
            cpus=spec.cpus,
            mac=spec.mac,
        )
        errors = keep(directory.open_log(directory.qemu_log))
        cgroups = self._cgroups
        # The bounds hold also while no agent runs.
        return spawn_unprivileged(
            command,
            descriptors.all(),
            record.uid,
            boot.machine,
            errors,
            max_file_bytes=max(self._log_bytes, boot.disk_bytes),
            limit=None if cgroups is None else lambda pid: cgroups.enter(spec.name, pid),
        )

    def _limit(self, spec: VmSpec, memory_mib: int) -> None:
        """Make the VM's control groups; ``memory_mib`` is its guest's and the files that QEMU loads."""
        if self._cgroups is not None:
            limits = Limits(
                cpu=spec.cores,
                memory_bytes=(memory_mib + _QEMU_MIB) << 20,
                cpu_cap=spec.cores if self._policy.strict_cpu else None,
                io_bps=self._policy.io_bps,
                device=self._cgroups.device,
            )
            self._cgroups.make(spec.name, limits)

    def unheld(self) -> Mapping[str, str]:
        return (
            dict.fromkeys(RESOURCES.values(), "no control groups")
            if self._cgroups is None
            else self._cgroups.unheld
        )

    def usage(self, name: str) -> Usage | None:
        return self._cgroups.usage(name) if self._cgroups is not None else None

    async def stop(self, name: str) -> None:
        vm = self._vms.get(name)
        if vm is None:
            return
        vm.stopping = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not vm.gone.is_set():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(vm.pidfd, number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(vm.gone.wait(), _TERMINATION_SECONDS)
        if not vm.gone.is_set():
            raise TimedOut(f"VM {name}: QEMU (process {vm.process.pid}) cannot be killed; look at the host")
        await self._release(vm)
        if self._cgroups is not None:
            await self._cgroups.remove(name)
        vm.directory.remove()
        del self._vms[name]

    async def adopt(self) -> tuple[VmInfo, ...]:
        directories = [RunDirectory(path) for path in self._root.iterdir() if path.is_dir()]
        await asyncio.gather(*(self._adopt(directory) for directory in directories))
        if self._cgroups is not None:
            for name in self._cgroups.vms() - self._vms.keys() - self._starting:
                await self._cgroups.remove(name)
        self._ensure_rotation()
        return tuple(self.vms().values())

    async def _adopt(self, directory: RunDirectory) -> None:
        name = directory.path.name
        if name in self._vms or name in self._starting:
            return
        record = directory.read_record()
        process = record.process if record else None
        if record is None or process is None:
            directory.kill_unrecorded()
        elif (pidfd := process.open()) is not None:
            vm = _Vm(record, directory, process, pidfd, GuestReports(name, _names(record.spec)))
            try:
                await self._watch(vm)
                log.info("vm adopted", vm=name, pid=process.pid)
                return
            except (DipronnError, OSError, QMPError) as error:
                log.warning("vm does not answer and is ended", vm=name, error=str(error))
                process.kill()
        directory.remove()
        log.info("residue of a vm removed", vm=name)

    async def close(self) -> None:
        if self._lock < 0:
            return
        if self._rotation is not None:
            self._rotation.cancel()
        for vm in self._vms.values():
            if not vm.gone.is_set():
                asyncio.get_running_loop().remove_reader(vm.pidfd)
            await self._release(vm)
        self._vms.clear()
        self._events.put_nowait(None)
        os.close(self._lock)
        self._lock = -1

    # ---- watching ----

    async def _watch(self, vm: _Vm) -> None:
        """Put a VM under watch once its QEMU answers. Raises ConnectionError if it dies first, TimedOut if it
        does not answer; nothing is watched then."""
        loop = asyncio.get_running_loop()
        loop.add_reader(vm.pidfd, self._process_ended, vm)
        monitor = QMPClient(vm.spec.name)
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                await monitor.connect(vm.directory.connect("qmp"))
            port = vm.directory.connect("events")
        except BaseException as error:
            loop.remove_reader(vm.pidfd)
            os.close(vm.pidfd)
            with contextlib.suppress(Exception):
                await monitor.disconnect()
            if isinstance(error, TimeoutError):
                raise TimedOut(
                    f"VM {vm.spec.name}: QEMU does not answer in {_GREETING_SECONDS:g} s"
                ) from error
            raise
        self._vms[vm.spec.name] = vm
        vm.tasks += [
            asyncio.create_task(self._follow_monitor(vm, monitor)),
            asyncio.create_task(self._follow_guest(vm, port)),
        ]

    def _process_ended(self, vm: _Vm) -> None:
        """The pidfd became readable: whatever the reason, this VM is over."""
        asyncio.get_running_loop().remove_reader(vm.pidfd)
        vm.gone.set()
        status = vm.child.wait() if vm.child is not None else None
        if vm.spec.name not in self._vms:  # it died while being started; `start` tells
            return
        vm.state = VmState.STOPPED if vm.stopping else VmState.FAILED
        if vm.stopping:
            reason = "stopped"
        else:
            how = f" with status {status}" if status is not None else ""
            why = f" ({vm.shutdown_reason})" if vm.shutdown_reason else ""
            if self._cgroups is not None and self._cgroups.killed_for_memory(vm.spec.name):
                why = " (killed at its memory limit)"
            reason = f"QEMU ended by itself{how}{why}; see {vm.directory.serial_log}"
        self._events.put_nowait(VmChanged(vm.spec.name, vm.state, reason))
        log.info("vm ended", vm=vm.spec.name, state=str(vm.state), reason=reason)

    async def _follow_monitor(self, vm: _Vm, monitor: QMPClient) -> None:
        """Remember why a machine shuts down: QMP tells it just before QEMU ends."""
        try:
            with monitor.listener("SHUTDOWN") as shutdowns:
                async for event in shutdowns:
                    data = event.get("data")
                    if isinstance(data, dict):
                        vm.shutdown_reason = str(data.get("reason", ""))
        finally:
            with contextlib.suppress(Exception):
                await monitor.disconnect()

    async def _follow_guest(self, vm: _Vm, port: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with port, contextlib.suppress(OSError):
            # Any byte asks the guest for all it has to report, also what an earlier owner has heard.
            await loop.sock_sendall(port, b"\n")
            while data := await loop.sock_recv(port, _PORT_READ):
                for event in vm.reports.feed(data):
                    if isinstance(event, VmChanged) and vm.state is VmState.STARTING:
                        vm.state = event.state
                    self._events.put_nowait(event)
                await asyncio.sleep(_PORT_PAUSE)

    async def _release(self, vm: _Vm) -> None:
        for task in vm.tasks:
            task.cancel()
        await asyncio.gather(*vm.tasks, return_exceptions=True)
        vm.tasks.clear()
        if vm.pidfd >= 0:
            os.close(vm.pidfd)
            vm.pidfd = -1

    def _died(self, name: str, child: subprocess.Popen[bytes], directory: RunDirectory) -> Unavailable:
        said = directory.qemu_log.read_text(errors="replace").strip()[-500:]
        return Unavailable(
            f"VM {name}: QEMU ended at once with status {child.wait()}: {said or 'no message'}"
        )

    # ---- logs ----

    def _ensure_rotation(self) -> None:
        if self._rotation is None:
            self._rotation = asyncio.create_task(self._rotate_logs())

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(_LOG_CHECK_SECONDS)
            for vm in self._vms.values():
                with contextlib.suppress(OSError):
                    _rotate(vm.directory.serial_log, self._log_bytes // 2)


def _rotate(path: Path, limit: int) -> None:
    if path.stat().st_size > limit:
        # QEMU appends to the same file, so it is copied and truncated, not renamed.
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def _names(spec: VmSpec) -> list[str]:
    return [program.name for program in spec.programs]
