"""The fake switch answers as a real bmv2 does: the same requests, one after the other, to both."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc, rpc_status

from controller.drivers.p4runtime.entries import Action, EntryKey
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from tests.conformance.bmv2_switch import DEVICE_ID, _Stream, switch_process
from tests.fake_switch.server import FakeSwitch

pytestmark = pytest.mark.bmv2

PIPELINE = Pipeline.load()
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE
COOKIE_ONLY = p4r.GetForwardingPipelineConfigRequest.ResponseType.COOKIE_ONLY
KINDS = (INSERT, MODIFY, DELETE)
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_metadata_size", 4 << 20)]


class Side:
    """One of the two servers; what it answers, as data that can be compared."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self.election = p4r.Uint128(low=1)

    def stream(self, election_id: int) -> _Stream:
        stream = _Stream(self._stub.StreamChannel)
        self.claim(stream, election_id)
        return stream

    @staticmethod
    def claim(stream: _Stream, election_id: int) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=DEVICE_ID, election_id=p4r.Uint128(low=election_id))
        stream.put(p4r.StreamMessageRequest(arbitration=update))

    def push(self) -> object:
        request = p4r.SetForwardingPipelineConfigRequest(
            device_id=DEVICE_ID,
            election_id=self.election,
            action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=PIPELINE.forwarding(),
        )
        return _answer(lambda: self._stub.SetForwardingPipelineConfig(request))

    def cookie(self) -> object:
        request = p4r.GetForwardingPipelineConfigRequest(device_id=DEVICE_ID, response_type=COOKIE_ONLY)
        return _answer(lambda: self._stub.GetForwardingPipelineConfig(request).config.cookie.cookie)

    def write(self, updates: Iterable[p4r.Update], **fields: int) -> object:
        values: dict[str, object] = {"device_id": DEVICE_ID, "election_id": self.election} | fields
        request = p4r.WriteRequest(updates=updates, **values)  # type: ignore[arg-type]
        return _answer(lambda: self._stub.Write(request).ByteSize())

    def read(self, *entities: p4r.Entity) -> object:
        request = p4r.ReadRequest(device_id=DEVICE_ID, entities=entities)

        def found() -> list[str]:
            answers = list(self._stub.Read(request))
            assert len(answers) <= 1, "in one message, whatever its size"
            return sorted(str(_ordered(entity)) for answer in answers for entity in answer.entities)

        return _answer(found)

    def close(self) -> None:
        self._channel.close()


def _ordered(entity: p4r.Entity) -> p4r.Entity:
    """Replicas are a set."""
    group = entity.packet_replication_engine_entry.multicast_group_entry
    if entity.HasField("packet_replication_engine_entry"):
        replicas = sorted(group.replicas, key=lambda each: each.instance)
        plain = p4r.MulticastGroupEntry(multicast_group_id=group.multicast_group_id)
        for each in replicas:
            plain.replicas.add(egress_port=each.egress_port, instance=each.instance)
        engine = p4r.PacketReplicationEngineEntry(multicast_group_entry=plain)
        return p4r.Entity(packet_replication_engine_entry=engine)
    return entity


def _answer(request: object) -> object:
    """What came, or the status and each update's own."""
    assert callable(request)
    try:
        return request()
    except grpc.RpcError as error:
        assert isinstance(error, grpc.Call)
        status = rpc_status.Status()
        status.ParseFromString(dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b""))
        details = []
        for each in status.details:
            detail = p4r.Error()
            each.Unpack(detail)
            details.append((detail.canonical_code, detail.message, detail.space))
        return error.code(), error.details(), details


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    fake = FakeSwitch()
    with switch_process() as real:
        fake.start()
        both = Side(fake.address), Side(real.address)
        yield both
        for side in both:
            side.close()
        fake.stop()


def agree(answers: Iterable[object]) -> object:
    mine, its = answers
    assert mine == its, "the fake switch says the first, bmv2 the second"
    return mine


def claimed(told: p4r.StreamMessageResponse) -> tuple[int, int]:
    return told.arbitration.election_id.low, told.arbitration.status.code


def test_who_is_primary(sides: tuple[Side, Side]) -> None:
    def story(side: Side) -> list[object]:
        seen: list[object] = []
        first = side.stream(5)
        seen.append(claimed(first.get()))
        lower, higher = side.stream(3), None
        seen.append(claimed(lower.get()))
        same = side.stream(5)
        with pytest.raises(grpc.RpcError) as refused:
            same.get()
        seen.append((refused.value.code(), refused.value.details()))
        higher = side.stream(9)
        seen += [claimed(each.get()) for each in (higher, first, lower)]
        seen.append(side.write([]))
        higher.close()
        seen += [claimed(each.get()) for each in (first, lower)]
        side.claim(first, 8)
        seen.append(claimed(first.get()))
        side.claim(first, 1)
        seen += [claimed(each.get()) for each in (first, lower)]
        crowd = []
        for number in range(20, 34):
            crowd.append(side.stream(number))
            seen.append(claimed(crowd[-1].get()))
        too_many = side.stream(40)
        with pytest.raises(grpc.RpcError) as refused:
            too_many.get()
        seen.append((refused.value.code(), refused.value.details()))
        for each in (first, lower, *crowd):
            each.close()
        return seen

    agree(map(story, sides))


