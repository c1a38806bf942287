"""What a lane emits reaches its topics whole and in order, in few requests, against a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import pytest

from schemas import topics
from schemas.errors import Halt, Unavailable
from schemas.interaction import LogRecord, Outgoing
from streams.kafka.log import KafkaLog
from streams.kafka.names import Cluster
from streams.kafka.producer import MAX_BATCH_BYTES, MAX_RECORD_BYTES, GatheringSink, KafkaProducer
from streams.kafka.topics import ensure_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
async def producer(cluster: Cluster) -> AsyncIterator[KafkaProducer]:
    await ensure_topics(cluster)
    made = KafkaProducer(cluster)
    await made.start()
    yield made
    await made.stop()


def out(number: int, partition: int = 0, size: int = 1, topic: str = topics.DECISIONS) -> Outgoing:
    return Outgoing(
        topic, partition, b"k%d" % number, bytes([number % 251]) * size, (("schema", b"1"), ("row", b"r%d" % number))
    )


async def held(cluster: Cluster, topic: str, partition: int = 0) -> list[LogRecord]:
    reader, found = KafkaLog(cluster, topic), list[LogRecord]()
    await reader.start()
    try:
        while records := await reader.read(partition, len(found), 500):
            found += records
    finally:
        await reader.stop()
    return found


def same(found: list[LogRecord], sent: list[Outgoing]) -> bool:
    return [(r.key, r.value, r.headers) for r in found] == [(r.key, r.value, r.headers) for r in sent]


async def test_records_of_many_places_arrive_in_their_order(cluster: Cluster, producer: KafkaProducer) -> None:
    sent = [out(n, n % 2, topic=(topics.DECISIONS, topics.LEARNING)[n % 3 == 0]) for n in range(300)]
    await producer.send(sent)
    for topic in (topics.DECISIONS, topics.LEARNING):
        for partition in (0, 1):
            wanted = [r for r in sent if (r.topic, r.partition) == (topic, partition)]
            assert wanted and same(await held(cluster, topic, partition), wanted)


async def test_what_does_not_fit_one_batch_goes_into_the_next(cluster: Cluster, producer: KafkaProducer) -> None:
    sent = [out(n, size=MAX_BATCH_BYTES // 3) for n in range(8)] + [out(8, size=MAX_BATCH_BYTES + 500), out(9)]
    await producer.send(sent)
    assert same(await held(cluster, topics.DECISIONS), sent)


async def test_a_record_that_no_retry_would_bring_in_halts_and_the_next_ones_go_in(
    cluster: Cluster, producer: KafkaProducer
) -> None:
    with pytest.raises(Halt, match="too large"):
        await producer.send([out(0), out(1, size=MAX_RECORD_BYTES + 1)])
    await producer.send([out(2)])
    assert same((await held(cluster, topics.DECISIONS))[-1:], [out(2)])


class OnePlaceDown:
    """A producer to whose decisions of partition 0 nobody answers."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        if records[0].partition == 0:
            raise Unavailable("kafka", "no leader")
        self.sent += records


async def test_a_place_that_takes_no_writes_holds_up_only_its_own() -> None:
    producer = OnePlaceDown()
    sink = GatheringSink(cast("KafkaProducer", producer), 0.02)
    down, fine = asyncio.create_task(sink.send([out(0), out(1, 1)])), asyncio.create_task(sink.send([out(2, 1), out(3, 2)]))
    await fine
    with pytest.raises(Unavailable):
        await down
    await sink.stop()
    assert producer.sent == [out(1, 1), out(2, 1), out(3, 2)]


async def test_what_is_gathered_arrives_once_for_all_who_wait(cluster: Cluster, producer: KafkaProducer) -> None:
    sink = GatheringSink(producer, 0.02)
    leaving = asyncio.create_task(sink.send([out(0)]))
    staying = [asyncio.create_task(sink.send([out(n), out(n + 100)])) for n in range(1, 20)]
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(*staying)
    keys = [record.key for record in await held(cluster, topics.DECISIONS)]
    assert keys == [b"k0", *(key for n in range(1, 20) for key in (b"k%d" % n, b"k%d" % (n + 100)))]
    await sink.stop()
