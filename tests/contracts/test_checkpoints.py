"""What every checkpoint topic must do: whole or not at all, and only by the newest claimant."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from agents.ports import Checkpoints, Dirty, Saved, StoredRow
from runtime.tasks import cancel_all
from schemas.errors import Doubt
from streams.kafka.checkpoints import TAIL, KafkaCheckpoints
from streams.kafka.local import LocalKafka
from streams.kafka.names import Cluster
from streams.kafka.topics import ensure_topics
from tests.agents.world import until
from tests.fakes import MemoryCheckpoints


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
async def checkpoints(request: pytest.FixtureRequest) -> AsyncIterator[Checkpoints]:
    if request.param == "memory":
        yield MemoryCheckpoints()
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    await ensure_topics(cluster)
    made = KafkaCheckpoints(cluster)
    yield made
    await made.stop()


def dirty(applied: int, **rows: bytes) -> Dirty:
    return Dirty(applied, {key: StoredRow(row, {3: b"ids"}) for key, row in rows.items()}, dict.fromkeys(rows, applied))


async def test_without_a_checkpoint_there_is_no_watermark(checkpoints: Checkpoints) -> None:
    await checkpoints.claim(0)
    assert await checkpoints.load(0) == Saved(None, {})
    assert await checkpoints.watermark(0) is None


async def test_rows_and_watermark_come_back_and_newer_rows_win(checkpoints: Checkpoints) -> None:
    await checkpoints.claim(1)
    assert await checkpoints.save(1, dirty(4, ana=b"a1", ben=b"b1"), lambda: True)
    assert await checkpoints.save(1, dirty(9, ana=b"a2"), lambda: True)
    saved = await checkpoints.load(1)
    assert saved.watermark == 9
    assert saved.rows == {"ana": StoredRow(b"a2", {3: b"ids"}), "ben": StoredRow(b"b1", {3: b"ids"})}
    assert await checkpoints.watermark(1) == 9
    assert await checkpoints.watermark(0) is None


async def test_what_was_given_up_is_passed_over(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.checkpoints.PATIENCE_SECONDS", 0.05)
    await checkpoints.claim(0)
    assert await checkpoints.save(0, dirty(4, ana=b"a1"), lambda: True)
    given_up = dirty(9, ana=b"stale", **{f"l{n}": b"stale" for n in range(3 * TAIL)})
    assert not await checkpoints.save(0, given_up, lambda: False)
    assert await checkpoints.watermark(0) == 4
    assert await checkpoints.save(0, dirty(12), lambda: True)
    assert not await checkpoints.save(0, given_up, lambda: False)
    assert await checkpoints.watermark(0) == 12
    assert await checkpoints.load(0) == Saved(12, {"ana": StoredRow(b"a1", {3: b"ids"})})


@pytest.mark.kafka
async def test_whoever_was_there_before_the_newest_claimant_is_fenced(cluster: Cluster) -> None:
    await ensure_topics(cluster)
    old, new = KafkaCheckpoints(cluster), KafkaCheckpoints(cluster)
    try:
        await old.claim(0)
        assert await old.save(0, dirty(1, ana=b"a1"), lambda: True)
        await new.claim(0)
        with pytest.raises(Doubt):
            await old.save(0, dirty(2, ana=b"stale"), lambda: True)
        assert await new.watermark(0) == 1
    finally:
        await old.stop()
        await new.stop()


@pytest.mark.kafka
async def test_a_writer_whose_broker_is_silent_stops_asking_it(
    kafka: LocalKafka, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.checkpoints.RELEASE_SECONDS", 0.2)
    await ensure_topics(cluster)
    checkpoints = KafkaCheckpoints(cluster)
    await checkpoints.claim(0)
    writer = checkpoints._writers[0]
    assert await checkpoints.save(0, dirty(1, ana=b"a1"), lambda: True)
    (node,) = kafka.nodes
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    try:
        saving = asyncio.create_task(checkpoints.save(0, dirty(2, ana=b"a2"), lambda: True))
        await asyncio.wait([saving], timeout=0.5)
        await cancel_all([saving])
        await checkpoints.release(0)
        await until(
            lambda: writer._sender.sender_task.done() and not any(c.connected() for c in writer.client._conns.values())
        )
    finally:
        node.process.send_signal(signal.SIGCONT)
