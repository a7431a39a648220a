"""Fetches Debian packages into a cache folder and unpacks them there; nothing is installed on the host.

Guests are made of packages of the host's own Debian release, fetched and verified by apt. A package once
unpacked is used as it is; remove the cache folder to get newer ones.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import structlog

from dipronn.errors import Unavailable

log = structlog.get_logger(__name__)

_APT = ("apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "DPkg::Lock::Timeout=600")


class DebianPackages:
    """Unpacked packages in `cache`/packages/<name>/ with the tree in `root/` and the version in `version`.

    Not safe against a second process in the same folder: hold a lock around it.
    """

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "packages"

    def root(self, name: str) -> Path:
        """The unpacked tree of a package, fetched if it is not there. Raises Unavailable."""
        return self._ensure(name) / "root"

    def version(self, name: str) -> str:
        return (self._ensure(name) / "version").read_text()

    def dependency(self, name: str, prefix: str) -> str:
        """The first package starting with `prefix` that a (meta)package depends on. Raises Unavailable."""
        for alternative in (self._ensure(name) / "depends").read_text().replace("|", ",").split(","):
            package = alternative.split("(")[0].strip()
            if package.startswith(prefix):
                return package
        raise Unavailable(f"Debian package {name} depends on no {prefix}*; is this Debian 12?")

    def _ensure(self, name: str) -> Path:
        folder = self._folder / name
        if folder.is_dir():
            return folder
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".tmp-") as temporary:
            work = Path(temporary)
            archive = self._download(name, work)
            done = work / "done"
            done.mkdir()
            _run(["dpkg-deb", "-x", str(archive), str(done / "root")], work)
            for field in ("Version", "Depends"):
                value = _run(["dpkg-deb", "-f", str(archive), field], work).strip()
                (done / field.lower()).write_text(value)
            # The rename makes it whole or absent, also after a kill.
            shutil.rmtree(folder, ignore_errors=True)
            done.rename(folder)
        log.info("debian package unpacked", package=name)
        return folder

    def _download(self, name: str, work: Path) -> Path:
        try:
            _run([*_APT, "download", name], work)
        except Unavailable:
            if os.geteuid() != 0:
                raise
            # A fresh machine has no package lists yet, or stale ones.
            _run([*_APT, "update"], work)
            _run([*_APT, "download", name], work)
        return next(work.glob("*.deb"))


def _run(command: list[str], cwd: Path) -> str:
    try:
        return subprocess.run(
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=600
        ).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is missing: guests are made of Debian packages") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        detail = str(error.stderr or error).strip().splitlines()[-1:]
        raise Unavailable(f"`{' '.join(command)}` failed: {''.join(detail)}") from error
