"""Composition root of a distributed worker: lanes and calibrate under Faust."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from tempfile import TemporaryDirectory

from agents.books import TopicBooks
from agents.calibrate import Calibrate
from agents.wiring import Ports
from cli.parts import Shared
from cli.process import until_stopped_or_failed
from cli.watch import LaneWatch
from runtime.compiled import form
from runtime.logging import logger
from runtime.settings import Settings
from runtime.tasks import cancel_all
from streams.kafka.checkpoints import KafkaCheckpoints
from streams.kafka.log import KafkaLog
from streams.kafka.names import Cluster
from streams.kafka.producer import GatheringSink
from streams.kafka.worker import KafkaWorker
from streams.redis_view import RedisView

log = logger("segue.worker")
GATHER_SECONDS = 0.02
"""Decisions are with the player before they are sent to their topic, so they may wait for company."""


async def run_kafka_worker(settings: Settings, parts: Shared, cluster: Cluster, books: TopicBooks, watch: LaneWatch,
                     calibrate: Calibrate, always: Sequence[asyncio.Task[None]], stop: asyncio.Event) -> None:  # fmt: skip
    """Join the group and work until `stop`, or until something fails against the rules. What runs `always` may not end."""
    assert parts.producer is not None
    source = KafkaLog(cluster)
    checkpoints = KafkaCheckpoints(cluster)
    view = RedisView(parts.wire, settings.partitions, direct=False)
    sink = GatheringSink(parts.producer, GATHER_SECONDS)
    ports = Ports(source, view, books, sink, checkpoints, watch, settings.partitions, settings.checkpoint_seconds)
    await source.start()
    measuring = watch.watch(source, view.beat)
    try:
        # A forked process ends without finalizers, and one that fails without `stop`: the folder must not outlast either.
        with TemporaryDirectory(prefix=f"segue-faust-{os.getpid()}-") as folder:
            worker = KafkaWorker(cluster, ports, checkpoints, calibrate, folder)
            await worker.start()
            log.info("worker ready", broker="kafka", servers=cluster.servers, models=form())
            watching = asyncio.create_task(_until_failed(worker))
            await until_stopped_or_failed(stop, [watching, *measuring, *always])
            watching.cancel()
            await worker.stop()
            log.info("worker stopped")
    finally:
        await cancel_all(measuring)
        await sink.stop()
        await checkpoints.stop()
        await source.stop()


async def _until_failed(worker: KafkaWorker) -> None:
    while (failure := worker.failed()) is None:  # noqa: ASYNC110  (Faust tells of its crash by a flag)
        await asyncio.sleep(0.2)
    raise failure
