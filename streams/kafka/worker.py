"""The distributed worker: a Faust app whose agents hand batches to lanes, one lane a partition.

The agents do nothing but pass on: every rule is in `agents`. Lanes outlive a rebalance that leaves their partition here,
so that a worker that joins or leaves pauses only what moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import faust
from faust.types import TP
from yarl import URL

from agents.calibrate import Calibrate
from agents.lane import Lane
from agents.ports import Batch
from agents.wiring import Ports
from runtime.logging import logger
from schemas import topics
from streams.kafka.checkpoints import KafkaCheckpoints
from streams.kafka.log import log_record
from streams.kafka.names import Cluster
from streams.kafka.transport import BatchingTransport

ROOM = 2_048
CALIBRATE_ROOM = 64
log = logger(__name__)


class KafkaWorker:
    """Runs lanes and calibrate under Faust. `run` owns everything until `stop`."""

    def __init__(self, cluster: Cluster, ports: Ports, checkpoints: KafkaCheckpoints, calibrate: Calibrate) -> None:
        self._cluster = cluster
        self._ports = ports
        self._checkpoints = checkpoints
        self._calibrate = calibrate
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._learning: set[int] = set()
        self.app = self._make_app()

    async def start(self) -> None:
        """Join the group; lanes start when partitions are assigned."""
        self._calibrating = asyncio.create_task(self._calibrate.run(), name="calibrate")
        self.app.finalize()
        await self.app.start()

    async def stop(self) -> None:
        """Finish batches, send, checkpoint, publish, commit, leave."""
        self.app.consumer.stop_flow()
        for lane in self._lanes.values():
            await lane.stop()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._calibrate.stop()
        await self._calibrating
        await self.app.consumer.commit()
        await self.app.stop()

    def failed(self) -> BaseException | None:
        """What ended a lane, calibrate or Faust against the rules; None while all is well."""
        for task in (*self._tasks.values(), self._calibrating):
            if task.done() and not task.cancelled() and task.exception() is not None:
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
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            broker_session_timeout=6.0,
            broker_rebalance_timeout=6.0,
            broker_heartbeat_interval=1.0,
            broker_commit_interval=1.0,
            broker_max_poll_records=512,
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=False,
            producer_threaded=False,
            reply_create_topic=False,
        )
        app.transport = BatchingTransport(app.conf.broker_consumer, app, app.loop)
        app.on_partitions_assigned.connect(self._assigned, weak=False)
        self._add_agent(app, "adapt", topics.INTERACTIONS, self._to_lane)
        self._add_agent(app, "calibrate", topics.LEARNING, lambda partition, batch: self._calibrate.offer(batch))
        return app

    def _add_agent(self, app: faust.App, name: str, topic: str, take: Callable[[int, Batch], None]) -> None:
        channel = app.topic(self._cluster.topic(topic), value_type=bytes, value_serializer="raw")

        async def pass_on(stream: Any) -> None:
            app.consumer.room = self._room
            async for event in stream.noack().events():
                take(event.message.partition, Batch([log_record(r) for r in event.message.value], event.ack))

        app.agent(channel, name=f"segue.{name}", concurrency=1)(pass_on)

    def _room(self, topic: str, partition: int) -> bool:
        if self._cluster.plain(topic) == topics.INTERACTIONS:
            lane = self._lanes.get(partition)
            return lane is None or (lane.halted is None and lane.backlog < ROOM)
        return self._calibrate.backlog < CALIBRATE_ROOM

    def _to_lane(self, partition: int, batch: Batch) -> None:
        lane = self._lanes.get(partition)
        if lane is not None:
            lane.offer(batch)

    async def _assigned(self, app: Any, assigned: set[TP], **_: Any) -> None:
        """Start lanes for what came, stop those of what went; what stayed goes on undisturbed."""
        ours = {tp.partition for tp in assigned if self._cluster.plain(tp.topic) == topics.INTERACTIONS}
        learning = {tp.partition for tp in assigned if self._cluster.plain(tp.topic) == topics.LEARNING}
        for partition in set(self._lanes) - ours:
            task = self._tasks.pop(partition)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            del self._lanes[partition]
            await self._checkpoints.release(partition)
        for partition in ours - set(self._lanes):
            lane = self._lanes[partition] = Lane(partition, self._ports)
            self._tasks[partition] = asyncio.create_task(lane.run(), name=f"lane:{partition}")
        if learning != self._learning:
            self._calibrate.forget()
            self._learning = learning
        log.info("partitions assigned", partitions=sorted(ours), learning=sorted(learning))
