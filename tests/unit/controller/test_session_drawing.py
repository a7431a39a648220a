"""The drawing of a session graph: complete, readable, and safe to open."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.program import channel_name, check_text, draw_svg
from controller.program.layers import arrange
from dipronn.v1 import session_pb2 as pb

from .test_program import CONFERENCE, session
from .test_session_forms import programs

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Drawing:
    root: ElementTree.Element

    @property
    def words(self) -> list[str]:
        return ["".join(each.itertext()) for each in self.root.iter(f"{SVG}text")]

    @property
    def lines(self) -> list[str]:
        return [
            "".join(each.itertext()) for each in self.root.iter(f"{SVG}path") if each.get("fill") == "none"
        ]

    @property
    def boxes(self) -> list[tuple[float, float, float, float]]:
        """x, y, width, height."""
        return [
            (
                float(each.attrib["x"]),
                float(each.attrib["y"]),
                float(each.attrib["width"]),
                float(each.attrib["height"]),
            )
            for each in self.root.iter(f"{SVG}rect")
            if each.get("rx")
        ]


def drawn(text: str) -> Drawing:
    parsed = check_text(text)
    assert not parsed.diagnostics
    return Drawing(ElementTree.fromstring(draw_svg(parsed.program)))


@pytest.mark.req("D44")
def test_the_drawing_has_every_box_port_and_line() -> None:
    drawing = drawn(CONFERENCE)
    program = check_text(CONFERENCE).program
    assert len(drawing.boxes) == 9
    for word in (
        "video",
        "tv",
        "in studio",
        "× 1..8 round robin",
        "sync",
        "to 198.51.100.8:6000",
        "order window 5 ms",
    ):
        assert word in drawing.words
    data = [channel_name(one) for one in program.channels if not one.both_ways]
    assert drawing.lines == [*data, "control mixl.sync <-> mixh.sync"]


def test_no_box_lies_on_another_and_all_lie_in_the_picture() -> None:
    drawing = drawn(CONFERENCE)
    width, height = float(drawing.root.attrib["width"]), float(drawing.root.attrib["height"])
    for one, other in combinations(drawing.boxes, 2):
        assert (
            one[0] + one[2] <= other[0]
            or other[0] + other[2] <= one[0]
            or one[1] + one[3] <= other[1]
            or other[1] + other[3] <= one[1]
        )
    for x, y, wide, high in drawing.boxes:
        assert x >= 0 and y >= 0 and x + wide <= width and y + high <= height


def test_text_of_a_session_stays_text() -> None:
    evil = session(
        'owner "<script>alert(1)</script> & \x1b[31m";', program='bundle "</text><a>"; in i; out o;'
    )
    drawing = drawn(evil)
    assert any("<script>" in word for word in drawing.words)
    assert "bundle </text><a>" in drawing.words
    assert {each.tag.removeprefix(SVG) for each in drawing.root.iter()} <= {
        *("svg", "title", "defs", "marker", "path", "rect", "text"),
    }


def test_a_cycle_and_a_long_chain_are_drawn() -> None:
    assert len(drawn(session("data p.o -> p.i; cycle ok;")).lines) == 3
    chain = "".join(
        f'program p{i} {{ bundle "b"; in i; out o; }} data p{i}.o -> p{i + 1}.i;' for i in range(500)
    )
    last = 'program p500 { bundle "b"; in i; out o; } data p500.o -> y; '
    text = (
        f"session s {{ input x : udp; output y to 192.0.2.1:1; data x -> p0.i; {chain} {last} data x -> y; }}"
    )
    assert len(drawn(text).boxes) == 503


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_every_session_can_be_drawn(program: pb.Program) -> None:
    ElementTree.fromstring(draw_svg(program))


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30)
        )
    )
)
def test_boxes_of_a_column_keep_their_distance(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, lines = graph
    heights = {f"b{number}": 20.0 + 7 * number for number in range(count)}
    layers = arrange(heights, [(f"b{one}", f"b{other}") for one, other in lines], [])
    assert sorted(key for column in layers.columns for key in column if isinstance(key, str)) == sorted(
        heights
    )
    for column in layers.columns:
        for above, below in pairwise(column):
            tall = heights[above] if isinstance(above, str) else 10.0
            assert layers.top[above] + tall <= layers.top[below] + 1e-6
