"""One session in three forms: text, message, JSON.  Each says the same as the others."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.program import Severity, check, check_json, check_text, fill_in, lay_out, to_json, to_text
from controller.program.parse import parse
from dipronn.v1 import session_pb2 as pb

from .test_program import CONFERENCE, session

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*/*.dpn"))

_NAMES = st.from_regex(r"[A-Z][A-Za-z0-9_-]{0,6}", fullmatch=True)
_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
_AMOUNTS = st.integers(1, 1 << 62)
_RECEIVERS = st.integers(0, 200).map(lambda n: str(ipaddress.ip_address("192.0.2.1") + n))
_PREFIXES = st.sampled_from(["", "192.0.2.0/24", "198.51.100.7/32", "0.0.0.0/0"])
_MICROSECONDS = st.integers(1, 3_600_000_000).map(lambda us: timedelta(microseconds=us))


@st.composite
def programs(draw: st.DrawFn) -> pb.Program:
    """A good session as a machine might build it: a chain of programs with everything that may be said."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    program = pb.Program(
        name=draw(_NAMES),
        owner=draw(_WORDS),
        transport=draw(st.sampled_from([pb.TRANSPORT_UDP, pb.TRANSPORT_ARTP])),
        cycle_ok=draw(st.booleans()),
        update_strict=draw(st.booleans()),
    )
    item = program.inputs.add(name="x", transport=draw(st.integers(0, 2)), rate_bps=draw(_AMOUNTS))
    item.from_prefix = draw(_PREFIXES)
    if draw(st.booleans()):
        item.to.CopyFrom(pb.SocketAddress(address=draw(_RECEIVERS), port=draw(st.integers(1, 65535))))
    output = program.outputs.add(name="y", override_prefix=draw(_PREFIXES))
    for number in range(draw(st.integers(1, 3))):
        output.receivers.add(address="198.51.100.1", port=6000 + number)
    output.order = draw(st.sampled_from(pb.Order.values()))
    if output.order == pb.ORDER_WINDOW:
        output.order_window.FromTimedelta(draw(_MICROSECONDS))
    output.merge = draw(st.sampled_from(pb.Merge.values()))
    if output.merge == pb.MERGE_K_OF_N:
        output.merge_n = draw(st.integers(1, 65535))
        output.merge_k = draw(st.integers(1, output.merge_n))
    if output.order or output.merge:
        output.token = draw(st.sampled_from(pb.OrderToken.values()))
    program.vms.add(name="v", image=draw(_WORDS), needs=pb.Needs(cpu=1, memory_bytes=draw(_AMOUNTS)))
    before = pb.Port(name="x")
    for name in names:
        active = program.programs.add(name=name, inputs=["i"], outputs=["o"], needs=draw(needs()))
        if not active.needs.ByteSize():
            active.ClearField("needs")
        code = draw(st.sampled_from(["run", "bundle", "phonepl"]))
        setattr(active, code, draw(_WORDS))
        active.vm = {"run": "v", "bundle": draw(st.sampled_from(["", "v"])), "phonepl": ""}[code]
        active.min_instances = draw(st.integers(0, 3))
        active.max_instances = active.min_instances + draw(st.integers(0, 3)) if active.min_instances else 0
        active.policy = draw(st.sampled_from(pb.Policy.values()))
        if active.policy == pb.POLICY_WEIGHTED:
            count = active.max_instances or 1
            active.weights.extend(draw(st.lists(st.integers(1, 1000), min_size=count, max_size=count)))
        if draw(st.booleans()):
            active.parameters.add(name="p", value=draw(_WORDS))
            quality = program.qualities.add(program=name, service_class=draw(st.integers(1, 3)))
            if draw(st.booleans()):
                quality.latency.FromTimedelta(draw(_MICROSECONDS))
        program.channels.add(
            source=before, destination=pb.Port(program=name, name="i"), kind=pb.CHANNEL_KIND_DATA
        )
        before = pb.Port(program=name, name="o")
        program.channels.add(
            source=pb.Port(program=name, name="sync"),
            destination=pb.Port(program=names[0], name="state"),
            kind=pb.CHANNEL_KIND_CONTROL,
            both_ways=draw(st.booleans()),
        )
    program.channels.add(source=before, destination=pb.Port(name="y"), kind=pb.CHANNEL_KIND_DATA)
    program.parameters.add(name="q", value=draw(_WORDS))
    return program


@st.composite
def needs(draw: st.DrawFn) -> pb.Needs:
    cpu = draw(st.one_of(st.just(0.0), st.floats(0.001, 65536), st.sampled_from([0.1, 0.5, 2])))
    amounts = [draw(st.one_of(st.just(0), _AMOUNTS)) for _ in range(3)]
    return pb.Needs(cpu=cpu, memory_bytes=amounts[0], storage_bytes=amounts[1], bandwidth_bps=amounts[2])


@pytest.mark.req("D44")
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_a_session_says_the_same_in_every_form(program: pb.Program) -> None:
    fill_in(program)
    assert [one for one in check(program) if one.severity is Severity.ERROR] == []
    text = to_text(program)
    assert parse(text).program == program, text
    assert lay_out(text) == text
    again = check_json(to_json(program))
    assert again.program == program


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_say_the_same_in_every_form(path: Path) -> None:
    program = check_text(path.read_text()).program
    assert parse(to_text(program)).program == program
    assert check_json(to_json(program)).program == program


def test_the_text_of_a_message_is_what_a_person_would_write() -> None:
    text = to_text(parse(CONFERENCE).program)
    for line in (
        "  input video : artp rate 1.5Gbps;",
        "  output high to 198.51.100.9:6000 order window 5ms;",
        "    memory 1GiB;",
        "    parallelizable 1..8 by round_robin;",
        "    needs cpu 0.1, memory 64MiB, bandwidth 3Mbps;",
        "  control mixl.sync <-> mixh.sync;",
        "    latency 20ms;",
    ):
        assert line in text.split("\n")


def test_a_message_may_leave_out_what_a_text_may() -> None:
    program = parse(session(input="input x; transport udp;")).program
    program.inputs[0].transport = pb.TRANSPORT_UNSPECIFIED
    program.programs[0].min_instances = program.programs[0].max_instances = 0
    parsed = check_json(to_json(program))
    assert parsed.diagnostics == []
    assert parsed.program.inputs[0].transport == pb.TRANSPORT_UDP
    assert parsed.program.programs[0].max_instances == 1


def test_weights_may_stand_close_or_apart() -> None:
    for weights in ("3:1:2", "3 : 1 : 2", "3:1: 2"):
        text = session(program=f'bundle "b"; in i; out o; parallelizable 3 by weighted {weights};')
        parsed = check_text(text)
        assert parsed.diagnostics == [] and list(parsed.program.programs[0].weights) == [3, 1, 2]


@given(st.text(max_size=80))
def test_no_json_is_a_surprise(noise: str) -> None:
    for text in (noise, f'{{"name": {noise}}}', f'{{"programs": [{noise}]}}'):
        check_json(text)
