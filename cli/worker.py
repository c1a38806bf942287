"""Composition root of a worker: lanes and calibrate over the standalone log, or under Faust over Kafka."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prometheus_client import start_http_server

from agents.books import TopicBooks
from agents.calibrate import Calibrate
from agents.lane import LONGEST_STOP_SECONDS, Lane, stop_lanes
from agents.wiring import CALIBRATE_ROOM, ROOM, Ports
from cli.beside import Beside
from cli.parts import Shared, archive_folder, shared_parts
from cli.process import starting, stop_signal, until_stopped_or_failed
from cli.watch import LaneWatch
from runtime.compiled import form
from runtime.folder import lock_file, take
from runtime.logging import logger
from runtime.settings import Settings
from runtime.tasks import cancel_all, retry
from schemas import topics
from schemas.errors import Misconfigured
from streams.archive import Archive, Archiver
from streams.redis_view import RedisView
from streams.standalone import Follower, StandaloneLog

log = logger("segue.worker")
CALIBRATE = "calibrate"
CALIBRATE_PAUSE_SECONDS = 0.1
LEAVING_SECONDS = 5.0
"""How long a worker whose service was killed may still hold the folder."""


async def run_worker(settings: Settings, beside: Beside) -> None:
    """Work until told to stop; a bug anywhere ends the process loudly, and the supervisor starts a new one."""
    stop = stop_signal()
    if settings.worker_metrics_port:
        settings.refuse_others("The metrics page of a worker asks for no key")
        start_http_server(settings.worker_metrics_port, addr=settings.host)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(beside.close)
        async with starting(stop):
            parts = await stack.enter_async_context(shared_parts(settings))
            if parts.standalone is not None:
                await stack.enter_async_context(_alone_on(settings.data))
            books = TopicBooks(parts.shared)
            stack.push_async_callback(books.tail.stop)
            await books.tail.start()
        always = [*books.tail.tasks, asyncio.create_task(beside.watch(), name="beside")]
        stack.push_async_callback(cancel_all, always[-1:])
        watch = LaneWatch(settings.app)
        calibrate = Calibrate(parts.shared, books, beside.ask, watch.published)
        if parts.standalone is not None:
            await _run_standalone(settings, parts, parts.standalone, books, watch, calibrate, always, stop)
        elif parts.cluster is not None:
            # Faust takes most of a second to load, and a standalone worker has no use for it.
            from cli.kafka_worker import run_kafka_worker

            await run_kafka_worker(settings, parts, parts.cluster, books, watch, calibrate, always, stop)


@asynccontextmanager
async def _alone_on(folder: Path) -> AsyncIterator[None]:
    """Hold a folder for this worker: two would work on the same partitions, and each would doubt the other for ever.

    Raises Misconfigured where another one stays.
    """
    with lock_file(folder, "worker.lock") as lock:
        deadline = time.monotonic() + LEAVING_SECONDS
        while not take(lock):
            if time.monotonic() > deadline:
                raise Misconfigured(
                    f"A worker runs on {folder} already; `segue up` has one. Without Kafka one does all the work: "
                    "stop it, give another SEGUE_DATA, or set SEGUE_BROKER=kafka and start as many as you like."
                )
            await asyncio.sleep(0.05)
        yield


async def _run_standalone(settings: Settings, parts: Shared, source: StandaloneLog, books: TopicBooks,
                          watch: LaneWatch, calibrate: Calibrate, always: Sequence[asyncio.Task[None]],
                          stop: asyncio.Event) -> None:  # fmt: skip
    """Work until `stop`, or until something fails against the rules. What runs `always` may not end."""
    view = RedisView(parts.wire, settings.partitions, direct=True)
    ports = Ports(source, view, books, None, None, watch, settings.partitions)
    everything = list(range(settings.partitions))
    lanes = [Lane(partition, ports) for partition in everything]
    events = Follower(parts.new_wire(), parts.wire, topics.INTERACTIONS, everything)
    responses = Follower(parts.new_wire(), parts.wire, topics.LEARNING, everything)
    async with starting(stop):
        looks = [await retry(lambda p=p: view.look(p)) for p in everything]  # type: ignore[misc]
        learned = await retry(lambda: responses.positions(CALIBRATE))
    start = {partition: (look.applied if look.applied is not None else -1) + 1 for partition, look in enumerate(looks)}
    working = [asyncio.create_task(lane.run(), name=f"lane:{lane.partition}") for lane in lanes]
    calibrating = asyncio.create_task(calibrate.run(), name="calibrate")
    feeding = [
        asyncio.create_task(
            events.run(start, lambda p, b: lanes[p].offer(b), lambda p: not lanes[p].halted and lanes[p].backlog < ROOM)
        ),
        asyncio.create_task(
            responses.run(
                learned,
                lambda _, b: calibrate.offer(b),
                lambda _: calibrate.backlog < CALIBRATE_ROOM,
                CALIBRATE,
                CALIBRATE_PAUSE_SECONDS,
            )
        ),
        *watch.watch(source, view.beat),
    ]

    async def needed(topic: str, partition: int) -> int:
        """Lanes and calibrate read on from where they stand; the other topics are only looked up."""
        if topic == topics.INTERACTIONS:
            return lanes[partition].applied
        return (await responses.positions(CALIBRATE))[partition] if topic == topics.LEARNING else sys.maxsize

    archiver = Archiver(parts.wire, Archive(archive_folder(settings)), settings.partitions, settings.log_kept, needed)
    feeding.append(asyncio.create_task(archiver.run(), name="archive"))
    log.info("worker ready", broker="standalone", partitions=settings.partitions, models=form())
    try:
        await until_stopped_or_failed(stop, [*working, calibrating, *feeding, *always])
        await cancel_all(feeding)
        await stop_lanes(lanes, working)
        await calibrate.stop()
        async with asyncio.timeout(LONGEST_STOP_SECONDS):
            await calibrating
        await responses.store_positions(CALIBRATE)
        log.info("worker stopped")
    finally:
        await cancel_all([*working, calibrating, *feeding])
