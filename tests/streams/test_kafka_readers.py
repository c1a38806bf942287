"""Readers of Kafka that go wrong in ways a real broker shows only now and then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from runtime.tasks import cancel_all
from streams.kafka import log
from streams.kafka.log import KafkaShared, disconnect
from streams.kafka.names import Cluster
from streams.kafka.worker import KafkaWorker
from tests.agents.world import until

PLACE = TopicPartition("learner-state", 0)


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), KafkaError("no broker")])
async def test_a_reader_that_cannot_stop_by_itself_is_disconnected_and_nobody_is_cancelled(fault: BaseException) -> None:
    reader = Mock(stop=AsyncMock(side_effect=fault), _client=Mock(close=AsyncMock()))
    await disconnect(reader)
    reader._client.close.assert_awaited_once()


async def test_who_stops_waiting_for_a_disconnect_is_cancelled() -> None:
    never = asyncio.Event()
    reader = Mock(stop=never.wait, _client=Mock(close=AsyncMock()))
    waiting = asyncio.create_task(disconnect(reader))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    never.set()


async def test_a_checkpoint_that_cannot_be_read_to_its_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "READ_SECONDS", 0.05)

    async def nothing(*_: Any, **__: Any) -> dict[TopicPartition, list[Any]]:
        await asyncio.sleep(0.01)
        return {}

    reader = Mock(assignment=lambda: {PLACE}, position=AsyncMock(return_value=3), getmany=nothing)
    records: AsyncIterator[Any] = log.records(reader, 3, 9)
    with pytest.raises(TimeoutError):
        await anext(records)


async def test_what_stands_at_the_end_or_behind_it_is_not_read() -> None:
    """Where compaction left gaps, as many records as were asked for reach beyond the end."""
    brought = [Mock(offset=offset) for offset in (3, 7, 9, 11)]
    reader = Mock(
        assignment=lambda: {PLACE}, position=AsyncMock(side_effect=[3, 12]), getmany=AsyncMock(return_value={PLACE: brought})
    )
    assert [record.offset async for record in log.records(reader, 3, 9)] == [3, 7]
    reader.pause.assert_called_once_with(PLACE)


@pytest.mark.parametrize("fails", ["start", "getmany"])
async def test_a_reader_of_a_shared_topic_that_is_given_up_is_disconnected(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()
    reader = Mock(start=AsyncMock(), getmany=AsyncMock(), stop=AsyncMock(), _client=Mock(close=AsyncMock()))
    getattr(reader, fails).side_effect = never.wait
    monkeypatch.setattr(log, "consumer", lambda cluster: reader)
    shared = KafkaShared(Cluster("", "", "", 1, 1), Mock())
    reading = asyncio.create_task(shared.read("courses", 0, 1.0))
    await until(lambda: getattr(reader, fails).await_count == 1)
    await cancel_all([reading])
    reader._client.close.assert_awaited_once()
    await shared.stop()
    reader.stop.assert_awaited_once()


async def test_a_lane_that_was_cancelled_by_nobody_ends_the_worker() -> None:
    worker = object.__new__(KafkaWorker)
    worker._calibrating = asyncio.create_task(asyncio.sleep(60))
    lane = asyncio.create_task(asyncio.sleep(60), name="lane:3")
    worker._tasks, worker.app = {3: lane}, Mock(crashed=False, consumer=Mock(crashed=False))
    assert worker.failed() is None
    lane.cancel()
    await asyncio.wait([lane])
    assert "lane:3 was cancelled" in str(worker.failed())
    worker._calibrating.cancel()
