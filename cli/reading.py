"""Reading whole topics and all rows, for the commands that look at what is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.recompute import PAGE, Records
from cli.parts import Shared
from models.row import CorruptRow, Row
from runtime.settings import Settings
from schemas.interaction import LogRecord
from streams.redis_view import RedisView
from streams.standalone import StandaloneTopic


@asynccontextmanager
async def reading(parts: Shared, *names: str) -> AsyncIterator[list[Records]]:
    """Readers of some partitioned topics, in the order of their names."""
    if parts.standalone is not None:
        yield [StandaloneTopic(parts.standalone, name) for name in names]
        return
    # aiokafka takes long to load, and a standalone service has no use for it.
    from streams.kafka.log import KafkaLog

    assert parts.cluster is not None
    logs = [KafkaLog(parts.cluster, name) for name in names]
    try:
        for log in logs:
            await log.start()
        yield list(logs)
    finally:
        for log in logs:
            await log.stop()


async def everything(records: Records, partitions: int) -> AsyncIterator[tuple[int, LogRecord]]:
    """All records that a topic holds, partition by partition, in order."""
    for partition in range(partitions):
        offset = await records.begin(partition)
        while page := await records.read(partition, offset, PAGE):
            for record in page:
                yield partition, record
            offset = page[-1].offset + 1


async def all_rows(parts: Shared, settings: Settings) -> tuple[dict[str, Row], list[str]]:
    """Every row of the view by key, and the keys of those that fail their checksum."""
    view, found, corrupt = RedisView(parts.wire, settings.partitions, direct=parts.standalone is not None), {}, []
    for partition in range(settings.partitions):
        for key, packed in (await view.packed_rows(partition)).items():
            try:
                found[key] = Row.unpack(packed)
            except CorruptRow:
                corrupt.append(key)
    return found, corrupt
