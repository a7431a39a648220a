"""What the driver puts together byte by byte is what protobuf would."""

from __future__ import annotations

from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from controller.drivers.p4runtime.apply import Change, group_action, group_key
from controller.drivers.p4runtime.encoding import ChangeEncoder
from controller.drivers.p4runtime.entries import Action, EntryKey
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from controller.drivers.p4runtime.readings import zero_surplus

PIPELINE = Pipeline.load()
ENCODER = ChangeEncoder(PIPELINE)
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


def updates(*changes: Change) -> list[p4r.Update]:
    return list(p4r.WriteRequest.FromString(ENCODER.encode(changes).updates).updates)


@st.composite
def entries(draw: st.DrawFn) -> tuple[EntryKey, Action]:
    """Of any table and action, with numbers of any length that a field may have."""
    table = draw(st.sampled_from(PIPELINE.info.tables))
    action = draw(st.sampled_from(PIPELINE.info.actions))
    match = [draw(st.integers(0, (1 << field.bitwidth) - 1)) for field in table.match_fields]
    params = [draw(st.integers(0, (1 << param.bitwidth) - 1)) for param in action.params]
    return EntryKey(table.preamble.alias, tuple(match)), Action(action.preamble.alias, tuple(params))


@given(entries(), st.sampled_from([INSERT, MODIFY, DELETE]))
def test_an_entry_is_encoded_as_protobuf_would(
    entry: tuple[EntryKey, Action], kind: p4r.Update.Type.ValueType
) -> None:
    key, action = entry
    named = None if kind == DELETE else action
    (update,) = p4r.WriteRequest.FromString(ENCODER.entry(kind, key, named)).updates
    assert update == p4r.Update(type=kind, entity=PIPELINE.message(key, named))
    assert ENCODER.entry(kind, key, named) == p4r.WriteRequest(updates=[update]).SerializeToString()


def test_a_channel_takes_its_counts_with_it() -> None:
    row = Action("set_channel", (0,) * len(PIPELINE.actions["set_channel"].fields))
    (inserted,) = updates(Change(EntryKey("channel", (3,)), None, row))
    assert inserted.type == INSERT
    deleted, *zeros = updates(Change(EntryKey("channel", (3,)), row, None))
    assert deleted.type == DELETE
    assert [each.entity for each in zeros] == list(zero_surplus(PIPELINE, 3))
    assert {each.type for each in zeros} == {MODIFY}


def test_a_group_that_changes_is_made_afresh() -> None:
    before, after = group_action(range(3)), group_action(range(2))
    changes = [
        Change(group_key(3), None, before),
        Change(group_key(3), before, after),
        Change(group_key(3), after, None),
    ]
    assert [each.type for each in updates(*changes)] == [INSERT, DELETE, INSERT, DELETE]
    assert updates(changes[0])[0].entity == multicast_group(3)
    assert list(ENCODER.encode(changes).owners) == [0, 1, 1, 2]
