"""What the language says and this node does not run yet: refused at Establish by name, never ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controller.program.diagnostics import Diagnostic, Place, Severity
from controller.program.kernel import unsupported_kernel
from dipronn.v1 import session_pb2 as pb

_OF_FIXED_NUMBER = {
    pb.POLICY_DUPLICATE: "duplicate",
    pb.POLICY_WEIGHTED: "weighted",
    pb.POLICY_CHOSEN: "chosen",
}
"""Policies that say something about each instance."""


def unsupported(program: pb.Program, places: Mapping[str, Place] | None = None) -> list[Diagnostic]:
    known = places or {}
    return [
        Diagnostic(Severity.ERROR, f"this node does not run {what} yet", path, known.get(path), hint)
        for path, what, hint in _findings(program)
    ]


def _findings(program: pb.Program) -> Iterator[tuple[str, str, str]]:
    for index, output in enumerate(program.outputs):
        path = f"outputs[{index}]"
        yield from _ordered(path, program, output)
        if output.override_prefix and (port := _shared(program, output.name)):
            what = f"`override` (output `{output.name}`) where other lines leave `{port}` too"
            yield f"{path}.override", what, "let a program of its own feed the output"
    for index, vm in enumerate(program.vms):
        yield from _machine(f"vms[{index}]", program, vm)
    for index, active in enumerate(program.programs):
        yield from _program(f"programs[{index}]", active)
        if active.policy == pb.POLICY_CHOSEN and (why := _unchosen(program, active.name)):
            yield f"programs[{index}].policy", f"the policy `chosen` (program `{active.name}`) {why}", ""
    yield from _mixed(program)
    yield from unsupported_kernel(program)
    for index, quality in enumerate(program.qualities):
        what = f"quality of program `{quality.program}`"
        reserved = {one.name for one in program.programs if one.needs.bandwidth_bps}
        if quality.service_class == pb.SERVICE_CLASS_REALTIME and quality.program not in reserved:
            hint = "what comes before all others must be bounded"
            yield f"qualities[{index}]", f"`class realtime` without `needs bandwidth` ({what})", hint
        if quality.HasField("latency"):
            hint = "nothing bounds what a program takes in its machine; state a class only"
            yield f"qualities[{index}]", f"`latency` ({what})", hint
    if program.update_strict:
        yield "update_strict", "`update strict`: a session cannot be updated", ""


MAX_ORDERED = 16
"""Outputs of one session that keep order or are merged: what one sequencer serves."""


def _ordered(path: str, program: pb.Program, output: pb.Output) -> Iterator[tuple[str, str, str]]:
    """Order needs a token in every packet; a merge drops copies, which must not be waited for."""
    asking = [one for one in program.outputs if asks_for_order(one)]
    if output not in asking:
        return
    clause = "order" if output.order else "merge"
    where, what = f"{path}.{clause}", f"`{clause}` (output `{output.name}`)"
    if asking.index(output) == MAX_ORDERED:
        yield where, f"{what} of more than {MAX_ORDERED} outputs", ""
    if output.token == pb.ORDER_TOKEN_RTP:
        return
    udp = sorted(
        one.name
        for one in program.inputs
        if one.transport == pb.TRANSPORT_UDP and one.name in _leading_to(program, output.name)
    )
    if udp:
        whose = f"{what} of UDP packets without an order token (input `{udp[0]}`)"
        yield where, whose, "write `by rtp` if they are RTP, or let the input be artp"
    elif output.merge in (pb.MERGE_FIRST, pb.MERGE_K_OF_N):
        why = f"`merge` (output `{output.name}`) that drops copies of ARTP, whose senders wait for every one"
        yield f"{path}.merge", why, "write `merge all`, or `by rtp` if it is RTP"


def asks_for_order(output: pb.Output) -> bool:
    """Whether its packets go by a sequencer."""
    return output.order != pb.ORDER_NONE or output.merge != pb.MERGE_UNSPECIFIED


def _leading_to(program: pb.Program, output: str) -> set[str]:
    """Inputs of the session from which data lines lead to an output, through programs or not."""
    found: set[tuple[str, str]] = set()
    waiting = [("", output)]
    while waiting:
        end = waiting.pop()
        for line in program.channels:
            if line.kind == pb.CHANNEL_KIND_DATA and _node(line.destination) == end:
                source = _node(line.source)
                waiting += [source] if source not in found else []
                found.add(source)
    return {name for source, name in found if not source}


def _node(port: pb.Port) -> tuple[str, str]:
    """A program, whichever port of it; or an input or output of the session."""
    return (port.program, "") if port.program else ("", port.name)


def _mixed(program: pb.Program) -> Iterator[tuple[str, str, str]]:
    """Ports that stand in lines of data and of control: the one is steered by policy, the other to all."""
    data = {
        (port.program, port.name)
        for line in program.channels
        if line.kind == pb.CHANNEL_KIND_DATA
        for port in (line.source, line.destination)
    }
    for index, line in enumerate(program.channels):
        for side in ("source", "destination"):
            port = getattr(line, side)
            if line.kind == pb.CHANNEL_KIND_CONTROL and (port.program, port.name) in data:
                what = f"control over a port of data lines (`{port.program}.{port.name}`)"
                yield f"channels[{index}].{side}", what, "give control a port of its own"


def _lines(program: pb.Program) -> dict[tuple[str, str], list[pb.Port]]:
    """Where data lines lead to, by the port that they leave."""
    lines: dict[tuple[str, str], list[pb.Port]] = {}
    for line in program.channels:
        if line.kind == pb.CHANNEL_KIND_DATA:
            lines.setdefault((line.source.program, line.source.name), []).append(line.destination)
    return lines


def _shared(program: pb.Program, output: str) -> str:
    """A port that feeds an output and something else; empty: none does."""
    for (source, name), ends in _lines(program).items():
        if len(ends) > 1 and any(not end.program and end.name == output for end in ends):
            return f"{source}.{name}" if source else name
    return ""


def _unchosen(program: pb.Program, name: str) -> str:
    """Why nobody could choose an instance of a program; empty: they can."""
    chosen = {one.name for one in program.programs if one.policy == pb.POLICY_CHOSEN}
    transports = {("", one.name): one.transport for one in program.inputs}
    for source, ends in _lines(program).items():
        fed = {end.program for end in ends}
        if name in fed and transports.get(source, pb.TRANSPORT_ARTP) != pb.TRANSPORT_ARTP:
            return f"without ARTP (input `{source[1]}`)"
        if name in fed and len(fed & chosen) > 1:
            return f"where another such program is fed by `{'.'.join(filter(None, source))}` too"
    return ""


def _machine(path: str, program: pb.Program, vm: pb.VirtualMachine) -> Iterator[tuple[str, str, str]]:
    inside = [one for one in program.programs if one.vm == vm.name]
    if not inside:
        yield path, f"a machine without a program (vm `{vm.name}`)", "leave it out"
    if len({count for one in inside for count in (one.min_instances, one.max_instances)}) > 1 < len(inside):
        yield path, f"a machine whose programs differ in their instances (vm `{vm.name}`)", "state one number"
    if len(inside) > 1 and (name := _artp(program, vm.name)):
        what = f"ARTP (input `{name}`) into a machine with several programs (vm `{vm.name}`)"
        yield path, what, "give each program a machine of its own"


def _artp(program: pb.Program, vm: str) -> str:
    """A session input over ARTP that leads into a machine; empty: none does."""
    inside = {one.name for one in program.programs if one.vm == vm}
    transports = {("", one.name): one.transport for one in program.inputs}
    for source, ends in _lines(program).items():
        if transports.get(source) == pb.TRANSPORT_ARTP and any(end.program in inside for end in ends):
            return source[1]
    return ""


def _program(path: str, item: pb.ActiveProgram) -> Iterator[tuple[str, str, str]]:
    code = item.WhichOneof("code")
    if item.vm and code == "bundle":
        yield f"{path}.code", f"bundles in whole virtual machines (program `{item.name}`)", "use run"
    policy = _OF_FIXED_NUMBER.get(item.policy)
    if item.max_instances > item.min_instances and (policy or item.vm):
        where = f"with the policy `{policy}`" if policy else "in a whole virtual machine"
        what = f"a variable number of instances {where} (program `{item.name}`)"
        hint = f"write `parallelizable {item.min_instances}`, or take an offer of Negotiate"
        yield f"{path}.instances", what, hint
    if item.needs.storage_bytes:
        yield f"{path}.needs", f"storage of an execution environment (program `{item.name}`)", "use memory"
