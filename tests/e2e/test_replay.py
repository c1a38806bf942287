"""Whole services: every accepted response gets its decision, whatever is killed, and rows are those of a pure run."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import pytest

from simulator.client import Client
from simulator.replay import Replay, Tally
from streams.kafka.local import LocalKafka
from streams.wire import Wire
from tests.e2e.harness import Running, kill, reader, running, synthetic_log, until
from tests.require import need

DATA = Path(os.environ.get("SEGUE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.fixture(params=["standalone", pytest.param("kafka", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> LocalKafka | None:
    return request.getfixturevalue("kafka") if request.param == "kafka" else None


async def replay(place: Running, learners: int, answers: int, meanwhile: object = None) -> Tally:
    """Send a synthetic log; `meanwhile(tally)` runs beside it."""
    log = synthetic_log(learners, answers, f"run-{uuid4().hex[:6]}")
    async with Client(place.service.url, place.service.key) as client:
        going = Replay(client, log, log.events[0][1]["run"], lambda tally: None)
        other = asyncio.create_task(meanwhile(going.tally)) if callable(meanwhile) else None
        tally = await going.go()
        if other is not None:
            await other
    assert tally.accepted == len(log.events)
    assert (tally.decisions, tally.repeated) == (tally.accepted, 0)
    return tally


async def test_every_response_gets_its_decision(tmp_path: Path, broker: LocalKafka | None) -> None:
    with running(tmp_path, broker) as place:
        tally = await replay(place, learners=8, answers=20)
        async with reader(place) as read:
            counts = await read.check()
        assert counts["decisions"] == counts["applied"] == tally.accepted


async def test_a_worker_killed_in_the_middle_changes_nothing(tmp_path: Path, broker: LocalKafka | None) -> None:
    with running(tmp_path, broker) as place:

        async def kill_twice(tally: Tally) -> None:
            for share in (0.25, 0.6):
                await until(lambda share=share: tally.decisions >= share * tally.events)  # type: ignore[misc]
                await asyncio.to_thread(kill, place.workers()[0])

        tally = await replay(place, learners=10, answers=40, meanwhile=kill_twice)
        async with reader(place) as read:
            counts = await read.check()
        assert counts["decisions"] == tally.accepted


async def test_a_gateway_killed_in_the_middle_changes_nothing(tmp_path: Path, broker: LocalKafka | None) -> None:
    with running(tmp_path, broker) as place:
        gateway = next(child for child in place.service.supervisor.children if child.name == "gateway")

        async def kill_gateway(tally: Tally) -> None:
            await until(lambda: tally.decisions >= 0.4 * tally.events)
            await asyncio.to_thread(kill, gateway)

        await replay(place, learners=10, answers=30, meanwhile=kill_gateway)
        async with reader(place) as read:
            await read.check()


async def test_the_store_killed_in_the_middle_changes_nothing_standalone(tmp_path: Path) -> None:
    with running(tmp_path, None) as place:
        engine = place.service.engine
        assert engine is not None

        async def kill_store(tally: Tally) -> None:
            await until(lambda: tally.decisions >= 0.4 * tally.events)
            assert engine.process is not None
            engine.process.kill()
            engine.process.wait()
            await asyncio.to_thread(place.service.tend)

        await replay(place, learners=8, answers=30, meanwhile=kill_store)
        async with reader(place) as read:
            await read.check()


@pytest.mark.kafka
async def test_a_store_wiped_in_the_middle_is_rebuilt_and_nothing_is_lost(tmp_path: Path, kafka: LocalKafka) -> None:
    with running(tmp_path, kafka) as place:

        async def wipe_twice(tally: Tally) -> None:
            for share in (0.3, 0.7):
                await until(lambda share=share: tally.decisions >= share * tally.events)  # type: ignore[misc]
                client = Wire(place.redis_url)
                await client.call("FLUSHALL")
                await client.aclose()

        await replay(place, learners=10, answers=40, meanwhile=wipe_twice)
        async with reader(place) as read:
            await read.check()


@pytest.mark.kafka
async def test_a_worker_that_joins_and_one_that_leaves_lose_nothing(tmp_path: Path, kafka: LocalKafka) -> None:
    with running(tmp_path, kafka) as place:
        supervisor, first = place.service.supervisor, place.workers()[0]

        async def join_and_leave(tally: Tally) -> None:
            await until(lambda: tally.decisions >= 0.2 * tally.events)
            supervisor.add("worker", environment=first.environment)
            await until(lambda: tally.decisions >= 0.7 * tally.events)
            assert first.process is not None
            assert (folders := list(Path(gettempdir()).glob(f"segue-faust-{first.process.pid}-*")))
            first.process.terminate()
            assert await asyncio.to_thread(first.process.wait, 20) == 0, "a worker leaves cleanly"
            assert not any(folder.exists() for folder in folders), "and nothing behind"

        await replay(place, learners=12, answers=60, meanwhile=join_and_leave)
        async with reader(place) as read:
            await read.check()


async def test_a_restarted_service_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for _ in range(2):
        with running(tmp_path, None) as place:
            await replay(place, learners=4, answers=10)
            async with reader(place) as read:
                counts = await read.check()
    assert counts["applied"] == 80


@pytest.mark.slow
def test_a_real_log_of_learners_streams_through_and_is_predicted(tmp_path: Path) -> None:
    file = DATA / "lkt_cloze.parquet"
    need("data", None if file.exists() else f"no {file}: set SEGUE_DATA to a folder with learner logs")
    command = [sys.executable, "-m", "cli.main", "replay", str(file), "--learners", "12"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    report = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(rf"[1-9]\S* of {report['events']:,} decisions", ran.stdout), "progress is shown"
    assert report["events"] == report["accepted"] == report["decisions"] > 1_000
    assert (report["lost"], report["double"]) == (0, 0)
    assert report["auc"] > 0.72
