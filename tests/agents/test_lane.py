"""A lane over memory: what it applies, rejects and sends, and when it acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas import topics
from schemas.codec import decode_decision, decode_learning, decode_reject
from schemas.errors import Rejection
from schemas.interaction import LogRecord, Outgoing
from tests.agents.world import World, until
from tests.factories import HEADERS, interaction, outgoing
from tests.fakes import MemorySink


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
    await world.work(0, 3)
    assert len(world.sent(topics.DECISIONS)) == 2
    pointer = world.store.parts[0].live[-1]
    assert pointer is not None and (pointer.offset, pointer.seq, pointer.body) == (2, 1, None)
    await world.check_against_reference()


async def test_a_reused_id_with_another_body_is_rejected(world: World) -> None:
    await world.write(interaction(1), interaction(1, correct=False))
    await world.work(0, 2)
    (reject,) = world.sent(topics.REJECTS)
    assert decode_reject(reject.value).code == "id_reused"
    assert len(world.sent(topics.DECISIONS)) == 1


async def test_poison_is_rejected_and_its_partition_moves_on(world: World) -> None:
    await world.write(*(interaction(n) for n in range(40)))
    log = world.log.partitions[topics.INTERACTIONS, 0]
    log[7] = LogRecord(7, b"x", b'{"stamp": tru', HEADERS)
    await world.work(0, 40)
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
    await world.work(0, 2)
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


async def test_what_the_transport_skipped_is_read_from_the_log(world: World) -> None:
    await world.write(*(interaction(n) for n in range(9)))
    await world.work(6, 9)
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


async def test_stopping_finishes_sends_and_writes_a_last_checkpoint(world: World) -> None:
    await world.write(*(interaction(n) for n in range(10)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 10))
        await until(lambda: lane.applied == 9)
        await lane.stop()
        await until(lambda: world.checkpoints.saved.get(0) is not None)
    assert world.checkpoints.saved[0].watermark == 9
    assert world.acked[-1] == 9


async def test_decisions_carry_the_stamps_of_their_record(world: World) -> None:
    await world.write(interaction(1))
    await world.work(0, 1)
    decision = decode_decision(world.sent(topics.DECISIONS)[0].value)
    assert decision.id == "default/tiny/1/ana/1"
    assert (decision.course_version, decision.population, decision.seq) == ("1", (0, ""), 1)
    assert decision.decided_at == interaction(1).stamp.logged_ms
