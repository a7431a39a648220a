"""The text of the session language → ``dipronn.v1.Program``, with the place of each part."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from controller.program.check import MAX_AMOUNT, MAX_CPU, MAX_WEIGHT
from controller.program.diagnostics import Diagnostic, Place, Severity
from dipronn.v1 import session_pb2 as pb

MAX_BYTES = 1 << 20
"""A session's text is at most 1 MiB."""

Node = Tree[Token]

_RATES = {"bps": 1, "kbps": 10**3, "Mbps": 10**6, "Gbps": 10**9}
_SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_TIMES = {"us": 1, "ms": 10**3, "s": 10**6}
_POLICIES = {
    "round_robin": pb.POLICY_ROUND_ROBIN,
    "duplicate": pb.POLICY_DUPLICATE,
    "hash": pb.POLICY_HASH,
    "weighted": pb.POLICY_WEIGHTED,
    "least_loaded": pb.POLICY_LEAST_LOADED,
    "chosen": pb.POLICY_CHOSEN,
}
_CLASSES = {
    "realtime": pb.SERVICE_CLASS_REALTIME,
    "assured": pb.SERVICE_CLASS_ASSURED,
    "best_effort": pb.SERVICE_CLASS_BEST_EFFORT,
}
_TRANSPORTS = {"udp": pb.TRANSPORT_UDP, "artp": pb.TRANSPORT_ARTP}


@dataclass
class Parsed:
    """``program`` is complete only without errors.  ``places``: a field's path → its place."""

    program: pb.Program
    places: dict[str, Place] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)


def parse(text: str) -> Parsed:
    """Read one session.  Never raises for a fault of the text: the diagnostics say it."""
    parsed = Parsed(pb.Program())
    size = len(text.encode(errors="replace"))
    if size > MAX_BYTES:
        message = f"the text has {size} bytes, more than {MAX_BYTES}"
        parsed.diagnostics.append(Diagnostic(Severity.ERROR, message, place=Place(1, 1)))
        return parsed
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        parsed.diagnostics.append(_syntax_error(error, text))
        return parsed
    _Builder(parsed).session(tree)
    return parsed


def tokens(text: str) -> Iterator[Token]:
    """The words of a good text, without white space and comments."""
    return iter(_parser().lex(text))


