"""The compiled pipeline (``p4/build``), and entries as P4Runtime messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from finsy.proto import p4i, p4r
from google.protobuf import text_format

from controller.drivers.p4runtime.entries import Action, Entries, EntryKey, NotForSwitches
from dipronn.errors import Unavailable

P4 = Path(__file__).parents[3] / "p4"
CONTROLLER_PORT = 510
"""``CONTROLLER`` of ``p4/v1model/steering.p4``, and bmv2's ``--cpu-port``."""
_FIRST_INNER_PORT = 256
_INNER_PORTS = CONTROLLER_PORT - _FIRST_INNER_PORT
"""Ports from here to the controller's have no device."""


SOURCES = {"steering": ("shared", "v1model"), "l3": ("reference",)}
"""By program: the folders that it is compiled from."""


def source_hash(sources: Path = P4, program: str = "steering") -> str:
    """SHA-256 over every file that the program is compiled from."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in SOURCES[program] for path in sources.glob(f"{folder}/*.p4")):
        digest.update(f"{path.relative_to(sources)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class _Shape:
    """Identifiers by name, in the order of the source."""

    id: int
    fields: tuple[int, ...]


@dataclass
class Pipeline:
    """A P4Info and what the switch runs."""

    info: p4i.P4Info
    config: bytes
    cookie: int = 0
    tables: dict[str, _Shape] = field(init=False)
    actions: dict[str, _Shape] = field(init=False)
    counters: dict[str, int] = field(init=False)
    digests: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.tables = {
            table.preamble.alias: _Shape(table.preamble.id, tuple(match.id for match in table.match_fields))
            for table in self.info.tables
        }
        self.actions = {
            action.preamble.alias: _Shape(action.preamble.id, tuple(param.id for param in action.params))
            for action in self.info.actions
        }
        self.counters = {counter.preamble.alias: counter.preamble.id for counter in self.info.counters}
        self.digests = {digest.preamble.alias: digest.preamble.id for digest in self.info.digests}
        self._table_names = {shape.id: name for name, shape in self.tables.items()}
        self._action_names = {shape.id: name for name, shape in self.actions.items()}

    @classmethod
    def load(cls, folder: Path = P4 / "build", program: str = "steering") -> Pipeline:
        """What ``make p4`` made; its cookie begins the source's hash.  Raises ``Unavailable``."""
        try:
            text = (folder / f"{program}.p4info.txtpb").read_text()
            config = (folder / f"{program}.json").read_bytes()
            digest = (folder / f"{program}.sha256").read_text()
        except OSError as error:
            raise Unavailable(f"the compiled P4 pipeline is not there: {error}; run `make p4`") from error
        return cls(text_format.Parse(text, p4i.P4Info()), config, int(digest[:15], 16))

    def require(self, entries: Iterable[EntryKey]) -> None:
        """Raises NotForSwitches if the pipeline lacks a table: Tofino's (``p4/tna``) reads no ARTP."""
        for key in entries:
            if key.table not in self.tables:
                raise NotForSwitches(
                    f"{key}: this switch's pipeline has no table {key.table}; let another unit be the edge"
                )

    def message(self, key: EntryKey, action: Action | None = None) -> p4r.Entity:
        """The table entry; without an action, enough to delete or to read it."""
        table = self.tables[key.table]
        entry = p4r.TableEntry(
            table_id=table.id,
            match=[
                p4r.FieldMatch(field_id=number, exact=p4r.FieldMatch.Exact(value=encode_number(value)))
                for number, value in zip(table.fields, key.match, strict=True)
            ],
        )
        if action is not None:
            shape = self.actions[action.name]
            entry.action.action.action_id = shape.id
            for number, value in zip(shape.fields, action.parameters, strict=True):
                entry.action.action.params.add(param_id=number, value=encode_number(value))
        return p4r.Entity(table_entry=entry)

    def entry(self, message: p4r.TableEntry) -> tuple[EntryKey, Action]:
        """The inverse of ``message``."""
        name = self._table_names[message.table_id]
        values = {match.field_id: match.exact.value for match in message.match}
        match = tuple(int.from_bytes(values[number], "big") for number in self.tables[name].fields)
        action = message.action.action
        params = {param.param_id: param.value for param in action.params}
        action_name = self._action_names[action.action_id]
        parameters = tuple(
            int.from_bytes(params[number], "big") for number in self.actions[action_name].fields
        )
        return EntryKey(name, match), Action(action_name, parameters)

    def entries(self, messages: Iterator[p4r.Entity]) -> Entries:
        """Those of the entities that are table entries of a key (defaults are not)."""
        return dict(
            self.entry(message.table_entry)
            for message in messages
            if message.HasField("table_entry") and not message.table_entry.is_default_action
        )

    def counter(self, name: str, index: int | None = None) -> p4r.Entity:
        """One cell of an indirect counter, or all cells."""
        entry = p4r.CounterEntry(counter_id=self.counters[name])
        if index is not None:
            entry.index.index = index
        return p4r.Entity(counter_entry=entry)

    def forwarding(self) -> p4r.ForwardingPipelineConfig:
        return p4r.ForwardingPipelineConfig(
            p4info=self.info,
            p4_device_config=self.config,
            cookie=p4r.ForwardingPipelineConfig.Cookie(cookie=self.cookie),
        )


def encode_number(value: int) -> bytes:
    """P4Runtime's canonical byte string: big-endian, as short as it can be, never empty."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def multicast_group(number: int, copies: Iterable[int] | None = None) -> p4r.Entity:
    """A group and the replication ids in it, by default the copies 0 to ``number`` - 1.

    The ports are no real ones: the egress pipeline sends each copy back into the ingress pipeline, which
    finds its own. They differ, since a port's queue in bmv2 holds 64 packets and loses the rest.
    """
    group = p4r.MulticastGroupEntry(multicast_group_id=number)
    for copy in range(number) if copies is None else copies:
        group.replicas.add(egress_port=_FIRST_INNER_PORT + copy % _INNER_PORTS, instance=copy)
    return p4r.Entity(
        packet_replication_engine_entry=p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
    )
