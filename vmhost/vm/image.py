"""What guests boot: Debian's cloud kernel and an initramfs that is assembled here.

The initramfs has two parts. A base, one for all VMs and cached by the hash of what it is made of: our init,
busybox, the kernel's virtio modules, and in the larger of two bases Python. Behind it, for each VM, a second
archive with its configuration and its programs' bundles.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from dipronn.errors import InvalidSession, Unavailable
from dipronn.images.bundle import Bundle, BundleDirectory, BundleFile, BundleLink, read_bundle
from vmhost.vm.cpio import CpioWriter
from vmhost.vm.debian import DebianPackages
from vmhost.vm.spec import GuestProgram, VmSpec

log = structlog.get_logger(__name__)

FIRST_PROGRAM_UID = 10001
# Limits of vmhost/guest/init.c.
MAX_ENVIRONMENT = 65535
MAX_VARIABLES = 1000

_KERNEL_MIB = 68
"""What Debian's kernel wants to boot at all."""
_KEPT_SECONDS = 7 * 86400

_GUEST = Path(__file__).parents[1] / "guest"
_INIT_SOURCE = _GUEST / "init.c"
_LIBRARY_SOURCE = _GUEST / "lib" / "dipronn_guest.py"
_ARTP_SOURCES = tuple(sorted((Path(__file__).parents[2] / "artp").glob("*.py")))
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_DEVICES = ("virtio_net", "virtio_console")
_BUSES = ("virtio_mmio", "virtio_pci")
_PYTHON_PACKAGES = (
    "python3.11-minimal",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libc6",
    "zlib1g",
    "libexpat1",
)
_PYTHON_LIBRARIES = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1")
_STDLIB = "usr/lib/python3.11"
# What no packet program needs: tools of developers, screens, the dead batteries of PEP 594, pure Python where
# there is C; and what needs shared libraries that guests lack. It would all lie in the guest's memory.
_STDLIB_LEFT_OUT = re.compile(
    r"(test|unittest|idlelib|lib2to3|distutils|ensurepip|pydoc_data|tkinter|turtledemo|venv|curses|dbm|sqlite3"
    r"|ctypes|xmlrpc|wsgiref|xml/dom|xml/sax|importlib/metadata|__phello__|multiprocessing)/.*"
    r"|(_py(io|decimal)|__hello__|antigravity|bdb|cProfile|code|doctest|modulefinder|optparse|pdb|pickletools"
    r"|profile|pstats|py_compile|pyclbr|pydoc|rlcompleter|ssl|sitecustomize|apport_python_hook|symtable|tabnanny"
    r"|this|timeit|trace|turtle|webbrowser|zipapp|_aix_support|_osx_support|_sysconfigdata\w*|html/entities"
    r"|http/cookiejar|ftplib|aifc|asynchat|asyncore|audioop|cgi|cgitb|chunk|crypt|imghdr|imp|mailbox|mailcap"
    r"|nntplib|pipes|smtpd|smtplib|sndhdr|sunau|telnetlib|uu|xdrlib)\.py"
    r"|lib-dynload/(_bz2|_codecs_|_crypt|_ctypes|_curses|_dbm|_hashlib|_lzma|_multiprocessing|_sqlite3|_ssl|_test"
    r"|_uuid|_xx|audioop|nis|ossaudiodev|readline|xx).*"
)


