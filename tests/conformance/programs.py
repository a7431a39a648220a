"""Kernel programs that conformance is tried with: what they do hangs on the packet, and on what they counted.

Streams are numbered in the order of the imports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache

from controller.steering.drops import Drop
from controller.steering.oracle import Handled, KernelProgram
from ebpf.loader import SteeringProgram
from phonepl import ir
from phonepl.compiler import Compiled, compile_source
from phonepl.targets.interpreter import Interpreter
from phonepl.targets.xdp.limits import SHORTEST
from phonepl.targets.xdp.package import Package
from phonepl.targets.xdp.program import accepted, load_package

PASS = """
import In; import Out;
class Pass {
  private NetStream out;
  public Pass(NetStream from > on, NetStream to) { out = to; }
  void on(Packet i) { out.put(i); }
  void main() { new Pass(new In(), new Out()); }
}
"""
TRICKS = """
import In; import Out; import Other;
class Tricks {
  private NetStream out, other;
  private int[] seen = new int[1];
  public Tricks(NetStream from > on, NetStream to, NetStream elsewhere) { out = to; other = elsewhere; }
  void on(Packet i) {
    int n = i.length();
    int turn = (seen[0]++ + n + 11) % 12;
    if (turn == 0) return;
    if (turn == 1) { out.put(i.subpacket(n - 1, n + 1)); return; }
    if (turn == 2) { out.put(new Packet(String.ofInt(n / (turn - 2)), i)); return; }
    if (turn == 3) { out.put(i.subpacket(0, 0)); return; }
    if (turn == 4) { out.put(i.subpacket(0, 9)); return; }
    if (turn == 5) { out.put(new Packet(i.substring(0, 14), i)); return; }
    if (turn == 6) { out.put(i.subpacket(0, n - 1)); return; }
    if (turn == 7) { out.put(new Packet(i.substring(0, 12), x"81 00 00 05", i.subpacket(12))); return; }
    if (turn == 8) { out.put(new Packet(i.substring(0, 5), x"99", i.subpacket(6))); return; }
    if (turn == 9) { other.put(i.subpacket(14)); return; }
    if (turn == 10) { other.put(i); return; }
    out.put(i);
  }
  void main() { new Tricks(new In(), new Out(), new Other()); }
}
"""
COPIES = """
import In; import Out; import Other;
class Copies {
  private NetStream out, other;
  private long[] seen = new long[1];
  public Copies(NetStream from > on, NetStream to, NetStream elsewhere) { out = to; other = elsewhere; }
  void on(Packet i) {
    int turn = (int) (seen[0]++ & 7);
    out.put(i);
    if (turn == 1) return;
    if (turn == 2) { other.put(i.subpacket(0, 0)); return; }
    if (turn == 3) { other.put(i.subpacket(3, 3)); out.put(i.subpacket(0, 4)); out.put(i); return; }
    if (turn == 4) { other.put(i); out.put(i); other.put(i.subpacket(0, 20)); return; }
    if (turn == 5) { other.put(new Packet(i.substring(0, 14), i)); out.put(i.subpacket(14)); return; }
    if (turn == 6) { out.put(i.subpacket(99)); return; }
    other.put(i);
  }
  void main() { new Copies(new In(), new Out(), new Other()); }
}
"""
SOURCES = {1: PASS, 2: TRICKS, 3: COPIES}
"""By the program's number."""
STREAMS = 3
IN, OUT, OTHER = range(STREAMS)

_DROPS = {
    ir.NO_PUT: Drop.NO_PUT,
    ir.EMPTY_PACKET: Drop.EMPTY_PACKET,
    ir.RANGE_ERROR: Drop.RANGE_ERROR,
    ir.ARITHMETIC_ERROR: Drop.ARITHMETIC_ERROR,
    ir.TARGET_LIMIT: Drop.TARGET_LIMIT,
}


@cache
def _compiled(number: int) -> Compiled:
    return compile_source(SOURCES[number], f"program{number}.phonepl")


def interpreted() -> Mapping[int, KernelProgram]:
    """The programs by the interpreter, for the oracle, with arrays of their own."""
    return {number: _interpreted(_compiled(number)) for number in SOURCES}


def _interpreted(compiled: Compiled) -> KernelProgram:
    running, streams = Interpreter(compiled.checked), compiled.program.streams
    handled = {handler.stream for handler in compiled.program.handlers}

    def handle(stream: int, frame: bytes, now: float) -> Handled:
        if stream >= len(streams) or streams[stream] not in handled:
            return Handled(drops=(Drop.NO_RULE,))  # no function takes it
        done = running.handle(streams[stream], frame, int(now * 1e9))
        puts = tuple((streams.index(name), data) for name, data in done.puts if len(data) >= SHORTEST)
        short = (Drop.TARGET_LIMIT,) * (len(done.puts) - len(puts))  # the kernel has no such frames
        return Handled(puts, (*(_DROPS[kind] for kind in done.drops), *short))

    return handle


@cache
def _package(number: int) -> Package:
    with SteeringProgram.load(pin_directory=None, trace=True, devices={}) as program:
        _, package, loaded = accepted(_compiled(number), shared=program.kernel.shared)
        loaded.close()
        return package


@contextmanager
def installed(program: SteeringProgram) -> Iterator[None]:
    """The programs at work in the kernel."""
    with ExitStack() as stack:
        for number in SOURCES:
            loaded = stack.enter_context(load_package(_package(number), program.kernel.shared))
            streams = loaded.manifest.streams
            functions = {streams.index(name): function for name, function in loaded.functions.items()}
            puts = sum(loaded.manifest.puts.values())
            program.kernel.install(number, functions, loaded.copy, loaded.maps["drops"], puts)
        yield
