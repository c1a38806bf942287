"""A lane over memory: what it applies, what it sends when, and how it gets up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.books import TopicBooks
from agents.lane import Lane
from agents.ports import Advance, Batch
from agents.wiring import Ports
from runtime.tasks import cancel_all
from schemas import topics
from schemas.codec import decode_decision, decode_learning, decode_reject
from schemas.errors import Rejection, Unavailable
from schemas.interaction import Interaction, LogRecord, Outgoing
from tests.factories import HEADERS, interaction, outgoing, publish
from tests.fakes import MemoryCheckpoints, MemoryLog, MemoryShared, MemorySink, MemoryStore, Notes
from tests.reference import reference_run


@dataclass
class World:
    """Everything a lane stands on."""

    log: MemoryLog = field(default_factory=MemoryLog)
    store: MemoryStore = field(default_factory=MemoryStore)
    sink: Any = field(default_factory=MemorySink)
    checkpoints: MemoryCheckpoints = field(default_factory=MemoryCheckpoints)
    shared: MemoryShared = field(default_factory=MemoryShared)
    notes: Notes = field(default_factory=Notes)
    acked: list[int] = field(default_factory=list)

    async def write(self, *said: Interaction) -> None:
        """Append to the log, as a gateway would."""
        await self.log.append([outgoing(each) for each in said])

    def batch(self, start: int, end: int) -> Batch:
        """Records as the transport hands them over."""
        records = self.log.partitions[topics.INTERACTIONS, 0][start:end]
        return Batch(records, lambda: self.ack(records[-1].offset))

    def ack(self, last: int) -> None:
        """Take an acknowledgement."""
        self.acked.append(last)
        self.log.acked[0] = last + 1

    @asynccontextmanager
    async def lane(self, checkpoint_seconds: float = 1000.0) -> AsyncIterator[Lane]:
        """A running lane; cancelled like a killed worker when the block ends."""
        books = TopicBooks(self.shared)
        await books.tail.start()
        ports = Ports(self.log, self.store, books, self.sink, self.checkpoints, self.notes, 1, checkpoint_seconds)
        lane = Lane(0, ports)
        running = asyncio.create_task(lane.run())
        try:
            yield lane
        finally:
            await cancel_all([running])
            await books.tail.stop()

    async def until_acked(self, last: int) -> None:
        """Wait until `last` is acknowledged."""
        await until(lambda: bool(self.acked) and self.acked[-1] >= last)

    def sent(self, topic: str) -> list[Outgoing]:
        """What was sent to a topic."""
        return [record for record in self.sink.records if record.topic == topic]

    async def check_against_reference(self) -> None:
        """Rows and decisions are those of a pure in-order run, bit for bit, and nothing is missing or doubled."""
        pure = await reference_run(self.log, self.shared, 1)
        assert {key: row.packed for key, row in self.store.parts[0].rows.items()} == pure.rows
        told: dict[bytes, bytes] = {}
        for record in self.sent(topics.DECISIONS):
            assert told.setdefault(record.key, record.value) == record.value, "one seq, two stories"
        assert told == {f"{row}/{seq}".encode(): body for (row, seq), body in pure.decisions.items()}


async def until(holds: Any, seconds: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    made = World()
    await publish(made.shared)
    return made


async def test_every_answer_gets_a_decision_in_order(world: World) -> None:
    await world.write(*(interaction(n, learner=f"l{n % 3}", correct=n % 2 == 0) for n in range(30)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 7))
        lane.offer(world.batch(7, 30))
        await world.until_acked(29)
        await lane.stop()
        await until(lambda: not world.store.parts[0].outbox)
    assert len(world.sent(topics.DECISIONS)) == 30
    assert sum(len(decode_learning(record.value)) for record in world.sent(topics.LEARNING)) == 30
    assert world.acked == sorted(world.acked)
    await world.check_against_reference()


async def test_a_resend_has_one_effect_and_points_to_the_original_decision(world: World) -> None:
    await world.write(interaction(1), interaction(2), interaction(1))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 3))
        await world.until_acked(2)
    assert len(world.sent(topics.DECISIONS)) == 2
    pointer = world.store.parts[0].live[-1]
    assert pointer is not None and (pointer.offset, pointer.seq, pointer.body) == (2, 1, None)
    await world.check_against_reference()


async def test_a_reused_id_with_another_body_is_rejected(world: World) -> None:
    await world.write(interaction(1), interaction(1, correct=False))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 2))
        await world.until_acked(1)
    (reject,) = world.sent(topics.REJECTS)
    assert decode_reject(reject.value).code == "id_reused"
    assert len(world.sent(topics.DECISIONS)) == 1


async def test_poison_is_rejected_and_its_partition_moves_on(world: World) -> None:
    await world.write(*(interaction(n) for n in range(40)))
    log = world.log.partitions[topics.INTERACTIONS, 0]
    log[7] = LogRecord(7, b"x", b'{"stamp": tru', HEADERS)
    async with world.lane() as lane:
        lane.offer(world.batch(0, 40))
        await world.until_acked(39)
    (reject,) = world.sent(topics.REJECTS)
    told = decode_reject(reject.value)
    assert (told.code, told.offset, told.value) == ("malformed", 7, b'{"stamp": tru')
    assert len(world.sent(topics.DECISIONS)) == 39


async def test_a_row_that_would_be_too_large_is_refused_and_stays_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.step.MAX_BYTES", 400)
    await world.write(*(interaction(n, item=f"i{n}", learner=("ana", "bo")[n == 29]) for n in range(30)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 30))
        await world.until_acked(29)
        await lane.stop()
        await until(lambda: not world.store.parts[0].outbox)
    refused = [decode_reject(each.value) for each in world.sent(topics.REJECTS)]
    assert refused and {each.code for each in refused} == {"row_too_large"}
    assert len(world.sent(topics.DECISIONS)) == 30 - len(refused) > 2
    rows = world.store.parts[0].rows
    assert all(len(row.packed or b"") <= 400 for row in rows.values()) and len(rows) == 2
    await world.check_against_reference()


async def test_a_flood_of_poison_halts_the_partition_and_says_how_to_go_on(world: World) -> None:
    await world.write(*(interaction(n) for n in range(60)))
    log = world.log.partitions[topics.INTERACTIONS, 0]
    for offset in range(20, 60):
        log[offset] = LogRecord(offset, b"x", b"garbage", HEADERS)
    async with world.lane() as lane:
        lane.offer(world.batch(0, 20))
        await world.until_acked(19)
        lane.offer(world.batch(20, 60))
        await until(lambda: lane.halted is not None)
        assert lane.halted is not None and "rejects" in lane.halted.remedy
    assert world.acked[-1] == 19, "offsets are held"


async def test_a_record_of_a_later_schema_is_parked_not_guessed(world: World) -> None:
    await world.write(interaction(1), interaction(2))
    log = world.log.partitions[topics.INTERACTIONS, 0]
    log[0] = log[0]._replace(headers=(("schema", b"2"),))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 2))
        await world.until_acked(1)
    assert decode_reject(world.sent(topics.REJECTS)[0].value).code == "unknown_schema"


async def test_nothing_is_acknowledged_before_it_is_sent(world: World) -> None:
    gate = asyncio.Event()

    class SlowSink(MemorySink):
        async def send(self, records: Sequence[Outgoing]) -> None:
            await gate.wait()
            await super().send(records)

    world.sink = SlowSink()
    await world.write(*(interaction(n) for n in range(4)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 2))
        lane.offer(world.batch(2, 4))
        await until(lambda: lane.applied == 3)
        assert not world.acked and list(world.store.parts[0].outbox) == [3]
        gate.set()
        await world.until_acked(3)
    await world.check_against_reference()


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_an_unknown_outcome_of_the_view_is_recovered(world: World, lost: str) -> None:
    class ShakyStore(MemoryStore):
        failures = 3

        async def advance(self, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
            if self.failures and change.last >= 5:
                self.failures -= 1
                if lost == "after":
                    await super().advance(partition, expected, change)
                raise Unavailable("store", "connection lost")
            return await super().advance(partition, expected, change)

    world.store = ShakyStore()
    await world.write(*(interaction(n, learner=f"l{n % 2}") for n in range(12)))
    async with world.lane() as lane:
        for start in range(0, 12, 3):
            lane.offer(world.batch(start, start + 3))
        await world.until_acked(11)
    await world.check_against_reference()


async def test_a_lane_killed_anywhere_leaves_nothing_lost_or_doubled(world: World) -> None:
    await world.write(*(interaction(n, learner=f"l{n % 5}", correct=n % 3 > 0) for n in range(60)))
    for kill_after in range(1, 40, 3):
        async with world.lane(checkpoint_seconds=0.0) as lane:
            start = world.log.acked.get(0, 0)
            if start < 60:
                lane.offer(world.batch(start, 60))
            for _ in range(kill_after):
                await asyncio.sleep(0)
    async with world.lane() as lane:
        start = world.log.acked.get(0, 0)
        if start < 60:
            lane.offer(world.batch(start, 60))
        await until(lambda: world.log.acked.get(0) == 60 and not world.store.parts[0].outbox)
    await world.check_against_reference()


async def test_a_wiped_store_is_rebuilt_from_checkpoint_and_log(world: World) -> None:
    await world.write(*(interaction(n, learner=f"l{n % 4}") for n in range(50)))
    async with world.lane(checkpoint_seconds=0.0) as lane:
        lane.offer(world.batch(0, 20))
        await world.until_acked(19)
        await until(lambda: world.checkpoints.saved.get(0) is not None)
        lane.offer(world.batch(20, 40))
        await world.until_acked(39)
        world.store.parts.clear()
        lane.offer(world.batch(40, 50))
        await until(lambda: world.store.parts[0].applied == 49)
        await world.until_acked(49)
    assert "doubt" in world.notes.names()
    await world.check_against_reference()


async def test_a_wiped_store_is_noticed_also_while_nothing_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.lane.IDLE_SECONDS", 0.01)
    await world.write(*(interaction(n) for n in range(5)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 5))
        await world.until_acked(4)
        world.store.parts.clear()
        await until(lambda: world.store.parts[0].applied == 4)
    await world.check_against_reference()


async def test_what_the_transport_skipped_is_read_from_the_log(world: World) -> None:
    await world.write(*(interaction(n) for n in range(9)))
    async with world.lane() as lane:
        lane.offer(world.batch(6, 9))
        await world.until_acked(8)
    await world.check_against_reference()


async def test_what_is_held_up_on_its_way_is_read_from_the_log_while_nothing_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch whose last partition never came: its batches come with the next one (docs/decisions/0025)."""
    monkeypatch.setattr("agents.lane.IDLE_SECONDS", 0.01)
    await world.write(*(interaction(n) for n in range(9)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 3))
        await until(lambda: lane.applied == 8)
        assert world.acked == [2]
        lane.offer(world.batch(3, 8))
        lane.offer(world.batch(8, 9))
        await world.until_acked(8)
    assert world.acked == [2, 7, 8]
    await world.check_against_reference()


