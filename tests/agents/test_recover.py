"""How a lane gets up again: killed anywhere, its view lost, half rebuilt, wrong or of unknown outcome, its log short."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agents.ports import Advance, Batch, Saved
from schemas import topics
from schemas.errors import Unavailable
from schemas.ids import partition_of
from tests.agents.world import World, until
from tests.factories import interaction, outgoing, record
from tests.fakes import MemoryCheckpoints, MemoryStore


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


async def test_the_rows_of_a_checkpoint_are_read_only_where_the_view_lacks_them(world: World) -> None:
    """A worker that joins must not read what a million learners left behind."""

    class Counting(MemoryCheckpoints):
        loads = 0

        async def load(self, partition: int) -> Saved:
            self.loads += 1
            return await super().load(partition)

    checkpoints = world.checkpoints = Counting()
    for start in (0, 10):
        await world.write(*(interaction(n, learner=f"l{n % 4}") for n in range(start, start + 10)))
        async with world.lane(checkpoint_seconds=0.0) as lane:
            lane.offer(world.batch(start, start + 10))
            await world.until_acked(start + 9)
            await until(lambda last=start + 9: world.checkpoints.saved.get(0, Saved(None)).watermark == last)
    assert checkpoints.loads == 0
    world.store.parts.clear()
    async with world.lane():
        await until(lambda: world.store.parts[0].applied == 19)
    assert checkpoints.loads == 1
    await world.check_against_reference()


async def test_lanes_that_began_together_save_in_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four transactions at once hold a broker up for longer than a player would wait."""
    monkeypatch.setattr("agents.lane.IDLE_SECONDS", 0.01)
    learners = {partition_of("default", f"l{n}", 2): f"l{n}" for n in range(20)}
    for partition, learner in learners.items():
        await world.log.append([outgoing(interaction(partition, learner=learner), 2)])
    async with world.lane(1.0, partition=1, partitions=2) as later, world.lane(1.0, partition=0, partitions=2) as sooner:
        for lane in (later, sooner):
            lane.offer(Batch(world.log.partitions[topics.INTERACTIONS, lane.partition], lambda: None))
        await until(lambda: len(world.checkpoints.saved) == 2)
    assert list(world.checkpoints.saved) == [0, 1]


async def test_a_wiped_store_is_noticed_also_while_nothing_comes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.lane.IDLE_SECONDS", 0.01)
    await world.write(*(interaction(n) for n in range(5)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 5))
        await world.until_acked(4)
        world.store.parts.clear()
        await until(lambda: world.store.parts[0].applied == 4)
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


async def test_a_half_finished_rebuild_is_done_again(world: World) -> None:
    await world.write(*(interaction(n) for n in range(6)))
    await world.work(0, 6)
    part = world.store.parts[0]
    part.applied, part.rebuilding, part.rows = None, True, {}
    async with world.lane():
        await until(lambda: world.store.parts[0].applied == 5)
    await world.check_against_reference()


async def test_a_log_that_lost_data_halts_the_partition(world: World) -> None:
    await world.write(*(interaction(n) for n in range(6)))
    await world.work(0, 6)
    del world.log.partitions[topics.INTERACTIONS, 0][4:]
    async with world.lane() as lane:
        await until(lambda: lane.halted is not None)
        assert lane.halted is not None and "lost data" in str(lane.halted)


async def test_a_checkpoint_beyond_the_end_of_the_log_halts_the_partition(world: World) -> None:
    await world.write(*(interaction(n) for n in range(20)))
    async with world.lane(checkpoint_seconds=0.0) as lane:
        lane.offer(world.batch(0, 20))
        await world.until_acked(19)
        await until(lambda: 0 in world.checkpoints.saved and world.checkpoints.saved[0].watermark == 19)
    world.log.partitions.clear()  # the topic was made anew, and the store is empty; the checkpoint stayed
    world.log.acked.clear()
    world.store.parts.clear()
    await world.write(*(interaction(100 + n, learner="new") for n in range(10)))
    async with world.lane() as lane:
        lane.offer(world.batch(0, 10))
        await until(lambda: lane.halted is not None)
    assert "lost data" in str(lane.halted)


async def test_another_record_at_the_applied_offset_halts_the_partition(world: World) -> None:
    await world.write(interaction(1), interaction(2))
    await world.work(0, 2)
    log = world.log.partitions[topics.INTERACTIONS, 0]
    log[1] = record(1, interaction(99))
    async with world.lane() as lane:
        await until(lambda: lane.halted is not None)


async def test_a_corrupted_row_is_rebuilt_never_guessed(world: World) -> None:
    await world.write(*(interaction(n) for n in range(8)))
    await world.work(0, 4)
    rows = world.store.parts[0].rows
    (key,) = rows
    packed = rows[key].packed
    assert packed is not None
    rows[key] = rows[key]._replace(packed=packed[:20] + bytes([packed[20] ^ 1]) + packed[21:])
    await world.work(4, 8)
    await world.check_against_reference()
