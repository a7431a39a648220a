"""Which machines a session has: one for each instance, or for all programs that share a whole machine."""

from __future__ import annotations

from dipronn.v1 import session_pb2 as pb


def leads(program: pb.Program) -> dict[str, str]:
    """By program the first one in its machine, whose instance's name is the machine's; most often itself."""
    first: dict[str, str] = {}
    return {one.name: first.setdefault(one.vm, one.name) if one.vm else one.name for one in program.programs}


def sharing(program: pb.Program, active: pb.ActiveProgram) -> list[pb.ActiveProgram]:
    """The programs in a program's machine, with itself."""
    if not active.vm:
        return [active]
    return [one for one in program.programs if one.vm == active.vm]


def machine_of(program: pb.Program, active: pb.ActiveProgram) -> pb.VirtualMachine | None:
    """The whole machine that a program runs in; None: an execution environment."""
    return next((vm for vm in program.vms if vm.name == active.vm), None)
