"""Which programs of a session are Phonepl: they run in a unit's kernel, not in a machine."""

from __future__ import annotations

from collections.abc import Iterator

from dipronn.v1 import session_pb2 as pb


def is_kernel(program: pb.ActiveProgram) -> bool:
    return program.WhichOneof("code") == "phonepl"


def unsupported_kernel(program: pb.Program) -> Iterator[tuple[str, str, str]]:
    """What a session cannot ask of a kernel program: (path, what, hint)."""
    kernel = {active.name for active in program.programs if is_kernel(active)}
    artp = [one.name for one in program.inputs if one.transport == pb.TRANSPORT_ARTP]
    for index, active in enumerate(program.programs):
        if active.name not in kernel:
            continue
        path, what = f"programs[{index}]", f"the Phonepl program `{active.name}`"
        if max(active.min_instances, active.max_instances) > 1:
            yield f"{path}.instances", f"several instances of {what}", "its arrays are one program's"
        if artp:
            yield f"{path}.code", f"{what} beside ARTP (input `{artp[0]}`)", "let the input be udp"
        if len(active.inputs) + len(active.outputs) > _MOST_STREAMS:
            yield f"{path}.code", f"more than {_MOST_STREAMS} ports of {what}", ""
    for index, line in enumerate(program.channels):
        ends = {line.source.program, line.destination.program} & kernel
        if line.kind == pb.CHANNEL_KIND_CONTROL and ends:
            what = f"control channels of the Phonepl program `{min(ends)}`"
            yield f"channels[{index}]", what, "a control request is a packet: write `data`"
    for index, quality in enumerate(program.qualities):
        if quality.program in kernel:
            yield f"qualities[{index}]", f"quality of the Phonepl program `{quality.program}`", "leave it out"


_MOST_STREAMS = 31
