"""`make bench-throughput`: one worker drained flat out, beside peers that run the same step; CPU per event is what counts.

Interleaved rounds: every system in turn gets fresh topics, filled beforehand, and drains them. Progress and CPU time (all
threads of the process) are read from outside, the same way for all, from the first decision on to the last.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import uuid4

import redis
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from msgspec import convert

from benchmarks import service_plots
from benchmarks.cpu import family_cpu_seconds
from benchmarks.peers import PARTITIONS, Model, answered, course, logged
from cli.kafka import local_kafka
from cli.parts import cluster_of
from runtime.compiled import form
from runtime.logging import set_up_logging
from runtime.settings import Settings
from schemas import topics
from schemas.codec import encode_json
from schemas.course import Course
from schemas.interaction import Outgoing
from streams.engine import Engine
from streams.kafka.producer import KafkaProducer
from streams.kafka.topics import ensure_topics
from streams.keys import PartitionKeys

RESULTS = Path(__file__).parent / "results"
SYSTEMS = ("segue", "echo", "faust_table", "quixstreams")
LEARNERS = 200
PEERS = Path(".venv-peers")
QUIX = "quixstreams==3.28.1"
PATIENCE_SECONDS = 180.0


def events(count: int) -> list[Outgoing]:
    """Answers of learners, as the gateway writes them."""
    random = Random(3)
    return [logged(answered(random, LEARNERS, str(uuid4()))) for _ in range(count)]


def model_us(given: list[Outgoing]) -> float:
    """CPU of the step alone, microseconds an event: decode, row, update, decide, encode."""
    best = []
    for _ in range(3):
        model, rows = Model(), dict[bytes, bytes]()
        start = time.process_time()
        for each in given:
            rows[each.key], _ = model.work(each.key, each.value, each.headers, rows.get(each.key))
        best.append((time.process_time() - start) / len(given) * 1e6)
    return median(best)


async def fill(settings: Settings, name: str, given: list[Outgoing]) -> None:
    """Topics of one round of one system, filled."""
    cluster = cluster_of(settings)
    producer = KafkaProducer(cluster)
    if name == "segue":
        await ensure_topics(cluster)
        await producer.start()
        key = b"default/bench/1"
        await producer.append([Outgoing(topics.COURSES, 0, key, encode_json(convert(course(), Course)))])
    else:
        await make_topics(settings.kafka, settings.topic_prefix, PARTITIONS)
        await producer.start()
        given = [each._replace(topic="in") for each in given]
    for at in range(0, len(given), 500):
        await producer.append(given[at : at + 500])
    await producer.stop()


async def make_topics(servers: str, prefix: str, partitions: int) -> None:
    """Topics `in` and `out` of a peer."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(prefix + name, partitions, 1) for name in ("in", "out")])
    await admin.close()


async def drain(settings: Settings, name: str, process: subprocess.Popen[bytes], count: int) -> tuple[float, float]:
    """Events a second and CPU microseconds an event, from the first decision to the last."""
    cluster = cluster_of(settings)
    topic = cluster.topic(topics.DECISIONS if name == "segue" else "out")
    reader = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await reader.start()
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    first: tuple[float, float, int] | None = None
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            done = sum((await reader.end_offsets(places)).values())
            now, cpu = time.perf_counter(), family_cpu_seconds(process.pid)
            begun = applied(settings) if name == "segue" and first is None else done
            if first is None and begun > 0:
                first = (now, family_cpu_seconds(process.pid), begun)
            if first is not None and done >= count:
                began, spent, had = first
                return (done - had) / (now - began), (cpu - spent) / (done - had) * 1e6
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}")
            await asyncio.sleep(0.02)
    finally:
        await reader.stop()
    raise RuntimeError(f"{name} did not drain {count} events in {PATIENCE_SECONDS:.0f} s")


def applied(settings: Settings) -> int:
    """How many events our worker has computed: it sends decisions a little later, and that lead must not count for us."""
    with redis.Redis.from_url(Engine(settings.data).url) as client:
        found = [client.hget(PartitionKeys.of(partition).state, "applied") for partition in range(PARTITIONS)]
    return sum(int(str(value, "ascii")) + 1 for value in found if isinstance(value, bytes))


