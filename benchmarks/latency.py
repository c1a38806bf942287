"""`make bench-latency`: event to decision at the client, beside the bare echo of the same engine and the same edges echoing.

All systems of a broker run at once and are measured in turns, round after round, so that a noisy minute hits all of them.
Reported are medians over rounds. `segue` and `edge` go HTTP in, SSE out; `echo` goes through the engine alone.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import uuid4

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import json
from redis.asyncio import Redis

from benchmarks import service_plots
from benchmarks.asked import brokers
from benchmarks.echo import IN, OUT
from benchmarks.lean import LeanClient
from cli.kafka import local_kafka
from cli.process import collect_seldom
from cli.service import Service, running_service
from runtime.compiled import form
from runtime.logging import set_up_logging
from runtime.settings import Settings, load_settings
from simulator.client import Client
from simulator.scores import percentile

LEARNERS = 40
RATES = {200: 1, 1_000: 10}
"""Events a second: events a POST."""

RESULTS = Path(__file__).parent / "results"
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

    async def load(self, send: Send, rate: int, seconds: float) -> tuple[float, float]:
        """Send at `rate`, wait for the last; p50 and p99 of this round."""
        self.sent.clear()
        self.latencies_ms.clear()
        together, start, sending = RATES.get(rate, 1), time.perf_counter(), set[asyncio.Task[None]]()
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


def course() -> dict[str, Any]:
    """Forty segments over eight skills."""
    skills = [{"id": f"k{n}"} for n in range(8)]
    segments = [{"id": f"s{n}", "skills": {f"k{n % 8}": 1.0}, "repeatable": True} for n in range(40)]
    return {"id": "bench", "version": "1", "skills": skills, "segments": segments}


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
        learner, item = random.randrange(LEARNERS), random.randrange(80)
        return {
            "id": each, "type": "answered", "learner": f"l{learner}", "course": "bench", "segment": f"s{item % 40}",
            "item": f"i{item}", "correct": random.random() < 0.7, "latency_ms": random.randrange(800, 30_000),
        }  # fmt: skip

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
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True, linger_ms=0)
    consumer = AIOKafkaConsumer("bench-out", bootstrap_servers=servers, auto_offset_reset="latest")
    await producer.start()
    stack.push_async_callback(producer.stop)
    await consumer.start()
    stack.push_async_callback(consumer.stop)

    async def listen() -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    target.arrived(record.value[:36].decode())

    stack.callback(asyncio.create_task(listen()).cancel)

    async def send(names: list[str]) -> None:
        sent = [await producer.send("bench-in", each.encode() + b"x" * 250, partition=0) for each in names]
        await asyncio.gather(*sent)

    return target, send


@contextmanager
def child(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process of ours, ended at the end."""
    process = subprocess.Popen([sys.executable, "-m", *arguments])
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


async def measure(broker: str, segue: Service, edge: Service, settings: Settings, rounds: int, seconds: float,
                  idle: int) -> dict[str, Any]:  # fmt: skip
    """All rounds of one broker."""
    async with AsyncExitStack() as stack:
        if broker == "standalone":
            assert segue.engine is not None
            echo = await over_valkey(stack, segue.engine.url)
        else:
            await _make_topics(settings.kafka)
            stack.enter_context(child("benchmarks.echo", "kafka", settings.kafka, "bench-in", "bench-out"))
            echo = await over_kafka(stack, settings.kafka)
        systems = [await over_http(stack, "segue", segue), await over_http(stack, "edge", edge), echo]
        await _warm_up(systems)
        collect_seldom()  # a full collection in this process is 30 ms that no system took
        found: dict[str, Any] = {}
        for rate in RATES:
            found[str(rate)] = await _rounds(broker, systems, rate, rounds, seconds)
        found["idle"] = await _idle(broker, systems[0], systems[2], idle)
        return found


async def _make_topics(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1) for name in ("bench-in", "bench-out")])
    await admin.close()


async def _warm_up(systems: list[tuple[Target, Send]]) -> None:
    """Until every system answers, then a few seconds of load: the first seconds of a broker are slow."""
    for target, send in systems:
        for _ in range(60):
            target.sent.clear()
            name = str(uuid4())
            target.sent[name] = time.perf_counter()
            await send([name])
            for _ in range(50):
                await asyncio.sleep(0.01)
                if not target.sent:
                    break
            if not target.sent:
                break
        await target.load(send, 200, 4.0)


