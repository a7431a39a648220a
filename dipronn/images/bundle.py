"""Reads a program bundle: a plain tar file from a user, so nothing in it is trusted.

What comes out are regular files, directories and symbolic links that stay inside the bundle, under names
that cannot leave it, together no larger than a limit. Everything else is refused by name, with a remedy.
Nothing is unpacked on the host.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dipronn.errors import InvalidSession

MAX_BYTES = 64 << 20
"""Default limit of a bundle: it lies in the guest's memory."""
MAX_ENTRIES = 4096
MAX_NAME = 240

_SHEBANG = re.compile(rb"#!\s*(\S+)(?:[ \t]+(\S+))?")
_SHELLS = ("sh", "ash", "busybox")


@dataclass(frozen=True, slots=True)
class BundleFile:
    """`mode` holds permission bits only, never set-uid or set-gid."""

    name: str
    data: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class BundleDirectory:
    name: str


@dataclass(frozen=True, slots=True)
class BundleLink:
    name: str
    target: str


Entry = BundleFile | BundleDirectory | BundleLink


@dataclass(frozen=True, slots=True)
class Bundle:
    """Entries, every parent before what is in it. `python`: `/run` is a Python script."""

    entries: tuple[Entry, ...]
    python: bool


def read_bundle(path: Path, max_bytes: int = MAX_BYTES) -> Bundle:
    """Read and judge a bundle. Raises InvalidSession: not a plain tar, too large, an entry that is refused,
    no executable `/run`, or an interpreter that guests do not have."""
    try:
        size = path.stat().st_size
        # Headers come on top of the files' bytes; this bounds what an archive can make tarfile read.
        if size > max_bytes + MAX_ENTRIES * 2048:
            raise _refused(path, f"{size} bytes, more than the limit of {max_bytes}; make it smaller")
        with tarfile.open(path, "r:") as tar:
            entries = _read_entries(path, tar, max_bytes)
    except OSError as error:
        raise InvalidSession(f"bundle {path.name}: cannot be read: {error.strerror or error}") from error
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise _refused(path, f"no plain (uncompressed) tar file: {error}; make it with `tar cf`") from error
    ordered = _order(path, entries)
    return Bundle(ordered, _check_run(path, entries.get("run")))


def _refused(path: Path, why: str) -> InvalidSession:
    return InvalidSession(f"bundle {path.name}: {why}")


def _read_entries(path: Path, tar: tarfile.TarFile, max_bytes: int) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    budget = max_bytes
    for count, member in enumerate(tar, 1):
        if count > MAX_ENTRIES:
            raise _refused(path, f"more than {MAX_ENTRIES} entries; pack fewer files")
        name = _entry_name(path, member.name)
        if not name:  # the root itself
            continue
        if name in entries:
            if isinstance(entries[name], BundleDirectory) and member.isdir():
                continue
            raise _refused(path, f"{name!r} comes twice; pack it once")
        if member.isdir():
            entries[name] = BundleDirectory(name)
        elif member.issym():
            entries[name] = BundleLink(name, _link_target(path, name, member.linkname))
        elif member.isreg():
            budget -= member.size
            if member.size < 0 or budget < 0:
                raise _refused(
                    path, f"its files exceed the limit of {max_bytes} bytes at {name!r}; make it smaller"
                )
            source = tar.extractfile(member)
            data = source.read() if source else b""
            if len(data) != member.size:
                raise _refused(path, f"ends within {name!r}; upload it again")
            entries[name] = BundleFile(name, data, member.mode & 0o755 | 0o444)
        elif member.islnk():
            raise _refused(path, f"{name!r} is a hard link; pack with `tar --hard-dereference`")
        else:
            raise _refused(path, f"{name!r} is a device or another special file; leave it out")
    return entries


def _entry_name(path: Path, raw: str) -> str:
    """The normal form of an entry's name, relative to the bundle's root; empty for the root."""
    parts = [part for part in raw.split("/") if part not in ("", ".")]
    name = "/".join(parts)
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise _refused(path, f"{raw!r}: the name is not UTF-8; rename it") from None
    if ".." in parts or "\0" in name:
        raise _refused(path, f"{raw!r}: the name leaves the bundle; pack without `..`")
    if len(encoded) > MAX_NAME:
        raise _refused(path, f"{raw[:60]!r}…: the name is longer than {MAX_NAME} bytes; shorten it")
    return name


def _link_target(path: Path, name: str, target: str) -> str:
    """A symbolic link may point to what is in the bundle, relative to where it is."""
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    if (
        target.startswith("/")
        or resolved == ".."
        or resolved.startswith("../")
        or "\0" in target
        or not target
    ):
        raise _refused(
            path, f"{name!r} links to {target!r}, outside the bundle; use a relative link within it"
        )
    if len(target.encode(errors="surrogateescape")) > MAX_NAME or not target.isprintable():
        raise _refused(path, f"{name!r} links to an impossible name; use a plain one")
    return target


def _order(path: Path, entries: dict[str, Entry]) -> tuple[Entry, ...]:
    """Parents first. What lies below a file or a link is refused: unpacking would follow the link."""
    complete = dict(entries)
    for name in entries:
        parent = posixpath.dirname(name)
        while parent:
            if not isinstance(complete.setdefault(parent, BundleDirectory(parent)), BundleDirectory):
                raise _refused(path, f"{name!r} lies below {parent!r}, which is no directory; pack it again")
            parent = posixpath.dirname(parent)
    return tuple(complete[name] for name in sorted(complete))


def _check_run(path: Path, run: Entry | None) -> bool:
    """Whether `/run` needs Python. Judged here, because in the guest the only answer would be "exit 127"."""
    if not isinstance(run, BundleFile):
        raise _refused(path, "has no regular file /run, which would be started; pack it at the top")
    if not run.mode & 0o100:
        raise _refused(path, "its /run is not executable; `chmod +x run` and pack it again")
    if run.data.startswith(b"\x7fELF"):
        if b"ld-linux" in run.data[:4096]:
            raise _refused(path, "its /run needs shared libraries, which guests lack; link it with -static")
        return False
    if shebang := _SHEBANG.match(run.data):
        words = [posixpath.basename(word.decode(errors="replace")) for word in shebang.groups() if word]
        interpreter = words[1] if words[0] == "env" and len(words) > 1 else words[0]
        if interpreter.startswith("python3"):
            return True
        if interpreter in _SHELLS:
            return False
        raise _refused(
            path, f"its /run wants {interpreter!r}; guests have sh and python3, else link statically"
        )
    raise _refused(path, "its /run is neither a static ELF program nor a script that starts with #!")