async def test_what_a_rebalance_rewinds_is_applied_once_also_with_a_backlog(world: World) -> None:
    """Faust hands over from the committed offset again while older batches still wait in the lane."""
    await world.write(*(interaction(n, learner=f"l{n % 3}") for n in range(60)))
    async with world.lane() as lane:
        for start, end in ((0, 20), (30, 40), (10, 45), (5, 60)):
            lane.offer(world.batch(start, end))
        await world.until_acked(59)
    assert lane.halted is None
    await world.check_against_reference()


async def test_what_was_applied_and_wiped_after_the_commit_is_done_again_without_new_traffic(world: World) -> None:
    await world.write(*(interaction(n) for n in range(12)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 12))
        await world.until_acked(11)
        world.log.acked[0] = 6
        world.store.parts.clear()
        lane._arrived.set()
        await until(lambda: world.store.parts[0].applied == 11, 10)
    await world.check_against_reference()


async def test_a_bug_in_the_step_halts_its_partition_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    await world.write(interaction(1))
    monkeypatch.setattr("agents.compute.step", broken)
    async with world.lane() as lane:
        lane.offer(world.batch(0, 1))
        await until(lambda: lane.halted is not None)
        assert "ZeroDivisionError" in str(lane.halted)
    assert not world.acked


async def test_a_half_finished_rebuild_is_done_again(world: World) -> None:
    await world.write(*(interaction(n) for n in range(6)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 6))
        await world.until_acked(5)
    part = world.store.parts[0]
    part.applied, part.rebuilding, part.rows = None, True, {}
    async with world.lane():
        await until(lambda: world.store.parts[0].applied == 5)
    await world.check_against_reference()


