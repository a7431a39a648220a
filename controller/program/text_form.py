"""``dipronn.v1.Program`` → the text of the session language, in canonical layout: parse.py backwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal, localcontext

from controller.program.graph import port_name
from controller.program.layout import lay_out
from controller.program.values import ESCAPES, RATES, SIZES, TIMES
from controller.program.words import CLASSES, ORDER_TOKENS, POLICIES, TRANSPORTS, spelled
from dipronn.v1 import session_pb2 as pb

_DIGITS = 60
"""Enough for any quantity of a good session to be exact."""


def to_text(program: pb.Program) -> str:
    """The text that says the same.  ``program`` is one in which check finds no error."""
    return lay_out("\n".join(_statements(program)))


def _statements(program: pb.Program) -> Iterator[str]:
    yield f"session {program.name} {{"
    if program.owner:
        yield f"owner {_string(program.owner)};"
    if program.transport:
        yield f"transport {spelled(TRANSPORTS, program.transport)};"
    yield from map(_input, program.inputs)
    yield from map(_output, program.outputs)
    yield from map(_parameter, program.parameters)
    if program.cycle_ok:
        yield "cycle ok;"
    if program.update_strict:
        yield "update strict;"
    for vm in program.vms:
        yield f"\nvm {vm.name} {{"
        yield f"image {_string(vm.image)};"
        yield from (f"{need};" for need in _needs(vm.needs))
        yield "}"
    for item in program.programs:
        yield from _program(item)
    yield ""
    yield from map(_channel, program.channels)
    for quality in program.qualities:
        yield f"\nquality {quality.program} {{"
        if quality.service_class:
            yield f"class {spelled(CLASSES, quality.service_class)};"
        if quality.HasField("latency"):
            yield f"latency {_time(quality.latency.ToTimedelta())};"
        yield "}"
    yield "}"


def _input(item: pb.Input) -> str:
    clauses = [f"input {item.name} : {spelled(TRANSPORTS, item.transport)}"]
    if item.rate_bps:
        clauses.append(f"rate {_quantity(item.rate_bps, RATES)}")
    if item.from_prefix:
        clauses.append(f"from {item.from_prefix}")
    if item.to.address:
        clauses.append(f"to {_socket(item.to)}")
    return " ".join(clauses) + ";"


def _output(output: pb.Output) -> str:
    clauses = [f"output {output.name} to {', '.join(map(_socket, output.receivers))}"]
    if output.override_prefix:
        clauses.append(f"override {output.override_prefix}")
    if output.order == pb.ORDER_WINDOW:
        clauses.append(f"order window {_time(output.order_window.ToTimedelta())}")
    elif output.order == pb.ORDER_STRICT:
        clauses.append("order strict")
    if output.merge == pb.MERGE_K_OF_N:
        clauses.append(f"merge {output.merge_k} of {output.merge_n}")
    elif output.merge:
        clauses.append("merge all" if output.merge == pb.MERGE_ALL else "merge first")
    if output.token:
        clauses.append(f"by {spelled(ORDER_TOKENS, output.token)}")
    return " ".join(clauses) + ";"


def _program(item: pb.ActiveProgram) -> Iterator[str]:
    yield f"\nprogram {item.name}" + (f" in {item.vm}" if item.vm else "") + " {"
    code = item.WhichOneof("code")
    assert code is not None
    yield f"{code} {_string(getattr(item, code))};"
    for direction, ports in (("in", item.inputs), ("out", item.outputs)):
        if ports:
            yield f"{direction} {', '.join(ports)};"
    yield from map(_parameter, item.parameters)
    if policy := _policy(item):
        yield policy
    if needs := list(_needs(item.needs)):
        yield f"needs {', '.join(needs)};"
    yield "}"


def _policy(item: pb.ActiveProgram) -> str:
    if item.policy == pb.POLICY_UNSPECIFIED and item.max_instances == 1:
        return ""
    count = str(item.min_instances)
    if item.max_instances != item.min_instances:
        count += f"..{item.max_instances}"
    words = f"parallelizable {count} by {spelled(POLICIES, item.policy or pb.POLICY_ROUND_ROBIN)}"
    return words + (f" {':'.join(map(str, item.weights))}" if item.weights else "") + ";"


def _needs(needs: pb.Needs) -> Iterator[str]:
    if needs.cpu:
        yield f"cpu {_number(Decimal(repr(needs.cpu)))}"
    for name, amount in (("memory", needs.memory_bytes), ("storage", needs.storage_bytes)):
        if amount:
            yield f"{name} {_quantity(amount, SIZES)}"
    if needs.bandwidth_bps:
        yield f"bandwidth {_quantity(needs.bandwidth_bps, RATES)}"


def _channel(channel: pb.Channel) -> str:
    kind = "data" if channel.kind == pb.CHANNEL_KIND_DATA else "control"
    arrow = "<->" if channel.both_ways else "->"
    return f"{kind} {port_name(channel.source)} {arrow} {port_name(channel.destination)};"


def _parameter(parameter: pb.Parameter) -> str:
    return f"param {parameter.name} {_string(parameter.value)};"


def _string(value: str) -> str:
    for letter, character in {"\\": "\\", '"': '"', **ESCAPES}.items():
        value = value.replace(character, f"\\{letter}")
    return f'"{value}"'


def _socket(socket: pb.SocketAddress) -> str:
    return f"[{socket.address}]:{socket.port}" if ":" in socket.address else f"{socket.address}:{socket.port}"


def _time(value: timedelta) -> str:
    return _quantity(value // timedelta(microseconds=1), TIMES)


def _quantity(amount: int, units: Mapping[str, int]) -> str:
    """The shortest way to write the amount exactly; the largest unit among equals."""
    with localcontext(prec=_DIGITS):
        written = [_number(Decimal(amount) / size) + unit for unit, size in _largest_first(units)]
    return min(written, key=len)


def _largest_first(units: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(units.items(), key=lambda unit: -unit[1])


def _number(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
