"""The command line: check, explain, fmt, compile, run.

Exit 0 ok, 1 program error, 2 usage, 3 and 4 the target.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from phonepl import syntax, targets
from phonepl.compiler import Compiled, compile_source, read_source
from phonepl.diagnostics import ProgramError
from phonepl.explain import explain as explanation
from phonepl.formatter import format_source
from phonepl.parser import parse
from phonepl.printing import printed
from phonepl.running import UsageError, binding
from phonepl.running import run as run_captures

PROGRAM_ERROR, USAGE, NOT_EXPRESSIBLE, NOT_AVAILABLE = 1, 2, 3, 4

app = typer.Typer(
    help="Phonepl, the packet language: check, explain, fmt, compile, run.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A *.phonepl program.")]
NoOpt = Annotated[
    bool, typer.Option("--no-opt", help="Keep every test and tag check; the results are the same.")
]


@contextmanager
def _exit_codes() -> Iterator[None]:
    """Errors to messages on stderr and the exit codes of the language's definition."""
    try:
        yield
    except (targets.NotExpressible, targets.PacketNotExpressible) as wrong:
        _fail(str(wrong), NOT_EXPRESSIBLE)
    except ProgramError as wrong:
        count = len(wrong.diagnostics)
        _fail(f"{wrong}\n{count} error{'s' if count != 1 else ''}", PROGRAM_ERROR)
    except targets.NotAvailable as wrong:
        _fail(str(wrong), NOT_AVAILABLE)
    except UsageError as wrong:
        _fail(str(wrong), USAGE)
    except OSError as wrong:
        _fail(f"{wrong.filename}: {wrong.strerror}", USAGE)


def _fail(message: str, code: int) -> None:
    typer.echo(message, err=True)
    raise typer.Exit(code)


def _compiled(file: Path, no_opt: bool = False) -> Compiled:
    return compile_source(read_source(file), str(file), optimize=not no_opt)


@app.command()
def check(file: File) -> None:
    """Say what is wrong with a program; nothing if it is right."""
    with _exit_codes():
        _compiled(file)


@app.command()
def explain(file: File, no_opt: NoOpt = False) -> None:
    """Print each expression's representation, the tag checks that remain, the memory touched and the cost."""
    with _exit_codes():
        typer.echo(explanation(_compiled(file, no_opt)), nl=False)


@app.command()
def fmt(
    file: File,
    write: Annotated[
        bool, typer.Option("--write", "-w", help="Change the file instead of printing.")
    ] = False,
    only_check: Annotated[bool, typer.Option("--check", help="Exit 1 if the file would change.")] = False,
) -> None:
    """Print a program in canonical layout."""
    with _exit_codes():
        source = read_source(file)
        formatted = format_source(source, str(file))
        if only_check:
            if formatted != source:
                _fail(f"{file}: would be reformatted; run fmt --write", PROGRAM_ERROR)
        elif write:
            if formatted != source:
                file.write_text(formatted, encoding="utf-8")
        else:
            typer.echo(formatted, nl=False)


@app.command("compile")
def compile_program(
    file: File,
    target: Annotated[str, typer.Option("--target", help="xdp or p4.")] = "xdp",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for what is made.")] = None,
    emit: Annotated[str | None, typer.Option("--emit", help="Print ast, ir, c or p4 instead.")] = None,
    no_opt: NoOpt = False,
) -> None:
    """Compile a program for a target, or print a stage of the compiler."""
    with _exit_codes():
        if emit is not None:
            typer.echo(_emitted(file, emit, no_opt), nl=False)
            return
        if target not in ("xdp", "p4"):
            raise UsageError(f"--target {target}: compile for xdp or p4")
        if output is None:
            raise UsageError("compile needs -o FOLDER, or --emit ast|ir|c|p4")
        compiled = _compiled(file, no_opt)
        chosen = targets.load(target)
        output.mkdir(parents=True, exist_ok=True)
        for made in chosen.compile(compiled, output):
            typer.echo(str(made))


def _emitted(file: Path, stage: str, no_opt: bool) -> str:
    match stage:
        case "ast":
            return syntax.dump(parse(read_source(file), str(file))) + "\n"
        case "ir":
            return printed(_compiled(file, no_opt).program)
        case "c" | "p4":
            return targets.load("xdp" if stage == "c" else "p4").emit(_compiled(file, no_opt))
    raise UsageError(f"--emit {stage}: the stages are ast, ir, c and p4")


@app.command()
def run(
    file: File,
    target: Annotated[str, typer.Option("--target", help="interpreter, xdp or p4.")] = "interpreter",
    inputs: Annotated[
        list[str] | None, typer.Option("--in", metavar="NAME=FILE", help="A capture to read, for an import.")
    ] = None,
    outputs: Annotated[
        list[str] | None, typer.Option("--out", metavar="NAME=FILE", help="A capture to write, of an import.")
    ] = None,
    no_opt: NoOpt = False,
) -> None:
    """Run captures through a program and print what was counted."""
    with _exit_codes():
        if target not in targets.NAMES:
            raise UsageError(f"--target {target}: the targets are {', '.join(targets.NAMES)}")
        into = [binding(text, "--in") for text in inputs or []]
        out_of = [binding(text, "--out") for text in outputs or []]
        compiled = _compiled(file, no_opt)
        report = run_captures(compiled, target, targets.load(target), into, out_of)
        typer.echo(json.dumps(report.as_dict()))


def main() -> None:
    """`python -m phonepl`."""
    sys.exit(app())
