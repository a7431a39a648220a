"""It names the fault of every packet of the shared corpus, and raises nothing else, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artp.errors import Malformed
from artp.wire import FAULTS, FIXED_FAULTS, Destination, Option, Packet, Type, encode, encode_fragments, parse
from tests.fuzz.artp import corpus

CORPUS = corpus.read()


def fault(data: bytes) -> str | None:
    try:
        parse(data)
    except Malformed as error:
        return error.fault
    return None


@pytest.mark.parametrize("case", CORPUS, ids=[case.name for case in CORPUS])
def test_corpus(case: corpus.Case) -> None:
    found = fault(case.packet)
    assert found == case.whole
    assert (found if found in FIXED_FAULTS else None) == case.fixed


def test_corpus_is_what_its_source_says() -> None:
    assert corpus.FILE.read_text() == corpus.lines(), "run: python -m tests.fuzz.artp.corpus"


def test_corpus_meets_every_fault() -> None:
    assert {case.whole for case in CORPUS} == {None, *FAULTS}


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert fault(data) in (None, *FAULTS)


@given(
    st.sampled_from(CORPUS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.data(),
)
def test_mutations(case: corpus.Case, writes: list[tuple[int, int]], data: st.DataObject) -> None:
    raw = bytearray(case.packet)
    for at, value in writes:
        if at < len(raw):
            raw[at] = value
    cut = data.draw(st.integers(0, len(raw)))
    for each in (bytes(raw), bytes(raw[:cut])):
        assert fault(each) in (None, *FAULTS)


addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6, network="2001::/16").map(str),
)
packets = st.builds(
    Packet,
    type=st.just(Type.DATA),
    session=st.integers(0, 2**32 - 1),
    connection=st.integers(1, 2**64 - 1),
    origin=st.integers(1, 2**32 - 1),
    datagram=st.integers(0, 2**32 - 1),
    fragment=st.just(0),
    fragments=st.just(1),
    instance=st.integers(0, 2**16 - 1),
    control=st.just(False),
    chosen=st.booleans(),
    order=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    destinations=st.lists(st.builds(Destination, addresses, st.integers(0, 65535)), max_size=4).map(tuple),
    options=st.lists(
        st.builds(
            Option, st.one_of(st.integers(0x40, 0x7F), st.integers(0xC0, 0xFF)), st.binary(max_size=20)
        ),
        max_size=3,
    ).map(tuple),
    payload=st.binary(max_size=100),
)


@given(packets)
def test_round_trip(packet: Packet) -> None:
    assert parse(encode(packet)) == packet


@given(packets, st.binary(max_size=20000), st.integers(700, 9000))
def test_fragments_join_again(packet: Packet, data: bytes, room: int) -> None:
    pieces = encode_fragments(packet, data, room)
    assert all(len(piece) <= room for piece in pieces)
    parsed = [parse(piece) for piece in pieces]
    assert b"".join(each.payload for each in parsed) == data
    assert [each.fragment for each in parsed] == list(range(len(pieces)))
    assert {each.fragments for each in parsed} == {len(pieces)}
    assert len({len(each.payload) for each in parsed[:-1]}) <= 1


@given(packets, st.integers(0, 2**16 - 1))
def test_units_may_write_the_instance(packet: Packet, instance: int) -> None:
    raw = bytearray(encode(packet))
    raw[24:26] = instance.to_bytes(2, "big")
    assert parse(bytes(raw)) == packet._replace(instance=instance)


@given(packets, st.data())
def test_one_changed_bit_is_found(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(encode(packet))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1).filter(lambda bit: bit >> 3 not in (24, 25)))
    raw[bit >> 3] ^= 1 << (bit & 7)
    assert fault(bytes(raw)) is not None