@cache
def _parser() -> Lark:
    # The basic lexer knows no context, so that a keyword is a keyword everywhere.
    grammar = Path(__file__).with_name("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=True)


@cache
def _spelling() -> dict[str, str]:
    known = {
        "NAME": "a name",
        "STRING": 'a "string"',
        "SOCKET": "an address with a port",
        "PREFIX": "an address prefix",
        "QUANTITY": "a number with a unit",
        "NUMBER": "a number",
        "$END": "the end of the file",
    }
    for terminal in _parser().terminals:
        known.setdefault(terminal.name, f"`{terminal.pattern.value}`".replace("\\", ""))
    return known


def _syntax_error(error: UnexpectedInput, text: str) -> Diagnostic:
    if isinstance(error, UnexpectedToken):
        token = error.token
        names = sorted({_spelling()[name] for name in error.accepts or error.expected if name in _spelling()})
        expected = "expected " + (
            " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        )
        if token.type == "$END":
            lines = text.rstrip().split("\n")
            place = Place(len(lines), len(lines[-1]) + 1)
            return Diagnostic(Severity.ERROR, "the text ends too early", place=place, hint=expected)
        place = Place(token.line or 1, token.column or 1)
        if "NAME" in (error.accepts or error.expected) and re.fullmatch(r"[a-z_]+", token):
            return Diagnostic(
                Severity.ERROR,
                f"`{token}` is a keyword and cannot be a name",
                place=place,
                hint=f"choose another name, for example `{token}1`",
            )
        shown = token if len(token) <= 40 else token[:40] + "…"
        return Diagnostic(Severity.ERROR, f"unexpected `{shown}`", place=place, hint=expected)
    assert isinstance(error, UnexpectedCharacters) and error.pos_in_stream is not None
    place = Place(error.line, error.column)
    if text[error.pos_in_stream] == '"':
        hint = 'a string ends on the line where it begins; inside it write \\" and \\\\'
        return Diagnostic(Severity.ERROR, "the string does not end", place=place, hint=hint)
    return Diagnostic(Severity.ERROR, f"unexpected character {text[error.pos_in_stream]!r}", place=place)


class _Builder:
    """Walks the tree once; reports what a single word says wrong (what words say together: check.py)."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.program = parsed.program
        self.once: dict[str, Place] = {}

    # helpers

    def error(self, at: Node | Token, message: str, hint: str = "") -> None:
        self.parsed.diagnostics.append(Diagnostic(Severity.ERROR, message, place=_place(at), hint=hint))

    def mark(self, path: str, at: Node | Token) -> None:
        self.parsed.places[path] = _place(at)

    def single(self, what: str, at: Node) -> None:
        """Report a statement that may stand only once."""
        if what in self.once:
            self.error(at, f"{what} stands twice", f"it stands first in line {self.once[what].line}")
        else:
            self.once[what] = _place(at)

    def quantity(self, node: Node, units: dict[str, int], what: str) -> int:
        """A number with a unit of ``units``, rounded to the nearest whole; 0 after an error."""
        number, unit = _number_and_unit(node)
        if unit not in units:
            written = f"unknown unit `{unit}`" if unit else "a unit is missing"
            self.error(
                node, f"{written} in {what}", f"write {_either(units)}, for example `5{min(units, key=len)}`"
            )
            return 0
        value = int((number * units[unit]).to_integral_value())
        if not 0 < value <= MAX_AMOUNT:
            self.error(node, f"{what} is {'zero' if value <= 0 else 'too large'}")
            return 0
        return value

    def whole(self, token: Token, what: str, largest: int) -> int:
        """A whole number; 0 after an error, which is reported (a zero is for check.py to judge)."""
        if "." in token or len(token) > 18 or int(token) > largest:
            self.error(token, f"{what} must be a whole number up to {largest}, not {token[:30]}")
            return 0
        return int(token)

    def socket(self, node: Node, what: str) -> pb.SocketAddress:
        token = _token(node)
        hint = "write 192.0.2.1:6000 or [2001:db8::7]:6001"
        match = re.fullmatch(r"\[(.*)\]:(\d{1,5})|([\d.]+):(\d{1,5})", token)
        try:
            if match is None:
                raise ValueError("it has no port, or one of more than 5 digits")
            if match[1] is not None:
                address, port = str(ipaddress.IPv6Address(match[1])), int(match[2])
            else:
                address, port = str(ipaddress.IPv4Address(match[3])), int(match[4])
            if "%" in address:
                raise ValueError("a zone has no place here")
            if not 0 < port < 65536:
                raise ValueError(f"port {port} is not in 1..65535")
        except ValueError as error:
            self.error(node, f"bad address `{token}` of {what}: {error}", hint)
            return pb.SocketAddress()
        return pb.SocketAddress(address=address, port=port)

    def prefix(self, node: Node, what: str) -> str:
        token = _token(node)
        try:
            return str(ipaddress.ip_network(str(token)))
        except ValueError as error:
            self.error(
                token, f"bad prefix `{token}` of {what}: {error}", "write 192.0.2.0/24 or 2001:db8::/32"
            )
            return ""

    # statements

    def session(self, tree: Node) -> None:
        name, *statements = tree.children
        self.program.name = _text(name)
        self.mark("name", _tree(name))
        for statement in statements:
            node = _tree(statement)
            handler: Callable[[Node], None] = getattr(self, f"on_{node.data}")
            handler(node)
        self.default_transport()

    def default_transport(self) -> None:
        """`transport` may stand behind the inputs that it is the default of."""
        for index, item in enumerate(self.program.inputs):
            if item.transport == pb.TRANSPORT_UNSPECIFIED:
                item.transport = self.program.transport
            if item.transport == pb.TRANSPORT_UNSPECIFIED:
                place = self.parsed.places[f"inputs[{index}]"]
                message = f"input `{item.name}` has no transport"
                hint = f"write `input {item.name} : udp` or `transport udp;` in the session"
                self.parsed.diagnostics.append(Diagnostic(Severity.ERROR, message, place=place, hint=hint))

    def on_owner(self, node: Node) -> None:
        self.single("owner", node)
        self.program.owner = _string(_token(node))
        self.mark("owner", node)

    def on_transport(self, node: Node) -> None:
        self.single("transport", node)
        self.program.transport = _TRANSPORTS[_text(node.children[0])]
        self.mark("transport", node)

    def on_cycle(self, node: Node) -> None:
        self.single("`cycle ok`", node)
        self.program.cycle_ok = True

    def on_update(self, node: Node) -> None:
        self.single("`update strict`", node)
        self.program.update_strict = True
        self.mark("update_strict", node)

    def on_param(self, node: Node) -> None:
        self.parameter(node, self.program.parameters.add(), f"parameters[{len(self.program.parameters) - 1}]")

    def parameter(self, node: Node, parameter: pb.Parameter, path: str) -> None:
        name, value = node.children
        token = _token(_tree(value))
        parameter.name = _text(name)
        parameter.value = _string(token) if token.type == "STRING" else str(token)
        self.mark(path, _tree(name))

    def on_input(self, node: Node) -> None:
        name, protocol, *clauses = node.children
        item = self.program.inputs.add(name=_text(name))
        path = f"inputs[{len(self.program.inputs) - 1}]"
        self.mark(path, _tree(name))
        if protocol is not None:
            item.transport = _TRANSPORTS[_text(protocol)]
        for clause in map(_tree, clauses):
            self.single(f"`{clause.data}` of input `{item.name}`", clause)
            self.mark(f"{path}.{clause.data}", clause)
            if clause.data == "rate":
                item.rate_bps = self.quantity(_tree(clause.children[0]), _RATES, "rate")
            elif clause.data == "from":
                item.from_prefix = self.prefix(clause, f"input `{item.name}`")
            else:
                item.to.CopyFrom(self.socket(_tree(clause.children[0]), f"input `{item.name}`"))

    def on_output(self, node: Node) -> None:
        name, *rest = node.children
        item, path = self.output(_tree(name))
        receivers, *clauses = map(_tree, rest)
        for index, socket in enumerate(map(_tree, receivers.children)):
            item.receivers.append(self.socket(socket, f"output `{item.name}`"))
            self.mark(f"{path}.receivers[{index}]", socket)
        self.output_clauses(item, path, clauses)

    def on_output_without_receivers(self, node: Node) -> None:
        name, *clauses = node.children
        item, path = self.output(_tree(name))
        self.output_clauses(item, path, map(_tree, clauses))

    def output(self, name: Node) -> tuple[pb.Output, str]:
        item = self.program.outputs.add(name=_text(name))
        path = f"outputs[{len(self.program.outputs) - 1}]"
        self.mark(path, name)
        return item, path

    def output_clauses(
        self, item: pb.Output, path: str, clauses: list[Node] | Iterator[Node] | map[Node]
    ) -> None:
        for clause in clauses:
            self.single(f"`{clause.data}` of output `{item.name}`", clause)
            self.mark(f"{path}.{clause.data}", clause)
            words = [str(child) for child in clause.children if isinstance(child, Token)]
            if clause.data == "override":
                item.override_prefix = self.prefix(clause, f"output `{item.name}`")
            elif clause.data == "order":
                item.order = pb.Order.Value(f"ORDER_{words[0].upper()}")
                if item.order == pb.ORDER_WINDOW:
                    microseconds = self.quantity(_tree(clause.children[1]), _TIMES, "window")
                    item.order_window.FromTimedelta(_time(microseconds))
            elif words[0] in ("all", "first"):
                item.merge = pb.MERGE_ALL if words[0] == "all" else pb.MERGE_FIRST
            else:
                k, n = (self.whole(_token_at(clause, i), "merge", 65535) for i in (0, 1))
                item.merge, item.merge_k, item.merge_n = pb.MERGE_K_OF_N, k, n

    def on_vm(self, node: Node) -> None:
        name, *clauses = node.children
        vm = self.program.vms.add(name=_text(name))
        path = f"vms[{len(self.program.vms) - 1}]"
        self.mark(path, _tree(name))
        for clause in map(_tree, clauses):
            if clause.data == "image":
                self.single(f"`image` of vm `{vm.name}`", clause)
                vm.image = _string(_token(clause))
            else:
                self.need(_tree(clause.children[0]), vm.needs, f"vm `{vm.name}`")

    def need(self, node: Node, needs: pb.Needs, owner: str) -> None:
        what = str(node.children[0])
        self.single(f"`{what}` of {owner}", node)
        value = _tree(node.children[1])
        if what == "cpu":
            number, unit = _number_and_unit(value)
            if unit or not Decimal("0.001") <= number <= MAX_CPU:
                self.error(
                    value, f"cpu counts cores, from 0.001 to {MAX_CPU}", "write `cpu 0.5`, without a unit"
                )
            else:
                needs.cpu = float(number)
        elif what == "bandwidth":
            needs.bandwidth_bps = self.quantity(value, _RATES, what)
        else:
            setattr(needs, f"{what}_bytes", self.quantity(value, _SIZES, what))

    def on_program(self, node: Node) -> None:
        name, vm, *clauses = node.children
        item = self.program.programs.add(name=_text(name), min_instances=1, max_instances=1)
        path = f"programs[{len(self.program.programs) - 1}]"
        self.mark(path, _tree(name))
        owner = f"program `{item.name}`"
        if vm is not None:
            item.vm = _text(vm)
            self.mark(f"{path}.vm", _tree(vm))
        for clause in map(_tree, clauses):
            if clause.data in ("in_ports", "out_ports"):
                field_name = "inputs" if clause.data == "in_ports" else "outputs"
                ports = item.inputs if field_name == "inputs" else item.outputs
                for port in map(_tree, clause.children):
                    ports.append(_text(port))
                    self.mark(f"{path}.{field_name}[{len(ports) - 1}]", port)
            elif clause.data in ("run", "bundle", "phonepl"):
                self.code(clause, item, path)
            elif clause.data == "parallelizable":
                self.single(f"`parallelizable` of {owner}", clause)
                self.parallelizable(clause, item, path)
            elif clause.data == "needs":
                self.mark(f"{path}.needs", clause)
                for need in map(_tree, clause.children):
                    self.need(need, item.needs, owner)
            else:
                index = len(item.parameters)
                self.parameter(clause, item.parameters.add(), f"{path}.parameters[{index}]")

    def code(self, clause: Node, item: pb.ActiveProgram, path: str) -> None:
        already = item.WhichOneof("code")
        if already:
            self.error(
                clause,
                f"program `{item.name}` has `{clause.data}` besides `{already}`",
                "a program has exactly one of run, bundle and phonepl",
            )
            return
        setattr(item, str(clause.data), _string(_token(clause)))
        self.mark(f"{path}.code", clause)

    def parallelizable(self, clause: Node, item: pb.ActiveProgram, path: str) -> None:
        first, last, policy = clause.children
        self.mark(f"{path}.instances", clause)
        item.min_instances = self.whole(_as_token(first), "the number of instances", 65535)
        item.max_instances = item.min_instances
        if last is not None:
            item.max_instances = self.whole(_as_token(last), "the number of instances", 65535)
        item.policy = pb.POLICY_ROUND_ROBIN
        if policy is not None:
            word = _token_at(_tree(policy), 0)
            item.policy = _POLICIES[str(word)]
            self.mark(f"{path}.policy", word)
            if item.policy == pb.POLICY_WEIGHTED:
                weights = _tree(_tree(policy).children[1])
                item.weights.extend(
                    self.whole(_as_token(weight), "a weight", MAX_WEIGHT) for weight in weights.children
                )

    def on_data(self, node: Node) -> None:
        source, destination = map(_tree, node.children)
        self.channel(node, source, destination, pb.CHANNEL_KIND_DATA, False)

    def on_control(self, node: Node) -> None:
        source, arrow, destination = node.children
        self.channel(node, _tree(source), _tree(destination), pb.CHANNEL_KIND_CONTROL, arrow == "<->")

    def channel(
        self, node: Node, source: Node, destination: Node, kind: pb.ChannelKind.ValueType, both_ways: bool
    ) -> None:
        path = f"channels[{len(self.program.channels)}]"
        channel = self.program.channels.add(kind=kind, both_ways=both_ways)
        self.mark(path, node)
        for side, tree, port in (
            ("source", source, channel.source),
            ("destination", destination, channel.destination),
        ):
            first, second = tree.children
            self.mark(f"{path}.{side}", tree)
            if second is None:
                port.name = _text(first)
            else:
                port.program, port.name = _text(first), _text(second)

    def on_quality(self, node: Node) -> None:
        name, *clauses = node.children
        quality = self.program.qualities.add(program=_text(name))
        self.mark(f"qualities[{len(self.program.qualities) - 1}]", _tree(name))
        for clause in map(_tree, clauses):
            self.single(f"`{clause.data}` of quality `{quality.program}`", clause)
            if clause.data == "class":
                quality.service_class = _CLASSES[str(_token(clause))]
            else:
                quality.latency.FromTimedelta(
                    _time(self.quantity(_tree(clause.children[0]), _TIMES, "latency"))
                )


def _tree(child: object) -> Node:
    assert isinstance(child, Tree)
    return child


def _as_token(child: object) -> Token:
    assert isinstance(child, Token)
    return child


def _token_at(node: Node, index: int) -> Token:
    return _as_token(node.children[index])


def _token(node: Node) -> Token:
    return _token_at(node, 0)


def _text(child: object) -> str:
    return str(_token(_tree(child)))


def _place(at: Node | Token) -> Place:
    if isinstance(at, Token):
        return Place(at.line or 1, at.column or 1)
    return Place(at.meta.line, at.meta.column)


def _string(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _number_and_unit(node: Node) -> tuple[Decimal, str]:
    first = str(node.children[0])
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", first)
    assert match is not None
    unit = match[2]
    if len(node.children) > 1 and node.children[1] is not None:
        unit += str(node.children[1])
    return Decimal(match[1]), unit


def _either(words: dict[str, int]) -> str:
    names = list(words)
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _time(microseconds: int) -> timedelta:
    return timedelta(microseconds=min(microseconds, 10**15))
