"""The fault matrix on real processes. The quick rows run with every test; `make faults` runs them all, one by one."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest
import redis

from cli.service import tended
from simulator.client import Client, Told
from streams.kafka.local import missing_tools
from streams.wire import Wire
from tests.e2e.harness import Running, reader, running, until
from tests.factories import course_json
from tests.faults import disk, network
from tests.faults.chaos import under_fire
from tests.faults.stage import Stage, faults_of, stage
from tests.require import need
from tests.streams.test_appendonly import kill, started

ALL = os.environ.get("SEGUE_FAULTS") == "all"
CLEAN = dict.fromkeys(("lost", "double", "phantom", "gaps", "conflicts", "rows_differ", "evidence_findings"), 0)


def check(found: dict[str, Any]) -> None:
    """Nothing lost, nothing twice, no two stories."""
    assert {name: found[name] for name in CLEAN} == CLEAN, found
    assert found["accepted"] > 200 and found["decisions_seen_by_subscribers"] > 10


@pytest.mark.slow
def test_standalone_survives_what_hits_it(tmp_path: Path) -> None:
    faults = ("kill_worker", "poison", "kill_gateway", "corrupt_row", "kill_store", "stop_worker", "later_schema",
              "kill_lessons")  # fmt: skip
    check(under_fire("standalone", tmp_path, faults))


@pytest.mark.slow
@pytest.mark.kafka
def test_kafka_survives_zombies_and_a_store_without_memory(tmp_path: Path) -> None:
    need("kafka", missing_tools())
    check(under_fire("kafka", tmp_path, ("freeze_worker", "wipe_store", "store_forgets", "poison", "kill_both"), brokers=1))


def post(place: Stage, learner: str, **headers: str) -> httpx.Response:
    """One answer of a learner."""
    event = {"id": str(uuid4()), "type": "answered", "learner": learner, "course": "tiny", "segment": "a1", "item": "i",
             "correct": True, "latency_ms": 900}  # fmt: skip
    given = {"Authorization": f"Bearer {place.service.key}", **headers}
    return httpx.post(f"{place.service.url}/v1/events", json=event, headers=given, timeout=20.0)


def latest(place: Stage, learner: str) -> httpx.Response:
    """A learner's latest decision, as asked for."""
    path = f"/v1/courses/tiny/learners/{learner}/decision"
    return httpx.get(place.service.url + path, headers={"Authorization": f"Bearer {place.service.key}"}, timeout=20.0)


async def publish(place: Stage) -> None:
    async with Client(place.service.url, place.service.key) as client:
        await client.publish(course_json())


async def told_since(place: Running, cursor: str, most: int) -> tuple[list[Told], bool]:
    """Decisions of ana from a cursor on, and whether the gateway says that nothing is missing."""
    url, found = "/.well-known/mercure?match=/courses/tiny/learners/ana/decisions", list[Told]()
    headers = {"Authorization": f"Bearer {place.service.key}", **({"Last-Event-ID": cursor} if cursor else {})}
    async with (
        asyncio.timeout(30.0),
        httpx.AsyncClient(base_url=place.service.url, headers=headers, timeout=20.0) as web,
        web.stream("GET", url) as stream,
    ):
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            cursor = value if name == "id" else cursor
            if name == "data":
                found.append(Told(json.loads(value), cursor))
            if len(found) == most or (name == "id" and not most):
                return found or [Told({}, cursor)], stream.headers.get("mercure-last-event-id") != "gap"
    raise AssertionError("the stream ended")


@pytest.mark.slow
async def test_a_number_used_again_after_a_power_cut_is_not_taken_for_seen(tmp_path: Path) -> None:
    folder, kept = tmp_path / "d", tmp_path / "disk"

    async def answer(client: Client, count: int) -> None:
        for _ in range(count):
            await client.send({"id": str(uuid4()), "type": "answered", "learner": "ana", "course": "tiny", "segment": "a1",
                               "item": "i", "correct": True, "latency_ms": 900})  # fmt: skip

    with running(tmp_path, None) as place:
        async with Client(place.service.url, place.service.key) as client:
            await client.publish(course_json())
            ((_, start),), _ = await told_since(place, "", 0)
            await answer(client, 2)
            await told_since(place, start, 2)
            shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("*.sock", "lock"))
            await answer(client, 2)
        seen, whole = await told_since(place, start, 4)
        assert whole and [each.decision["seq"] for each in seen] == [1, 2, 3, 4]
    shutil.rmtree(folder)
    kept.rename(folder)  # what was on disk when the power went
    number, _, end = (folder / "epoch").read_text().split(" ")
    assert (number, end) == ("0", "running")
    (folder / "epoch").write_text("0 another-start-of-the-machine running")
    with running(tmp_path, None) as place:
        async with Client(place.service.url, place.service.key) as client:
            await answer(client, 2)
        again, whole = await told_since(place, seen[-1].cursor, 4)
        assert not whole and [each.decision["seq"] for each in again] == [1, 2, 3, 4]
        same = [a.decision == b.decision for a, b in zip(seen, again, strict=True)]
        assert same == [True, True, False, False], "what survived is the same, what came after has other events"
        later, whole = await told_since(place, again[1].cursor, 2)
        assert whole and [each.decision["seq"] for each in later] == [3, 4], "in the new epoch cursors hold again"
        async with reader(place) as read:
            await read.check()


