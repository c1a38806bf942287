"""Topic `learner-state`: rows and the watermark `__wm__`, written in one fenced transaction a checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from msgspec import msgpack

from agents.ports import Dirty, Saved, StoredRow
from schemas import topics
from schemas.errors import Doubt, Unavailable
from streams.kafka.log import consumer, disconnect, records
from streams.kafka.names import WAITS, Cluster
from streams.kafka.producer import MAX_RECORD_BYTES

WATERMARK = b"__wm__"
PATIENCE_SECONDS = 30.0
RELEASE_SECONDS = 2.0
TAIL, TAIL_GROWS = 8, 64
"""Offsets from the end in which the watermark is looked for, and how many times as many when it is not there."""
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(StoredRow).decode


class KafkaCheckpoints:
    """Checkpoints; the transactional id of a partition fences whoever wrote it before."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._topic = cluster.topic(topics.LEARNER_STATE)
        self._writers: dict[int, AIOKafkaProducer] = {}
        self.owns: Callable[[int], bool] = lambda partition: True
        """Whether the group gives us this partition now: a worker that lost it must not fence the one that has it."""

    async def claim(self, partition: int) -> None:
        if not self.owns(partition):
            raise Unavailable("assignment", f"partition {partition} is not this worker's any more")
        await self._release(partition)
        writer = AIOKafkaProducer(
            bootstrap_servers=self._cluster.servers,
            transactional_id=f"{self._cluster.app}-{self._cluster.prefix}{partition}",
            max_request_size=MAX_RECORD_BYTES,
            transaction_timeout_ms=60_000,
            **WAITS,
        )
        try:
            await writer.start()
        except BaseException as fault:
            await writer.stop()
            if isinstance(fault, KafkaError):
                raise Unavailable("kafka", repr(fault)) from fault
            raise
        self._writers[partition] = writer

    async def watermark(self, partition: int) -> int | None:
        """Every transaction ends with it, so it stands near the end, behind those that were given up."""
        async with self._reader(partition) as (reader, first, end):
            width, start = TAIL, end
            while start > first:
                start = max(first, end - width)
                found = [record.value async for record in records(reader, start, end) if record.key == WATERMARK]
                if found:
                    return int(found[-1])
                width *= TAIL_GROWS
            return None

    async def load(self, partition: int) -> Saved:
        rows: dict[str, StoredRow] = {}
        watermark: int | None = None
        async with self._reader(partition) as (reader, first, end):
            async for record in records(reader, first, end):
                if record.key == WATERMARK:
                    watermark = int(record.value)
                elif record.value is None:
                    rows.pop(record.key.decode(), None)
                else:
                    rows[record.key.decode()] = _decode(record.value)
        return Saved(watermark, rows)

    @asynccontextmanager
    async def _reader(self, partition: int) -> AsyncIterator[tuple[AIOKafkaConsumer, int, int]]:
        """Who reads what was committed of one partition, its first offset and its end of now."""
        place, reader = TopicPartition(self._topic, partition), consumer(self._cluster, committed_only=True)
        try:
            await reader.start()
            reader.assign([place])
            reader.pause(place)  # until it is known where to begin
            yield reader, (await reader.beginning_offsets([place]))[place], (await reader.end_offsets([place]))[place]
        except (KafkaError, TimeoutError) as fault:
            raise Unavailable("kafka", repr(fault)) from fault
        finally:
            await disconnect(reader)

    async def save(self, partition: int, dirty: Dirty, confirmed: Callable[[], bool]) -> bool:
        writer = self._writers[partition]
        try:
            await writer.begin_transaction()
            sent = [await writer.send(self._topic, _encode(row), key.encode(), partition) for key, row in dirty.rows.items()]
            sent.append(await writer.send(self._topic, str(dirty.applied).encode(), WATERMARK, partition))
            written = await asyncio.gather(*sent, return_exceptions=True)
            failed = next((each for each in written if isinstance(each, BaseException)), None)
            if failed is not None:
                raise failed
            if not await _patiently(confirmed):
                await writer.abort_transaction()
                return False
            await writer.commit_transaction()
            return True
        except ProducerFenced as fenced:
            raise Doubt(f"another worker owns partition {partition} now") from fenced
        except KafkaError as fault:
            raise Unavailable("kafka", repr(fault)) from fault

    async def stop(self) -> None:
        """Disconnect."""
        for partition in list(self._writers):
            await self._release(partition)

    async def release(self, partition: int) -> None:
        """Give a partition up."""
        await self._release(partition)

    async def _release(self, partition: int) -> None:
        writer = self._writers.pop(partition, None)
        if writer is not None:
            try:
                await asyncio.wait_for(writer.stop(), RELEASE_SECONDS)
            except (KafkaError, TimeoutError):
                writer._sender.sender_task.cancel()  # else it asks a silent broker for ever
                await writer.client.close()


async def _patiently(confirmed: Callable[[], bool]) -> bool:
    """A checkpoint must not overtake the sends of what it holds."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not confirmed():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True