@dataclass(frozen=True, slots=True)
class GuestImages:
    """The parts that all VMs share, in the cache folder `folder`. `modules`: per bus ("virtio_mmio",
    "virtio_pci"), in loading order. `all_modules`: of the kernel, by name, most of them in no base."""

    folder: Path
    kernel: Path
    kernel_version: str
    small: Path
    python: Path
    modules: Mapping[str, tuple[str, ...]]
    all_modules: Mapping[str, Path]

    def write_initramfs(self, out: IO[bytes], spec: VmSpec | None, bus: str) -> int:
        """Write base, configuration and bundles; without a spec a guest that only reports that it is up.

        Returns the MiB that this guest needs before its programs get any. Raises InvalidSession if a bundle
        is refused.
        """
        programs = spec.programs if spec else ()
        bundles = [(each, read_bundle(each.bundle)) for each in programs if each.bundle is not None]
        base = self.python if any(bundle.python for _, bundle in bundles) else self.small
        with base.open("rb") as source:
            size = os.fstat(source.fileno()).st_size
            out.flush()
            while size > 0:
                size -= os.sendfile(out.fileno(), source.fileno(), None, size)
        out.seek(0, os.SEEK_END)
        cpio = CpioWriter(out)
        cpio.file("etc/dipronn/config", _config(spec, self.modules[bus]).encode())
        if spec:
            for number, (program, bundle) in enumerate(bundles):
                _write_program(cpio, spec, program, bundle, FIRST_PROGRAM_UID + number)
        cpio.close()
        out.flush()
        # While it is unpacked the initramfs lies in memory twice, and what it is unpacked into may take half
        # of what is free then, of which the kernel's own part is larger for small guests.
        size = math.ceil(out.tell() / (1 << 20))
        return _KERNEL_MIB + max(2 * size, 3 * size - 20)


