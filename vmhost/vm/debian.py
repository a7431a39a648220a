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

    def fetch(self, *names: str) -> None:
        """Have packages that are not there fetched together, which is faster than one by one.

        Raises Unavailable.
        """
        missing = [name for name in names if not (self._folder / name).is_dir()]
        if not missing:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".tmp-") as temporary:
            work = Path(temporary)
            self._download(missing, work)
            for archive in sorted(work.glob("*.deb")):
                self._unpack(archive, work)

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
        self.fetch(name)
        return self._folder / name

    def _unpack(self, archive: Path, work: Path) -> None:
        done = work / "done"
        done.mkdir()
        _run(["dpkg-deb", "-x", str(archive), str(done / "root")], work)
        name, version, depends = (
            _run(["dpkg-deb", "-f", str(archive), field], work).strip()
            for field in ("Package", "Version", "Depends")
        )
        (done / "version").write_text(version)
        (done / "depends").write_text(depends)
        # The rename makes it whole or absent, also after a kill.
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        done.rename(folder)
        log.info("debian package unpacked", package=name)

    def _download(self, names: list[str], work: Path) -> None:
        try:
            _run([*_APT, "download", *names], work)
        except Unavailable:
            if os.geteuid() != 0:
                raise
            # A fresh machine has no package lists yet, or stale ones.
            _run([*_APT, "update"], work)
            _run([*_APT, "download", *names], work)


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
