"""Numbers of rules as names of the session's text, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable

from controller.steering.identifiers import Allotment


class RuleNames:
    """``allotments``: a number and the name of its session."""

    def __init__(self, allotments: Iterable[tuple[Allotment, str]]) -> None:
        self._names = {(one.kind, one.first): f"{session}: {one.key}" for one, session in allotments}

    def explain(self, table: str, rule: str) -> str:
        """The rule with the names of the channels, forks and endpoints that it speaks of."""
        found: dict[str, None] = {}
        if table in ("channel", "fork", "endpoint") and (number := re.match(r"\d+", rule)):
            found[self._names.get((table, int(number[0])), "")] = None
        for kind, number_text in re.findall(r"\b(channel|fork|endpoint) (\d+)", rule):
            found[self._names.get((kind, int(number_text)), "")] = None
        names = [name for name in found if name]
        return f"{rule}  [{'; '.join(names)}]" if names else rule
