"""The tree of a session's text → ``dipronn.v1.Program``: one handler for each statement.

Reported here is what a single statement says wrong; what statements say together is for check.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from lark import Token

from controller.program.check import MAX_CPU, MAX_WEIGHT, MIN_CPU
from controller.program.defaults import fill_in_transports
from controller.program.values import (
    RATES,
    SIZES,
    TIMES,
    Node,
    Values,
    duration,
    first_token,
    number_and_unit,
    split,
    string,
    token_at,
    token_of,
    tree_of,
    word,
)
from controller.program.words import CLASSES, ORDER_TOKENS, POLICIES, TRANSPORTS
from dipronn.v1 import session_pb2 as pb


class Builder(Values):
    """Walks the tree once."""

    def session(self, tree: Node) -> None:
        name, *statements = tree.children
        self.program.name = word(name)
        self.mark("name", tree_of(name))
        for statement in statements:
            node = tree_of(statement)
            handler: Callable[[Node], None] = getattr(self, f"on_{node.data}")
            handler(node)
        fill_in_transports(self.program)

    def on_owner(self, node: Node) -> None:
        self.single("owner", node)
        self.program.owner = string(first_token(node))
        self.mark("owner", node)

    def on_transport(self, node: Node) -> None:
        self.single("transport", node)
        self.program.transport = TRANSPORTS[word(node.children[0])]
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
        token = first_token(tree_of(value))
        parameter.name = word(name)
        parameter.value = string(token) if token.type == "STRING" else str(token)
        self.mark(path, tree_of(name))

    def on_input(self, node: Node) -> None:
        name, protocol, *clauses = node.children
        item = self.program.inputs.add(name=word(name))
        path = f"inputs[{len(self.program.inputs) - 1}]"
        self.mark(path, tree_of(name))
        if protocol is not None:
            item.transport = TRANSPORTS[word(protocol)]
        for clause in map(tree_of, clauses):
            self.single(f"`{clause.data}` of input `{item.name}`", clause)
            self.mark(f"{path}.{clause.data}", clause)
            if clause.data == "rate":
                item.rate_bps = self.quantity(tree_of(clause.children[0]), RATES, "rate")
            elif clause.data == "from":
                item.from_prefix = self.prefix(clause, f"input `{item.name}`")
            else:
                item.to.CopyFrom(self.socket(tree_of(clause.children[0]), f"input `{item.name}`"))

    def on_output(self, node: Node) -> None:
        name, *rest = node.children
        item, path = self.output(tree_of(name))
        receivers, *clauses = map(tree_of, rest)
        for index, socket in enumerate(map(tree_of, receivers.children)):
            item.receivers.append(self.socket(socket, f"output `{item.name}`"))
            self.mark(f"{path}.receivers[{index}]", socket)
        self.output_clauses(item, path, clauses)

    def on_output_without_receivers(self, node: Node) -> None:
        name, *clauses = node.children
        item, path = self.output(tree_of(name))
        self.output_clauses(item, path, map(tree_of, clauses))

    def output(self, name: Node) -> tuple[pb.Output, str]:
        item = self.program.outputs.add(name=word(name))
        path = f"outputs[{len(self.program.outputs) - 1}]"
        self.mark(path, name)
        return item, path

    def output_clauses(self, item: pb.Output, path: str, clauses: Iterable[Node]) -> None:
        for clause in clauses:
            self.single(f"`{clause.data}` of output `{item.name}`", clause)
            self.mark(f"{path}.{clause.data}", clause)
            words = [str(child) for child in clause.children if isinstance(child, Token)]
            if clause.data == "override":
                item.override_prefix = self.prefix(clause, f"output `{item.name}`")
            elif clause.data == "order":
                item.order = pb.Order.Value(f"ORDER_{words[0].upper()}")
                if item.order == pb.ORDER_WINDOW:
                    microseconds = self.quantity(tree_of(clause.children[1]), TIMES, "window")
                    item.order_window.FromTimedelta(duration(microseconds))
            elif clause.data == "by":
                item.token = self.order_token(item.name, clause, words[0])
            elif words[0] in ("all", "first"):
                item.merge = pb.MERGE_ALL if words[0] == "all" else pb.MERGE_FIRST
            else:
                k, n = (self.whole(token_at(clause, i), "merge", 65535) for i in (0, 1))
                item.merge, item.merge_k, item.merge_n = pb.MERGE_K_OF_N, k, n

    def order_token(self, output: str, clause: Node, name: str) -> pb.OrderToken.ValueType:
        """Not keywords of the grammar, so that programs may go on to be called so."""
        if name not in ORDER_TOKENS:
            hint = f"write `by {'` or `by '.join(ORDER_TOKENS)}`"
            self.error(clause, f"output `{output}` cannot be ordered by `{name}`", hint)
        return ORDER_TOKENS.get(name, pb.ORDER_TOKEN_UNSPECIFIED)

    def on_vm(self, node: Node) -> None:
        name, *clauses = node.children
        vm = self.program.vms.add(name=word(name))
        path = f"vms[{len(self.program.vms) - 1}]"
        self.mark(path, tree_of(name))
        for clause in map(tree_of, clauses):
            if clause.data == "image":
                self.single(f"`image` of vm `{vm.name}`", clause)
                vm.image = string(first_token(clause))
            else:
                self.need(tree_of(clause.children[0]), vm.needs, f"vm `{vm.name}`")

    def need(self, node: Node, needs: pb.Needs, owner: str) -> None:
        what = str(node.children[0])
        self.single(f"`{what}` of {owner}", node)
        value = tree_of(node.children[1])
        if what == "cpu":
            number, unit = number_and_unit(value)
            if unit or not Decimal(str(MIN_CPU)) <= number <= MAX_CPU:
                self.error(
                    value, f"cpu counts cores, from {MIN_CPU} to {MAX_CPU}", "write `cpu 0.5`, without a unit"
                )
            else:
                needs.cpu = float(number)
        elif what == "bandwidth":
            needs.bandwidth_bps = self.quantity(value, RATES, what)
        else:
            setattr(needs, f"{what}_bytes", self.quantity(value, SIZES, what))

    def on_program(self, node: Node) -> None:
        name, vm, *clauses = node.children
        item = self.program.programs.add(name=word(name), min_instances=1, max_instances=1)
        path = f"programs[{len(self.program.programs) - 1}]"
        self.mark(path, tree_of(name))
        owner = f"program `{item.name}`"
        if vm is not None:
            item.vm = word(vm)
            self.mark(f"{path}.vm", tree_of(vm))
        for clause in map(tree_of, clauses):
            if clause.data in ("in_ports", "out_ports"):
                field_name = "inputs" if clause.data == "in_ports" else "outputs"
                ports = item.inputs if field_name == "inputs" else item.outputs
                for port in map(tree_of, clause.children):
                    ports.append(word(port))
                    self.mark(f"{path}.{field_name}[{len(ports) - 1}]", port)
            elif clause.data in ("run", "bundle", "phonepl"):
                self.code(clause, item, path)
            elif clause.data == "parallelizable":
                self.single(f"`parallelizable` of {owner}", clause)
                self.parallelizable(clause, item, path)
            elif clause.data == "needs":
                self.mark(f"{path}.needs", clause)
                for need in map(tree_of, clause.children):
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
        setattr(item, str(clause.data), string(first_token(clause)))
        self.mark(f"{path}.code", clause)

    def parallelizable(self, clause: Node, item: pb.ActiveProgram, path: str) -> None:
        first, last, policy = clause.children
        self.mark(f"{path}.instances", clause)
        item.min_instances = self.whole(token_of(first), "the number of instances", 65535)
        item.max_instances = item.min_instances
        if last is not None:
            item.max_instances = self.whole(token_of(last), "the number of instances", 65535)
        item.policy = pb.POLICY_ROUND_ROBIN
        if policy is not None:
            word = token_at(tree_of(policy), 0)
            item.policy = POLICIES[str(word)]
            self.mark(f"{path}.policy", word)
            if item.policy == pb.POLICY_WEIGHTED:
                weights = tree_of(tree_of(policy).children[1])
                item.weights.extend(
                    self.whole(weight, "a weight", MAX_WEIGHT)
                    for token in weights.children
                    for weight in split(token_of(token), ":")
                )

    def on_data(self, node: Node) -> None:
        source, destination = map(tree_of, node.children)
        self.channel(node, source, destination, pb.CHANNEL_KIND_DATA, False)

    def on_control(self, node: Node) -> None:
        source, arrow, destination = node.children
        self.channel(node, tree_of(source), tree_of(destination), pb.CHANNEL_KIND_CONTROL, arrow == "<->")

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
                port.name = word(first)
            else:
                port.program, port.name = word(first), word(second)

    def on_quality(self, node: Node) -> None:
        name, *clauses = node.children
        quality = self.program.qualities.add(program=word(name))
        self.mark(f"qualities[{len(self.program.qualities) - 1}]", tree_of(name))
        for clause in map(tree_of, clauses):
            self.single(f"`{clause.data}` of quality `{quality.program}`", clause)
            if clause.data == "class":
                quality.service_class = CLASSES[str(first_token(clause))]
            else:
                quality.latency.FromTimedelta(
                    duration(self.quantity(tree_of(clause.children[0]), TIMES, "latency"))
                )