def test_what_is_refused(sides: tuple[Side, Side]) -> None:
    unit = PIPELINE.message(EntryKey("unit", (1,)), Action("alive"))
    mine = p4r.Update(type=INSERT, entity=unit)
    agree(side.write([mine]) for side in sides)
    agree(side.push() for side in sides)
    agree(side.cookie() for side in sides)
    streams = [side.stream(1) for side in sides]
    for stream in streams:
        stream.get()
    agree(side.write([mine]) for side in sides)
    agree(side.read(unit) for side in sides)
    agree(side.push() for side in sides)
    assert agree(side.cookie() for side in sides) == PIPELINE.cookie
    for wrong in _wrong(unit):
        # The rest of a request is done all the same.
        good = PIPELINE.message(EntryKey("unit", (2,)), Action("dead"))
        for kind in KINDS:
            updates = [p4r.Update(type=kind, entity=wrong), p4r.Update(type=INSERT, entity=good)]
            agree(side.write(updates) for side in sides)
            agree(side.read(PIPELINE.message(EntryKey("unit", (2,)))) for side in sides)
            agree(side.write([p4r.Update(type=DELETE, entity=good)]) for side in sides)
    for fields in ({"device_id": 7}, {"election_id": None}, {"atomicity": 1}, {"atomicity": 2}):
        agree(side.write([mine], **fields) for side in sides)
    number = PIPELINE.info.registers[0].preamble.id if PIPELINE.info.registers else 1
    for entity in (
        p4r.Entity(register_entry=p4r.RegisterEntry(register_id=number)),
        p4r.Entity(table_entry=p4r.TableEntry(table_id=77)),
        multicast_group(33, ()),
        p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=unit.table_entry)),
    ):
        agree(side.read(entity) for side in sides)
    for stream in streams:
        stream.close()


def _wrong(unit: p4r.Entity) -> Iterator[p4r.Entity]:
    """Entities that no switch with this pipeline can take."""
    yield p4r.Entity()
    for change in (
        lambda entry: setattr(entry, "table_id", 77),
        lambda entry: setattr(entry, "priority", 3),
        lambda entry: entry.match.add(field_id=1),
        lambda entry: entry.ClearField("match"),
        lambda entry: entry.ClearField("action"),
        lambda entry: setattr(entry.match[0], "field_id", 9),
        lambda entry: setattr(entry.match[0].exact, "value", b"\xff" * 9),
        lambda entry: setattr(entry.match[0].lpm, "value", b"1"),
        lambda entry: setattr(entry.action.action, "action_id", 77),
        lambda entry: setattr(entry.action.action, "action_id", PIPELINE.actions["set_slot"].id),
        lambda entry: entry.action.action.params.add(param_id=1, value=b"\1"),
    ):
        copy = p4r.Entity()
        copy.CopyFrom(unit)
        change(copy.table_entry)
        yield copy
    slot = PIPELINE.message(EntryKey("slot", (5, 0)), Action("set_slot", (1, 2)))
    slot.table_entry.action.action.params[1].value = b"\xff" * 9
    yield slot
    yield p4r.Entity(register_entry=p4r.RegisterEntry(register_id=1))
    yield p4r.Entity(value_set_entry=p4r.ValueSetEntry(value_set_id=1))
    yield multicast_group(0, (1,))
    twice = multicast_group(6, (1,))
    twice.packet_replication_engine_entry.multicast_group_entry.replicas.add(egress_port=257, instance=1)
    yield twice


def test_random_updates(sides: tuple[Side, Side]) -> None:
    """Requests of several updates over few keys, so that inserts meet entries and deletions meet none; then a
    table is filled to its end."""
    streams = [side.stream(1) for side in sides]
    for stream, side in zip(streams, sides, strict=True):
        stream.get()
        side.push()
    chance = random.Random(0)
    tables = [p4r.Entity(table_entry=p4r.TableEntry(table_id=each.id)) for each in PIPELINE.tables.values()]
    for _ in range(60):
        updates = [
            p4r.Update(type=chance.choice(KINDS), entity=_random_entity(chance))
            for _ in range(chance.randint(1, 12))
        ]
        agree(side.write(updates) for side in sides)
        for wanted in (*tables, multicast_group(0)):
            agree(side.read(wanted) for side in sides)
    units = [PIPELINE.message(EntryKey("unit", (number,)), Action("alive")) for number in range(10, 1200)]
    agree(side.write(p4r.Update(type=INSERT, entity=each) for each in units) for side in sides)
    agree(side.push() for side in sides)
    for wanted in (*tables, multicast_group(0)):
        assert agree(side.read(wanted) for side in sides) == []
    for stream in streams:
        stream.close()


def _random_entity(chance: random.Random) -> p4r.Entity:
    """Of two values for each key field, with random parameters of the right width."""
    if chance.random() < 0.15:
        return multicast_group(chance.randint(2, 4))
    if chance.random() < 0.1:
        config = p4r.DigestEntry.Config(max_list_size=1)
        number = chance.choice([*PIPELINE.digests.values()])
        return p4r.Entity(digest_entry=p4r.DigestEntry(digest_id=number, config=config))
    table = chance.choice(PIPELINE.info.tables)
    entry = p4r.TableEntry(table_id=table.preamble.id)
    for field in table.match_fields:
        value = chance.randint(0, 1).to_bytes(chance.randint(1, (field.bitwidth + 7) // 8), "big")
        entry.match.add(field_id=field.id).exact.value = value
    references = [each.id for each in table.action_refs if each.scope != each.DEFAULT_ONLY]
    chosen = chance.choice(references)
    action = next(each for each in PIPELINE.info.actions if each.preamble.id == chosen)
    entry.action.action.action_id = action.preamble.id
    for parameter in action.params:
        value = chance.getrandbits(parameter.bitwidth).to_bytes((parameter.bitwidth + 7) // 8, "big")
        entry.action.action.params.add(param_id=parameter.id, value=value)
    return p4r.Entity(table_entry=entry)
