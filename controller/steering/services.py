"""The class of every line of a session: who comes before whom where a device is near its limit.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from controller.steering.model import Service
from dipronn.v1 import session_pb2 as pb

_OF_CLASS = {
    pb.SERVICE_CLASS_BEST_EFFORT: Service.BEST_EFFORT,
    pb.SERVICE_CLASS_ASSURED: Service.ASSURED,
    pb.SERVICE_CLASS_REALTIME: Service.REALTIME,
}


class Services:
    """What a program states as its class; else what is reserved is assured, and the rest is best effort."""

    def __init__(self, program: pb.Program) -> None:
        stated = {one.program: _OF_CLASS.get(one.service_class) for one in program.qualities}
        self._programs: dict[str, Service] = {}
        for one in program.programs:
            reserved = Service.ASSURED if one.needs.bandwidth_bps else Service.BEST_EFFORT
            of_class = stated.get(one.name)
            self._programs[one.name] = reserved if of_class is None else of_class
        self._inputs = {one.name: bool(one.rate_bps) for one in program.inputs}

    def of_program(self, name: str) -> Service:
        return self._programs[name]

    def of_line(self, line: pb.Channel) -> Service:
        """A line has the class of the program that sends; what enters the node, of the program it is for."""
        if line.source.program:
            return self._programs[line.source.program]
        if line.destination.program:
            return self._programs[line.destination.program]
        return Service.ASSURED if self._inputs[line.source.name] else Service.BEST_EFFORT

    def of_output(self, output: str, lines: Iterable[pb.Channel]) -> Service:
        """The best of those that lead there."""
        leading = (one for one in lines if not one.destination.program and one.destination.name == output)
        return max((self.of_line(one) for one in leading), default=Service.BEST_EFFORT)