async def test_a_record_in_a_partition_that_is_not_its_rows_is_rejected(world: World) -> None:
    strange = next(
        interaction(n, learner=f"x{n}") for n in range(99) if outgoing(interaction(n, learner=f"x{n}"), 8).partition
    )
    from agents.compute import decode

    (decoded,) = decode([LogRecord(0, strange.key.encode(), outgoing(strange).value, HEADERS)], 0, 8)
    assert isinstance(decoded.said, Rejection)


async def test_what_is_handed_over_again_is_dropped_and_acknowledged(world: World) -> None:
    await world.write(*(interaction(n) for n in range(6)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 6))
        await world.until_acked(5)
        lane.offer(world.batch(2, 6))
        await until(lambda: world.acked.count(5) == 2)
    await world.check_against_reference()


async def test_a_log_that_lost_data_halts_the_partition(world: World) -> None:
    await world.write(*(interaction(n) for n in range(6)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 6))
        await world.until_acked(5)
    del world.log.partitions[topics.INTERACTIONS, 0][4:]
    async with world.lane() as lane:
        await until(lambda: lane.halted is not None)
        assert lane.halted is not None and "lost data" in str(lane.halted)


async def test_another_record_at_the_applied_offset_halts_the_partition(world: World) -> None:
    await world.write(interaction(1), interaction(2))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 2))
        await world.until_acked(1)
    log = world.log.partitions[topics.INTERACTIONS, 0]
    log[1] = outgoing_record(1, interaction(99))
    async with world.lane() as lane:
        await until(lambda: lane.halted is not None)


