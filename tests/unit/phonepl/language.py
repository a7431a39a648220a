"""Short ways to write a program and to see what it does."""

from __future__ import annotations

from phonepl.compiler import Compiled, compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import TARGET, Handled, Interpreter

PACKET = bytes(range(64))
"""What is handled unless a test says otherwise: byte n is n."""


def program(body: str, members: str = "") -> Compiled:
    """A program with one method that takes packets of In; Out is where it puts."""
    return compile_source(
        "import In;\nimport Out;\nclass T {\n  private NetStream out, back;\n" + members + "\n"
        "  T(NetStream a > handle, NetStream b) { back = a; out = b; }\n"
        "  void handle(Packet i) {\n" + body + "\n  }\n"
        "  void main() { new T(new In(), new Out()); }\n}\n"
    )


def handled(body: str, members: str = "", packet: bytes = PACKET, timestamp: int = 0) -> Handled:
    """What becomes of one packet."""
    return Interpreter(program(body, members).checked).handle("In", packet, timestamp)


def value(expression: str, kind: str = "int", members: str = "", packet: bytes = PACKET) -> int | bytes:
    """The value of an expression, as a program puts it out: numbers signed, Strings as bytes."""
    shown = {
        "int": f"String.ofInt({expression})",
        "long": f"String.ofLong({expression})",
        "String": expression,
    }
    if kind == "boolean":
        body = f'if ({expression}) out.put(new Packet("1")); else out.put(new Packet("0"));'
        return handled(body, members, packet).puts[0][1] == b"1"
    put = handled(f"out.put(new Packet({shown[kind]}));", members, packet).puts[0][1]
    return put if kind == "String" else int.from_bytes(put, "big", signed=True)


def outcome(
    body: str, members: str = "", packets: list[bytes] | None = None
) -> tuple[list[bytes], dict[str, int]]:
    """What several packets put to Out, and the drops that are not zero."""
    arrivals = [Arrival("In", n, data) for n, data in enumerate([PACKET] if packets is None else packets)]
    run = TARGET.run(program(body, members), arrivals)
    return [d.data for d in run.departures if d.stream == "Out"], {k: n for k, n in run.drops.items() if n}