def run_once(name: str, kafka: str, given: list[Outgoing], folder: Path) -> tuple[float, float]:
    """One system, fresh topics, a fresh process."""
    prefix = f"{name}-{uuid4().hex[:6]}."
    data = folder / prefix
    settings = Settings(broker="kafka", kafka=kafka, app=prefix, topic_prefix=prefix, partitions=PARTITIONS, data=data)
    asyncio.run(fill(settings, name, given))
    with ExitStack() as stack:
        environment = dict(os.environ)
        if name == "segue":
            engine = Engine(data)
            engine.start()
            stack.callback(engine.stop)
            environment |= {"SEGUE_BROKER": "kafka", "SEGUE_KAFKA": kafka, "SEGUE_APP": prefix, "SEGUE_TOPIC_PREFIX": prefix,
                            "SEGUE_PARTITIONS": str(PARTITIONS), "SEGUE_REDIS_URL": engine.url,
                            "SEGUE_LOG_LEVEL": "error"}  # fmt: skip
            command = [sys.executable, "-m", "cli.main", "worker"]
        else:
            command = [python_of(name), "-m", "benchmarks.peers", name, kafka, prefix, str(data)]
        process = subprocess.Popen(
            command,
            env=environment | {"PYTHONPATH": "."},
            stderr=None if os.environ.get("SEGUE_LOUD") else subprocess.DEVNULL,
        )
        try:
            return asyncio.run(drain(settings, name, process, len(given)))
        finally:
            process.kill()
            process.wait()


def python_of(name: str) -> str:
    """The Python that a peer runs in."""
    return str(PEERS / "bin" / "python") if name == "quixstreams" else sys.executable


def install_peers() -> None:
    """quixstreams in an environment of its own: it wants older packages than we do."""
    if not (PEERS / "bin" / "python").exists():
        print(f"Installing {QUIX} into {PEERS} (once) ...", flush=True)
        uv = ".bootstrap/bin/uv"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(PEERS)], check=True)
        wanted = [QUIX, "msgspec", "river", "prometheus-client"]
        subprocess.run([uv, "pip", "install", "-q", "--python", str(PEERS / "bin" / "python"), *wanted], check=True)


def main() -> int:
    """QUICK=1 for a short run. The last line is JSON."""
    set_up_logging("bench", "pretty", "critical")
    quick = os.environ.get("QUICK") == "1"
    rounds, count = (3, 5_000) if quick else (5, 10_000)
    report: dict[str, Any] = {"quick": quick, "models": form(), "rounds": rounds, "events": count}
    try:
        install_peers()
        given = events(count)
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in SYSTEMS}
        models = []
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segue-throughput-")))
            kafka = str(stack.enter_context(local_kafka(folder, print)).get("kafka", os.environ.get("SEGUE_KAFKA", "")))
            for number in range(rounds):
                models.append(model_us(given))
                for name in SYSTEMS:
                    samples[name].append(run_once(name, kafka, given, folder))
                    rate, cpu = samples[name][-1]
                    print(f"  round {number + 1} of {rounds}  {name:12} {rate:8,.0f} events/s  {cpu:7.0f} us CPU an event",
                          flush=True)  # fmt: skip
        report |= summary(samples, models)
    except Exception as fault:
        print(json.dumps({**report, "error": f"{type(fault).__name__}: {fault}"}))
        return 1
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "throughput.json").write_text(json.dumps(report, indent=1) + "\n")
    service_plots.throughput(report, RESULTS)
    print(json.dumps(report))
    return 0


def summary(samples: dict[str, list[tuple[float, float]]], models: list[float]) -> dict[str, Any]:
    """Medians and ratios, as the contract names them."""
    found: dict[str, Any] = {
        name: {
            "events_per_s": round(median(rate for rate, _ in each)),
            "cpu_us_per_event": round(median(cpu for _, cpu in each), 1),
            "cpu_range": [round(min(cpu for _, cpu in each), 1), round(max(cpu for _, cpu in each), 1)],
        }
        for name, each in samples.items()
    }
    cpu, model = {name: found[name]["cpu_us_per_event"] for name in samples}, median(models)
    found["model_us_per_event"] = round(model, 1)
    found["ratio_faust"] = round(cpu["faust_table"] / cpu["segue"], 2)
    found["ratio_quix"] = round(cpu["quixstreams"] / cpu["segue"], 2)
    found["overhead_ratio"] = round((cpu["segue"] - model) / cpu["echo"], 2)
    return found


if __name__ == "__main__":
    sys.exit(main())
