"""``dipronn account``."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from dipronn.cli.output import write, write_json, write_table
from dipronn.cli.target import Target
from dipronn.v1 import accounts_pb2 as pb

app = typer.Typer()
_CSV = ("session", "number", "owner", "opened", "closed", "channel", "what", "value")


@app.command(name="account")
def account(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Sessions of this name; all if not stated.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets: one value a line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """What sessions have used, those that are and those that were."""
    if as_csv and as_json:
        raise typer.BadParameter("state --csv or --json, not both")
    accounts = asyncio.run(_fetch(context.obj, session))
    if as_json:
        write_json(accounts)
    elif as_csv:
        write(to_csv(accounts).rstrip("\n"))
    else:
        _show(accounts)


def to_csv(accounts: Iterable[pb.Account]) -> str:
    """One value a line, so that any column can be summed by ``what``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for one in accounts:
        times = (_time(one, "opened"), _time(one, "closed"))
        begin = (_harmless(one.session), one.number, _harmless(one.owner), *times)
        for channel, what, value in _values(one):
            writer.writerow((*begin, _harmless(channel), what, value))
    return text.getvalue()


def _values(account: pb.Account) -> Iterator[tuple[str, str, str]]:
    yield "", "cpu_seconds", f"{account.cpu_seconds:.6f}"
    yield "", "memory_byte_seconds", f"{account.memory_byte_seconds:.0f}"
    for one in account.channels:
        yield one.channel, "packets", str(one.packets)
        yield one.channel, "bytes", str(one.bytes)


def _harmless(text: str) -> str:
    """Spreadsheets take a cell that begins so for a formula, and users choose these texts."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


def _show(accounts: list[pb.Account]) -> None:
    write_table(
        ("session", "owner", "opened", "closed", "cpu s", "memory MiB·s"),
        (
            (
                one.session,
                one.owner,
                _time(one, "opened"),
                _time(one, "closed"),
                f"{one.cpu_seconds:.2f}",
                f"{one.memory_byte_seconds / (1 << 20):.1f}",
            )
            for one in accounts
        ),
    )
    write("")
    write_table(
        ("session", "channel", "packets", "bytes"),
        (
            (one.session, each.channel, str(each.packets), str(each.bytes))
            for one in accounts
            for each in one.channels
        ),
    )


def _time(account: pb.Account, field: str) -> str:
    """In UTC; empty if it has none."""
    if not account.HasField("closed") and field == "closed":
        return ""
    time = account.closed if field == "closed" else account.opened
    return time.ToDatetime().strftime("%Y-%m-%dT%H:%M:%SZ")


async def _fetch(target: Target, session: str) -> list[pb.Account]:
    async with target.connect() as node:
        return await node.accounts(session)