async def test_a_corrupted_row_is_rebuilt_never_guessed(world: World) -> None:
    await world.write(*(interaction(n) for n in range(8)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 4))
        await world.until_acked(3)
    rows = world.store.parts[0].rows
    (key,) = rows
    packed = rows[key].packed
    assert packed is not None
    rows[key] = rows[key]._replace(packed=packed[:20] + bytes([packed[20] ^ 1]) + packed[21:])
    async with world.lane() as lane:
        lane.offer(world.batch(4, 8))
        await world.until_acked(7)
    await world.check_against_reference()


async def test_stopping_finishes_sends_and_writes_a_last_checkpoint(world: World) -> None:
    await world.write(*(interaction(n) for n in range(10)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 10))
        await until(lambda: lane.applied == 9)
        await lane.stop()
        await until(lambda: world.checkpoints.saved.get(0) is not None)
    assert world.checkpoints.saved[0].watermark == 9
    assert world.acked[-1] == 9


def outgoing_record(offset: int, said: Interaction) -> LogRecord:
    """A record at an offset."""
    made = outgoing(said)
    return LogRecord(offset, made.key, made.value, made.headers)


async def test_decisions_carry_the_stamps_of_their_record(world: World) -> None:
    await world.write(interaction(1))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 1))
        await world.until_acked(0)
    decision = decode_decision(world.sent(topics.DECISIONS)[0].value)
    assert decision.id == "default/tiny/1/ana/1"
    assert (decision.course_version, decision.population, decision.seq) == ("1", (0, ""), 1)
    assert decision.decided_at == interaction(1).stamp.logged_ms
