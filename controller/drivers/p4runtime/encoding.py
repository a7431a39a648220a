"""Changes as updates, in bytes as they stand in a request (protobuf's encoding of ``p4.v1.WriteRequest``).

Messages built as Python objects cost a multiple of what the switch needs to take them, so table entries, of
which there are thousands, are put together from parts made once. Everything else is built as messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from finsy.proto import p4r

from controller.drivers.p4runtime.apply import GROUP_TABLE, Change
from controller.drivers.p4runtime.entries import Action, EntryKey
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from controller.drivers.p4runtime.readings import zero_surplus

INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE

_LONGEST = 16
"""Bytes of a value: an IPv6 address."""
_LONGEST_MESSAGE = 1024
"""More than any entry of a table takes."""
_UPDATES = 4
"""Field of ``WriteRequest``, and below those of the other messages (p4runtime.proto)."""
_TYPE, _ENTITY = 1, 2
_TABLE_ENTRY = 2
_TABLE_ID, _MATCH, _TABLE_ACTION = 1, 2, 3
_FIELD_ID, _EXACT, _EXACT_VALUE = 1, 2, 1
_ACTION, _ACTION_ID, _PARAMS = 1, 1, 4
_PARAM_ID, _PARAM_VALUE = 2, 3


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _begin(field: int, length: int) -> bytes:
    """Of a field that is bytes or a message."""
    return _varint(field << 3 | 2) + _varint(length)


def _begins(field: int) -> list[bytes]:
    """By the field's length."""
    return [_begin(field, length) for length in range(_LONGEST_MESSAGE)]


def _match(field_id: int, length: int) -> bytes:
    """A ``FieldMatch`` up to its value of so many bytes."""
    value = _begin(_EXACT_VALUE, length)
    match = _number(_FIELD_ID, field_id) + _begin(_EXACT, len(value) + length) + value
    return _begin(_MATCH, len(match) + length) + match


def _param(param_id: int, length: int) -> bytes:
    """A ``Param`` up to its value of so many bytes."""
    param = _number(_PARAM_ID, param_id) + _begin(_PARAM_VALUE, length)
    return _begin(_PARAMS, len(param) + length) + param


_KINDS = {kind: _number(_TYPE, kind) for kind in (INSERT, MODIFY, DELETE)}
_BEGIN_UPDATE, _BEGIN_ENTITY, _BEGIN_TABLE_ENTRY = map(_begins, (_UPDATES, _ENTITY, _TABLE_ENTRY))
_BEGIN_TABLE_ACTION, _BEGIN_ACTION = map(_begins, (_TABLE_ACTION, _ACTION))


@dataclass(frozen=True)
class Encoded:
    """The field ``updates`` of a request; ``owners``: of each update, the index of its change."""

    updates: bytes
    owners: Sequence[int]


class ChangeEncoder:
    """Of one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        lengths = range(_LONGEST + 1)
        self._tables = {
            name: (
                _number(_TABLE_ID, table.id),
                [[_match(field, length) for length in lengths] for field in table.fields],
            )
            for name, table in pipeline.tables.items()
        }
        self._actions = {
            name: (
                _number(_ACTION_ID, action.id),
                [[_param(field, length) for length in lengths] for field in action.fields],
            )
            for name, action in pipeline.actions.items()
        }

    def encode(self, changes: Sequence[Change]) -> Encoded:
        updates: list[bytes] = []
        owners: list[int] = []
        for index, change in enumerate(changes):
            made = self.updates(change)
            updates += made
            owners += [index] * len(made)
        return Encoded(b"".join(updates), owners)

    def updates(self, change: Change) -> list[bytes]:
        """What a change takes, in this order; most take one."""
        number = change.key.match[0]
        if change.key.table == GROUP_TABLE:
            gone = [_message(DELETE, multicast_group(number, ()))] if change.before else []
            if change.after is None:
                return gone
            # Made afresh: a modified group may keep replicas.
            return [*gone, _message(INSERT, multicast_group(number, change.after.parameters))]
        kind = DELETE if change.after is None else INSERT if change.before is None else MODIFY
        updates = [self.entry(kind, change.key, change.after)]
        if change.key.table == "channel" and change.after is None:
            # A channel's counts go with its row.
            updates += [_message(MODIFY, zero) for zero in zero_surplus(self._pipeline, number)]
        return updates

    def entry(self, kind: p4r.Update.Type.ValueType, key: EntryKey, action: Action | None) -> bytes:
        """Of a table entry, as ``Pipeline.message`` describes it; without an action, to delete it."""
        table_id, matches = self._tables[key.table]
        entry = table_id + _values(matches, key.match)
        if action is not None:
            action_id, params = self._actions[action.name]
            called = action_id + _values(params, action.parameters)
            called = _BEGIN_ACTION[len(called)] + called
            entry += _BEGIN_TABLE_ACTION[len(called)] + called
        entry = _BEGIN_TABLE_ENTRY[len(entry)] + entry
        update = _KINDS[kind] + _BEGIN_ENTITY[len(entry)] + entry
        return _BEGIN_UPDATE[len(update)] + update


def _message(kind: p4r.Update.Type.ValueType, entity: p4r.Entity) -> bytes:
    """Of any entity."""
    return p4r.WriteRequest(updates=[p4r.Update(type=kind, entity=entity)]).SerializeToString()


def _values(begins: Sequence[Sequence[bytes]], values: Sequence[int]) -> bytes:
    parts = []
    for begin, value in zip(begins, values, strict=True):
        length = (value.bit_length() + 7) // 8 or 1
        parts.append(begin[length])
        parts.append(value.to_bytes(length, "big"))
    return b"".join(parts)
