"""A program in the kernel: compiled, verified, with maps of its own. Nothing is attached yet."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dipronn.errors import Unavailable
from ebpf.bpf import XDP_DEVMAP, Map, ProgramType, close_all
from ebpf.compiler import compile as compile_c
from phonepl import ir, structure
from phonepl.compiler import Compiled
from phonepl.targets import NotAvailable
from phonepl.targets.xdp.maps import make_maps
from phonepl.targets.xdp.package import Manifest, Package
from phonepl.targets.xdp.rejection import Rejected, explained
from phonepl.targets.xdp.source import COPY, Generated, generate

HAS_FRAGS = 1 << 5
"""BPF_F_XDP_HAS_FRAGS: the program takes packets in several pieces."""
ENTANGLED = 600
"""Statements of a handler from which on the fast form is not tried."""
_FLAGS = ("-fwrapv", "-fno-strict-aliasing", "-Wno-everything")


@dataclass
class XdpProgram:
    """Descriptors: one per stream whose packets are handled, `copy` if packets may be put more than once."""

    manifest: Manifest
    maps: dict[str, Map]
    functions: dict[str, int] = field(default_factory=dict)
    copy: int | None = None

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

    def __enter__(self) -> XdpProgram:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def build(compiled: Compiled, generated: Generated, *, run: bool = False, frags: bool = False) -> Package:
    """The instructions for the C; raises Unavailable with the compiler's words."""
    flags = [*_FLAGS, *(["-DPHONEPL_RUN"] if run else []), *(["-DPHONEPL_FRAGS"] if frags else [])]
    if generated.marked:
        flags.append("-DPHONEPL_MARK")
    manifest = generated.manifest
    functions = [*manifest.functions.values(), *([COPY] if manifest.plans else [])]
    with tempfile.TemporaryDirectory(prefix="phonepl-") as folder:
        source = Path(folder) / f"{manifest.name}.bpf.c"
        source.write_text(generated.text, encoding="utf-8")
        return Package(manifest, compile_c(source, functions, flags=flags), run, frags)


def load_package(package: Package, shared: Mapping[str, Map] | None = None) -> XdpProgram:
    """`shared`: the maps of a node's steering, for a program that was generated for one.

    Raises Rejected with the verifier's words, NotAvailable where the host lets us load nothing.
    """
    if os.geteuid():
        raise NotAvailable(
            "XDP programs are loaded by root (CAP_BPF, CAP_NET_ADMIN); use --target interpreter"
        )
    manifest, code = package.manifest, package.object
    own = make_maps(manifest, code, shared)
    every = {**own, **(shared or {})}
    loaded = XdpProgram(manifest, own)
    flags = HAS_FRAGS if package.frags else 0
    function = ""
    try:
        for stream, function in manifest.functions.items():
            loaded.functions[stream] = code.load(function, ProgramType.XDP, every, flags=flags)
        if manifest.plans:
            function, attach = COPY, 0 if package.run or shared else XDP_DEVMAP
            loaded.copy = code.load(COPY, ProgramType.XDP, every, expected_attach=attach, flags=flags)
    except OSError as refused:
        loaded.close()
        if refused.errno in (errno.EPERM, errno.ENOSYS, errno.ENOMEM):
            raise NotAvailable(f"this host loads no XDP program: {refused.strerror}") from refused
        raise Rejected(function, len(code.functions[function]) // 8, str(refused)) from refused
    except BaseException:
        loaded.close()
        raise
    return loaded


def accepted(
    compiled: Compiled,
    *,
    run: bool = False,
    frags: bool = False,
    memory: bool | None = None,
    shared: Mapping[str, Map] | None = None,
) -> tuple[Generated, Package, XdpProgram]:
    """The form of the program that the verifier accepts, and that loaded.

    The fast form is tried first; what is too entangled for the verifier is compiled once more with its
    variables in memory (`memory` None), or only so. `shared`: to be tail-called by the steering of a node
    whose maps these are. Raises NotExpressible, NotAvailable.
    """
    if os.geteuid():
        raise NotAvailable("XDP programs are compiled and loaded by root; use --target interpreter")
    forms = (memory,) if memory is not None else (True,) if _is_entangled(compiled) else (False, True)
    for form in forms:
        generated = generate(compiled, form, node=shared is not None)
        try:
            package = build(compiled, generated, run=run, frags=frags)
            return generated, package, load_package(package, shared)
        except (Rejected, Unavailable) as refused:
            if form == forms[-1]:
                raise explained(
                    compiled, refused, lambda: _marked(compiled, forms[-1], run, frags, shared)
                ) from refused
    raise AssertionError(forms)


def load(
    compiled: Compiled, *, run: bool = False, frags: bool = False, memory: bool | None = None
) -> XdpProgram:
    """Compile and load; as `accepted`.

    `run`: the build for BPF_PROG_RUN, which sends nothing. `frags`: for packets of more than a page.
    """
    return accepted(compiled, run=run, frags=frags, memory=memory)[2]


def _is_entangled(compiled: Compiled) -> bool:
    return any(structure.size(handler.body) > ENTANGLED for handler in compiled.program.handlers)


def _marked(compiled: Compiled, form: bool, run: bool, frags: bool, shared: Mapping[str, Map] | None) -> None:
    """Once more, with the lines in the code: raises Rejected again, whose log names them."""
    generated = generate(compiled, form, marked=True, node=shared is not None)
    load_package(build(compiled, generated, run=run, frags=frags), shared).close()
