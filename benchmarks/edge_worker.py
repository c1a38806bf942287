"""A worker behind the same edges that only echoes: no row, no model, no outbox. What the edges cost by themselves.

It takes the settings of `segue worker` and answers every event with a minimal decision in the live stream.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from zlib import crc32

from aiokafka import AIOKafkaConsumer
from msgspec import Struct, json

from agents.ports import Advance, Batch, LiveWrite
from cli.parts import cluster_of, shared_parts
from cli.process import run, stop_signal, until_stopped
from runtime.settings import Settings, load_settings
from schemas import topics
from schemas.interaction import LogRecord
from streams.kafka.log import log_record
from streams.redis_view import RedisView
from streams.standalone import Follower


class _Event(Struct):
    id: str


class _Said(Struct):
    event: _Event


_decode = json.Decoder(_Said).decode


class Echo:
    """Answers batches of a partition with one script each."""

    def __init__(self, view: RedisView) -> None:
        self._view = view
        self._applied: dict[int, int] = defaultdict(lambda: -1)
        self._seqs: dict[str, int] = defaultdict(int)

    async def answer(self, partition: int, records: Sequence[LogRecord]) -> None:
        """Move the view."""
        last = records[-1]
        live = [self._entry(record) for record in records]
        change = Advance(last.offset, crc32(last.value), [], live, [])
        assert await self._view.advance(partition, self._applied[partition], change)
        self._applied[partition] = last.offset

    def _entry(self, record: LogRecord) -> LiveWrite:
        row = record.key.decode()
        self._seqs[row] += 1
        body = json.encode({"seq": self._seqs[row], "for_event": _decode(record.value).event.id, "predicted": None})
        return LiveWrite(record.offset, row, self._seqs[row], body)


async def main(settings: Settings) -> None:
    """Echo until told to stop. Begins with an empty log."""
    stop = stop_signal()
    async with shared_parts(settings) as parts:
        view = RedisView(parts.wire, settings.partitions, direct=settings.broker == "standalone")
        echo = Echo(view)
        if settings.broker == "standalone":
            queue: asyncio.Queue[tuple[int, Batch]] = asyncio.Queue()
            everything = list(range(settings.partitions))
            follower = Follower(parts.new_wire(), parts.wire, topics.INTERACTIONS, everything)
            reading = asyncio.create_task(
                follower.run(dict.fromkeys(everything, 0), lambda p, b: queue.put_nowait((p, b)), lambda p: True)
            )
            working = asyncio.create_task(_from_queue(queue, echo))
        else:
            reading = working = asyncio.create_task(_from_kafka(settings, echo))
        beating = asyncio.create_task(_beat(view))
        await until_stopped(stop)
        for task in (reading, working, beating):
            task.cancel()


async def _from_queue(queue: asyncio.Queue[tuple[int, Batch]], echo: Echo) -> None:
    while True:
        partition, batch = await queue.get()
        await echo.answer(partition, batch.records)


async def _from_kafka(settings: Settings, echo: Echo) -> None:
    cluster = cluster_of(settings)
    consumer = AIOKafkaConsumer(
        cluster.topic(topics.INTERACTIONS), bootstrap_servers=cluster.servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    while True:
        for place, records in (await consumer.getmany(timeout_ms=1_000)).items():
            await echo.answer(place.partition, [log_record(record) for record in records])


async def _beat(view: RedisView) -> None:
    while True:
        await view.beat("edge")
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    run(main(load_settings()))
