"""Orders of the control unit: how they are answered, whatever carries the packets."""

from __future__ import annotations

from typing import Protocol

import structlog

from dipronn.errors import DipronnError, InvalidProgram, InvalidSession
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)

BASE = 0
"""The session that stands for the node itself: links and units."""


class ProgramRefused(str):
    """An answer to an order: a program of the session's user does not compile."""


class Doer(Protocol):
    """Does what is ordered, all of it, or raises an error and has changed nothing."""

    async def apply(self, slice_: unit_pb2.Slice) -> None: ...

    async def remove(self, session: int) -> None: ...

    async def set_alive(self, unit: int, alive: bool) -> None: ...


async def carry_out(order: unit_pb2.UnitOrder, doer: Doer, unit: str) -> str:
    """Carry out one order; the answer is empty or says what was wrong, and then nothing has changed."""
    try:
        match order.WhichOneof("what"):
            case "apply":
                await doer.apply(order.apply)
            case "remove":
                if order.remove.session == BASE:
                    raise InvalidSession("session 0 is the node's own and cannot be removed")
                await doer.remove(order.remove.session)
            case "set_alive":
                await doer.set_alive(order.set_alive.unit, order.set_alive.alive)
            case _:
                return "an order of a kind that this agent does not know; bring it up to date"
    except InvalidProgram as error:
        return ProgramRefused(error)
    except DipronnError as error:
        _log.warning("order refused or undone", order=order.order, error=str(error))
        return str(error)
    except Exception as error:
        _log.exception("order undone", order=order.order)
        return f"{type(error).__name__}: {error}; see the log of unit {unit}"
    return ""


def with_alive(base: unit_pb2.Slice, unit: int, alive: bool, at: str) -> unit_pb2.Slice:
    """The base slice with one unit's row changed. Raises InvalidSession if it has none."""
    changed = unit_pb2.Slice()
    changed.CopyFrom(base)
    rows = {row.unit: row for row in changed.tables.unit}
    if unit not in rows:
        raise InvalidSession(f"unit {unit} has no row on {at}; apply the base slice first")
    rows[unit].alive = alive
    return changed
