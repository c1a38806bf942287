"""Writing topics with aiokafka: idempotent, acknowledged by all in-sync replicas, the partition always given.

Record by record for the log, whose offsets are wanted at once; in record batches of our own for what a lane emits, which
costs a fraction of a call, a future and an answer a record.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas.errors import Halt, Unavailable
from schemas.interaction import Outgoing
from streams.kafka.names import WAITS, Cluster

MAX_RECORD_BYTES = 2 * 1024 * 1024
MAX_BATCH_BYTES = 1024 * 1024
"""aiokafka has one batch a partition under way, and its default of 16 KiB holds eight decisions."""

SEND_SECONDS = 5.0
F = TypeVar("F", bound="asyncio.Future[Any]")
T = TypeVar("T", bound="asyncio.Task[Any]")


class KafkaProducer:
    """DecisionSink and the log's writer.

    A producer whose sequence of a partition has a hole can never write there again, so after an error that would not pass
    by itself it is replaced by a new one.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
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
        async with self._in_time() as producer:
            sent = [await self._send(producer, record) for record in records]
            return [(await future).offset for future in sent]

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Returns when all are durable. Raises as `append` does."""
        async with self._in_time() as producer:
            sent = [
                _watched(await producer.send_batch(batch, topic, partition=partition))
                for topic, partition, batch in self._batches(producer, records)
            ]
            for future in sent:
                await future

    def _batches(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> Iterator[tuple[str, int, BatchBuilder]]:
        """The records of each topic and partition, in their order, in as few batches as will hold them."""
        by_place: dict[tuple[str, int], list[Outgoing]] = defaultdict(list)
        for record in records:
            if len(record.key) + len(record.value) > MAX_RECORD_BYTES:
                raise MessageSizeTooLargeError(f"{len(record.value)} bytes for topic {record.topic}")
            by_place[record.topic, record.partition].append(record)
        for (topic, partition), together in by_place.items():
            batch = producer.create_batch()
            for record in together:
                given: dict[str, Any] = {"key": record.key, "value": record.value, "headers": list(record.headers)}
                if batch.append(timestamp=None, **given) is None:  # full: the next one takes any record as its first
                    yield self._cluster.topic(topic), partition, batch
                    batch = producer.create_batch()
                    batch.append(timestamp=None, **given)
            batch.close()
            yield self._cluster.topic(topic), partition, batch

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = self._producer
        try:
            async with asyncio.timeout(SEND_SECONDS):
                yield producer
        except MessageSizeTooLargeError as fault:
            await self._replace(producer)
            raise Halt(f"A record is too large for Kafka: {fault}.", "Raise max.message.bytes of the topic.") from fault
        except KafkaError as fault:
            if not fault.retriable:
                await self._replace(producer)
            raise Unavailable("kafka", repr(fault)) from fault
        except TimeoutError as fault:
            raise Unavailable("kafka", f"no acknowledgement within {SEND_SECONDS:.0f} s") from fault

    async def _send(self, producer: AIOKafkaProducer, record: Outgoing) -> asyncio.Future[Any]:
        topic, headers = self._cluster.topic(record.topic), list(record.headers)
        return _watched(await producer.send(topic, record.value, record.key, record.partition, headers=headers))

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
            **WAITS,
        )


class GatheringSink:
    """DecisionSink that gathers what is sent within `seconds`, where nobody waits for it.

    Unlike Kafka's own linger, which is counted for each partition, this is one request for all of them. Who stops waiting
    leaves the others undisturbed, and a partition that takes no writes holds up those only who have something for it.
    """

    def __init__(self, sink: KafkaProducer, seconds: float) -> None:
        self._sink = sink
        self._seconds = seconds
        self._gathered: dict[int, list[Outgoing]] = defaultdict(list)
        self._next: asyncio.Task[dict[int, asyncio.Task[None]]] | None = None
        self._sending: set[asyncio.Task[Any]] = set()

    async def send(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self._gathered[record.partition].append(record)
        if self._next is None:
            self._next = self._kept(asyncio.create_task(self._send_soon()))
        under_way = await asyncio.shield(self._next)
        await asyncio.gather(*(asyncio.shield(under_way[n]) for n in {record.partition for record in records}))

    async def stop(self) -> None:
        """Returns when nothing is under way any more."""
        while self._sending:
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send_soon(self) -> dict[int, asyncio.Task[None]]:
        await asyncio.sleep(self._seconds)
        gathered, self._gathered, self._next = self._gathered, defaultdict(list), None
        return {n: self._kept(asyncio.create_task(self._sink.send(records))) for n, records in gathered.items()}

    def _kept(self, task: T) -> T:
        self._sending.add(_watched(task))
        task.add_done_callback(self._sending.discard)
        return task


def _watched(future: F) -> F:
    """Mark a failure as seen: whoever awaits the future gets it, and a caller that timed out has said so already."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future