async def _rounds(broker: str, systems: list[tuple[Target, Send]], rate: int, rounds: int, seconds: float) -> dict[str, Any]:
    samples: dict[str, list[tuple[float, float]]] = {target.name: [] for target, _ in systems}
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(rounds):
        for target, send in systems:
            samples[target.name].append(await target.load(send, rate, seconds))
        told = ", ".join(f"{name} {each[-1][0]:.1f}/{each[-1][1]:.1f}" for name, each in samples.items())
        print(f"  {broker} {rate:>5}/s round {number + 1} of {rounds}: p50/p99 ms  {told}", flush=True)
    report: dict[str, Any] = {}
    for name, pairs in samples.items():
        for place, label in enumerate(("p50", "p99")):
            values = [pair[place] for pair in pairs]
            report[f"{name}_{label}"] = round(median(values), 2)
            report[f"{name}_{label}_range"] = [round(min(values), 2), round(max(values), 2)]
    for label in ("p50", "p99"):
        ratios = [
            ours[label == "p99"] / theirs[label == "p99"]
            for ours, theirs in zip(samples["segue"], samples["echo"], strict=True)
        ]
        report[f"ratio_{label}"] = round(median(ratios), 2)
    report["client_cpu_share"] = round((time.process_time() - cpu) / (time.perf_counter() - wall) / (os.cpu_count() or 1), 3)
    return report


async def _idle(broker: str, ours: tuple[Target, Send], echo: tuple[Target, Send], times: int) -> dict[str, Any]:
    """First events after pauses of 5 to 30 s; half as many of the echo, which shows what the machine takes to wake up."""
    random, found, theirs = Random(2), list[float](), list[float]()
    longest = 30 if times >= 20 else 8
    for number in range(times):
        found.append(await _first_after(random.uniform(5, longest), *ours))
        told = f"  {broker} first event after idle {number + 1} of {times}: {found[-1]:.1f} ms"
        if number % 2 == 0:
            theirs.append(await _first_after(random.uniform(5, longest), *echo))
            told += f", echo {theirs[-1]:.1f}"
        print(told, flush=True)
    return {
        "median": round(median(found), 2), "max": round(max(found), 2), "pauses": times,
        "echo_median": round(median(theirs), 2), "echo_max": round(max(theirs), 2),
    }  # fmt: skip


async def _first_after(seconds: float, target: Target, send: Send) -> float:
    await asyncio.sleep(seconds)
    target.latencies_ms.clear()
    await target.load(send, 1, 1.0)
    return target.latencies_ms[0]


def run_broker(broker: str, rounds: int, seconds: float, idle: int) -> dict[str, Any]:
    """Start what one broker needs, measure, stop it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segue-bench-")))
        given: dict[str, Any] = {"broker": broker, "port": 0, "log_level": "warning"}
        if broker == "kafka":
            given |= stack.enter_context(local_kafka(folder, print))
        ours, theirs = (
            load_settings(**given, data=folder / name, topic_prefix=f"{name}.") if broker == "kafka"
            else load_settings(**given, data=folder / name) for name in ("segue", "edge")
        )  # fmt: skip
        segue = stack.enter_context(running_service(ours))
        edge = stack.enter_context(running_service(theirs, module=("benchmarks.edge_worker",)))
        if broker == "standalone":
            assert segue.engine is not None
            stack.enter_context(child("benchmarks.echo", "standalone", segue.engine.url))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(broker, segue, edge, ours, rounds, seconds, idle))


def main() -> int:
    """Brokers from the command line; QUICK=1 for a short run. The last line is JSON."""
    set_up_logging("bench", "pretty", "error")
    quick, asked = os.environ.get("QUICK") == "1", brokers(sys.argv[1] if len(sys.argv) > 1 else "standalone,kafka")
    rounds, seconds, idle = (3, 4.0, 3) if quick else (7, 8.0, 20)
    report: dict[str, Any] = {"quick": quick, "models": form(), "rounds": rounds, "seconds": seconds}
    try:
        for broker in asked:
            print(
                f"{broker}: {rounds} interleaved rounds of {seconds:.0f} s a system and rate"
                + (" (QUICK: less certain)" if quick else "")
            )
            report[broker] = run_broker(broker, rounds, seconds, idle)
            _keep(report)
    except Exception as fault:
        print(json.encode({**report, "error": f"{type(fault).__name__}: {fault}"}).decode())
        return 1
    print(json.encode(report).decode())
    return 0


def _keep(report: dict[str, Any]) -> None:
    """Write what there is so far: all of it takes half an hour."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latency.json").write_bytes(json.format(json.encode(report), indent=1) + b"\n")
    service_plots.latency(report, RESULTS)


if __name__ == "__main__":
    sys.exit(main())
