"""What the commands print: tables for people, protobuf's JSON for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text


def write(text: str) -> None:
    """A line on standard output, as it is."""
    sys.stdout.write(text + "\n")


def write_json(value: Message | Sequence[Message]) -> None:
    """One JSON document in protobuf's own mapping."""
    write(json.dumps(as_json(value), indent=2))


def write_json_line(value: Message) -> None:
    """One JSON document on one line, at once: for streams."""
    write(json.dumps(as_json(value)))
    sys.stdout.flush()


def as_json(value: Message | Sequence[Message]) -> Any:
    if isinstance(value, Message):
        return MessageToDict(value, always_print_fields_with_no_presence=True)
    return [as_json(one) for one in value]


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Nothing is cut off when the output is no terminal, and no text of others is taken for markup."""
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 240
    console.print(table)
