"""The store: what is written is read again, and numbers are not given twice."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.record import InstanceRecord, Phase, SessionRecord
from controller.steering.deployment import Entrance, Exit
from controller.steering.identifiers import Identifiers
from controller.steering.model import Socket
from controller.store import Store, StoredUnit
from dipronn.errors import AlreadyExists, InsufficientResources, Unavailable
from dipronn.v1 import session_pb2, unit_pb2


def record(number: int = 3) -> SessionRecord:
    socket = Socket(ip_address("192.0.2.1"), 5004)
    six = Socket(ip_address("2001:db8::1"), 21000)
    return SessionRecord(
        number,
        session_pb2.Program(name="s", owner="o"),
        4,
        [InstanceRecord("p", 0, "u1", 2, 0.5, 1 << 20, 0, {"i": 5000}, True, False, "fine", 1.25)],
        {"x": Entrance("dist", socket)},
        {"y": Exit("agg", socket, six)},
        {"p.tar": b"\1" * 32},
        Phase.ACTIVE,
        4,
        1234.5,
        ["u1"],
        secret="00" * 16,
    )


def test_what_is_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    identifiers = Identifiers()
    identifiers.number("channel", "session 3", "a -> b")
    group = identifiers.number("slot", "session 3", "group", 64)
    unit = StoredUnit(2, unit_pb2.Hello(unit="u1", roles=[unit_pb2.ROLE_PROCESSING]), True)
    store = Store(tmp_path)
    store.save_session(record(), identifiers.of("session 3"), {b"\1" * 32: b"data"})
    store.save_unit("u1", unit)
    store.close()

    store = Store(tmp_path)
    assert store.sessions() == [record()] and store.units() == {"u1": unit} and store.last_session() == 3
    assert store.bundle(b"\1" * 32) == b"data" and store.bundle(b"\2" * 32) is None
    again = Identifiers(store.allotments())
    assert again.number("slot", "session 3", "group", 64) == group
    assert again.number("channel", "session 4", "x") != again.number("channel", "session 3", "a -> b")
    store.delete_session(record(), set())
    assert store.sessions() == [] and store.allotments() == [] and store.bundle(b"\1" * 32) is None
    assert store.last_session() == 3, "a number is not given again"
    store.close()


def test_a_bundle_stays_as_long_as_somebody_uses_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save_session(record(1), [], {b"\1" * 32: b"data"})
    store.save_session(record(2), [], {b"\1" * 32: b"data"})
    store.delete_session(record(1), {b"\1" * 32})
    assert store.bundle(b"\1" * 32) == b"data"
    store.close()


def test_one_directory_has_one_control_unit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(AlreadyExists, match="another control unit works on"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_a_store_of_another_schema_or_none_at_all_is_refused(tmp_path: Path) -> None:
    import sqlite3

    Store(tmp_path / "a").close()
    with sqlite3.connect(tmp_path / "a" / "control.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Unavailable, match="has schema 99, this program knows 1"):
        Store(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "control.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="file is not a database"):
        Store(tmp_path / "b")


def test_a_pool_that_is_used_up_says_so() -> None:
    identifiers = Identifiers()
    for number in range(254):
        identifiers.number("unit", "node", f"u{number}")
    with pytest.raises(InsufficientResources, match="no 1 unit numbers are left: 254 of 254"):
        identifiers.number("unit", "node", "one too many")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["take", "release", "keep"]),
            st.integers(0, 4),
            st.integers(0, 5),
            st.integers(0, 6),
        )
    )
)
def test_no_number_belongs_to_two(actions: list[tuple[str, int, int, int]]) -> None:
    identifiers = Identifiers()
    owners = [f"session {index}" for index in range(5)]
    for action, owner, key, power in actions:
        if action == "take":
            identifiers.number("slot", owners[owner], f"{key} {power}", 1 << power)
        elif action == "release":
            identifiers.release(owners[owner])
        else:
            identifiers.keep(
                owners[owner], [(one.kind, one.key) for one in identifiers.of(owners[owner])[:key]]
            )
        ranges = [
            range(one.first, one.first + one.count) for owner_ in owners for one in identifiers.of(owner_)
        ]
        assert len({number for each in ranges for number in each}) == sum(map(len, ranges))
        again = Identifiers([one for owner_ in owners for one in identifiers.of(owner_)])
        assert again.of(owners[0]) == identifiers.of(owners[0])
