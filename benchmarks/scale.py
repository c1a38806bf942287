"""`make bench-scale`: what an event costs and how long it takes as learners, workers and streams grow, one at a time.

The store is filled beforehand with rows as forty answers leave them, so that hardly any row is cached. Then events flow at a
steady rate, half of them of learners whose decisions somebody follows: those are timed, from POST to the decision by SSE.
Costs are CPU time of our processes, read from outside; Kafka's own stand beside them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import redis
import uvloop
from msgspec import json

from agents.window import IdWindow
from benchmarks import service_plots
from benchmarks.cpu import cpu_seconds, family_cpu_seconds
from benchmarks.lean import LeanClient
from benchmarks.peers import Model, course
from benchmarks.throughput import events
from cli.process import allow_many_streams
from cli.service import Service, running_service
from models.row import UNKNOWN, Row
from runtime.compiled import form
from runtime.logging import set_up_logging
from runtime.settings import Settings, load_settings
from schemas.codec import body_hash, decode_interaction, id_hash
from schemas.ids import RowId, partition_of
from schemas.interaction import LogRecord
from simulator.client import Client
from simulator.scores import percentile
from streams.kafka.local import LocalKafka
from streams.keys import WORKERS, PartitionKeys

RESULTS = Path(__file__).parent / "results"
RATE, TOGETHER = 400, 10
"""Events a second, and in one POST: well below what the machine can do, so that no queue is measured."""

ANSWERS, TEMPLATES = 40, 50
PIPED = 1_000
PATIENCE_SECONDS = 60.0


class Point(NamedTuple):
    """One thing to measure."""

    broker: str
    learners: int
    workers: int
    streams: int


def points(quick: bool) -> list[Point]:
    """Each of learners, workers and streams grows while the others stay."""
    learners = (1_000, 10_000, 100_000) if quick else (1_000, 10_000, 100_000, 1_000_000)
    workers = (1, 2) if quick else (1, 2, 4)
    streams = (1_000,) if quick else (1_000, 10_000)
    return [
        *(Point("standalone", each, 1, 100) for each in learners),
        *(Point("standalone", 10_000, 1, each) for each in streams),
        *(Point("kafka", 10_000, each, 100) for each in workers),
    ]


class Template(NamedTuple):
    """A learner after some answers: the packed row, and the ids that its window holds."""

    packed: bytes
    chunk: bytes


def templates() -> list[Template]:
    """Learners as the real step leaves them."""
    model, rows, windows = Model(), dict[bytes, bytes](), dict[bytes, IdWindow]()
    counts: dict[bytes, int] = {}
    for each in events(ANSWERS * 400):
        if counts.get(each.key, 0) == ANSWERS:
            continue
        counts[each.key] = counts.get(each.key, 0) + 1
        said = decode_interaction(LogRecord(0, each.key, each.value, each.headers))
        rows[each.key], _ = model.work(each.key, each.value, each.headers, rows.get(each.key))
        windows.setdefault(each.key, IdWindow(0, {})).remember(id_hash(said.event), body_hash(said), counts[each.key])
    full = [key for key, count in counts.items() if count == ANSWERS][:TEMPLATES]
    return [Template(_before_the_log(rows[key]), windows[key].slots[0]) for key in full]


def _before_the_log(packed: bytes) -> bytes:
    """The same row, as if what made it stood before the log's first record."""
    row = Row.unpack(packed)
    row.offset = UNKNOWN
    return row.pack()


def fill(store: redis.Redis, count: int, partitions: int, made: Sequence[Template]) -> float:
    """Rows and id windows of `count` learners. Returns what a learner takes, in bytes of the store's memory."""
    keys = [PartitionKeys.of(partition) for partition in range(partitions)]
    before = _memory(store)
    for start in range(0, count, PIPED):
        pipe = store.pipeline(transaction=False)
        for number in range(start, min(start + PIPED, count)):
            learner, template = f"l{number}", made[number % len(made)]
            place, key = keys[partition_of("default", learner, partitions)], RowId("default", "bench", "1", learner).key
            pipe.hset(place.rows, key, template.packed)
            pipe.hset(place.ids, f"{key}\n0", template.chunk)
            pipe.xadd(place.tail(key), {"reset": "1"}, id=f"{ANSWERS}-0")  # decisions so far are no longer in the store
        pipe.execute()
    taken = (_memory(store) - before) / count
    _settle(store)
    return taken


def _memory(store: redis.Redis) -> int:
    found: Any = store.info("memory")
    return int(found["used_memory"])


def _settle(store: redis.Redis) -> None:
    """Wait until the store does nothing beside: its file is written anew while it is filled."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        found: Any = store.info("persistence")
        if not found["aof_rewrite_in_progress"] and not found["aof_rewrite_scheduled"]:
            return
        time.sleep(0.2)


class Load:
    """Events at a steady rate, and the decisions that come back to those who follow."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._random = Random(7)
        self._sent: dict[str, float] = {}
        self.latencies_ms: list[float] = []
        self.count = 0

    def told(self, decision: bytes) -> None:
        """A followed learner was told."""
        start = self._sent.pop(json.decode(decision)["for_event"], None)
        if start is not None:
            self.latencies_ms.append((time.perf_counter() - start) * 1000)

    async def run(self, client: LeanClient, seconds: float) -> None:
        """Send for some seconds, and wait for the last decision."""
        start, sending = time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(int(RATE * seconds / TOGETHER)):
            await asyncio.sleep(max(0.0, start + number * TOGETHER / RATE - time.perf_counter()))
            together = [self._event(followed=n % 2 == 0) for n in range(TOGETHER)]
            task = asyncio.ensure_future(client.post(json.encode(together)))
            sending.add(task)
            task.add_done_callback(sending.discard)
        deadline = time.perf_counter() + PATIENCE_SECONDS
        while (self._sent or sending) and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        if self._sent:
            raise RuntimeError(f"{len(self._sent)} decisions never came ({self._point})")

    def _event(self, *, followed: bool) -> dict[str, Any]:
        random, name = self._random, str(uuid4())
        learner = random.randrange(self._point.streams if followed else self._point.learners)
        item = random.randrange(80)
        self.count += 1
        if learner < self._point.streams:
            self._sent[name] = time.perf_counter()
        return {
            "id": name, "type": "answered", "learner": f"l{learner}", "course": "bench", "segment": f"s{item % 40}",
            "item": f"i{item}", "correct": random.random() < 0.7, "latency_ms": random.randrange(800, 30_000),
        }  # fmt: skip


