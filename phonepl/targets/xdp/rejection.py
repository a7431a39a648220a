"""What the compiler of C or the verifier refuses, said in terms of the Phonepl program."""

from __future__ import annotations

from phonepl.compiler import Compiled
from phonepl.diagnostics import PhoneplError
from phonepl.targets import NotAvailable
from phonepl.targets.xdp.source import Generated


def explained(
    compiled: Compiled, generated: Generated, flags: tuple[str, ...], refused: Exception
) -> PhoneplError:
    """The error to raise."""
    return NotAvailable(str(refused))
