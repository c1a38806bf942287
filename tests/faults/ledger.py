"""The clients' ledger: what they were told of each event, and what they saw of each decision; and the verdict at the end.

ok: answered 202; failed: refused; unknown: no answer, or one that promises nothing. The judge reads log, decisions, rejects
and rows by itself and compares them with a pure in-order run.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random
from statistics import median
from typing import Any
from uuid import uuid4

import aiohttp
from msgspec import json

from agents.chain import Head, verify
from models.row import Row
from schemas import topics
from schemas.codec import decode_interaction
from schemas.errors import Rejection
from schemas.ids import partition_of
from simulator.client import Client
from simulator.scores import percentile
from tests.e2e.harness import Reader
from tests.factories import course_json
from tests.faults.stage import Stage
from tests.reference import reference_run

LEARNERS, FOLLOWED, POSTERS, TOGETHER = 60, 12, 4, 10
RESENT_FROM = 500
"""Events that may be sent again; each is replaced long before its row has 1,024 newer ones, the reach of the promise."""

PATIENCE_SECONDS = 4.0
RECOVERY_SECONDS = 90.0


@dataclass
class Ledger:
    """What clients know."""

    ok: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    told: dict[tuple[str, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Load:
    """Posts events at a steady rate, as apps do: batches, resends, reused ids, late and skewed clocks."""

    def __init__(self, place: Stage, ledger: Ledger, rate: int, seed: int) -> None:
        self.place = place
        self.ledger = ledger
        self.rate = rate
        self.random = Random(seed)
        self.sent: list[dict[str, Any]] = []
        self.course = course_json(
            id="ledger",
            segments=[{**s, "repeatable": True, "compulsory": s["id"] == "b3"} for s in course_json()["segments"]],
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        headers = {"Authorization": f"Bearer {self.place.service.key}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            await asyncio.gather(*(self._poster(session, stop, number) for number in range(POSTERS)))

    async def _poster(self, session: aiohttp.ClientSession, stop: asyncio.Event, number: int) -> None:
        skew_seconds = (-3_600, 0, 0, 3_600)[number % 4]
        pause = POSTERS * TOGETHER / self.rate
        due = time.monotonic() + pause * number / POSTERS
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due + pause, time.monotonic() - 1.0)
            events = [self._event(skew_seconds) for _ in range(TOGETHER)]
            for _ in range(1 + self.random.randrange(4)):
                if await self._post(session, events) or stop.is_set():
                    break
                await asyncio.sleep(0.3)

    async def _post(self, session: aiohttp.ClientSession, events: list[dict[str, Any]]) -> bool:
        """Send once; True when the answer says all there is to know."""
        names = [event["id"] for event in events]
        try:
            async with session.post(f"{self.place.service.url}/v1/events", data=json.encode(events)) as response:
                body, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.ledger.unknown.update(set(names) - self.ledger.ok)
            return False
        if status >= 500:
            self.ledger.unknown.update(set(names) - self.ledger.ok)
            return False
        answer = json.decode(body)
        self.ledger.ok.update(each["id"] for each in answer.get("accepted", ()))
        self.ledger.failed.update(each["id"] for each in answer.get("rejected", ()) if each["id"])
        return True

    def _event(self, skew_seconds: int) -> dict[str, Any]:
        random, fate = self.random, self.random.random()
        if self.sent and fate < 0.11:
            old = random.choice(self.sent)
            return {**old, "correct": not old["correct"]} if fate < 0.01 else old
        segment = random.choice(self.course["segments"])["id"]
        late = random.randrange(3_600) if random.random() < 0.2 else 0
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + skew_seconds - late))
        event = {
            "id": str(uuid4()), "type": "answered", "learner": f"l{random.randrange(LEARNERS)}", "course": "ledger",
            "segment": segment, "item": f"{segment}-{random.randrange(4)}", "correct": random.random() < 0.7, "at": at,
            "latency_ms": random.randrange(500, 60_000), "attempt": 1 + random.randrange(2), "hints": random.randrange(2),
        }  # fmt: skip
        if len(self.sent) >= RESENT_FROM:
            self.sent[random.randrange(RESENT_FROM)] = event
        else:
            self.sent.append(event)
        return event


class Probes:
    """One learner a partition, followed all the time: how long after a fault is there a decision everywhere again?"""

    def __init__(self, client: Client, ledger: Ledger, partitions: int) -> None:
        self.client = client
        self.ledger = ledger
        names = (f"probe-{n}" for n in range(10_000))
        by_partition: dict[int, str] = {}
        for name in names:
            by_partition.setdefault(partition_of("default", name, partitions), name)
            if len(by_partition) == partitions:
                break
        self.learners = list(by_partition.values())
        self.arrived: dict[str, asyncio.Event] = {}

    async def follow(self, learner: str, opened: asyncio.Event) -> None:
        """Note every decision that a learner is told."""
        async for told in self.client.follow("ledger", learner, opened=opened):
            decision = told.decision
            row = f"default/ledger/1/{learner}"
            self.ledger.told[row, decision["seq"]].add(_hash(json.encode(decision)))
            if decision["for_event"] in self.arrived:
                self.arrived[decision["for_event"]].set()

    async def seconds(self) -> float:
        """Until a new event in each partition has its decision at the client."""
        start = time.monotonic()
        async with asyncio.timeout(RECOVERY_SECONDS):
            await asyncio.gather(*(self._one(learner) for learner in self.learners))
        return time.monotonic() - start

    async def _one(self, learner: str) -> None:
        name = str(uuid4())
        self.arrived[name] = asyncio.Event()
        event = {"id": name, "type": "answered", "learner": learner, "course": "ledger", "segment": "a1", "item": "p",
                 "correct": True, "latency_ms": 1_000}  # fmt: skip
        self.ledger.unknown.add(name)
        await self.client.send(event)
        self.ledger.ok.add(name)
        await self.arrived[name].wait()
        del self.arrived[name]


async def judge(read: Reader, ledger: Ledger, partitions: int) -> dict[str, int]:
    """The counts of the contract; all but `accepted` are to be 0."""
    await read.settled()
    pure = await reference_run(read.log, read.shared, partitions)
    in_log: dict[str, int] = defaultdict(int)
    poison = 0
    for partition in range(partitions):
        offset = 0
        while records := await read.log.read(partition, offset, 500):
            offset = records[-1].offset + 1
            for record in records:
                try:
                    in_log[str(decode_interaction(record).event.id)] += 1
                except Rejection:
                    poison += 1
    decisions: dict[str, set[bytes]] = defaultdict(set)
    for _, record in await read.topic(topics.DECISIONS):
        decisions[record.key.decode()].add(_hash(record.value))
    expected = {f"{row}/{seq}": _hash(body) for (row, seq), body in pure.decisions.items()}
    told = {f"{row}/{seq}": bodies for (row, seq), bodies in ledger.told.items()}
    rejects = {(p, r.value) for p, r in await read.topic(topics.REJECTS)}
    conflicts = {name for name, bodies in decisions.items() if bodies != {expected.get(name)}}
    canonical = {f"{row}/{seq}": _hash(json.encode(json.decode(body))) for (row, seq), body in pure.decisions.items()}
    conflicts |= {name for name, bodies in told.items() if bodies != {canonical.get(name)}}
    rows = {key: Row.unpack(packed) for key, packed in pure.rows.items()}
    heads = {key: Head(row.evidence, row.head) for key, row in rows.items() if row.evidence}
    chains = verify((record for _, record in await read.topic(topics.EVIDENCE)), heads)
    rows_differ = 0
    for key, packed in pure.rows.items():
        rows_differ += await read.row(key) != packed
    return {
        "accepted": len(ledger.ok),
        "unknown": len(ledger.unknown - ledger.ok),
        "in_log": sum(in_log.values()),
        "applied": pure.applied,
        "duplicates": pure.duplicates,
        "rejected": pure.rejected,
        "poison": poison,
        "lost": len(ledger.ok - set(in_log)) + abs(len(rejects) - pure.rejected),
        "double": pure.applied - len(pure.applied_ids),
        "phantom": len(pure.applied_ids - ledger.ok - ledger.unknown - pure.by_gateways),
        "gaps": len(set(expected) - set(decisions)),
        "conflicts": len(conflicts),
        "rows_differ": rows_differ,
        "evidence": chains.records,
        "evidence_findings": len(chains.findings) + len(chains.missing_ends),
        "decisions": len(expected),
        "decisions_seen_by_subscribers": len(told),
    }


def recoveries(ledger: Ledger) -> dict[str, Any]:
    """Seconds until every partition decided again, by fault."""
    killed = [seconds for name in ("kill_worker", "kill_both", "kill_gateway") for seconds in ledger.recoveries[name]]
    found = {
        name: {"n": len(each), "p50_s": round(median(each), 2), "p95_s": round(percentile(each, 0.95) or 0.0, 2)}
        for name, each in sorted(ledger.recoveries.items())
        if each
    }
    return {
        "recovery_p50_s": round(median(killed), 2) if killed else None,
        "recovery_p95_s": round(percentile(killed, 0.95) or 0.0, 2) if killed else None,
        "by_fault": found,
    }


def _hash(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