async def measure(point: Point, service: Service, made: Sequence[Template], redis_url: str, partitions: int,
                  seconds: float, beside: Sequence[int]) -> dict[str, Any]:  # fmt: skip
    """One point: fill, follow, warm up, load. `beside`: processes whose cost is told but not counted as ours."""
    async with Client(service.url, service.key) as publisher:
        await publisher.publish(course())
    with redis.Redis.from_url(redis_url) as store:
        await _until_all_work(store, point.workers)
        per_learner = await asyncio.to_thread(fill, store, point.learners, partitions, made)
    client, load = LeanClient(service.url, service.key), Load(point)
    try:
        for number in range(point.streams):
            await client.follow(f"/.well-known/mercure?match=/courses/bench/learners/l{number}/decisions", load.told)
        await load.run(client, 3.0)
        load.latencies_ms.clear()
        load.count = 0
        before = _spent(service, beside)
        await load.run(client, seconds)
        spent = {name: total - before[name] for name, total in _spent(service, beside).items()}
    finally:
        client.close()
    costs = {f"{name}_us": round(each / load.count * 1e6, 1) for name, each in spent.items()}
    ours = sum(each for name, each in spent.items() if name != "kafka")
    return {
        **point._asdict(),
        "us_per_event": round(ours / load.count * 1e6, 1),
        **{name: cost for name, cost in costs.items() if name != "kafka_us" or beside},
        "bytes_per_learner": round(per_learner),
        "p50_ms": round(percentile(load.latencies_ms, 0.5) or 0.0, 2),
        "p99_ms": round(percentile(load.latencies_ms, 0.99) or 0.0, 2),
        "events": load.count,
    }


async def _until_all_work(store: redis.Redis, workers: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while int(store.zcount(WORKERS, int((time.time() - 2.5) * 1000), "+inf")) < workers:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{workers} workers did not all get partitions")
        await asyncio.sleep(0.2)


def _spent(service: Service, beside: Sequence[int]) -> dict[str, float]:
    assert service.engine is not None and service.engine.process is not None
    gateway = next(child for child in service.supervisor.children if child.name == "gateway")
    return {
        "worker": sum(family_cpu_seconds(child.pid) for child in service.workers),
        "gateway": cpu_seconds(gateway.pid),
        "store": cpu_seconds(service.engine.process.pid),
        "kafka": sum(cpu_seconds(pid) for pid in beside),
    }


@contextmanager
def place(point: Point, folder: Path) -> Iterator[tuple[Service, Settings, list[int]]]:
    """A service for a point, and the processes beside it."""
    given: dict[str, Any] = {"broker": point.broker, "port": 0, "log_level": "error", "data": folder / "data"}
    with ExitStack() as stack:
        beside = []
        if point.broker == "kafka":
            kafka = LocalKafka(folder / "kafka")
            stack.callback(kafka.stop)
            kafka.start()
            given |= {"kafka": kafka.servers, "app": "scale"}
            beside = [node.process.pid for node in kafka.nodes if node.process is not None]
        settings = load_settings(**given)
        yield stack.enter_context(running_service(settings, point.workers)), settings, beside


def main() -> int:
    """QUICK=1 for a short run. The last line is JSON."""
    set_up_logging("bench", "pretty", "error")
    quick = os.environ.get("QUICK") == "1"
    seconds = 5.0 if quick else 15.0
    allow_many_streams()
    report: dict[str, Any] = {"quick": quick, "models": form(), "rate": RATE, "seconds": seconds, "points": []}
    try:
        made = templates()
        for point in points(quick):
            with tempfile.TemporaryDirectory(prefix="segue-scale-") as name, place(point, Path(name)) as found:
                service, settings, beside = found
                assert service.engine is not None
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    one = runner.run(measure(point, service, made, service.engine.url, settings.partitions, seconds, beside))
            report["points"].append(one)
            print(f"  {point.broker:10} {point.learners:>9,} learners {point.workers} workers {point.streams:>6,} streams"
                  f"   {one['us_per_event']:6.0f} us an event   {one['bytes_per_learner']:5} B a learner"
                  f"   p99 {one['p99_ms']:.1f} ms" + (" (QUICK: less certain)" if quick else ""), flush=True)  # fmt: skip
    except Exception as fault:
        print(json.encode({**report, "error": f"{type(fault).__name__}: {fault}"}).decode())
        return 1
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "scale.json").write_bytes(json.format(json.encode(report), indent=1) + b"\n")
    service_plots.scale(report, RESULTS)
    print(json.encode(report).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
