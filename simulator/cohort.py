"""A cohort of simulated learners going through a course by Segue's decisions, for as long as they are given.

Each learner asks for a first segment, reports it rendered, answers its items, completes it, and follows the next decision.
Now and then one rates a segment, says "not now", or says "I know this" and answers the questions of the probe.
The clock of the course runs faster than ours; only the pauses between answers are shortened, never the service's work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from simulator.client import Client, opened_or_failed
from simulator.learners import SimulatedLearner

PATIENCE_SECONDS = 30.0
RATES, OVERRIDES = 0.15, 0.05


@dataclass(slots=True)
class CohortTally:
    """What the cohort saw."""

    accepted: int = 0
    due: int = 0
    decisions: int = 0
    double: int = 0
    finished: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Accepted events that ask for a decision and never got one."""
        return self.due - self.decisions


class Cohort:
    """Runs learners through `course` (its JSON). `shown` is told each decision with its latency in milliseconds."""

    def __init__(self, client: Client, course: dict[str, Any], run: str, *, seed: int, pause_seconds: float,
                 shown: Callable[[str, dict[str, Any], float], None]) -> None:  # fmt: skip
        self._client = client
        self._course = course
        self._segments = {segment["id"]: segment for segment in course["segments"]}
        self._items = {item["id"]: item for segment in course["segments"] for item in segment.get("items", [])}
        self._run = run
        self._seed = seed
        self._pause = pause_seconds
        self._shown = shown
        self.tally = CohortTally()

    async def go(self, learners: int, seconds: float) -> CohortTally:
        """Let `learners` go for `seconds`; everyone finishes the step they are in."""
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, learners + 1):
                tasks.create_task(self._live(f"learner-{number:03d}", until))
        return self.tally

    async def _live(self, name: str, until: float) -> None:
        skills = [skill["id"] for skill in self._course.get("skills", [])]
        life = _Life(self, SimulatedLearner.born(name, self._seed, skills), datetime.now(UTC))
        opened = asyncio.Event()
        reading = asyncio.create_task(life.read(opened))
        await opened_or_failed(opened, reading)
        decision = await life.tell({"type": "requested"})
        while decision is not None and decision["segment"] is not None and time.monotonic() < until:
            decision = await life.follow(decision)
        self.tally.finished += decision is not None and decision["segment"] is None
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


class _Life:
    """One learner at one player."""

    def __init__(self, cohort: Cohort, learner: SimulatedLearner, start: datetime) -> None:
        self._cohort = cohort
        self._learner = learner
        self._at = start
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._seen: set[int] = set()

    async def follow(self, decision: dict[str, Any]) -> dict[str, Any] | None:
        """Do what a decision says, or say otherwise; the decision after it."""
        segment, random = self._cohort._segments[decision["segment"]], self._learner.random
        if decision.get("probe"):
            return await self._answer(segment, self._cohort._items[decision["probe"]["item"]])
        if random.random() < OVERRIDES:
            action = random.choice(("know", "not_now"))
            return await self.tell({"type": "overridden", "action": action, "segment": segment["id"]})
        after = await self._study(segment)
        if random.random() < RATES:
            rating = {"type": "rated", "segment": segment["id"], "rating": random.randint(2, 5)}
            await self.tell(rating, asks=False)
        return after

    async def _study(self, segment: dict[str, Any]) -> dict[str, Any] | None:
        await self.tell({"type": "rendered", "segment": segment["id"]}, asks=False)
        for item in segment.get("items", []):
            await self._answer(segment, item)
        return await self.tell({"type": "completed", "segment": segment["id"]})

    async def _answer(self, segment: dict[str, Any], item: dict[str, Any]) -> dict[str, Any] | None:
        right, latency_ms = self._learner.answer(segment, item)
        self._at += timedelta(milliseconds=latency_ms)
        decision = await self.tell({"type": "answered", "segment": segment["id"], "item": item["id"], "correct": right,
                                    "latency_ms": latency_ms})  # fmt: skip
        await asyncio.sleep(self._cohort._pause * self._learner.random.uniform(0.5, 1.5))
        return decision

    async def tell(self, fields: dict[str, Any], *, asks: bool = True) -> dict[str, Any] | None:
        """Send an event; wait for its decision when it asks for one."""
        cohort, name = self._cohort, str(uuid4())
        event = {"id": name, "learner": self._learner.name, "course": cohort._course["id"], "run": cohort._run,
                 "at": self._at.isoformat(), **fields}  # fmt: skip
        arrived = self._waiting[name] = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        taken = await cohort._client.send(event)
        cohort.tally.accepted += len(taken["accepted"])
        if not asks:
            return None
        cohort.tally.due += len(taken["accepted"])
        try:
            decision: dict[str, Any] = await asyncio.wait_for(arrived, PATIENCE_SECONDS)
        except TimeoutError:
            return None
        latency_ms = (time.perf_counter() - start) * 1000
        cohort.tally.decisions += 1
        cohort.tally.latencies_ms.append(latency_ms)
        cohort._shown(self._learner.name, decision, latency_ms)
        return decision

    async def read(self, opened: asyncio.Event) -> None:
        """Follow the adaptation topic."""
        cohort = self._cohort
        async for told in cohort._client.follow(cohort._course["id"], self._learner.name, cohort._run, opened):
            seq = told.decision["seq"]
            if seq in self._seen:
                cohort.tally.double += 1
                continue
            self._seen.add(seq)
            waiting = self._waiting.pop(told.decision["for_event"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(told.decision)
