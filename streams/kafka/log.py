"""Reading and writing topics with aiokafka: the log by offset, shared topics whole, an idempotent producer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas import topics
from schemas.errors import Halt, Unavailable
from schemas.interaction import LogRecord, Outgoing
from streams.kafka.names import Cluster

MAX_RECORD_BYTES = 2 * 1024 * 1024
MAX_BATCH_BYTES = 1024 * 1024
"""aiokafka has one batch a partition under way, and its default of 16 KiB holds eight decisions."""

SEND_SECONDS = 5.0
READ_SECONDS = 15.0


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
    )


class KafkaLog:
    """EventLog over topic `interactions`, or a reader of another topic. One reader, used by one lane at a time."""

    def __init__(self, cluster: Cluster, topic: str = topics.INTERACTIONS) -> None:
        self._cluster = cluster
        self._topic = cluster.topic(topic)
        self._consumer = consumer(cluster)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect."""
        try:
            await self._consumer.start()
            await self._admin.start()
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def begin(self, partition: int) -> int:
        place = TopicPartition(self._topic, partition)
        async with self._lock:
            try:
                return int((await self._consumer.beginning_offsets([place]))[place])
            except KafkaError as fault:
                raise Unavailable("kafka", repr(fault)) from fault

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        place = TopicPartition(self._topic, partition)
        async with self._lock:
            try:
                end = (await self._consumer.end_offsets([place]))[place]
                first = (await self._consumer.beginning_offsets([place]))[place]
                if start >= end or start < first:
                    return []
                self._consumer.assign([place])
                self._consumer.seek(place, start)
                found: list[ConsumerRecord] = []
                async with asyncio.timeout(READ_SECONDS):
                    while not found or found[-1].offset < min(end, start + limit) - 1:
                        found += (await self._consumer.getmany(timeout_ms=1_000, max_records=limit)).get(place, [])
                return [log_record(record) for record in found[:limit]]
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


class KafkaProducer:
    """DecisionSink and IngestLog: idempotent, acknowledged by all in-sync replicas, partition always given.

    `gather_seconds` gathers what is sent into few requests, where nobody waits for it: unlike Kafka's own linger, which is
    counted for each partition, this is one request for all of them. A producer whose sequence of a partition has a hole
    can never write there again, so after an error that would not pass by itself it is replaced by a new one.
    """

    def __init__(self, cluster: Cluster, *, gather_seconds: float = 0.0) -> None:
        self._cluster = cluster
        self._gather_seconds = gather_seconds
        self._gathering: asyncio.Future[None] | None = None
        self._producer = self._new()
        self._replacing = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        try:
            await self._producer.start()
        except KafkaError as fault:
            await self._producer.stop()
            raise Unavailable("kafka", repr(fault)) from fault

    async def stop(self) -> None:
        """Send what is buffered, then disconnect."""
        await asyncio.gather(*self._ending, return_exceptions=True)
        await self._producer.stop()

    async def append(self, records: Sequence[Outgoing]) -> Sequence[int]:
        """The offsets, once all are durable. Unavailable after SEND_SECONDS: some may be in the log all the same.

        Raises Halt for a record that no retry would bring in.
        """
        if self._gather_seconds:
            await self._gathered()
        producer = self._producer
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = [await self._send(producer, record) for record in records]
                return [(await future).offset for future in sent]
        except MessageSizeTooLargeError as fault:
            await self._replace(producer)
            raise Halt(f"A record is too large for Kafka: {fault}.", "Raise max.message.bytes of the topic.") from fault
        except KafkaError as fault:
            if not fault.retriable:
                await self._replace(producer)
            raise Unavailable("kafka", repr(fault)) from fault
        except TimeoutError as fault:
            raise Unavailable("kafka", f"no acknowledgement within {SEND_SECONDS:.0f} s") from fault

    async def send(self, records: Sequence[Outgoing]) -> None:
        await self.append(records)

    async def _gathered(self) -> None:
        """Returns to all who ask meanwhile at once."""
        if self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.create_future()
            loop.call_later(self._gather_seconds, self._go)
        await asyncio.shield(self._gathering)

    def _go(self) -> None:
        gathering, self._gathering = self._gathering, None
        if gathering is not None and not gathering.done():
            gathering.set_result(None)

    async def _send(self, producer: AIOKafkaProducer, record: Outgoing) -> asyncio.Future[Any]:
        topic, headers = self._cluster.topic(record.topic), list(record.headers)
        future: asyncio.Future[Any] = await producer.send(topic, record.value, record.key, record.partition, headers=headers)
        future.add_done_callback(_seen)
        return future

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        async with self._replacing:
            if self._producer is not broken:
                return
            fresh = self._new()
            try:
                await fresh.start()
            except KafkaError as fault:
                await fresh.stop()
                raise Unavailable("kafka", repr(fault)) from fault
            self._producer = fresh
            ending = asyncio.create_task(broken.stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    def _new(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._cluster.servers,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=10_000,
        )


def _seen(future: asyncio.Future[Any]) -> None:
    """Mark a failure as seen: whoever awaits the future gets it, and a caller that timed out has said so already."""
    if not future.cancelled():
        future.exception()


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
        except KafkaError as fault:
            if reader is not None:
                await self._drop(reader)
            raise Unavailable("kafka", repr(fault)) from fault
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
        await reader.start()
        self._all.append(reader)
        reader.assign([place])
        reader.seek(place, start)
        return reader

    async def _drop(self, reader: AIOKafkaConsumer) -> None:
        self._all.remove(reader)
        with suppress(KafkaError):
            await reader.stop()
