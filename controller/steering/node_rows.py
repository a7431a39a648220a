"""The node's own rows (session 0) on one unit."""

from __future__ import annotations

from collections.abc import Mapping

from controller.steering.deployment import NOWHERE, NodeLink, NodeUnit
from controller.steering.model import Link, LinkKey, LinkKind, Tables, Unit, Unmatched


def unit_rows(alive: Mapping[int, bool]) -> Tables:
    """Who is alive, by the units' numbers: the same on every unit."""
    rows = {number: Unit(state) for number, state in alive.items()}
    return Tables(unit={NOWHERE: Unit(False), **rows})


def link_rows(unit: NodeUnit) -> Tables:
    """The unit's own links, as its agent installs them from its configuration unless that says otherwise."""
    return Tables(
        link={
            LinkKey(link.device, link.vlan): Link(_kind(link), link.mac, Unmatched.HOST)
            for link in unit.links
        }
    )


def _kind(link: NodeLink) -> LinkKind:
    if link.control:
        return LinkKind.CONTROL
    return LinkKind.OUTSIDE if link.outside else LinkKind.NODE
