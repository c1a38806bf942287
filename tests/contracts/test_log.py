"""What every log must do: records by offset without holes, shared topics whole and in one order; three engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from agents.ports import EventLog, SharedLog
from delivery.ports import Arrival, IngestLog
from runtime.tasks import retry
from schemas import topics
from schemas.interaction import Outgoing
from streams.archive import Archive
from streams.kafka.intake import KafkaIntake
from streams.kafka.log import KafkaLog, KafkaShared
from streams.kafka.names import Cluster
from streams.kafka.producer import KafkaProducer
from streams.kafka.topics import ensure_topics
from streams.standalone import StandaloneLog, StandaloneShared
from streams.wire import Wire
from tests.fakes import MemoryLog, MemoryShared


class Appender(Protocol):
    async def append(self, records: Sequence[Outgoing]) -> Sequence[int]: ...


@dataclass
class Logs:
    write: Appender
    intake: IngestLog
    read: EventLog
    shared: SharedLog


@pytest.fixture(params=["memory", "standalone", pytest.param("kafka", marks=pytest.mark.kafka)])
async def logs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Logs]:
    if request.param == "memory":
        memory = MemoryLog()
        yield Logs(memory, memory, memory, MemoryShared())
        return
    async with AsyncExitStack() as stack:
        if request.param == "standalone":
            url = request.getfixturevalue("empty_valkey").url
            client = Wire(url)
            stack.push_async_callback(client.aclose)
            log, all_read = StandaloneLog(client, 2, Archive(tmp_path)), StandaloneShared(client, lambda: Wire(url))
            stack.push_async_callback(all_read.close)
            yield Logs(log, log, log, all_read)
            return
        cluster: Cluster = request.getfixturevalue("cluster")
        await ensure_topics(cluster)
        producer, reader = KafkaProducer(cluster), KafkaLog(cluster)
        await producer.start()
        stack.push_async_callback(producer.stop)
        await reader.start()
        stack.push_async_callback(reader.stop)
        shared = KafkaShared(cluster, producer)
        stack.push_async_callback(shared.stop)
        client = Wire(request.getfixturevalue("empty_valkey").url)
        stack.push_async_callback(client.aclose)
        yield Logs(producer, KafkaIntake(producer, client), reader, shared)


def out(number: int, partition: int = 0) -> Outgoing:
    return Outgoing(topics.INTERACTIONS, partition, b"k%d" % number, b"v%d" % number, (("schema", b"1"), ("kid", b"x")))


async def test_offsets_count_from_zero_in_each_partition(logs: Logs) -> None:
    assert list(await logs.write.append([out(0), out(1, 1), out(2)])) == [0, 0, 1]
    assert list(await logs.write.append([out(3)])) == [2]
    assert (await logs.read.end(0), await logs.read.end(1)) == (3, 1)


def arrival(number: int, row: bytes = b"row", body: bytes = b"body", partition: int = 0) -> Arrival:
    return Arrival(out(number, partition)._replace(key=row), b"id-%05d" % number, body)


async def test_events_are_taken_with_their_offsets_and_again_with_the_same_body(logs: Logs) -> None:
    assert list(await logs.intake.take([arrival(1), arrival(2, partition=1), arrival(3)])) == [0, 0, 1]
    assert list(await logs.intake.take([arrival(1)])) == [2]
    assert await logs.read.end(0) == 3


async def test_an_id_with_another_body_is_refused_and_not_appended(logs: Logs) -> None:
    assert list(await logs.intake.take([arrival(1)])) == [0]
    assert list(await logs.intake.take([arrival(2), arrival(1, body=b"other"), arrival(3)])) == [1, None, 2]
    assert await logs.read.end(0) == 3


async def test_the_same_id_in_another_row_is_another_event(logs: Logs) -> None:
    assert list(await logs.intake.take([arrival(1), arrival(1, row=b"other", body=b"other")])) == [0, 1]


async def test_records_come_back_as_they_were_from_any_offset(logs: Logs) -> None:
    await logs.write.append([out(n) for n in range(10)])
    found = await logs.read.read(0, 4, 3)
    assert [(r.offset, r.key, r.value, r.headers) for r in found] == [
        (n, b"k%d" % n, b"v%d" % n, (("schema", b"1"), ("kid", b"x"))) for n in (4, 5, 6)
    ]
    assert [r.offset for r in await logs.read.read(0, 8, 100)] == [8, 9]


async def test_what_is_read_at_once_does_not_mix(logs: Logs) -> None:
    await logs.write.append([out(n, n % 2) for n in range(20)])
    wanted = [(partition, start) for start in (0, 3, 7) for partition in (0, 1)]
    for _ in range(2):
        found = await asyncio.gather(*(logs.read.read(partition, start, 3) for partition, start in wanted))
        for (partition, start), records in zip(wanted, found, strict=True):
            assert [r.value for r in records] == [b"v%d" % (2 * n + partition) for n in range(start, start + 3)]


async def test_a_reading_that_was_cancelled_leaves_nothing_to_the_next(logs: Logs) -> None:
    await logs.write.append([out(n, n % 2) for n in range(20)])
    for turns in range(0, 60, 3):
        reading = asyncio.create_task(logs.read.read(0, 2, 5))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled() or [r.value for r in reading.result()] == [b"v%d" % (2 * n) for n in range(2, 7)]
        assert [r.value for r in await logs.read.read(1, 4, 2)] == [b"v9", b"v11"]
    assert [r.value for r in await logs.read.read(0, 2, 2)] == [b"v4", b"v6"]


async def test_reading_at_the_end_gives_nothing(logs: Logs) -> None:
    await logs.write.append([out(0)])
    assert list(await logs.read.read(0, 1, 10)) == []
    assert list(await logs.read.read(1, 0, 10)) == []


async def test_nothing_is_committed_in_a_new_log(logs: Logs) -> None:
    assert await retry(lambda: logs.read.committed(0)) == 0


async def test_shared_topics_are_read_whole_by_everybody(logs: Logs) -> None:
    for number in range(5):
        await logs.shared.append(topics.COURSES, b"k", b"v%d" % number)
    assert await logs.shared.end(topics.COURSES) == 5
    for _ in range(2):
        found, position = [], 0
        while position < 5:
            records, position = await logs.shared.read(topics.COURSES, position, 1.0)
            found += [record.value for record in records]
        assert found == [b"v0", b"v1", b"v2", b"v3", b"v4"]


async def test_who_waits_at_the_end_of_a_shared_topic_holds_up_nobody(logs: Logs) -> None:
    """A lane that needs old versions reads them while the tail waits for new ones."""
    await logs.shared.append(topics.POPULATION, b"k", b"v")
    waiting = asyncio.create_task(logs.shared.read(topics.POPULATION, 1, 30.0))
    for _ in range(20):  # each a round trip, so the first one waits by then
        reading = asyncio.ensure_future(logs.shared.read(topics.POPULATION, 0, 5.0))
        await asyncio.wait({waiting, reading}, return_when=asyncio.FIRST_COMPLETED)
        assert not waiting.done()
        records, position = await reading
        assert ([record.value for record in records], position) == ([b"v"], 1)
    waiting.cancel()


async def test_reading_past_the_end_of_a_shared_topic_waits_and_gives_nothing(logs: Logs) -> None:
    records, position = await logs.shared.read(topics.POPULATION, 0, 0.05)
    assert (list(records), position) == ([], 0)
