"""What a session leaves unsaid, filled in: the same for a text and for a message of a machine."""

from __future__ import annotations

import contextlib
import ipaddress

from dipronn.v1 import session_pb2 as pb


def fill_in(program: pb.Program) -> None:
    """Make a message what the text of the same session gives; what it says wrongly stays for check.py.

    Programs that state no number have one instance, several take turns; addresses are in their usual form.
    """
    fill_in_transports(program)
    for active in program.programs:
        if not active.min_instances and not active.max_instances:
            active.min_instances = active.max_instances = 1
        if active.policy == pb.POLICY_UNSPECIFIED and active.max_instances > 1:
            active.policy = pb.POLICY_ROUND_ROBIN
    for item in program.inputs:
        item.from_prefix = _usual_prefix(item.from_prefix)
        if item.to.address:
            item.to.address = _usual_address(item.to.address)
    for output in program.outputs:
        output.override_prefix = _usual_prefix(output.override_prefix)
        for receiver in output.receivers:
            receiver.address = _usual_address(receiver.address)


def fill_in_transports(program: pb.Program) -> None:
    """The session's transport for inputs that state none; it may stand behind them."""
    for item in program.inputs:
        if item.transport == pb.TRANSPORT_UNSPECIFIED:
            item.transport = program.transport


def _usual_prefix(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_network(text))
    return text


def _usual_address(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text))
    return text
