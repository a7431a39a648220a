"""The session language: text → ``dipronn.v1.Program``, judged in itself and against what this node runs."""

from controller.program.check import check, family
from controller.program.defaults import fill_in
from controller.program.diagnostics import Diagnostic, Place, Severity, render_all
from controller.program.draw import draw
from controller.program.graph import channel_name, port_name
from controller.program.json_form import check_json, to_json
from controller.program.layout import lay_out
from controller.program.parse import MAX_BYTES, parse
from controller.program.parsed import Parsed
from controller.program.support import asks_for_order, unsupported
from controller.program.svg import draw_svg
from controller.program.text_form import to_text
from controller.program.values import RATES, SIZES

__all__ = [
    "MAX_BYTES",
    "RATES",
    "SIZES",
    "Diagnostic",
    "Parsed",
    "Place",
    "Severity",
    "asks_for_order",
    "channel_name",
    "check",
    "check_json",
    "check_text",
    "draw",
    "draw_svg",
    "family",
    "fill_in",
    "lay_out",
    "parse",
    "port_name",
    "render_all",
    "to_json",
    "to_text",
    "unsupported",
]


def check_text(text: str) -> Parsed:
    """Parse and check: every diagnostic that can be had without a node."""
    parsed = parse(text)
    if not any(one.severity is Severity.ERROR for one in parsed.diagnostics):
        parsed.diagnostics += check(parsed.program, parsed.places)
    return parsed
