"""The session language: text → ``dipronn.v1.Program``, judged in itself and against what this node runs."""

from controller.program.check import check, family
from controller.program.diagnostics import Diagnostic, Place, Severity, render_all
from controller.program.draw import draw
from controller.program.graph import channel_name, port_name
from controller.program.layout import lay_out
from controller.program.parse import MAX_BYTES, parse
from controller.program.parsed import Parsed
from controller.program.support import unsupported

__all__ = [
    "MAX_BYTES",
    "Diagnostic",
    "Parsed",
    "Place",
    "Severity",
    "channel_name",
    "check",
    "check_text",
    "draw",
    "family",
    "lay_out",
    "parse",
    "port_name",
    "render_all",
    "unsupported",
]


def check_text(text: str) -> Parsed:
    """Parse and check: every diagnostic that can be had without a node."""
    parsed = parse(text)
    if not any(one.severity is Severity.ERROR for one in parsed.diagnostics):
        parsed.diagnostics += check(parsed.program, parsed.places)
    return parsed
