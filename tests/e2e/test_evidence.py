"""Evidence of a running service: the commands prove it whole, report it, and find what somebody took out of the store."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from schemas import topics
from schemas.evidence import decode_evidence
from simulator.client import Client
from streams.kafka.local import LocalKafka
from streams.keys import PartitionKeys
from streams.wire import Wire
from tests.e2e.harness import Running, reader, running, until
from tests.e2e.test_replay import broker
from tests.factories import course_json

__all__ = ["broker"]
LEARNERS = ("ana", "bob")


def ran(place: Running, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = place.settings
    environment = {"SEGUE_DATA": str(given.data), "SEGUE_PARTITIONS": str(given.partitions)}
    if given.broker == "kafka":
        environment |= {"SEGUE_BROKER": "kafka", "SEGUE_KAFKA": given.kafka, "SEGUE_APP": given.app,
                        "SEGUE_TOPIC_PREFIX": given.topic_prefix, "SEGUE_REDIS_URL": place.redis_url}  # fmt: skip
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=90
    )


async def learn(client: Client, learner: str) -> None:
    """Follow decisions until the compulsory segment came; render and complete what comes."""
    opened, wanted = asyncio.Event(), asyncio.Event()

    async def follow() -> None:
        async for told in client.follow("tiny", learner, opened=opened):
            decision = told.decision
            if decision["segment"] == "b3" and decision["arm"] == "compulsory":
                wanted.set()

    def event(kind: str, segment: str, **fields: Any) -> dict[str, Any]:
        return {"id": str(uuid4()), "type": kind, "learner": learner, "course": "tiny", "segment": segment, **fields}

    following = asyncio.create_task(follow())
    await opened.wait()
    for segment in ("a1", "a2", "a3", "b1", "b2"):
        await client.send([event("viewed", segment), event("completed", segment)])
    async with asyncio.timeout(30):
        await wanted.wait()
    await client.send([event("rendered", "b3", content_hash="c0ffee", decision=5), event("completed", "b3")])
    following.cancel()


async def test_evidence_is_whole_reported_and_its_loss_found(tmp_path: Path, broker: LocalKafka | None) -> None:
    with running(tmp_path, broker) as place:
        async with Client(place.service.url, place.service.key) as client, reader(place) as read:
            await client.publish(course_json())
            await asyncio.gather(*(learn(client, learner) for learner in LEARNERS))
            refused = await client_refuses_delivered(client)
            assert "Only gateways" in refused

            async def delivered_by_all() -> bool:
                await read.settled()
                found = [decode_evidence(record.value) for _, record in await read.topic(topics.EVIDENCE)]
                return {each.row for each in found if each.kind == "delivered"} == {
                    f"default/tiny/1/{name}" for name in LEARNERS
                }

            await until(delivered_by_all)
            await read.check()
        whole = await asyncio.to_thread(ran, place, "evidence", "verify", "--json")
        assert whole.returncode == 0, whole.stdout + whole.stderr
        assert json.loads(whole.stdout)["whole"] is True and json.loads(whole.stdout)["rows"] == len(LEARNERS)
        await asyncio.to_thread(the_report_says_so, place)
        if place.settings.broker == "standalone":
            await take_one_out(place)
            found = await asyncio.to_thread(ran, place, "evidence", "verify")
            assert found.returncode == 1 and "missing" in found.stdout
            rested = await asyncio.to_thread(ran, place, "evidence", "report")
            assert rested.returncode == 1 and "completed" in rested.stdout and "not as it was written" in rested.stderr
        typo = await asyncio.to_thread(ran, place, "evidence", "report", "--course", "tny")
        assert typo.returncode == 1 and "there are tiny" in typo.stderr


async def client_refuses_delivered(client: Client) -> str:
    fine = {"id": str(uuid4()), "type": "viewed", "learner": "ana", "course": "tiny", "segment": "a1"}
    answer = await client.send([fine, {**fine, "id": str(uuid4()), "type": "delivered", "decision": 1}])
    return str(answer["rejected"][0]["detail"])


def the_report_says_so(place: Running) -> None:
    lines = json.loads(ran(place, "evidence", "report", "--json").stdout)["lines"]
    assert [(line["learner"], line["segment"], line["state"]) for line in lines] == [
        (learner, "b3", "completed") for learner in LEARNERS
    ]
    assert all(line["rendered"] and line["delivered"] and line["decided"] and line["content"] == "c0ffee" for line in lines)
    table = list(csv.DictReader(ran(place, "evidence", "report", "--csv", "--learner", "ana").stdout.splitlines()))
    assert [(line["learner"], line["compulsory"]) for line in table] == [("ana", "True")]
    assert datetime.fromisoformat(table[0]["completed"]).tzinfo is not None
    assert "completed" in ran(place, "evidence", "report").stdout


async def take_one_out(place: Running) -> None:
    """Somebody with access to the store deletes a record from the middle of a chain."""
    wire = Wire(place.redis_url)
    try:
        for partition in range(place.settings.partitions):
            stream = PartitionKeys.of(partition).topic(topics.EVIDENCE)
            entries = await wire.call("XRANGE", stream, "-", "+")
            if len(entries) > 2:
                await wire.call("XDEL", stream, entries[1][0])
                return
        raise AssertionError("no evidence to take out")
    finally:
        await wire.aclose()
