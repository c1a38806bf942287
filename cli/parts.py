"""Composition roots shared by worker and gateway: which adapters stand behind the ports, by engine.

Each function returns an async context that connects on entry and disconnects on exit, in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agents.ports import SharedLog
from delivery.ports import IngestLog
from runtime.settings import Settings
from schemas.errors import Misconfigured, Unavailable
from streams.archive import Archive
from streams.engine import Engine
from streams.kafka.names import Cluster
from streams.standalone import StandaloneLog, StandaloneShared
from streams.wire import Wire

if TYPE_CHECKING:
    from streams.kafka.producer import KafkaProducer


@dataclass(frozen=True, slots=True)
class Shared:
    """What worker and gateway both need: Redis, the shared topics, and the log to write to."""

    wire: Wire
    new_wire: Callable[[], Wire]
    shared: SharedLog
    ingest: IngestLog
    standalone: StandaloneLog | None
    producer: KafkaProducer | None
    cluster: Cluster | None


def redis_url(settings: Settings) -> str:
    """Where the view is: as set, or the embedded engine of the data folder."""
    if settings.redis_url:
        return settings.redis_url
    if settings.broker == "kafka":
        raise Misconfigured("With SEGUE_BROKER=kafka set SEGUE_REDIS_URL, for example redis://127.0.0.1:6379/0.")
    engine = Engine(settings.data)
    if not engine.socket.exists():
        raise Unavailable("store", f"nothing runs on the folder {settings.data}; `segue up` does, and --data names another")
    return engine.url


def cluster_of(settings: Settings) -> Cluster:
    """The Kafka side of the settings."""
    return Cluster(settings.kafka, settings.app, settings.topic_prefix, settings.partitions, settings.replication)


def archive_folder(settings: Settings) -> Path:
    """Where old ranges of the standalone log are."""
    return settings.data / "archive"


@asynccontextmanager
async def shared_parts(settings: Settings, *, reading: bool = False) -> AsyncIterator[Shared]:
    """Connect what both need; who is only `reading` makes no topics. Raises Misconfigured or Unavailable."""
    url = redis_url(settings)
    async with AsyncExitStack() as stack:

        def new_wire() -> Wire:
            wire = Wire(url)
            stack.push_async_callback(wire.aclose)
            return wire

        wire = new_wire()
        if settings.broker == "standalone":
            log = StandaloneLog(wire, settings.partitions, Archive(archive_folder(settings)))
            await log.check_partitions()
            yield Shared(wire, new_wire, StandaloneShared(wire, new_wire), log, log, None, None)
            return
        from streams.kafka.intake import KafkaIntake
        from streams.kafka.log import KafkaShared
        from streams.kafka.producer import KafkaProducer
        from streams.kafka.topics import ensure_topics

        cluster = cluster_of(settings)
        await ensure_topics(cluster, make=not reading)
        producer = KafkaProducer(cluster)
        await producer.start()
        stack.push_async_callback(producer.stop)
        shared = KafkaShared(cluster, producer)
        stack.push_async_callback(shared.stop)
        yield Shared(wire, new_wire, shared, KafkaIntake(producer, wire), None, producer, cluster)
