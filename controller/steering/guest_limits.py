"""What a machine may send and be sent, from what its programs stated as their bandwidth.  Pure."""

from __future__ import annotations

from controller.steering.deployment import Deployment, PlacedInstance
from controller.steering.model import MAX_BURST, Limit

LEAST_BURST = 1 << 16
"""Bytes: one datagram of the greatest length passes at once."""
BURST_SECONDS = 0.25
"""A picture of a film comes at once, and many times as long as the mean."""


def guest_limit(deployment: Deployment, instance: PlacedInstance) -> Limit | None:
    """The same in each direction; None where nobody stated a bandwidth: as much as there is room for."""
    stated = _stated(deployment, instance.program)
    if not stated:
        return None
    burst = max(LEAST_BURST, min(MAX_BURST, int(stated * BURST_SECONDS / 8)))
    return Limit(received=stated, sent=stated, burst=burst)


def _stated(deployment: Deployment, name: str) -> int:
    """bit/s of the machine in which a program runs: its own, or those of its programs together."""
    program = next(one for one in deployment.program.programs if one.name == name)
    if not program.vm:
        return program.needs.bandwidth_bps
    machine = next((one for one in deployment.program.vms if one.name == program.vm), None)
    if machine is not None and machine.needs.bandwidth_bps:
        return machine.needs.bandwidth_bps
    return sum(one.needs.bandwidth_bps for one in deployment.program.programs if one.vm == program.vm)
