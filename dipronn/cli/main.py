"""``dipronn``: the command line.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the node cannot be reached.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer
from rich.console import Console

from dipronn.cli import account, certs, doctor, image, node, probe, program, session, top, unit
from dipronn.cli.target import Target
from dipronn.client import Unreachable
from dipronn.errors import DipronnError

FAILED, UNREACHABLE = 1, 3

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
app.add_typer(session.app, name="session")
app.add_typer(unit.app, name="unit")
app.add_typer(program.app, name="program")
app.add_typer(image.app, name="image")
for commands in (account.app, certs.app, probe.app, doctor.app, node.app, top.app):
    app.add_typer(commands)
if importlib.util.find_spec("phonepl"):
    from dipronn.cli import phonepl

    app.add_typer(phonepl.app, name="phonepl")


@app.callback()
def _target(
    context: typer.Context,
    address: Annotated[
        str,
        typer.Option(
            "--node", envvar="DIPRONN_NODE_ADDRESS", help="unix:PATH, or HOST:PORT with certificates."
        ),
    ] = "",
    certificates: Annotated[
        Path | None,
        typer.Option("--certs", envvar="DIPRONN_CERTS", help="Folder of ca.pem, cert.pem and key.pem."),
    ] = None,
) -> None:
    context.obj = Target(address, certificates)


def main() -> NoReturn:
    """The entry point: errors of ours become one message and an exit status."""
    # What the parts that we use log is for people who look for a fault, and never on standard output.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        app()
    except DipronnError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"dipronn: {error}")
        sys.exit(UNREACHABLE if isinstance(error, Unreachable) else FAILED)
    sys.exit(0)


if __name__ == "__main__":
    main()
