"""What reading a session's text gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.program.diagnostics import Diagnostic, Place
from dipronn.v1 import session_pb2 as pb


@dataclass
class Parsed:
    """``program`` is complete only without errors.  ``places``: a field's path → its place."""

    program: pb.Program
    places: dict[str, Place] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
