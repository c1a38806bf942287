"""The distributed worker: a Faust app whose agents hand batches to lanes, one lane a partition.

The agents do nothing but pass on: every rule is in `agents`. Lanes outlive a rebalance that leaves their partition here,
so that a worker that joins or leaves pauses only what moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import faust
import faust.streams
from faust.types import TP, Message
from yarl import URL

from agents.calibrate import Calibrate
from agents.lane import LONGEST_STOP_SECONDS, Lane, stop_lanes
from agents.ports import Batch
from agents.wiring import CALIBRATE_ROOM, ROOM, Ports
from runtime.logging import logger
from runtime.tasks import cancel_all
from schemas import topics
from schemas.errors import Misconfigured
from streams.kafka.checkpoints import KafkaCheckpoints
from streams.kafka.log import log_record
from streams.kafka.names import WAITS, Cluster
from streams.kafka.transport import BatchingTransport, Fetched

CALIBRATE_REST_SECONDS = 0.2
"""Responses are fetched this much apart, so that they do not break up the fetches that players wait for."""
log = logger(__name__)


class KafkaWorker:
    """Runs lanes and calibrate under Faust, from `start` until `stop`. In `folder` Faust makes one for tables, of which
    there are none."""

    def __init__(
        self, cluster: Cluster, ports: Ports, checkpoints: KafkaCheckpoints, calibrate: Calibrate, folder: str
    ) -> None:
        self._cluster = cluster
        self._ports = ports
        self._checkpoints = checkpoints
        self._calibrate = calibrate
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._learning: set[int] = set()
        self._rest_until = 0.0
        self._folder = folder
        self.app = self._make_app()

    async def start(self) -> None:
        """Join the group; lanes start when partitions are assigned."""
        if faust.streams._CStreamIterator is None:
            raise Misconfigured("Faust without its C extension acknowledges what it skips; install a wheel that has it.")
        self._checkpoints.owns = self._owns
        self._calibrating = asyncio.create_task(self._calibrate.run(), name="calibrate")
        self.app.finalize()
        await self.app.start()

    async def stop(self) -> None:
        """Finish batches, send, checkpoint, publish, commit, leave."""
        self.app.consumer.stop_flow()
        try:
            await stop_lanes(list(self._lanes.values()), list(self._tasks.values()))
            await self._calibrate.stop()
            async with asyncio.timeout(LONGEST_STOP_SECONDS):
                await self._calibrating
            await self.app.consumer.commit()
        finally:
            await cancel_all([self._calibrating])
            await self.app.stop()

    def failed(self) -> BaseException | None:
        """What ended a lane, calibrate or Faust against the rules; None while all is well."""
        for task in (*self._tasks.values(), self._calibrating):
            if task.cancelled():  # lanes that went are no longer among the tasks
                return RuntimeError(f"{task.get_name()} was cancelled, but nobody asked for it")
            if task.done() and task.exception() is not None:
                return task.exception()
        if self.app.crashed or self.app.consumer.crashed:
            return getattr(self.app, "_crash_reason", None) or RuntimeError("Faust stopped: see the log above")
        return None

    @property
    def lanes(self) -> dict[int, Lane]:
        """The lanes of this worker by partition."""
        return self._lanes

    def _make_app(self) -> faust.App:
        app = faust.App(
            self._cluster.app,
            broker=[URL(f"kafka://{server}") for server in self._cluster.servers.split(",")],
            store="memory://",
            datadir=self._folder,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            broker_request_timeout=WAITS["request_timeout_ms"] / 1_000,
            broker_session_timeout=6.0,
            broker_rebalance_timeout=6.0,
            broker_heartbeat_interval=0.3,  # who hears late of a rebalance makes the others wait
            broker_commit_interval=1.0,
            broker_max_poll_records=10_000,  # all that was fetched
            consumer_auto_offset_reset="earliest",
            consumer_metadata_max_age_ms=WAITS["metadata_max_age_ms"],
            stream_wait_empty=False,
            producer_threaded=False,
            table_standby_replicas=0,  # else its assignor lets a joining worker go without: 2, 2, 0
            reply_create_topic=False,
        )
        app.transport = BatchingTransport(app.conf.broker_consumer, app, app.loop)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        self._add_agent(app, "adapt", topics.INTERACTIONS, self._to_lanes)
        self._add_agent(app, "calibrate", topics.LEARNING, self._to_calibrate)
        return app

    def _add_agent(self, app: faust.App, name: str, topic: str, take: Callable[[dict[int, Batch]], None]) -> None:
        channel = app.topic(self._cluster.topic(topic), value_type=bytes, value_serializer="raw")

        async def pass_on(stream: Any) -> None:
            app.consumer.room = self._room
            async for event in stream.noack().events():
                take(_batches(event.message, app.consumer))

        app.agent(channel, name=f"segue.{name}", concurrency=1)(pass_on)

    def _owns(self, partition: int) -> bool:
        return any(
            tp.partition == partition and self._cluster.plain(tp.topic) == topics.INTERACTIONS
            for tp in self.app.consumer.assignment()
        )

    def _room(self, topic: str, partition: int) -> bool:
        if self._cluster.plain(topic) == topics.INTERACTIONS:
            lane = self._lanes.get(partition)
            return lane is not None and lane.halted is None and lane.backlog < ROOM
        rested = asyncio.get_running_loop().time() >= self._rest_until
        return rested and self._calibrate.backlog < CALIBRATE_ROOM

    def _to_calibrate(self, arrived: dict[int, Batch]) -> None:
        self._rest_until = asyncio.get_running_loop().time() + CALIBRATE_REST_SECONDS
        for batch in arrived.values():
            self._calibrate.offer(batch)

    def _to_lanes(self, arrived: dict[int, Batch]) -> None:
        """Lanes get what one fetch brought all at once: what they compute one after another leaves in few writes, and the
        next fetch is under way meanwhile. Should a fetch never come, a lane finds in the log what it lacks."""
        for partition, batch in arrived.items():
            if partition in self._lanes:
                self._lanes[partition].offer(batch)

    async def _assigned(self, app: Any, assigned: set[TP], **_: Any) -> None:
        """Start lanes for what came, stop those of what went; what stayed goes on undisturbed."""
        ours = {tp.partition for tp in assigned if self._cluster.plain(tp.topic) == topics.INTERACTIONS}
        learning = {tp.partition for tp in assigned if self._cluster.plain(tp.topic) == topics.LEARNING}
        for partition in ours - set(self._lanes):
            lane = self._lanes[partition] = Lane(partition, self._ports)
            self._tasks[partition] = asyncio.create_task(lane.run(), name=f"lane:{partition}")
        gone = set(self._lanes) - ours
        leaving = [self._tasks.pop(partition) for partition in gone]
        for partition in gone:
            del self._lanes[partition]
        await cancel_all(leaving)
        await asyncio.gather(*(self._checkpoints.release(partition) for partition in gone))
        if learning != self._learning:
            self._calibrate.forget()
            self._learning = learning
        log.info("partitions assigned", partitions=sorted(ours), learning=sorted(learning))


def _batches(carrier: Message, consumer: Any) -> dict[int, Batch]:
    """What a message carries, by partition. It is taken out, as it has the carrier: a circle for each fetch is a stop of
    30 ms every 3 s, when Python's collector comes."""
    fetched: Sequence[Fetched] = carrier.value
    carrier.value = None
    return {
        each.message.partition: Batch([log_record(record) for record in each.records], partial(each.message.ack, consumer))
        for each in fetched
    }
