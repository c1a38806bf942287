"""`make bench-latency`: event to decision at the client, beside the bare echo of the same engine and the same edges echoing.

All systems of a broker run at once and are measured in turns, round after round, so that a noisy minute hits all of them.
Reported are medians over rounds. `segue` and `edge` go HTTP in, SSE out; `echo` goes through the engine alone. Then, so that
they disturb nothing above: first events after pauses, single POSTs until the machine is saturated, and on Kafka peers that
run the same step from topic to topic, in turns with ours.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import uuid4

import uvloop
from msgspec import json

from benchmarks import service_plots
from benchmarks.asked import brokers
from benchmarks.latency_systems import Send, Target, child, over_http, over_kafka, over_peer, over_valkey
from benchmarks.throughput import install_peers
from cli.kafka import local_kafka
from cli.process import collect_seldom
from cli.service import Service, running_service
from runtime.compiled import form
from runtime.logging import set_up_logging
from runtime.settings import Settings, load_settings

RATES = {200: 1, 1_000: 10}
"""Events a second: events a POST."""
SINGLES = (200, 400, 600, 800, 1_000, 1_250, 1_500, 2_000)
"""Events a second, one a POST, to find where the machine is saturated."""
SATURATED_MS = 100.0
PEERS = ("quixstreams", "faust_table")

RESULTS = Path(__file__).parent / "results"


async def measure(broker: str, segue: Service, edge: Service, settings: Settings, rounds: int, seconds: float,
                  idle: int) -> dict[str, Any]:  # fmt: skip
    """All rounds of one broker."""
    async with AsyncExitStack() as stack:
        if broker == "standalone":
            assert segue.engine is not None
            echo = await over_valkey(stack, segue.engine.url)
        else:
            echo = await over_kafka(stack, settings.kafka)
        systems = [await over_http(stack, "segue", segue), await over_http(stack, "edge", edge), echo]
        await _warm_up(systems)
        collect_seldom()  # a full collection in this process is 30 ms that no system took
        found: dict[str, Any] = {}
        for rate in RATES:
            found[str(rate)] = await _rounds(broker, systems, rate, rounds, seconds)
        found["idle"] = await _idle(broker, systems[0], systems[2], idle)
        found["single"] = await _single(broker, *systems[0], seconds)
        if broker == "kafka":
            peers = [await over_peer(stack, name, settings.kafka, settings.data) for name in PEERS]
            await _warm_up(peers)
            turns = [systems[0], *peers, systems[2]]
            found["peers"] = {str(rate): await _rounds(broker, turns, rate, (rounds + 1) // 2, seconds) for rate in RATES}
        return found


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
            samples[target.name].append(await target.load(send, rate, seconds, RATES[rate]))
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


async def _single(broker: str, target: Target, send: Send, seconds: float) -> dict[str, Any]:
    """One event a POST, faster and faster, until the slowest hundredth waits longer than SATURATED_MS."""
    found: dict[str, Any] = {"kept": 0}
    for rate in SINGLES:
        p50, p99 = await target.load(send, rate, seconds)
        found[str(rate)] = [round(p50, 2), round(p99, 2)]
        print(f"  {broker} {rate:>5}/s, one a POST: p50/p99 ms  segue {p50:.1f}/{p99:.1f}", flush=True)
        if p99 > SATURATED_MS:
            break
        found["kept"] = rate
    return found


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
            stack.enter_context(child(sys.executable, "-m", "benchmarks.echo", "standalone", segue.engine.url))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(broker, segue, edge, ours, rounds, seconds, idle))


def main() -> int:
    """Brokers from the command line; QUICK=1 for a short run. The last line is JSON."""
    set_up_logging("bench", "pretty", "error")
    quick, asked = os.environ.get("QUICK") == "1", brokers(sys.argv[1] if len(sys.argv) > 1 else "standalone,kafka")
    rounds, seconds, idle = (3, 4.0, 3) if quick else (7, 8.0, 20)
    report: dict[str, Any] = {"quick": quick, "models": form(), "rounds": rounds, "seconds": seconds}
    try:
        if "kafka" in asked:
            install_peers()
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
