"""Where kernel programs run: where their packets are already, if that unit has a kernel for them.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from controller.program.kernel import is_kernel
from dipronn.v1 import session_pb2 as pb


def kernel_places(
    program: pb.Program,
    entrances: Mapping[str, str],
    exits: Mapping[str, str],
    machines: Mapping[str, str],
    able: Collection[str],
) -> dict[str, list[str]]:
    """By program the units that are able to run it, the best first.

    The best is where it is fed, then where it feeds.  ``machines``: a unit of every other program.
    """
    placed = dict(machines)
    found: dict[str, list[str]] = {}
    waiting = [one.name for one in program.programs if is_kernel(one)]
    while waiting:
        # One that is fed by a program whose place is not known yet waits, unless all do: a cycle.
        name = next((one for one in waiting if _feeding(program, one) <= placed.keys()), waiting[0])
        waiting.remove(name)
        near = [
            *(_unit(line.source, placed, entrances) for line in _lines(program, name, "destination")),
            *(_unit(line.destination, placed, exits) for line in _lines(program, name, "source")),
        ]
        best = [unit for unit in near if unit is not None and unit in able]
        found[name] = list(dict.fromkeys([*best, *sorted(able)]))
        if found[name]:
            placed[name] = found[name][0]
    return found


def _lines(program: pb.Program, name: str, side: str) -> list[pb.Channel]:
    return [one for one in program.channels if getattr(one, side).program == name]


def _feeding(program: pb.Program, name: str) -> set[str]:
    return {one.source.program for one in _lines(program, name, "destination")} - {"", name}


def _unit(port: pb.Port, placed: Mapping[str, str], of_session: Mapping[str, str]) -> str | None:
    return placed.get(port.program) if port.program else of_session[port.name]
