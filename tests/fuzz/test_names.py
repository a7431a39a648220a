"""The name protocol's parser meets everything: it never raises and never grants what is another's."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from vmhost.names import MAX_LINE, Callers, Limits, Registration, Reply, answer

OWN = IPv4Address("10.0.0.1")
OTHER = IPv4Address("10.0.0.2")
CALLERS = Callers(
    {OWN: {"tv": frozenset({"in", "out"})}, OTHER: {"ta": frozenset({"in"}), "tv2": frozenset({"in"})}}
)
LIMITS = Limits(names=3)

COMMANDS = ["REGISTER", "UNREGISTER", "RESOLVE", "LIST", "PING", "QUIT"]
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
    outcomes = [reply.register, reply.resolve, reply.text]
    assert sum(outcome is not None for outcome in outcomes) == 1
    own = CALLERS.programs.get(caller, {})
    if reply.register:
        new = reply.register
        assert new.port in own[new.program] and new.address == caller and 1 <= new.real_port <= 65535
    if reply.unregister:
        assert reply.unregister.program in own and reply.unregister == held[reply.unregister.name]
    if reply.resolve:
        assert reply.resolve[1] in own[reply.resolve[0]]
    if reply.text is not None:
        assert all(len(part.encode()) < MAX_LINE for part in reply.text.split("\n"))
        kind = reply.text.split(" ")[0]
        assert kind in ("OK", "ERR") or reply.text.endswith(".")
