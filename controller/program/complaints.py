"""What every check of a session shares: its names, and how faults are reported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from controller.program.diagnostics import Diagnostic, Place, Severity
from dipronn.v1 import session_pb2 as pb

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
MAX_NAME = 64
MAX_DIAGNOSTICS = 50


class EnoughError(Exception):
    """More faults than anyone reads."""


class Complaints:
    """The session, and what was found wrong with it so far."""

    def __init__(self, program: pb.Program, places: Mapping[str, Place]) -> None:
        self.program = program
        self.places = places
        self.diagnostics: list[Diagnostic] = []
        self.programs = {item.name: item for item in program.programs}
        self.inputs = {item.name for item in program.inputs}
        self.outputs = {item.name for item in program.outputs}
        self.vms = {item.name for item in program.vms}

    def error(self, path: str, message: str, hint: str = "", severity: Severity = Severity.ERROR) -> None:
        self.diagnostics.append(Diagnostic(severity, message, path, self.place(path), hint))
        if len(self.diagnostics) >= MAX_DIAGNOSTICS:
            raise EnoughError

    def place(self, path: str) -> Place | None:
        """The place of the field, or of the smallest field around it that has one."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path.rpartition(".")[0]
        return None

    def unique(self, path: str, what: str, names: Iterable[str]) -> None:
        seen: dict[str, str] = {}
        for index, name in enumerate(names):
            here = f"{path}[{index}]"
            self.name(here, what, name)
            if name in seen:
                first = self.place(seen[name])
                self.error(
                    here,
                    f"two {what}s are named `{name}`",
                    f"the first is in line {first.line}" if first else "",
                )
            seen.setdefault(name, here)

    def name(self, path: str, what: str, name: str) -> None:
        if not NAME.fullmatch(name):
            self.error(path, f"`{name}` is no name of a {what}", "a letter, then letters, digits, _ and -")
        elif len(name) > MAX_NAME:
            self.error(path, f"the name of the {what} `{name[:20]}…` is longer than {MAX_NAME} characters")

    def unknown(self, path: str, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        self.error(path, f"unknown {what} `{name}`", f"known: {shown}" if names else f"there is no {what}")
