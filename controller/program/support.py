"""What the language says and this node does not run yet: refused at Establish by name, never ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.program.diagnostics import Diagnostic, Place, Severity
from dipronn.v1 import session_pb2 as pb

_POLICIES = {pb.POLICY_LEAST_LOADED: "least_loaded", pb.POLICY_CHOSEN: "chosen"}


def unsupported(program: pb.Program, places: Mapping[str, Place] | None = None) -> list[Diagnostic]:
    known = places or {}
    return [
        Diagnostic(Severity.ERROR, f"this node does not run {what} yet", path, known.get(path), hint)
        for path, what, hint in _findings(program)
    ]


def _findings(program: pb.Program) -> Iterator[tuple[str, str, str]]:
    for index, item in enumerate(program.inputs):
        if item.transport != pb.TRANSPORT_UDP:
            yield f"inputs[{index}]", f"ARTP (input `{item.name}`)", "use udp"
    for index, output in enumerate(program.outputs):
        path = f"outputs[{index}]"
        if output.order != pb.ORDER_NONE:
            yield f"{path}.order", f"`order` (output `{output.name}`)", ""
        if output.merge != pb.MERGE_UNSPECIFIED:
            yield f"{path}.merge", f"`merge` (output `{output.name}`)", ""
        if output.override_prefix:
            yield f"{path}.override", f"`override` (output `{output.name}`)", "it comes with ARTP"
    for index, vm in enumerate(program.vms):
        yield f"vms[{index}]", f"whole virtual machines (vm `{vm.name}`)", "use a bundle"
    for index, active in enumerate(program.programs):
        yield from _program(f"programs[{index}]", active)
    for index, channel in enumerate(program.channels):
        if channel.kind == pb.CHANNEL_KIND_CONTROL:
            yield f"channels[{index}]", "control channels", ""
    for index, quality in enumerate(program.qualities):
        yield f"qualities[{index}]", f"`quality` (program `{quality.program}`)", ""
    if program.update_strict:
        yield "update_strict", "`update strict`: a session cannot be updated", ""


def _program(path: str, item: pb.ActiveProgram) -> Iterator[tuple[str, str, str]]:
    code = item.WhichOneof("code")
    if item.vm or code == "run":
        yield f"{path}.code", f"programs in whole virtual machines (program `{item.name}`)", "use a bundle"
    if code == "phonepl":
        yield f"{path}.code", f"Phonepl in a session (program `{item.name}`)", "use a bundle"
    if item.max_instances > item.min_instances:
        what = f"a variable number of instances (program `{item.name}`)"
        yield (
            f"{path}.instances",
            what,
            f"write `parallelizable {item.min_instances}`, or take an offer of Negotiate",
        )
    if item.policy in _POLICIES:
        yield (
            f"{path}.policy",
            f"the policy `{_POLICIES[item.policy]}` (program `{item.name}`)",
            "use round_robin",
        )
    if item.needs.storage_bytes:
        yield f"{path}.needs", f"storage of an execution environment (program `{item.name}`)", "use memory"