def prepare_images(cache: Path) -> GuestImages:
    """Fetch and build what is missing in the cache folder; with nothing missing it takes milliseconds.

    Blocks while another process prepares the same folder. Raises Unavailable: no network, no compiler.
    """
    cache = cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        # What a killed run left; the lock says that nobody is at it now.
        for residue in (*cache.glob(".tmp-*"), *cache.glob("packages/.tmp-*")):
            shutil.rmtree(residue) if residue.is_dir() else residue.unlink()
        packages = DebianPackages(cache)
        kernel_package = packages.dependency(_KERNEL_PACKAGE, "linux-image-")
        tree = packages.root(kernel_package)
        kernel = next((tree / "boot").glob("vmlinuz-*"))
        index = {path.stem.replace("-", "_"): path for path in (tree / "lib/modules").rglob("*.ko")}
        modules = {bus: load_order(index, (bus, *_DEVICES)) for bus in _BUSES}
        wanted = sorted({name for names in modules.values() for name in names})
        files = [index[name] for name in wanted]
        packages.fetch("busybox-static", *_PYTHON_PACKAGES)
        versions = {name: packages.version(name) for name in ("busybox-static", *_PYTHON_PACKAGES)}
        images = {
            python: _cached_base(cache, packages, files, kernel_package, versions, python)
            for python in (False, True)
        }
        return GuestImages(
            folder=cache,
            kernel=kernel,
            kernel_version=packages.version(kernel_package),
            small=images[False],
            python=images[True],
            modules={bus: tuple(index[name].name for name in names) for bus, names in modules.items()},
            all_modules=index,
        )


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """One process at a time fills the cache folder; temporary things in it are named .tmp-*."""
    with (cache / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load_order(index: Mapping[str, Path], names: Iterable[str]) -> tuple[str, ...]:
    """Modules with what they depend on before them; `.modinfo` of a module says what that is."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if name not in index:
            raise Unavailable(f"the guest kernel has no module {name}; remove the cache folder and try again")
        found = re.search(rb"\0depends=([^\0]*)\0", index[name].read_bytes())
        for dependency in (found.group(1).decode() if found else "").split(","):
            if dependency:
                visit(dependency.replace("-", "_"))
        order.append(name)

    for name in names:
        visit(name)
    return tuple(order)


def _cached_base(
    cache: Path,
    packages: DebianPackages,
    modules: list[Path],
    kernel_package: str,
    versions: Mapping[str, str],
    python: bool,
) -> Path:
    made_of = hashlib.sha256()
    for part in (Path(__file__), _INIT_SOURCE, *([_LIBRARY_SOURCE, *_ARTP_SOURCES] if python else [])):
        made_of.update(part.read_bytes())
    made_of.update(
        repr((kernel_package, [module.name for module in modules], sorted(versions.items()))).encode()
    )
    kind = "python" if python else "small"
    image = cache / f"base-{kind}-{made_of.hexdigest()[:16]}.cpio"
    if image.exists():
        os.utime(image)
        return image
    for older in cache.glob(f"base-{kind}-*"):
        # An agent of another version may use the same folder, so what was used lately stays.
        if older.stat().st_mtime < time.time() - _KEPT_SECONDS:
            older.unlink()
    with tempfile.NamedTemporaryFile(dir=cache, prefix=".tmp-") as temporary:
        cpio = CpioWriter(temporary)
        _write_small(cpio, packages, modules, _compile_init(cache))
        if python:
            _write_python(cpio, packages)
        cpio.close()
        temporary.flush()
        # QEMU reads it as an unprivileged user.
        Path(temporary.name).chmod(0o644)
        os.link(temporary.name, image)
    log.info("base image built", image=image.name, bytes=image.stat().st_size)
    return image


def _write_small(cpio: CpioWriter, packages: DebianPackages, modules: list[Path], init: bytes) -> None:
    cpio.character_device("dev/console", 5, 1)
    for folder in ("proc", "sys", "programs", "run", "etc/dipronn"):
        cpio.directory(folder)
    cpio.directory("tmp", 0o1777)
    cpio.file("init", init, 0o755)
    busybox = next(packages.root("busybox-static").glob("**/bin/busybox"))
    cpio.file("bin/busybox", busybox.read_bytes(), 0o755)
    listed = subprocess.run([str(busybox), "--list"], check=True, capture_output=True, text=True).stdout
    for applet in listed.split():
        if applet != "busybox":
            cpio.symlink(f"bin/{applet}", "busybox")
    cpio.symlink("usr/bin/env", "../../bin/busybox")
    for module in modules:
        cpio.file(f"lib/modules/{module.name}", module.read_bytes())


def _compile_init(cache: Path) -> bytes:
    with tempfile.TemporaryDirectory(dir=cache, prefix=".tmp-") as folder:
        out = Path(folder) / "init"
        command = ["gcc", "-static", "-Os", "-s", "-Wall", "-o", str(out), str(_INIT_SOURCE)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise Unavailable("gcc is missing, which compiles the guests' init; run `make setup`") from error
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"the guests' init does not compile: {error.stderr}") from error
        return out.read_bytes()


def _write_python(cpio: CpioWriter, packages: DebianPackages) -> None:
    """Debian's own Python with most of its standard library, compiled, so that a guest need not do that."""
    if sys.version_info[:2] != (3, 11):
        raise Unavailable("guests' Python modules are compiled by the host's Python, which must be 3.11")
    roots = [packages.root(name) for name in _PYTHON_PACKAGES]
    cpio.file("usr/bin/python3.11", (roots[0] / "usr/bin/python3.11").read_bytes(), 0o755)
    cpio.symlink("usr/bin/python3", "python3.11")
    for name in _PYTHON_LIBRARIES:
        library = next(path for root in roots for path in root.rglob(name))
        cpio.file(f"lib/x86_64-linux-gnu/{name}", library.resolve().read_bytes(), 0o755)
    cpio.symlink("lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
    modules = {
        path.relative_to(root / _STDLIB).as_posix(): path
        for root in roots
        for path in (root / _STDLIB).rglob("*")
        if path.is_file() and path.suffix in (".py", ".so")
    }
    modules["dipronn_guest.py"] = _LIBRARY_SOURCE
    modules |= {f"artp/{path.name}": path for path in _ARTP_SOURCES}
    for name, path in sorted(modules.items()):
        if _STDLIB_LEFT_OUT.fullmatch(name):
            continue
        if path.suffix == ".so":
            cpio.file(f"{_STDLIB}/{name}", path.read_bytes())
        else:
            cpio.file(f"{_STDLIB}/{name}c", _compile_python(path, name))


def _compile_python(source: Path, name: str) -> bytes:
    """The source as a sourceless module (x.pyc beside where x.py would be)."""
    with tempfile.NamedTemporaryFile(suffix=".pyc") as out:
        py_compile.compile(
            str(source),
            cfile=out.name,
            dfile=f"/{_STDLIB}/{name}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        return Path(out.name).read_bytes()


def machine_config(out: IO[bytes], spec: VmSpec, bus: str) -> None:
    """Write the archive that tells the init of a whole machine, if it is ours, what it is and runs."""
    cpio = CpioWriter(out)
    cpio.file("etc/dipronn/config", "".join([f"bus {bus}\n", _config(spec, ())]).encode())
    for program in spec.programs:
        cpio.file(f"etc/dipronn/command/{program.name}", program.command.encode())
        _write_environment(cpio, spec, program)
    cpio.close()
    out.flush()


def _config(spec: VmSpec | None, modules: Iterable[str]) -> str:
    """/etc/dipronn/config, as vmhost/guest/init.c reads it."""
    lines = [f"module {name}" for name in modules]
    if spec:
        families = {address.version for address in spec.addresses}
        lines.append(f"mtu {spec.mtu}")
        lines += [f"address {address}" for address in spec.addresses]
        lines += [f"gateway {gateway}" for gateway in spec.gateways if gateway.version in families]
        # A whole machine is its user's own, whose programs may do in it what they like.
        first = FIRST_PROGRAM_UID if spec.image is None else 0
        lines += [f"program {p.name} {first and first + i}" for i, p in enumerate(spec.programs)]
    return "".join(line + "\n" for line in lines)


def _write_program(cpio: CpioWriter, spec: VmSpec, program: GuestProgram, bundle: Bundle, uid: int) -> None:
    folder = f"programs/{program.name}"
    # Programs of one VM do not read each other's files.
    cpio.directory(folder, 0o750, gid=uid)
    for entry in bundle.entries:
        match entry:
            case BundleFile():
                cpio.file(f"{folder}/{entry.name}", entry.data, entry.mode)
            case BundleDirectory():
                cpio.directory(f"{folder}/{entry.name}")
            case BundleLink():
                cpio.symlink(f"{folder}/{entry.name}", entry.target)
    _write_environment(cpio, spec, program)


def _write_environment(cpio: CpioWriter, spec: VmSpec, program: GuestProgram) -> None:
    variables = environment(spec, program)
    text = "".join(f"{key}={value}\0" for key, value in variables.items()).encode()
    if len(text) > MAX_ENVIRONMENT or len(variables) > MAX_VARIABLES:
        raise InvalidSession(
            f"program {program.name}: more parameters than {MAX_VARIABLES}, or than {MAX_ENVIRONMENT} bytes"
        )
    cpio.file(f"etc/dipronn/environ/{program.name}", text, 0o600)


def environment(spec: VmSpec, program: GuestProgram) -> dict[str, str]:
    """What a program finds in its environment; ours wins over what the session asked for.

    DIPRONN_ADDRESS and DIPRONN_GATEWAY are IPv4 if the program has an IPv4 address, else IPv6; a program with
    both finds IPv6 under the same names with a 6 behind.
    """
    ours = {"DIPRONN_PROGRAM": program.name}
    addresses = spec.addresses_of(program)
    versions = [version for version in (4, 6) if any(address.version == version for address in addresses)]
    for version, suffix in zip(versions, ("", "6"), strict=False):
        for key, values in (("DIPRONN_GATEWAY", spec.gateways), ("DIPRONN_ADDRESS", addresses)):
            ours[key + suffix] = str(next(value for value in values if value.version == version))
    defaults = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONUNBUFFERED": "1"}
    return {**defaults, **program.environment, **ours}
