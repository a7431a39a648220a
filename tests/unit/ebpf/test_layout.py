"""What Python writes and what the kernel's programs read are the same bytes."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from controller.steering.drops import Drop
from controller.steering.model import LinkKind, Selector, Unmatched
from ebpf import layout

HEADER = Path(layout.__file__).with_name("steering.h")
PASSAGE = HEADER.with_name("passage.h")


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def structures() -> dict[str, type[ctypes.Structure]]:
    """By C name."""
    return {
        snake(name): value
        for name, value in vars(layout).items()
        if isinstance(value, type) and issubclass(value, ctypes.Structure) and name not in ("DevmapValue",)
    }


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """``struct`` and ``struct.field`` → offset and size, as a C compiler has them."""
    lines = []
    for name, structure in structures().items():
        lines.append(f'printf("{name} 0 %zu\\n", sizeof(struct {name}));')
        for field, *_ in structure._fields_:
            place = f"offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", {place});')
    body = "\n".join(lines)
    source = f"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
#include "{HEADER}"
#include "{PASSAGE}"
int main(void) {{ {body} return 0; }}
"""
    folder = tmp_path_factory.mktemp("layout")
    (folder / "layout.c").write_text(source)
    subprocess.run(["gcc", "-o", folder / "layout", folder / "layout.c"], check=True)
    told = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in told.splitlines():
        what, offset, size = line.split()
        found[what] = (int(offset), int(size))
    return found


@pytest.mark.parametrize("name", structures())
def test_every_row_has_the_same_size_and_offsets_in_python_and_c(
    name: str, compiled: dict[str, tuple[int, int]]
) -> None:
    structure = structures()[name]
    assert compiled[name] == (0, ctypes.sizeof(structure))
    for field, *_ in structure._fields_:
        place = getattr(structure, field)
        assert compiled[f"{name}.{field}"] == (place.offset, place.size), field


def test_every_structure_of_the_header_is_known_to_python() -> None:
    texts = HEADER.read_text() + PASSAGE.read_text()
    in_c = set(re.findall(r"^struct (\w+) \{", texts, re.MULTILINE))
    assert in_c == structures().keys()


def enumeration(name: str) -> dict[str, int]:
    """Of the header, by name."""
    found = re.search(rf"^enum {name} \{{(.*?)\}};", HEADER.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    values, number = {}, -1
    for entry in filter(None, (part.strip() for part in found[1].split(","))):
        label, _, given = (word.strip() for word in entry.partition("="))
        number = int(given) if given else number + 1
        values[label] = number
    return values


def test_the_reasons_for_a_drop_have_the_same_numbers() -> None:
    assert enumeration("drop") == {f"DROP_{drop.name}": drop.value for drop in Drop}
    assert max(Drop) < layout.DROPS


def test_the_other_enumerations_have_the_same_numbers() -> None:
    assert enumeration("link_kind") == {kind.name: kind.value for kind in LinkKind}
    assert enumeration("selector") == {f"SELECT_{each.name}": each.value for each in Selector}
    assert enumeration("unmatched") == {f"UNMATCHED_{each.name}": each.value for each in Unmatched}


def test_constants_that_stand_in_both_are_equal() -> None:
    text = HEADER.read_text()
    for name in (
        "TARGET_FORK",
        "TARGET_ARTP",
        "OVERRIDE_PLANS",
        "ANY_SOURCE",
        "UNIT_DEAD",
        "UNIT_ALIVE",
        "FORK_MAGIC",
        "DROPS",
        "EVENT_FRAME",
        "STREAMS",
        "MOST_PUTS",
        "PLAN_PUTS",
    ):
        found = re.search(rf"^#define {name}\s+(\w+)", text, re.MULTILINE)
        assert found is not None
        assert int(found[1].rstrip("u"), 0) == getattr(layout, name), name


def test_sizes_are_powers_of_two_where_the_common_path_indexes() -> None:
    for row in (layout.LinkRow, layout.ChannelRow, layout.EndpointRow, layout.Traffic):
        size = ctypes.sizeof(row)
        assert size & (size - 1) == 0, row
