"""``dipronn program``: session files, without a node.

A file whose name ends in ``.json`` is the message ``dipronn.v1.Program`` in JSON; any other is text.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from controller.program import (
    MAX_BYTES,
    Parsed,
    Severity,
    check_json,
    check_text,
    draw,
    draw_svg,
    lay_out,
    render_all,
    to_json,
    to_text,
)
from dipronn.cli.output import write
from dipronn.errors import Unavailable

app = typer.Typer(help="Look at session files, without a node.", no_args_is_help=True)
File = Annotated[
    Path,
    typer.Argument(
        help="A session file: text (*.dpn), or the message in JSON (*.json).",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]


def read(file: Path) -> tuple[str, Parsed]:
    """Text and what it says; diagnostics go to standard error, and errors end the command with status 1."""
    with file.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    text = data.decode(errors="replace")
    parsed = check_json(text) if is_json(file) else check_text(text)
    if parsed.diagnostics:
        complain(render_all(parsed.diagnostics, str(file), text))
    if any(one.severity is Severity.ERROR for one in parsed.diagnostics):
        raise typer.Exit(1)
    return text, parsed


def is_json(file: Path) -> bool:
    return file.suffix == ".json"


def complain(text: str) -> None:
    Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(text)


@app.command()
def check(file: File) -> None:
    """Say all that is wrong with a session in itself; status 1 if it is an error."""
    _, parsed = read(file)
    program = parsed.program
    write(
        f"{file}: session {program.name}: {len(program.programs)} programs, "
        f"{len(program.channels)} channels, "
        f"{len(program.inputs)} inputs, {len(program.outputs)} outputs"
    )


@app.command(name="draw")
def draw_file(
    file: File,
    svg: Annotated[bool, typer.Option("--svg", help="As SVG on standard output.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the SVG to this file instead.")
    ] = None,
) -> None:
    """Draw the session graph: for the terminal, or as SVG."""
    program = read(file)[1].program
    if output:
        try:
            output.write_text(draw_svg(program), encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"{output}: {error.strerror}") from error
    elif svg:
        sys.stdout.write(draw_svg(program))
    else:
        write(draw(program))


@app.command(name="json")
def print_json(file: File) -> None:
    """The session as the message dipronn.v1.Program in JSON."""
    write(to_json(read(file)[1].program))


@app.command()
def fmt(
    file: File,
    in_place: Annotated[
        bool, typer.Option("--write", "-w", help="Change the file instead of printing.")
    ] = False,
    only_check: Annotated[bool, typer.Option("--check", help="Status 1 if the file would change.")] = False,
) -> None:
    """Print a session's text in canonical layout; of a message in JSON, its text."""
    text, parsed = read(file)
    if is_json(file):
        if in_place or only_check:
            raise typer.BadParameter("a message in JSON has no layout; leave out --write and --check")
        sys.stdout.write(to_text(parsed.program))
        return
    laid_out = lay_out(text)
    if only_check:
        if laid_out != text:
            complain(f"{file}: would be laid out anew; run `dipronn program fmt --write`")
            raise typer.Exit(1)
    elif in_place:
        if laid_out != text:
            file.write_text(laid_out, encoding="utf-8")
    else:
        sys.stdout.write(laid_out)