@pytest.mark.slow
@pytest.mark.kafka
def test_a_broker_that_is_gone_means_503_and_never_a_false_202(tmp_path: Path) -> None:
    need("kafka", missing_tools())
    with stage("kafka", tmp_path, Random(1), brokers=1) as place:

        async def go() -> None:
            assert place.kafka is not None
            await publish(place)
            assert (await asyncio.to_thread(post, place, "ana")).status_code == 202
            (node,) = place.kafka.nodes
            assert node.process is not None
            node.process.kill()
            node.process.wait()
            answers = await asyncio.gather(*(asyncio.to_thread(post, place, f"l{n}") for n in range(4)))
            assert {answer.status_code for answer in answers} == {503}
            place.kafka.start_node(node)
            await asyncio.to_thread(place.kafka.wait_for, node)

            async def accepted() -> bool:
                return (await asyncio.to_thread(post, place, "ana")).status_code == 202

            await until(accepted, 90)
            async with reader(Running(place.service, place.settings)) as read:
                await read.check()

        asyncio.run(tended(place.service, go()))


if ALL:
    NETWORK, DISK = network.missing() is None, disk.missing() is None

    @pytest.mark.parametrize("fault", faults_of("standalone", network=False, disk=DISK))
    def test_every_fault_standalone(tmp_path: Path, fault: str) -> None:
        check(under_fire("standalone", tmp_path, (fault, fault), disk=DISK))

    @pytest.mark.parametrize("fault", faults_of("kafka", network=NETWORK, disk=DISK))
    def test_every_fault_on_kafka(tmp_path: Path, fault: str) -> None:
        check(under_fire("kafka", tmp_path, (fault, fault), network=NETWORK, disk=DISK))

    def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
        need("mount", disk.missing())
        with disk.small_disk(tmp_path / "disk", "64M") as small, stage("standalone", small, Random(1)) as place:

            async def go() -> None:
                await publish(place)
                assert (await asyncio.to_thread(post, place, "ana")).status_code == 202
                with disk.full(small):
                    statuses = set[int]()
                    for number in range(60):
                        statuses.add((await asyncio.to_thread(post, place, f"l{number}")).status_code)
                        await asyncio.sleep(0.05)
                assert 503 in statuses and statuses <= {202, 503}

                async def accepted() -> bool:
                    return (await asyncio.to_thread(post, place, "ana")).status_code == 202

                await until(accepted)
                async with reader(Running(place.service, place.settings)) as read:
                    await read.check()

            asyncio.run(tended(place.service, go()))

    def test_a_store_killed_while_the_disk_is_full_loses_nothing(tmp_path: Path) -> None:
        need("mount", disk.missing())
        with disk.small_disk(tmp_path / "disk", "64M") as small:
            acknowledged = set[bytes]()
            with started(small / "data") as (engine, client):
                for number in range(3):
                    with disk.full(small):
                        end = time.monotonic() + 0.6
                        while time.monotonic() < end:
                            try:
                                acknowledged.add(client.xadd("log", {"value": "x" * 2_000}))
                            except redis.RedisError:
                                time.sleep(0.01)
                        kill(engine)
                    assert engine.tend()
                    assert acknowledged <= {entry for entry, _ in client.xrange("log")}, number

    def test_ten_thousand_learners_are_rebuilt_while_the_service_answers(tmp_path: Path) -> None:
        with stage("kafka", tmp_path, Random(1), brokers=1) as place:

            async def go() -> float:
                await publish(place)
                async with Client(place.service.url, place.service.key) as client:
                    for start in range(0, 10_000, 200):
                        await client.send([
                            {"id": str(uuid4()), "type": "answered", "learner": f"l{n}", "course": "tiny", "segment": "a1",
                             "item": "i", "correct": n % 2 == 0, "latency_ms": 900} for n in range(start, start + 200)
                        ])  # fmt: skip
                async with reader(Running(place.service, place.settings)) as read:
                    await read.settled()
                    await asyncio.sleep(2 * place.settings.checkpoint_seconds)
                    wire = Wire(place.redis_url)
                    await wire.call("FLUSHALL")
                    await wire.aclose()
                    wiped = time.monotonic()
                    answer = await asyncio.to_thread(post, place, "l1", Prefer="wait=300")
                    assert answer.status_code == 200 and answer.json()["segment"], "it answers, by a fallback if need be"

                    async def rebuilt() -> bool:
                        looks = [await read.view.look(partition) for partition in range(place.settings.partitions)]
                        return all(look.applied is not None for look in looks)

                    await until(rebuilt)
                    seconds = time.monotonic() - wiped
                    counts = await read.check()
                    assert counts["applied"] == 10_001
                    answer = await asyncio.to_thread(latest, place, "l5")
                    assert answer.status_code == 404 and "Decision 1 stands in topic decisions" in answer.json()["detail"]
                    return seconds

            print(f"10,000 learners rebuilt in {asyncio.run(tended(place.service, go())):.1f} s")
