"""A real service on both engines, driven by the real client, judged by an independent reader of log, view and topics."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from aiokafka import TopicPartition

from agents.ports import EventLog, SharedLog
from cli.parts import archive_folder, cluster_of
from cli.service import Service, running_service
from cli.supervisor import Child
from runtime.settings import Settings
from schemas import topics
from schemas.ids import RowId, partition_of
from simulator.logs import Log
from streams.archive import Archive
from streams.kafka.local import LocalKafka
from streams.kafka.log import KafkaLog, KafkaShared, consumer, log_record
from streams.kafka.producer import KafkaProducer
from streams.redis_view import RedisView
from streams.standalone import StandaloneLog, StandaloneShared
from streams.wire import Wire
from tests.factories import course_json
from tests.reference import reference_run

PARTITIONS = 4


@dataclass(frozen=True)
class Running:
    """A service and the settings that it runs with."""

    service: Service
    settings: Settings

    @property
    def redis_url(self) -> str:
        """Where the view is."""
        return f"unix://{self.settings.data.resolve() / 'valkey.sock'}"

    def workers(self) -> list[Child]:
        """The worker processes."""
        return self.service.workers


@contextmanager
def running(folder: Path, broker: LocalKafka | None, workers: int = 1) -> Iterator[Running]:
    """Start a service on standalone (no broker) or Kafka."""
    given: dict[str, Any] = {"data": folder / "d", "port": 0, "partitions": PARTITIONS, "log_level": "warning"}
    if broker is not None:
        name = f"e2e-{uuid4().hex[:8]}"
        given |= {"broker": "kafka", "kafka": broker.servers, "app": name, "topic_prefix": f"{name}."}
        given["checkpoint_seconds"] = 1.0
    settings = Settings(**given)
    with running_service(settings, workers) as service:
        yield Running(service, settings)


def synthetic_log(learners: int, answers: int, run: str, seed: int = 1) -> Log:
    """Responses of made-up learners to the small course, interleaved."""
    random = Random(seed)
    course = course_json(segments=[{**s, "repeatable": True, "compulsory": False} for s in course_json()["segments"]])
    events = []
    for number in range(answers):
        for learner in range(learners):
            segment = random.choice(course["segments"])
            name = f"learner-{learner}"
            events.append((name, {
                "id": str(uuid4()), "type": "answered", "learner": name, "course": course["id"], "run": run,
                "segment": segment["id"], "item": f"{segment['id']}-{random.randrange(4)}",
                "correct": random.random() < 0.3 + 0.04 * number, "latency_ms": random.randrange(500, 60_000),
                "attempt": number + 1, "hints": random.randrange(2),
            }))  # fmt: skip
    return Log(course, events)


def kill(child: Child) -> None:
    """kill -9, and start it again as the supervisor would."""
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    child.start()


async def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for a condition, synchronous or not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition never held")


@dataclass
class Reader:
    """Reads what a service has, without it."""

    settings: Settings
    log: EventLog
    shared: SharedLog
    view: RedisView
    topic: Callable[[str], Any]

    async def settled(self) -> None:
        """Wait until the view has applied the whole log and nothing waits to be sent."""

        async def all_applied() -> bool:
            for partition in range(self.settings.partitions):
                look = await self.view.look(partition)
                if look.outbox or (-1 if look.applied is None else look.applied) + 1 != await self.log.end(partition):
                    return False
            return True

        await until(all_applied)

    async def check(self) -> Counter[str]:
        """Rows, decisions and rejects are those of a pure in-order run. Returns the counts."""
        await self.settled()
        pure = await reference_run(self.log, self.shared, self.settings.partitions)
        await self._check_rows(pure.rows)
        told = await self._decisions()
        expected = {f"{row}/{seq}": {body} for (row, seq), body in pure.decisions.items()}
        assert set(told) == set(expected), "decisions are missing, or nobody should have made them"
        assert told == expected, "one seq, two stories"
        rejects = await self.topic(topics.REJECTS)
        assert len({(p, r.value) for p, r in rejects}) == pure.rejected
        seqs: dict[str, list[int]] = defaultdict(list)
        for row, seq in pure.decisions:
            seqs[row].append(seq)
        assert all(sorted(each) == list(range(1, len(each) + 1)) for each in seqs.values()), "a gap in the numbers"
        return Counter(
            applied=pure.applied, decisions=len(pure.decisions), rejected=pure.rejected, duplicates=pure.duplicates
        )

    async def _check_rows(self, expected: dict[str, bytes]) -> None:
        for key, packed in expected.items():
            assert await self.row(key) == packed, f"row {key} is not that of a pure run"

    async def row(self, key: str) -> bytes | None:
        """A row as the view holds it."""
        owner = RowId.parse(key)
        partition = partition_of(owner.tenant, owner.learner, self.settings.partitions)
        look = await self.view.look(partition)
        rows = await self.view.rows(partition, look.applied or 0, [key])
        return None if rows is None else rows[0].packed

    async def _decisions(self) -> dict[str, set[bytes]]:
        told: dict[str, set[bytes]] = defaultdict(set)
        for _, record in await self.topic(topics.DECISIONS):
            told[record.key.decode()].add(record.value)
        return told


@asynccontextmanager
async def reader(running: Running) -> AsyncIterator[Reader]:
    """An independent reader."""
    settings = running.settings
    async with AsyncExitStack() as stack:
        client = Wire(running.redis_url)
        stack.push_async_callback(client.aclose)
        if settings.broker == "standalone":
            log = StandaloneLog(client, settings.partitions, Archive(archive_folder(settings)))

            async def stream(topic: str) -> list[tuple[int, Any]]:
                found: list[tuple[int, Any]] = []
                for partition in range(settings.partitions):
                    offset = 0
                    while page := await log.read_topic(topic, partition, offset, 10_000):
                        offset = page[-1].offset + 1
                        found += [(partition, record) for record in page]
                return found

            def another() -> Wire:
                """A wire that may block: reads of the log must not wait behind one that waits for what is new."""
                wire = Wire(running.redis_url)
                stack.push_async_callback(wire.aclose)
                return wire

            view = RedisView(client, settings.partitions, direct=True)
            yield Reader(settings, log, StandaloneShared(client, another), view, stream)
            return
        cluster = cluster_of(settings)
        kafka_log, producer = KafkaLog(cluster), KafkaProducer(cluster)
        await kafka_log.start()
        stack.push_async_callback(kafka_log.stop)
        await producer.start()
        stack.push_async_callback(producer.stop)
        shared = KafkaShared(cluster, producer)
        stack.push_async_callback(shared.stop)

        async def whole(topic: str) -> list[tuple[int, Any]]:
            places = [TopicPartition(cluster.topic(topic), p) for p in range(settings.partitions)]
            found: list[tuple[int, Any]] = []
            tail = consumer(cluster)
            await tail.start()
            try:
                tail.assign(places)
                ends = await tail.end_offsets(places)
                await tail.seek_to_beginning(*places)
                while any([await tail.position(place) < ends[place] for place in places]):
                    for place, records in (await tail.getmany(timeout_ms=200)).items():
                        found += [(place.partition, log_record(record)) for record in records]
            finally:
                await tail.stop()
            return found

        yield Reader(settings, kafka_log, shared, RedisView(client, settings.partitions, direct=False), whole)
