"""What drains topic `in` flat out: a bare aiokafka echo, a plain Faust agent with a Table, quixstreams with state.

All but the echo run the very step that our worker runs, keep the packed row as their state, and send the decision on.

python -m benchmarks.peers echo|faust_table|quixstreams SERVERS PREFIX FOLDER [hasten]

`hasten`: quixstreams sends every record at once, for latency; its default gathers for 5 ms.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from random import Random
from typing import Any

from msgspec import convert

from agents.step import step
from models.population import Population
from schemas import topics
from schemas.codec import decode_interaction, encode_interaction, encode_msgpack
from schemas.course import Course
from schemas.events import Event
from schemas.ids import partition_of
from schemas.interaction import PLAIN_KEY_ID, SCHEMA, Interaction, LogRecord, Outgoing, Stamp

PARTITIONS = 4
HEADERS = (("schema", SCHEMA), ("kid", PLAIN_KEY_ID))


def course() -> dict[str, Any]:
    """Forty segments over eight skills."""
    skills = [{"id": f"k{n}"} for n in range(8)]
    segments = [{"id": f"s{n}", "skills": {f"k{n % 8}": 1.0}, "repeatable": True} for n in range(40)]
    return {"id": "bench", "version": "1", "skills": skills, "segments": segments}


def answered(random: Random, learners: int, name: str) -> dict[str, Any]:
    """An answer of one of so many learners, as a player posts it; `name` is its id."""
    learner, item = random.randrange(learners), random.randrange(80)
    return {
        "id": name, "type": "answered", "learner": f"l{learner}", "course": "bench", "segment": f"s{item % 40}",
        "item": f"i{item}", "correct": random.random() < 0.7, "latency_ms": random.randrange(800, 30_000),
    }  # fmt: skip


def logged(event: dict[str, Any]) -> Outgoing:
    """An event as the gateway writes it to the log."""
    stamp = Stamp(tenant="default", logged_ms=1_790_000_000_000, course_version="1", population=(0, ""))
    said = Interaction(stamp=stamp, event=convert(event, Event))
    partition = partition_of("default", event["learner"], PARTITIONS)
    return Outgoing(topics.INTERACTIONS, partition, said.key.encode(), encode_interaction(said), HEADERS)


class Model:
    """Decode, row, update, decide, encode: the same for everybody."""

    def __init__(self) -> None:
        self._course = convert(course(), Course)
        self._population = Population.empty()
        self._offset = 0

    def work(
        self, key: bytes, value: bytes, headers: Iterable[tuple[str, bytes]], packed: bytes | None
    ) -> tuple[bytes, bytes]:
        """The row after a record, and the decision."""
        self._offset += 1
        said = decode_interaction(LogRecord(self._offset, key, value, tuple(headers)))
        outcome = step(packed, said, 0, self._offset, self._course, self._population)
        if outcome.learning is not None:
            encode_msgpack(outcome.learning)
        return outcome.row, outcome.decision or b""


async def echo(servers: str, prefix: str) -> None:
    """aiokafka in, aiokafka out."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    consumer = AIOKafkaConsumer(f"{prefix}in", bootstrap_servers=servers, group_id=f"{prefix}echo",
                                auto_offset_reset="earliest", max_poll_records=512)  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=1 << 20)
    await consumer.start()
    await producer.start()
    while True:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            sent = [await producer.send(f"{prefix}out", r.value, r.key, r.partition) for r in records]
            await asyncio.gather(*sent)


def faust_table(servers: str, prefix: str, folder: str) -> None:
    """An agent, a Table with a changelog, a topic to send to."""
    import faust

    model = Model()
    app = faust.App(
        f"{prefix}faust",
        broker=f"kafka://{servers}",
        store="memory://",
        web_enabled=False,
        datadir=folder,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        value_serializer="raw",
    )
    given = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    source = app.topic(f"{prefix}in", **given)
    out = app.topic(f"{prefix}out", **given)
    rows = app.Table("rows", partitions=PARTITIONS, key_type=bytes, value_type=bytes)

    async def agent(stream: Any) -> None:
        async for event in stream.events():
            headers = event.headers.items() if isinstance(event.headers, dict) else event.headers
            row, decision = model.work(event.key, event.value, headers, rows.get(event.key))
            rows[event.key] = row
            await out.send(key=event.key, value=decision)

    app.agent(source, name="peer")(agent)

    sys.argv = ["peer", "worker", "-l", "error", "--without-web"]
    app.main()


def quixstreams(servers: str, prefix: str, folder: str, hasten: bool) -> None:
    """A stateful dataframe with its changelog."""
    from quixstreams import Application  # type: ignore[import-not-found]

    model = Model()
    app = Application(broker_address=servers, consumer_group=f"{prefix}quix", auto_offset_reset="earliest",
                      producer_extra_config={"linger.ms": 0} if hasten else {}, state_dir=folder,
                      loglevel="ERROR")  # fmt: skip
    source = app.topic(f"{prefix}in", key_deserializer="bytes", value_deserializer="bytes")
    out = app.topic(f"{prefix}out", key_serializer="bytes", value_serializer="bytes")

    def work(value: bytes, key: bytes, timestamp: int, headers: Any, state: Any) -> bytes:
        row, decision = model.work(key, value, headers, state.get_bytes("row"))
        state.set_bytes("row", row)
        return decision

    frame = app.dataframe(source).apply(work, stateful=True, metadata=True)
    frame.to_topic(out)
    app.run()


if __name__ == "__main__":
    kind, servers, prefix, folder, *how = sys.argv[1:]
    if kind == "echo":
        asyncio.run(echo(servers, prefix))
    elif kind == "faust_table":
        faust_table(servers, prefix, folder)
    else:
        quixstreams(servers, prefix, folder, "hasten" in how)
