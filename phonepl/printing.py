"""The intermediate language as text (`--emit ir`)."""

from __future__ import annotations

from phonepl import ir
from phonepl.types import Type


def printed(program: ir.Program) -> str:
    """The whole program, with the place in the source behind each statement."""
    lines = [f"program {program.name}"]
    lines += [f"stream {name}" for name in program.streams]
    lines += [f"array {a.name}: {a.element.value}[{a.length}]" for a in program.arrays]
    for handler in program.handlers:
        lines += [
            "",
            f"handler {handler.stream} > {handler.method}({handler.packet})",
            f"  puts at most {handler.maximum_puts}",
        ]
        lines += [f"  local {_declared(local)}" for local in handler.locals]
        lines += _printed(handler.body, 1)
    return "\n".join(lines) + "\n"


def _declared(local: ir.Local) -> str:
    kind = local.type
    if kind in (Type.STRING, Type.PACKET):
        return f"{local.name}: {kind.value} of {local.range} bytes"
    if local.range == ir.WHOLE[kind]:
        return f"{local.name}: {kind.value}"
    return f"{local.name}: {kind.value} {local.range}"


def _printed(block: ir.Block, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    for statement in block:
        where = f"  # {statement.span.line}:{statement.span.column}"
        match statement:
            case ir.Set():
                lines.append(f"{pad}{statement.target} = {statement.value}{where}")
            case ir.Load():
                lines.append(
                    f"{pad}{statement.target} = load {statement.array.name}[{statement.index}]{where}"
                )
            case ir.Store():
                lines.append(
                    f"{pad}store {statement.array.name}[{statement.index}] = {statement.value}{where}"
                )
            case ir.Update():
                got = (
                    f"{statement.target} = {'new' if statement.gives_new else 'old'} of "
                    if statement.target
                    else ""
                )
                element = f"{statement.array.name}[{statement.index}]"
                lines.append(f"{pad}{got}update {element} {statement.operator}= {statement.operand}{where}")
            case ir.Put():
                last = " last" if statement.is_last else ""
                lines.append(f"{pad}put{last} {statement.stream}, {statement.packet}{where}")
            case ir.TrapIf():
                lines.append(f"{pad}trap {statement.kind} if {statement.condition}{where}")
            case ir.Leave():
                lines.append(f"{pad}leave {statement.label}")
            case ir.If():
                lines.append(f"{pad}if {statement.condition} {{{where}")
                lines += _printed(statement.then, depth + 1)
                if statement.otherwise:
                    lines.append(f"{pad}}} else {{")
                    lines += _printed(statement.otherwise, depth + 1)
                lines.append(f"{pad}}}")
            case ir.Scope():
                lines.append(f"{pad}scope {statement.label} {{{where}")
                lines += _printed(statement.body, depth + 1)
                lines.append(f"{pad}}}")
            case ir.Loop():
                lines.append(f"{pad}loop {statement.label} at most {statement.bound} times {{{where}")
                lines += _printed(statement.body, depth + 1)
                lines.append(f"{pad}}}")
    return lines
