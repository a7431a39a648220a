"""What a switch holds, checked against its P4Info; refusals are bmv2's, in its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import grpc
from finsy.proto import p4i, p4r

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_MISSING = grpc.StatusCode.NOT_FOUND
_EXISTS = grpc.StatusCode.ALREADY_EXISTS
_UNKNOWN = grpc.StatusCode.UNKNOWN
_UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED
_EXACT = p4i.MatchField.EXACT
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


class Refusal(Exception):
    """Why an update or a read is refused: the status code and bmv2's words."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class _Entry:
    """A stored entry; ``counts``: its direct counter, if its table has one."""

    message: p4r.TableEntry
    counts: p4r.CounterData


class Held:
    """The state of one device with a pipeline."""

    def __init__(self, info: p4i.P4Info) -> None:
        self._tables = {table.preamble.id: table for table in info.tables}
        self.sizes = {table.preamble.id: table.size for table in info.tables}
        self._actions = {action.preamble.id: action for action in info.actions}
        self._counters = {counter.preamble.id: counter for counter in info.counters}
        self._digests = {digest.preamble.id: digest for digest in info.digests}
        direct = {counter.preamble.id for counter in info.direct_counters}
        self._counted = {
            table.preamble.id for table in info.tables if direct.intersection(table.direct_resource_ids)
        }
        self._unsupported = {
            "register_entry": "Register",
            "value_set_entry": "ValueSet",
            "extern_entry": "Extern",
        }
        self._entries: dict[int, dict[tuple[bytes, ...], _Entry]] = {number: {} for number in self._tables}
        self._groups: dict[int, p4r.MulticastGroupEntry] = {}
        self._cells: dict[tuple[int, int], p4r.CounterData] = {}
        self._subscribed: dict[int, p4r.DigestEntry] = {}

    # writes

    def write(self, update: p4r.Update) -> None:
        """Raises Refusal, and has then changed nothing."""
        kind = update.entity.WhichOneof("entity")
        if update.type == p4r.Update.UNSPECIFIED:
            raise Refusal(_INVALID, "Update type is not set")
        match kind:
            case "table_entry":
                self._write_entry(update.type, update.entity.table_entry)
            case "counter_entry":
                self._write_counter(update.type, update.entity.counter_entry)
            case "digest_entry":
                self._write_digest(update.type, update.entity.digest_entry)
            case "packet_replication_engine_entry":
                self._write_group(
                    update.type, update.entity.packet_replication_engine_entry.multicast_group_entry
                )
            case None:
                raise Refusal(_UNKNOWN, "Incorrect entity type")
            case _:
                name = self._unsupported.get(kind, kind)
                raise Refusal(_UNIMPLEMENTED, f"{name} writes are not supported yet")

    def _write_entry(self, kind: p4r.Update.Type.ValueType, entry: p4r.TableEntry) -> None:
        table = self._table(entry.table_id)
        if entry.is_default_action:
            raise Refusal(_UNIMPLEMENTED, "this fake has no default entries")
        key = self._key(table, entry)
        entries = self._entries[entry.table_id]
        if kind == DELETE:
            if key not in entries:
                raise Refusal(_MISSING, "Cannot find match entry")
            del entries[key]
            return
        if not entry.HasField("action"):
            needed = "'action' field must be set"
            raise Refusal(_INVALID, needed if kind == INSERT else f"{needed} for non-default entries")
        stored = self._canonical(table, key, entry)
        if kind == INSERT:
            if key in entries:
                raise Refusal(_EXISTS, "Match entry exists, use MODIFY if you wish to change action")
            if len(entries) >= self.sizes[entry.table_id]:
                raise Refusal(_UNKNOWN, "Error when adding match entry to target")
            entries[key] = _Entry(stored, p4r.CounterData())
        elif key not in entries:
            raise Refusal(_MISSING, "Cannot find match entry")
        else:
            entries[key].message = stored

    def _table(self, number: int) -> p4i.Table:
        if number not in self._tables:
            raise Refusal(_INVALID, "Invalid P4 id")
        return self._tables[number]

    def _key(self, table: p4i.Table, entry: p4r.TableEntry) -> tuple[bytes, ...]:
        """The values in the table's order.  Only exact matches: our pipeline has no others."""
        if entry.priority:
            raise Refusal(_INVALID, "Non-zero priority for non-ternary match")
        if len(entry.match) > len(table.match_fields):
            raise Refusal(_INVALID, "Too many fields in match key")
        given = {match.field_id: match for match in entry.match}
        key = []
        for field in table.match_fields:
            if field.id not in given:
                raise Refusal(_INVALID, "Missing non-ternary field in match key")
            if field.match_type != _EXACT or given[field.id].WhichOneof("field_match_type") != "exact":
                raise Refusal(_INVALID, "Invalid match type")
            key.append(_canonical(given[field.id].exact.value, field.bitwidth))
        return tuple(key)

    def _canonical(self, table: p4i.Table, key: tuple[bytes, ...], entry: p4r.TableEntry) -> p4r.TableEntry:
        action = entry.action.action
        if action.action_id not in self._actions:
            raise Refusal(_INVALID, "Invalid P4 id")
        if action.action_id not in {each.id for each in table.action_refs}:
            raise Refusal(_INVALID, "Invalid action for table")
        wanted = self._actions[action.action_id].params
        if len(action.params) != len(wanted):
            raise Refusal(_INVALID, "Unexpected number of action parameters")
        given = {param.param_id: param.value for param in action.params}
        stored = p4r.TableEntry(table_id=entry.table_id)
        for field, value in zip(table.match_fields, key, strict=True):
            stored.match.add(field_id=field.id).exact.value = value
        stored.action.action.action_id = action.action_id
        for param in wanted:
            if param.id not in given:
                raise Refusal(_INVALID, "Invalid parameter id")
            value = _canonical(given[param.id], param.bitwidth)
            stored.action.action.params.add(param_id=param.id, value=value)
        return stored

    def _write_counter(self, kind: p4r.Update.Type.ValueType, entry: p4r.CounterEntry) -> None:
        size = self._counter(entry.counter_id).size
        if kind != MODIFY:
            raise Refusal(_INVALID, f"{p4r.Update.Type.Name(kind)} update type not supported for counters")
        if entry.index.index >= size:
            raise Refusal(_UNKNOWN, "Error when writing to counter")
        self._cells[entry.counter_id, entry.index.index] = entry.data

    def _counter(self, number: int) -> p4i.Counter:
        if number not in self._counters:
            raise Refusal(_INVALID, "Invalid P4 id")
        return self._counters[number]

    def _write_digest(self, kind: p4r.Update.Type.ValueType, entry: p4r.DigestEntry) -> None:
        if entry.digest_id not in self._digests:
            raise Refusal(_INVALID, "Invalid P4 id")
        subscribed = entry.digest_id in self._subscribed
        if kind == INSERT and subscribed:
            raise Refusal(_EXISTS, f"Digest {entry.digest_id} already configured")
        if kind != INSERT and not subscribed:
            raise Refusal(_MISSING, f"Digest {entry.digest_id} not configured")
        if kind == DELETE:
            del self._subscribed[entry.digest_id]
        else:
            self._subscribed[entry.digest_id] = entry

    def subscribed(self, digest_id: int) -> bool:
        return digest_id in self._subscribed

    def _write_group(self, kind: p4r.Update.Type.ValueType, group: p4r.MulticastGroupEntry) -> None:
        number = group.multicast_group_id
        if number == 0:
            raise Refusal(_INVALID, "0 is not a valid group id")
        if kind == INSERT and number in self._groups:
            raise Refusal(_EXISTS, "Multicast group already exists")
        if kind != INSERT and number not in self._groups:
            raise Refusal(_MISSING, "Multicast group does not exist")
        if kind == DELETE:
            del self._groups[number]
            return
        replicas = [(replica.egress_port, replica.instance) for replica in group.replicas]
        if len(set(replicas)) < len(replicas):
            raise Refusal(_INVALID, "Duplicate replica in multicast group")
        self._groups[number] = group

    # reads

    def read(self, entity: p4r.Entity) -> Iterator[p4r.Entity]:
        """Raises Refusal."""
        kind = entity.WhichOneof("entity")
        match kind:
            case "table_entry":
                yield from self._read_entries(entity.table_entry)
            case "direct_counter_entry":
                yield self._read_direct(entity.direct_counter_entry.table_entry)
            case "counter_entry":
                yield from self._read_counter(entity.counter_entry)
            case "packet_replication_engine_entry":
                group = entity.packet_replication_engine_entry.multicast_group_entry
                yield from self._read_groups(group.multicast_group_id)
            case "digest_entry":
                yield from (p4r.Entity(digest_entry=each) for each in self._subscribed.values())
            case _:
                name = self._unsupported.get(kind or "", kind)
                raise Refusal(_UNIMPLEMENTED, f"{name} reads are not supported yet")

    def _read_entries(self, wanted: p4r.TableEntry) -> Iterator[p4r.Entity]:
        if wanted.table_id == 0:
            for entries in self._entries.values():
                yield from (p4r.Entity(table_entry=each.message) for each in entries.values())
            return
        table = self._table(wanted.table_id)
        entries = self._entries[wanted.table_id]
        if wanted.match:
            found = entries.get(self._key(table, wanted))
            if found:
                yield p4r.Entity(table_entry=found.message)
            return
        yield from (p4r.Entity(table_entry=each.message) for each in entries.values())

    def _read_direct(self, wanted: p4r.TableEntry) -> p4r.Entity:
        table = self._table(wanted.table_id)
        if wanted.table_id not in self._counted:
            raise Refusal(_INVALID, "Table has no direct counters")
        found = self._entries[wanted.table_id].get(self._key(table, wanted))
        if found is None:
            raise Refusal(_INVALID, "Cannot map table entry to handle")
        entry = p4r.DirectCounterEntry(
            table_entry=p4r.TableEntry(table_id=wanted.table_id, match=found.message.match), data=found.counts
        )
        return p4r.Entity(direct_counter_entry=entry)

    def _read_counter(self, wanted: p4r.CounterEntry) -> Iterator[p4r.Entity]:
        size = self._counter(wanted.counter_id).size
        if wanted.HasField("index") and wanted.index.index >= size:
            raise Refusal(_UNKNOWN, "Error when reading counter from target")
        for index in [wanted.index.index] if wanted.HasField("index") else range(size):
            data = self._cells.get((wanted.counter_id, index))
            entry = p4r.CounterEntry(counter_id=wanted.counter_id, index=p4r.Index(index=index), data=data)
            yield p4r.Entity(counter_entry=entry)

    def _read_groups(self, number: int) -> Iterator[p4r.Entity]:
        if number and number not in self._groups:
            raise Refusal(_MISSING, "Multicast group does not exist")
        for group in [self._groups[number]] if number else self._groups.values():
            engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
            yield p4r.Entity(packet_replication_engine_entry=engine)


def _canonical(value: bytes, bits: int) -> bytes:
    """As short as it can be.  Raises Refusal if it is too long."""
    number = int.from_bytes(value, "big")
    if number.bit_length() > bits:
        raise Refusal(_INVALID, f"Bytestring provided does not fit within {bits} bits")
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
