"""``dipronn certs``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dipronn import certs
from dipronn.cli.output import write
from dipronn.errors import Unavailable

app = typer.Typer()


@app.command(name="certs")
def make(
    directory: Annotated[Path, typer.Argument(help="Where ca.pem, cert.pem and key.pem are written.")],
    name: Annotated[
        list[str], typer.Option(help="A unit's name, a host's name or an address; more than once.")
    ] = [],  # noqa: B006 - typer's way
) -> None:
    """Make a test CA, if there is none, and a certificate of it for mutual TLS."""
    try:
        certs.make(directory, name)
    except OSError as error:
        raise Unavailable(f"{error.filename or directory}: {error.strerror}") from error
    write(f"{directory}: certificate for {', '.join([*name, 'localhost'])}, signed by {certs.AUTHORITY}")
