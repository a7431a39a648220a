"""The name protocol's parser meets everything: it never raises and never grants what is another's."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from dipronn.v1 import state_pb2
from vmhost.names import MAX_LINE, Callers, Limits, Registration, Reply, answer
from vmhost.sharing import VERBS, quoted, read, written

OWN = IPv4Address("10.0.0.1")
OTHER = IPv4Address("10.0.0.2")
CALLERS = Callers(
    {OWN: {"tv": frozenset({"in", "out"})}, OTHER: {"ta": frozenset({"in"}), "tv2": frozenset({"in"})}}
)
LIMITS = Limits(names=3)

COMMANDS = ["REGISTER", "UNREGISTER", "RESOLVE", "LIST", "PING", "QUIT", *sorted(VERBS)]
NAMES = ["tv/in", "tv/out", "ta/in", "tv2/in", "tv/x"]
words = st.sampled_from(
    [
        *COMMANDS,
        *NAMES,
        "udp",
        "artp",
        "tcp",
        "1",
        "5000",
        "65535",
        "65536",
        "-1",
        "",
        "/",
        "\r",
        "\0",
        "é",
        "tv/in\n",
        "0",
        "18446744073709551616",
        "%",
        "%zz",
        "%20%FF",
        "\x7f",
    ]
)
lines = st.one_of(
    st.binary(max_size=MAX_LINE - 1),
    st.lists(st.one_of(words, st.text(max_size=8)), max_size=6).map(lambda w: " ".join(w).encode()[:511]),
)


@given(st.lists(st.tuples(st.sampled_from([OWN, OTHER, IPv4Address("10.0.0.3")]), lines)))
def test_any_dialogue(dialogue: list[tuple[IPv4Address, bytes]]) -> None:
    held: dict[str, Registration] = {}
    for caller, line in dialogue:
        reply = answer(line, caller, CALLERS, held, LIMITS)
        check(reply, caller, held)
        if reply.register:
            held[reply.register.name] = reply.register
        if reply.unregister:
            del held[reply.unregister.name]
        assert len(held) <= LIMITS.names
        taken = [(each.address, each.real_port) for each in held.values()]
        assert len(taken) == len(set(taken))


def check(reply: Reply, caller: IPv4Address, held: dict[str, Registration]) -> None:
    """Exactly one kind of outcome, and only about what is the caller's own."""
    outcomes = [reply.register, reply.resolve, reply.text, reply.share]
    assert sum(outcome is not None for outcome in outcomes) == 1
    own = CALLERS.programs.get(caller, {})
    if reply.register:
        new = reply.register
        assert new.port in own[new.program] and new.address == caller and 1 <= new.real_port <= 65535
    if reply.unregister:
        assert reply.unregister.program in own and reply.unregister == held[reply.unregister.name]
    if reply.resolve:
        assert reply.resolve[1] in own[reply.resolve[0]]
    if reply.share:
        assert own, "a stranger shares nothing"
        assert reply.share.WhichOneof("what") and not (reply.share.session or reply.share.vm)
        assert len(reply.share.put.value) < MAX_LINE and reply.share.barrier.count <= 65535
        key = reply.share.barrier.name or getattr(reply.share, str(reply.share.WhichOneof("what"))).key
        assert 1 <= len(key) <= 64 and key.isascii() and key.isprintable() and " " not in key
    if reply.text is not None:
        assert all(len(part.encode()) < MAX_LINE for part in reply.text.split("\n"))
        kind = reply.text.split(" ")[0]
        assert kind in ("OK", "ERR") or reply.text.endswith(".")


@given(st.binary(max_size=128))
def test_any_value_survives_its_way_through_a_line(value: bytes) -> None:
    request = read(["PUT", "k" * 64, quoted(value)])
    assert isinstance(request, state_pb2.StateRequest) and request.put.value == value
    answer = state_pb2.StateAnswer(version=2**63, value=value)
    asked = state_pb2.StateRequest(get=state_pb2.StateGet(key="k"))
    assert len(written(asked, answer)) < MAX_LINE
    assert len(f"CAS {'k' * 64} {10**17} {quoted(value)}") < MAX_LINE
