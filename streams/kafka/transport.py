"""Faust's transport, handing its agents one event a topic and poll: all that was fetched, not a record.

Faust's cost is per event (two tasks, an event object, an ack, a lock); handed batches, it costs what bare aiokafka does.
Three methods differ from Faust's own driver: `getmany` yields one message a topic, whose value has a batch of each
partition that something was fetched of, and whose place is that of one of them; `_add_gap` does nothing, because the
offsets between two batches are no gaps; `_new_offset` is the highest acknowledged offset + 1, because a lane acknowledges
in order.

Faust runs its consumer in a thread of its own, so that an agent that computes for long does not stop the heartbeat. Ours
never compute for more than a batch, and two threads that take the interpreter lock from each other cost more than all of
Faust's other work: `OnLoopConsumer` is the same consumer on the worker's own loop.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

from aiokafka import ConsumerRecord
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.services import Service
from mode.utils.futures import maybe_async

BUSY_SECONDS = 0.02
LONGEST_FETCH_MS = 100
"""A broker answers a connection's requests in their order: a fetch that waits for records of one partition holds up that of
another which has just come here. Faust has 1,500."""
Room = Callable[[str, int], bool]


class Fetched(NamedTuple):
    """What one fetch brought of one partition: the message by which Faust is told that all of it is done, and records."""

    message: Message
    records: Sequence[ConsumerRecord]


class OnLoopConsumer(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """Faust's aiokafka consumer "thread" without the thread."""

    def __init__(self, consumer: BatchingConsumer, *, loop: asyncio.AbstractEventLoop, **given: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **given)

    async def start(self) -> None:
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        if self._started.is_set() and not self._stopped.is_set():
            self._stopped.set()
            await self._shutdown_thread()

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = LONGEST_FETCH_MS
        return consumer

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **given: Any) -> Any:
        return await maybe_async(fun(*args, **given))

    async def crash(self, exc: BaseException) -> None:
        await Service.crash(self, exc)


class BatchingConsumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """Faust's aiokafka consumer with batches for events, and no fetching for a lane that has plenty."""

    room: Room = staticmethod(lambda topic, partition: True)

    def _new_consumer_thread(self) -> OnLoopConsumer:
        return OnLoopConsumer(self, loop=asyncio.get_running_loop(), beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        held = self._hold_those_without_room()
        records, _ = await self._wait_next_records(BUSY_SECONDS if held else timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            # One rebalance may overtake another and take what is sought here; the newer one begins at what is committed.
            with suppress(IllegalStateError):
                await self.perform_seek()
            return
        fetched: dict[str, list[Fetched]] = defaultdict(list)
        for tp, batch in records.items():
            if batch:
                self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                self._read_offset[tp] = batch[-1].offset  # what comes twice is the lane's to drop, not Faust's
                fetched[tp.topic].append(Fetched(self._to_message(tp, batch[-1]), batch))
        for together in fetched.values():
            if self.flow_active and self.app.consumer_generation_id == generation:
                carrier = together[-1].message
                carrier.key, carrier.value = None, together  # and itself with them: who takes it takes that out
                yield carrier.tp, carrier

    def _hold_those_without_room(self) -> bool:
        """Pause and resume fetching by who has room now; whether any is paused.

        What was fetched is always taken: aiokafka fetches nothing from a broker while records of any of its partitions wait
        to be taken, so one partition left waiting would cost all others 100 ms a fetch.
        """
        consumer = self._thread._ensure_consumer()
        full = {tp for tp in consumer.assignment() if not self.room(tp.topic, tp.partition)}
        paused = consumer.paused()
        consumer.pause(*full - paused)
        consumer.resume(*paused - full)
        return bool(full)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        return

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        highest = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return int(highest) + 1


class BatchingTransport(driver.Transport):  # type: ignore[misc]
    """The transport of our Faust app."""

    Consumer: ClassVar[Any] = BatchingConsumer
