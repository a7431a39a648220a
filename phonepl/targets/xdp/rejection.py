"""What the compiler of C or the kernel's verifier refuses, said in terms of the Phonepl program."""

from __future__ import annotations

import re
from collections.abc import Callable

from dipronn.errors import Unavailable
from phonepl import ir, traversal
from phonepl.compiler import Compiled
from phonepl.diagnostics import PhoneplError
from phonepl.syntax import Span
from phonepl.targets import CannotBeExpressed, NotAvailable, NotExpressible

FARTHEST_JUMP = 32_767
"""Instructions that a jump can pass."""
_MARK = 0x5000_0000
_MARKED = re.compile(r"\b(?:= |=)(0x5[0-9a-f]{7}|13421\d{5}|134[2-5]\d{6})\b")
_SPLIT = "divide the work between two programs joined by a stream; Strings cost the most instructions"


class Rejected(Exception):
    """The verifier's words about a function of so many instructions."""

    def __init__(self, function: str, instructions: int, log: str) -> None:
        self.function = function
        self.instructions = instructions
        self.log = log
        super().__init__(log)


def explained(compiled: Compiled, refused: Rejected | Unavailable, again: Callable[[], None]) -> PhoneplError:
    """The error to raise. `again` compiles and loads with the lines marked, which is refused again."""
    if isinstance(refused, Unavailable):
        if "does not compile here" not in str(refused) or "No module named" in str(refused):
            return NotAvailable(f"xdp is not available here: {refused}")
        span = _longest(compiled).span
        return _cannot(compiled, span, "a method of this size", "its C does not compile", _SPLIT)
    handler = next((h for h in compiled.program.handlers if refused.function == f"on_{h.stream}"), None)
    span = handler.span if handler else _longest(compiled).span
    if refused.instructions > FARTHEST_JUMP or "too large" in refused.log or "too complex" in refused.log:
        size = f"{refused.instructions} instructions"
        reason = f"the kernel takes a method of {size} no more; a jump passes at most {FARTHEST_JUMP}"
        return _cannot(compiled, span, f"a method of {size}", reason, _SPLIT)
    log = refused.log
    try:
        again()
    except Rejected as marked:
        log = marked.log
    line = marked_line(log)
    reason = f"the verifier says: {last_words(log)}"
    advice = "this is a defect of the compiler, please report it; --target interpreter runs the program"
    where = Span(line, 1, line, len(compiled.source.split("\n")[line - 1]) + 1) if line else span
    return _cannot(compiled, where, "what this line does", reason, advice)


def _cannot(compiled: Compiled, span: Span, construct: str, reason: str, advice: str) -> NotExpressible:
    wrong = CannotBeExpressed(span, target="xdp", construct=construct, reason=reason, advice=advice)
    return NotExpressible([wrong], compiled.source, compiled.file)


def _longest(compiled: Compiled) -> ir.Handler:
    return max(compiled.program.handlers, key=lambda handler: sum(1 for _ in traversal.walk(handler.body)))


def marked_line(log: str) -> int | None:
    """The last line that the verifier passed before it refused."""
    found = [int(text, 0) - _MARK for text in _MARKED.findall(log)]
    lines = [line for line in found if 0 < line < 1 << 20]
    return lines[-1] if lines else None


def last_words(log: str) -> str:
    """What it refused, without the instructions that it walked through."""
    said = [line for line in log.split("\n") if line.strip() and not line.startswith("processed ")]
    return said[-1].strip() if said else "nothing"
