"""The batching transport by itself: who has no room is paused, and one rebalance may overtake another."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.types import TP, ConsumerMessage, Message

from agents.ports import Batch
from streams.kafka.names import Cluster
from streams.kafka.transport import LONGEST_FETCH_MS, BatchingConsumer, Fetched
from streams.kafka.worker import KafkaWorker, _batches

Consumer: Any = BatchingConsumer
FULL, FREE = TopicPartition("interactions", 0), TopicPartition("interactions", 1)


class Broker:
    """What aiokafka's consumer knows of its partitions."""

    def __init__(self) -> None:
        self.held: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return {FULL, FREE}

    def paused(self) -> set[TopicPartition]:
        return set(self.held)

    def pause(self, *places: TopicPartition) -> None:
        self.held |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self.held -= set(places)


class Standing:
    """As much of Faust's consumer as `getmany` needs, in the middle of a rebalance."""

    consumer_generation_id = 1
    should_stop = False
    flow_active = False

    def __init__(self) -> None:
        self.broker = Broker()
        self.rooms = {FULL.partition: False, FREE.partition: True}
        self.app = self
        self.sought = 0
        self._read_offset: dict[TopicPartition, int] = {}

    @property
    def _thread(self) -> Standing:
        return self

    def _ensure_consumer(self) -> Broker:
        return self.broker

    def room(self, topic: str, partition: int) -> bool:
        return self.rooms[partition]

    def _hold_those_without_room(self) -> bool:
        return bool(Consumer._hold_those_without_room(self))

    async def _wait_next_records(self, timeout: float) -> tuple[dict[Any, Any], None]:
        return {FREE: ["a record that the rebalance takes away"]}, None

    async def perform_seek(self) -> None:
        self.sought += 1
        raise IllegalStateError("No current assignment")


def test_who_has_no_room_is_paused_until_there_is_some() -> None:
    standing = Standing()
    assert standing._hold_those_without_room() and standing.broker.held == {FULL}
    standing.rooms = {FULL.partition: True, FREE.partition: False}
    assert standing._hold_those_without_room() and standing.broker.held == {FREE}
    standing.rooms = {FULL.partition: True, FREE.partition: True}
    assert not standing._hold_those_without_room() and standing.broker.held == set()


async def test_a_rebalance_that_takes_what_is_sought_does_not_end_the_worker() -> None:
    standing = Standing()
    taken = [each async for each in Consumer.getmany(standing, 1.0)]
    assert taken == [] and standing.sought == 1


async def test_a_fetch_waits_no_longer_than_we_say(cluster: Cluster, tmp_path: Path) -> None:
    nothing: Any = SimpleNamespace()
    app = KafkaWorker(cluster, nothing, nothing, nothing, str(tmp_path)).app
    app.finalize()
    broker = app.consumer._thread._create_consumer(asyncio.get_running_loop())
    await broker.start()
    try:
        assert broker._fetcher._fetch_max_wait_ms == LONGEST_FETCH_MS, "aiokafka keeps it under another name"
    finally:
        await broker.stop()


class Fetching(Standing):
    """The same with partitions of two topics fetched at once."""

    flow_active = True

    @property
    def monitor(self) -> Fetching:
        return self

    def track_tp_end_offset(self, place: TopicPartition, offset: int) -> None:
        """Nobody looks."""

    def highwater(self, place: TopicPartition) -> int:
        return 1

    def _to_message(self, place: TopicPartition, record: SimpleNamespace) -> Message:
        return Message(place.topic, place.partition, record.offset, 0.0, 0, None, b"", b"", None, tp=place)

    async def _wait_next_records(self, timeout: float) -> tuple[dict[Any, Any], None]:
        empty, other = TopicPartition(FREE.topic, 9), TopicPartition("other", 0)
        a, b, c, d = (SimpleNamespace(offset=offset) for offset in (4, 0, 7, 8))
        return {FULL: [a], other: [b], FREE: [c, d], empty: []}, None


async def test_what_one_fetch_brought_of_a_topic_is_one_event() -> None:
    fetching = Fetching()
    taken = [(place, message.offset, message.value) async for place, message in Consumer.getmany(fetching, 1.0)]
    assert [(place, offset) for place, offset, _ in taken] == [(FREE, 8), (TopicPartition("other", 0), 0)]
    brought = [[(each.message.tp, [r.offset for r in each.records]) for each in value] for *_, value in taken]
    assert brought == [[(FULL, [4]), (FREE, [7, 8])], [(TopicPartition("other", 0), [0])]]
    assert fetching._read_offset == {FULL: 4, FREE: 8, TopicPartition("other", 0): 0}


def _carried(*partitions: int) -> ConsumerMessage:
    """A message as Faust hands it over, which carries a batch of each of these partitions and is the last one's."""
    messages = [ConsumerMessage("t", n, 5 + n, 0.0, 0, None, b"", b"", None, tp=TP("t", n)) for n in partitions]
    messages[-1].incref()
    messages[-1].value = [Fetched(message, []) for message in messages]
    return messages[-1]


async def test_each_partition_of_a_fetch_is_acknowledged_by_itself() -> None:
    acked: list[tuple[int, int]] = []
    consumer: Any = SimpleNamespace(ack=lambda message: acked.append((message.partition, message.offset)))
    batches = _batches(_carried(0, 1), consumer)
    batches[1].ack()
    assert acked == [(1, 6)]
    batches[0].ack()
    assert acked == [(1, 6), (0, 5)]


async def test_what_was_fetched_is_gone_when_its_batches_are() -> None:
    carrier = _carried(0, 1)
    carried, batches = weakref.ref(carrier.value[0].message), _batches(carrier, None)
    gc.disable()
    try:
        gone = weakref.ref(carrier)
        del carrier, batches
        assert gone() is None and carried() is None, "only Python's collector would find it"
    finally:
        gc.enable()


async def test_lanes_get_what_one_fetch_brought_of_the_partitions_that_are_here() -> None:
    class Taking:
        def __init__(self) -> None:
            self.taken: list[Any] = []

        def offer(self, batch: Any) -> None:
            self.taken.append(batch)

    lanes: dict[int, Any] = {0: Taking(), 2: Taking()}
    worker: Any = SimpleNamespace(_lanes=lanes)
    batches = {partition: Batch([], lambda: None) for partition in (0, 1, 2)}  # 1 left in the meantime
    KafkaWorker._to_lanes(worker, batches)
    assert [lane.taken for lane in lanes.values()] == [[batches[0]], [batches[2]]]
