"""What P4 cannot express, as it is found out."""

from __future__ import annotations

from phonepl.diagnostics import Diagnostic
from phonepl.syntax import Span
from phonepl.targets import CannotBeExpressed


class Refused(Exception):
    """A construct that this target does not have; caught where a handler's code is made."""

    def __init__(self, span: Span, construct: str, reason: str, advice: str) -> None:
        self.diagnostic: Diagnostic = CannotBeExpressed(
            span, target="p4", construct=construct, reason=reason, advice=advice
        )
        super().__init__(self.diagnostic.message)
