"""A whole program as C, in the document's five parts: data, run-time, output, packet processors, and the
initialiser, of which C has only the declarations: the loader carries it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ebpf.kernel import PASSAGE
from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.targets.xdp.arrays import CELL, locked_arrays
from phonepl.targets.xdp.handlers import Processor, processor
from phonepl.targets.xdp.limits import HEADROOM, MAXIMUM_FRONT, MAXIMUM_PUTS
from phonepl.targets.xdp.package import ArrayLayout, Manifest
from phonepl.targets.xdp.places import SPACE
from phonepl.types import MAXIMUM_STORED_STRING, Type

COPY = "put_copy"
"""The function that makes each copy of a packet that was put more than once what it must be."""
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Generated:
    """A program in C, and what its loader must know."""

    text: str
    manifest: Manifest
    marked: bool


def generate(compiled: Compiled, memory: bool = False, marked: bool = False, node: bool = False) -> Generated:
    """The program in C, self-contained.

    `memory`: see `handlers`. `marked`: the verifier tells lines. `node`: to be tail-called by a node's
    steering, which takes what it puts.
    """
    program = compiled.program
    made = [processor(program, handler, memory) for handler in program.handlers]
    plans = max((each.plans for each in made), default=0)
    parts = [
        f"/* {program.name}, compiled from {Path(compiled.file).name}. Generated. */",
        "#include <uapi/linux/bpf.h>",
        *_banner("data: constants, what a run counts, the arrays that all cores share"),
        *_constants(),
        *_data(program, made, plans),
        *(_way_on() if node else []),
        *_banner("run-time"),
        *_header("runtime.h"),
        *_scratch_access(made),
        *(_banner("output of several puts") + _header("puts.h") if plans else []),
        *_banner("packet processors, each with the output of what it put"),
    ]
    for each in made:
        parts += [*each.function, ""]
    parts += _banner("initialiser")
    parts += _initialiser(program)
    return Generated("\n".join(parts) + "\n", _manifest(program, made, plans), marked)


def _manifest(program: ir.Program, made: Sequence[Processor], plans: int) -> Manifest:
    locked = locked_arrays(program)
    return Manifest(
        program.name,
        program.streams,
        tuple(ArrayLayout(a.name, a.element.value, a.length, a.name in locked) for a in program.arrays),
        {each.stream: f"on_{each.stream}" for each in made},
        {stream: _most_puts(program, stream) for stream in program.streams},
        plans,
    )


def _most_puts(program: ir.Program, stream: str) -> int:
    """How often one packet can be put to the stream, at most MAXIMUM_PUTS."""
    return min(MAXIMUM_PUTS, max((_puts(handler.body, stream) for handler in program.handlers), default=0))


def _puts(block: ir.Block, stream: str) -> int:
    count = 0
    for statement in block:
        match statement:
            case ir.Put():
                count += statement.stream == stream
            case ir.If():
                count += max(_puts(statement.then, stream), _puts(statement.otherwise, stream))
            case ir.Scope():
                count += _puts(statement.body, stream)
            case ir.Loop():
                count += statement.bound * _puts(statement.body, stream)
    return count


def _way_on() -> list[str]:
    return [
        "",
        "#define PHONEPL_NODE",
        *PASSAGE.read_text().rstrip("\n").split("\n"),
        'BPF_TABLE("percpu_array", u32, struct passage, passage, 1); /* the node\'s */',
        'BPF_TABLE("prog", u32, u32, onward, 1); /* into its steering */',
    ]


def _banner(title: str) -> list[str]:
    return ["", f"/* ═══ {title} ═══ */", ""]


def _header(name: str) -> list[str]:
    return (_HERE / name).read_text().rstrip("\n").split("\n")


def _constants() -> list[str]:
    lines = ["/* Why packets are dropped. */"]
    kinds = ", ".join(f"{name.upper()} = {number}" for number, name in enumerate(ir.DROPS, 1))
    return [*lines, f"enum {{ {kinds} }};", ""]


def _data(program: ir.Program, made: Sequence[Processor], plans: int) -> list[str]:
    lines = ["/* The maps have one entry here; the loader makes them as long as they are said to be. */"]
    lines += [f'BPF_TABLE("percpu_array", u32, u64, drops, 1); /* {len(ir.DROPS) + 1} */']
    lines += [f'BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, tx, 1); /* {len(program.streams)} */']
    lines += [
        "#ifdef PHONEPL_RUN",
        "struct run {",
        "    u64 now; /* the packet's timestamp */",
        "    u32 stream;",
        "    u32 puts;",
        "    u32 plan; /* where they are written down, if they are several */",
        "    u32 unused;",
        "};",
        'BPF_TABLE("array", u32, struct run, run, 1);',
        "#endif",
    ]
    lines += _arrays(program)
    with_scratch = [each for each in made if each.scratch]
    for each in with_scratch:
        lines += ["", f"struct scratch_{each.stream} {{", *(f"    {m}" for m in each.scratch)]
        lines += ["};"]
    if with_scratch:
        lines += [
            "",
            "/* Strings and other variables of the packet that a core handles. */",
            "struct scratch {",
            "    union {",
        ]
        lines += [f"        struct scratch_{each.stream} of_{each.stream};" for each in with_scratch]
        lines += ["    };", f"    u8 space[{SPACE}]; /* which the verifier thinks a copy may reach */", "};"]
        lines += ['BPF_TABLE("array", u32, struct scratch, scratch, 1); /* one per core */']
    if plans:
        lines += [
            "",
            "/* What a packet was put to, when that is more than one or cannot be told before. */",
            f"#define PUTS {plans}",
            f"#define FRONT {MAXIMUM_FRONT}",
            f"#define HEADROOM {HEADROOM}",
            "struct put {",
            "    u32 stream;",
            "    u32 taken;",
            "    s32 size;",
            "    s32 begin;",
            "    s32 end;",
            "    u8 bytes[FRONT] __attribute__((aligned(8)));",
            "};",
            "struct plan {",
            "    u32 count;",
            "    u32 empty;",
            "    u32 beyond; /* more than PUTS, or of a length that no frame has */",
            "    u32 number; /* of the core, and in the order of its packets */",
            "    struct put puts[PUTS];",
            f"    u8 space[{SPACE}];",
            "};",
            "#define PLANS 256 /* a core's copies that may be under way, a power of two */",
            'BPF_TABLE("array", u32, struct plan, plans, 1); /* PLANS per core */',
            'BPF_TABLE("percpu_array", u32, u32, serial, 1);',
            'BPF_TABLE("array", u32, u32, device, 1); /* of each stream */',
            'BPF_XDP_REDIRECT_MAP("devmap", struct bpf_devmap_val, copies, 1);',
        ]
    return lines


def _arrays(program: ir.Program) -> list[str]:
    locked = locked_arrays(program)
    lines: list[str] = []
    kinds = {array.element for array in program.arrays if array.name in locked}
    for kind in (Type.STRING, Type.INT, Type.LONG):
        if kind not in kinds:
            continue
        if kind is Type.STRING:
            lines += ["", "struct string {", "    struct bpf_spin_lock lock;", "    u32 length;"]
            lines += [f"    u8 bytes[{MAXIMUM_STORED_STRING}];", "};"]
        else:
            lines += ["", f"struct locked_{CELL[kind]} {{", "    struct bpf_spin_lock lock;"]
            lines += [f"    {CELL[kind]} value;", "};"]
    for array in program.arrays:
        cell = "struct string" if array.element is Type.STRING else CELL[array.element]
        if array.name in locked and array.element is not Type.STRING:
            cell = f"struct locked_{cell}"
        lines += [f'BPF_TABLE("array", u32, {cell}, array_{array.name}, 1); /* {array.length} */']
    return lines


def _scratch_access(made: Sequence[Processor]) -> list[str]:
    if not any(each.scratch for each in made):
        return []
    return [
        "",
        "static __always_inline void *scratch_of_core(void)",
        "{",
        "    u32 core = bpf_get_smp_processor_id();",
        "    return scratch.lookup(&core);",
        "}",
    ]


def _initialiser(program: ir.Program) -> list[str]:
    lines = ["/* main() runs once, in the loader: it makes the maps above, all 0 or empty, and attaches"]
    routes = [f"{handler.stream} → on_{handler.stream}" for handler in program.handlers]
    lines += [f" * {', '.join(routes) or 'nothing'}.", " * Streams, by number:"]
    lines += [f" *   {number} {stream}" for number, stream in enumerate(program.streams)]
    return [*lines, " */"]
