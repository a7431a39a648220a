"""A program in the kernel: compiled, verified, with maps of its own. Nothing is attached yet."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dipronn.errors import Unavailable
from ebpf.bpf import XDP_DEVMAP, Map, ProgramType, close_all
from ebpf.compiler import Object
from ebpf.compiler import compile as compile_c
from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.targets import NotAvailable
from phonepl.targets.xdp.maps import make_maps
from phonepl.targets.xdp.rejection import explained
from phonepl.targets.xdp.source import COPY, Generated, generate

HAS_FRAGS = 1 << 5
"""BPF_F_XDP_HAS_FRAGS: the program takes packets in several pieces."""
_FLAGS = ("-fwrapv", "-fno-strict-aliasing", "-Wno-everything")


@dataclass
class XdpProgram:
    """Descriptors: one function per stream whose packets are handled, `copy` if packets may be put twice."""

    program: ir.Program
    maps: dict[str, Map]
    functions: dict[str, int]
    copy: int | None

    def close(self) -> None:
        """What is attached stays."""
        close_all([*self.functions.values(), *([self.copy] if self.copy is not None else [])])
        for each in self.maps.values():
            each.close()
        self.functions, self.maps, self.copy = {}, {}, None

    def drops(self) -> dict[str, int]:
        """Dropped packets since the program was loaded, by `ir.DROPS`."""
        counted = self.maps["drops"]
        found = {}
        for number, kind in enumerate(ir.DROPS, 1):
            raw = counted.lookup(number.to_bytes(4, "little")) or b""
            found[kind] = sum(int.from_bytes(raw[i : i + 8], "little") for i in range(0, len(raw), 8))
        return found


def load(compiled: Compiled, *, run: bool = False, frags: bool = False, memory: bool | None = None) -> XdpProgram:
    """Compile and load. `run`: the build for BPF_PROG_RUN, which sends nothing. `frags`: for packets of more
    than a page.

    The fast form is tried first; what is too entangled for the verifier is compiled once more with its
    variables in memory (`memory` None), or only so. Raises NotExpressible, NotAvailable.
    """
    flags = (*(["-DPHONEPL_RUN"] if run else []), *(["-DPHONEPL_FRAGS"] if frags else []))
    forms = (False, True) if memory is None else (memory,)
    if os.geteuid():
        raise NotAvailable("XDP programs are loaded by root (CAP_BPF and CAP_NET_ADMIN); use --target interpreter")
    for form in forms:
        generated = generate(compiled, form)
        try:
            return _load(compiled.program, generated, flags, frags)
        except (_Refused, Unavailable) as refused:
            last = refused
            if form != forms[-1]:
                continue
            raise explained(compiled, generated, flags, refused) from refused
    raise AssertionError(last)


class _Refused(Exception):
    """The verifier's or the compiler's words."""


def compiled_c(program: ir.Program, generated: Generated, flags: tuple[str, ...]) -> Object:
    """The object of the C; raises Unavailable."""
    functions = [*generated.functions.values(), *([COPY] if generated.plans else [])]
    with tempfile.TemporaryDirectory(prefix="phonepl-") as folder:
        source = Path(folder) / f"{program.name}.bpf.c"
        source.write_text(generated.text, encoding="utf-8")
        return compile_c(source, functions, flags=(*_FLAGS, *flags))


def _load(program: ir.Program, generated: Generated, flags: tuple[str, ...], frags: bool) -> XdpProgram:
    compiled = compiled_c(program, generated, flags)
    maps = make_maps(program, compiled, generated.plans * len(program.streams))
    loaded = XdpProgram(program, maps, {}, None)
    options = HAS_FRAGS if frags else 0
    try:
        for stream, function in generated.functions.items():
            loaded.functions[stream] = compiled.load(function, ProgramType.XDP, maps, flags=options)
        if generated.plans:
            attach = 0 if "-DPHONEPL_RUN" in flags else XDP_DEVMAP
            loaded.copy = compiled.load(COPY, ProgramType.XDP, maps, expected_attach=attach, flags=options)
    except OSError as refused:
        loaded.close()
        if refused.errno == 1:
            raise NotAvailable(f"this host lets us load no XDP program: {refused.strerror}") from refused
        raise _Refused(str(refused)) from refused
    except BaseException:
        loaded.close()
        raise
    return loaded
