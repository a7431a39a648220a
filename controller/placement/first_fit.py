"""First fit, but instances of one program on different units as long as there are any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from controller.placement.admission import Demand, Offer
from dipronn.errors import InsufficientResources


class FirstFit:
    def place(self, demands: Sequence[Demand], offers: Sequence[Offer]) -> dict[str, str]:
        free = {offer.unit: offer for offer in offers}
        placed: dict[str, str] = {}
        used: Counter[tuple[str, str]] = Counter()
        for demand in demands:
            fitting = [offer for offer in free.values() if not offer.shortfall(demand.needs)]
            if not fitting:
                raise InsufficientResources(_refusal(demand, placed, list(free.values())))
            # min() keeps the order of the offers among equals.
            chosen = min(fitting, key=lambda offer: used[demand.program, offer.unit])
            used[demand.program, chosen.unit] += 1
            free[chosen.unit] = chosen.reserve(demand.needs)
            placed[demand.name] = chosen.unit
        return placed


def _refusal(demand: Demand, placed: dict[str, str], offers: list[Offer]) -> str:
    lines = [f"no unit can take {demand.name}, which needs {demand.needs}:"]
    for offer in offers:
        lines.append(f"  {offer.unit}: {'; '.join(offer.shortfall(demand.needs))}")
    if not offers:
        lines.append("  no processing unit is alive")
    if placed:
        mine = ", ".join(f"{name} on {unit}" for name, unit in placed.items())
        lines.append(f"  reserved counts this session's own: {mine}")
    return "\n".join(lines)
