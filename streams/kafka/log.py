"""Reading topics with aiokafka: the log by offset, shared topics whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas import topics
from schemas.errors import Unavailable
from schemas.interaction import LogRecord, Outgoing
from streams.kafka.names import WAITS, Cluster
from streams.kafka.producer import MAX_RECORD_BYTES, KafkaProducer

READ_SECONDS = 15.0
READERS_KEPT = 4
"""Consumers kept for the next who reads; each asks for metadata now and then."""


def log_record(record: ConsumerRecord) -> LogRecord:
    """A record as the agents see it."""
    return LogRecord(record.offset, record.key or b"", record.value or b"", tuple(record.headers))


def consumer(cluster: Cluster, *, committed_only: bool = False) -> AIOKafkaConsumer:
    """A consumer without a group, for reading by offset."""
    return AIOKafkaConsumer(
        bootstrap_servers=cluster.servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed_only else "read_uncommitted",
        fetch_max_wait_ms=200,
        max_partition_fetch_bytes=4 * MAX_RECORD_BYTES,
        **WAITS,
    )


async def records(reader: AIOKafkaConsumer, start: int, end: int) -> AsyncIterator[ConsumerRecord]:
    """What stands from `start` to before `end` in the one partition assigned, which is paused before and after.

    Raises TimeoutError when nothing comes for READ_SECONDS.
    """
    (place,) = reader.assignment()
    reader.seek(place, start)
    reader.resume(place)
    reached = start
    while reached < end:
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(READ_SECONDS):
            while not found and await reader.position(place) <= reached:
                found = (await reader.getmany(place, timeout_ms=500, max_records=end - reached)).get(place, [])
            reached = await reader.position(place)
        if reached >= end:
            reader.pause(place)  # what is read next is not to wait for a fetch of what is not there yet
        for record in found:
            if record.offset < end:
                yield record


async def disconnect(reader: AIOKafkaConsumer) -> None:
    """Stop a consumer, whatever it says to that, and close its connections.

    aiokafka cancels its own tasks and awaits them. Where one pauses after a failed fetch, `stop` raises CancelledError
    although nobody cancelled us, and leaves connections open.
    """

    async def stop_and_close() -> None:
        try:
            await reader.stop()
        finally:
            await reader._client.close()

    ending = asyncio.create_task(stop_and_close())
    await asyncio.wait([ending])
    if not ending.cancelled():
        with suppress(KafkaError):
            ending.result()


class KafkaLog:
    """EventLog over topic `interactions`, or a reader of another topic. As many consumers as lanes that read at once, so
    that none waits for another's broker to answer."""

    def __init__(self, cluster: Cluster, topic: str = topics.INTERACTIONS) -> None:
        self._cluster = cluster
        self._topic = cluster.topic(topic)
        self._consumer = consumer(cluster)
        self._idle: list[AIOKafkaConsumer] = []
        self._stopped = False
        self._admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers, **WAITS)

    async def start(self) -> None:
        """Connect."""
        try:
            await self._consumer.start()
            await self._admin.start()
        except KafkaError as fault:
            await self.stop()
            raise Unavailable("kafka", repr(fault)) from fault

    async def stop(self) -> None:
        """Disconnect."""
        self._stopped = True
        await disconnect(self._consumer)
        while self._idle:
            await disconnect(self._idle.pop())
        await self._admin.close()

    async def begin(self, partition: int) -> int:
        place = TopicPartition(self._topic, partition)
        try:
            return int((await self._consumer.beginning_offsets([place]))[place])
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        place = TopicPartition(self._topic, partition)
        try:
            async with self._reader() as reader:
                reader.assign([place])  # else it would not know the topic's partitions, and ask in vain first
                reader.pause(place)
                end = (await reader.end_offsets([place]))[place]
                first = (await reader.beginning_offsets([place]))[place]
                if start >= end or start < first:
                    return []
                return [log_record(record) async for record in records(reader, start, min(end, start + limit))]
        except (KafkaError, TimeoutError) as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def end(self, partition: int) -> int:
        place = TopicPartition(self._topic, partition)
        try:
            return int((await self._consumer.end_offsets([place]))[place])
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def committed(self, partition: int) -> int:
        place = TopicPartition(self._topic, partition)
        try:
            found = await self._admin.list_consumer_group_offsets(self._cluster.app, partitions=[place])
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault
        return max(int(found[place].offset), 0) if place in found else 0

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """One that nobody else reads with. It is not used again once it failed, and fetches nothing while nobody reads."""
        reader = self._idle.pop() if self._idle else None
        try:
            if reader is None:
                reader = consumer(self._cluster)
                await reader.start()
            yield reader
            reader.pause(*reader.assignment())
        except BaseException:
            if reader is not None:
                await disconnect(reader)
            raise
        if len(self._idle) < READERS_KEPT and not self._stopped:
            self._idle.append(reader)
        else:
            await disconnect(reader)


class KafkaShared:
    """SharedLog over topics of one partition. A reader a place that is read from, so two readers never disturb."""

    def __init__(self, cluster: Cluster, producer: KafkaProducer) -> None:
        self._cluster = cluster
        self._producer = producer
        self._idle: dict[tuple[str, int], AIOKafkaConsumer] = {}
        self._all: list[AIOKafkaConsumer] = []

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        await self._producer.append([Outgoing(topic, topics.READ_BY_ALL, key, value)])

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        place = TopicPartition(self._cluster.topic(topic), topics.READ_BY_ALL)
        reader = self._idle.pop((topic, start), None)
        try:
            reader = reader or await self._reader(place, start)
            found = (await reader.getmany(place, timeout_ms=int(wait_seconds * 1000))).get(place, [])
        except BaseException as fault:
            if reader is not None:
                await self._drop(reader)
            if isinstance(fault, KafkaError):
                raise Unavailable("kafka", repr(fault)) from fault
            raise
        after = found[-1].offset + 1 if found else start
        replaced, self._idle[topic, after] = self._idle.get((topic, after)), reader
        if replaced is not None:
            await self._drop(replaced)
        return [log_record(record) for record in found], after

    async def end(self, topic: str) -> int:
        place = TopicPartition(self._cluster.topic(topic), topics.READ_BY_ALL)
        try:
            reader = next(iter(self._all), None) or await self._reader(place, 0)
            return int((await reader.end_offsets([place]))[place])
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def stop(self) -> None:
        """Disconnect."""
        for reader in list(self._all):
            await self._drop(reader)

    async def _reader(self, place: TopicPartition, start: int) -> AIOKafkaConsumer:
        reader = consumer(self._cluster)
        try:
            await reader.start()
        except BaseException:
            await disconnect(reader)
            raise
        self._all.append(reader)
        reader.assign([place])
        reader.seek(place, start)
        return reader

    async def _drop(self, reader: AIOKafkaConsumer) -> None:
        if reader in self._all:
            self._all.remove(reader)
        await disconnect(reader)
