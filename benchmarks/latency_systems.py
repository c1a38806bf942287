"""What `make bench-latency` puts under load: our edges, bare echoes of an engine, and peers that run the same step."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec import json
from redis.asyncio import Redis

from benchmarks.echo import IN, OUT
from benchmarks.lean import LeanClient
from benchmarks.peers import PARTITIONS, answered, course, logged
from benchmarks.throughput import make_topics, python_of
from cli.service import Service
from simulator.client import Client
from simulator.scores import percentile

LEARNERS = 40

Send = Callable[[list[str]], Awaitable[None]]


class Target:
    """One system under load: `send` puts events in, `arrived` is told when one came back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent: dict[str, float] = {}
        self.latencies_ms: list[float] = []

    def arrived(self, event: str) -> None:
        """An event is back."""
        start = self.sent.pop(event, None)
        if start is not None:
            self.latencies_ms.append((time.perf_counter() - start) * 1000)

    async def load(self, send: Send, rate: int, seconds: float, together: int = 1) -> tuple[float, float]:
        """Send at `rate` a second, so many `together`, and wait for the last; p50 and p99 of this round in ms.

        Raises RuntimeError when an event does not come back within 10 s after the last was sent.
        """
        self.sent.clear()
        self.latencies_ms.clear()
        start, sending = time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(int(rate * seconds / together)):
            await asyncio.sleep(max(0.0, start + number * together / rate - time.perf_counter()))
            names = [str(uuid4()) for _ in range(together)]
            now = time.perf_counter()
            self.sent.update(dict.fromkeys(names, now))
            task = asyncio.ensure_future(send(names))
            sending.add(task)
            task.add_done_callback(sending.discard)
        deadline = time.perf_counter() + 10
        while self.sent and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        if self.sent:
            raise RuntimeError(f"{self.name}: {len(self.sent)} events at {rate}/s never came back")
        return percentile(self.latencies_ms, 0.5) or 0.0, percentile(self.latencies_ms, 0.99) or 0.0


async def over_http(stack: AsyncExitStack, name: str, service: Service) -> tuple[Target, Send]:
    """A service with its edges: a stream a learner, one lean client."""
    async with Client(service.url, service.key) as publisher:
        await publisher.publish(course())
    target, client, random = Target(name), LeanClient(service.url, service.key), Random(1)
    stack.callback(client.close)

    def told(decision: bytes) -> None:
        target.arrived(json.decode(decision)["for_event"])

    for number in range(LEARNERS):
        await client.follow(f"/.well-known/mercure?match=/courses/bench/learners/l{number}/decisions", told)

    def event(each: str) -> dict[str, Any]:
        return answered(random, LEARNERS, each)

    async def send(names: list[str]) -> None:
        await client.post(json.encode(event(names[0]) if len(names) == 1 else [event(each) for each in names]))

    return target, send


async def over_valkey(stack: AsyncExitStack, url: str) -> tuple[Target, Send]:
    """redis-py: stream in, echo process, stream out."""
    target, writer, reader = Target("echo"), Redis.from_url(url, protocol=2), Redis.from_url(url, protocol=2)
    padding = "x" * 250

    async def listen() -> None:
        last = "$"
        while True:
            for _, entries in await reader.xread({OUT: last}, block=1_000) or ():
                last = entries[-1][0]
                for _, fields in entries:
                    target.arrived(fields[b"e"].decode())

    stack.callback(asyncio.create_task(listen()).cancel)

    async def send(names: list[str]) -> None:
        pipe = writer.pipeline(transaction=False)
        for each in names:
            pipe.xadd(IN, {"e": each, "p": padding}, maxlen=10_000, approximate=True)
        await pipe.execute()

    return target, send


async def over_kafka(stack: AsyncExitStack, servers: str) -> tuple[Target, Send]:
    """aiokafka: topic in, echo process, topic out."""
    target = Target("echo")
    await make_topics(servers, "bench-", 1)
    stack.enter_context(child(sys.executable, "-m", "benchmarks.echo", "kafka", servers, "bench-in", "bench-out"))
    producer = await _follow_topic(stack, servers, "bench-out", lambda value: target.arrived(value[:36].decode()))

    async def send(names: list[str]) -> None:
        sent = [await producer.send("bench-in", each.encode() + b"x" * 250, partition=0) for each in names]
        await asyncio.gather(*sent)

    return target, send


async def over_peer(stack: AsyncExitStack, name: str, servers: str, folder: Path) -> tuple[Target, Send]:
    """quixstreams or a plain Faust agent, with the step and its state: topic in, topic out, no edges."""
    target, prefix, random = Target(name), f"{name}.", Random(1)
    await make_topics(servers, prefix, PARTITIONS)
    stack.enter_context(
        child(python_of(name), "-m", "benchmarks.peers", name, servers, prefix, str(folder / name), "hasten")
    )

    def told(decision: bytes) -> None:
        target.arrived(json.decode(decision)["for_event"])

    producer = await _follow_topic(stack, servers, f"{prefix}out", told)

    async def send(names: list[str]) -> None:
        events = [logged(answered(random, LEARNERS, each)) for each in names]
        sent = [await producer.send(f"{prefix}in", e.value, e.key, e.partition, headers=list(e.headers)) for e in events]
        await asyncio.gather(*sent)

    return target, send


async def _follow_topic(stack: AsyncExitStack, servers: str, topic: str, told: Callable[[bytes], None]) -> AIOKafkaProducer:
    """Call `told` with every value of a topic from now on; a producer to fill another one with."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="latest")
    await producer.start()
    stack.push_async_callback(producer.stop)
    await consumer.start()
    stack.push_async_callback(consumer.stop)

    async def listen() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    told(record.value)

    stack.callback(asyncio.create_task(listen()).cancel)
    return producer


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended at the end; of what it says only errors are shown."""
    environment = os.environ | {"PYTHONPATH": ".", "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
