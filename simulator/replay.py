"""Stream a real log through a running service, each learner waiting for a decision before the next response.

At most `IN_FLIGHT` learners are on their way at once; events start in the log's order. Counts are the client's own: what was
accepted, which decisions came over the adaptation topic, and what never did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulator.client import Client, opened_or_failed
from simulator.logs import Log
from simulator.scores import auc, log_loss, percentile, rounded

IN_FLIGHT = 64
QUEUED = 2
PATIENCE_SECONDS = 120.0


@dataclass(slots=True)
class Tally:
    """What the client saw."""

    events: int = 0
    accepted: int = 0
    decisions: int = 0
    repeated: int = 0
    pairs: list[tuple[float, bool]] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """The fields of `make replay`'s last line."""
        return {
            "events": self.events,
            "accepted": self.accepted,
            "decisions": self.decisions,
            "lost": self.accepted - self.decisions,
            "double": self.repeated,
            "auc": rounded(auc(self.pairs)),
            "log_loss": rounded(log_loss(self.pairs)),
            "p50_ms": rounded(percentile(self.latencies_ms, 0.50), 2),
            "p99_ms": rounded(percentile(self.latencies_ms, 0.99), 2),
        }


class Replay:
    """One replay through one gateway."""

    def __init__(self, client: Client, log: Log, run: str, progress: Callable[[Tally], None]) -> None:
        self._client = client
        self._log = log
        self._run = run
        self._progress = progress
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.tally = Tally(events=len(log.events))

    async def go(self) -> Tally:
        """Publish the course, send everything, and return what was seen."""
        await self._client.hello()
        await self._client.publish(self._log.course)
        last = {learner: place for place, (learner, _) in enumerate(self._log.events)}
        learners: dict[str, _Learner] = {}
        async with asyncio.TaskGroup() as tasks:
            for place, (name, event) in enumerate(self._log.events):
                if name not in learners:
                    learners[name] = _Learner(self._client, self._log.course["id"], name, self._run, self.tally, self._slots)
                    tasks.create_task(learners[name].run())
                await learners[name].give(event, final=last[name] == place)
                self._progress(self.tally)
        self._progress(self.tally)
        return self.tally


class _Learner:
    """One learner's way through the log: answer, wait for the decision, answer the next."""

    def __init__(self, client: Client, course: str, name: str, run: str, tally: Tally, slots: asyncio.Semaphore) -> None:
        self._client = client
        self._course = course
        self._name = name
        self._run = run
        self._tally = tally
        self._slots = slots
        self._queue: asyncio.Queue[tuple[dict[str, Any], bool]] = asyncio.Queue(QUEUED)
        self._busy = False
        self._seen: set[int] = set()
        self._arrived: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def give(self, event: dict[str, Any], *, final: bool) -> None:
        """Queue an event; takes one of the places in flight while this learner has any to send."""
        if not self._busy:
            await self._slots.acquire()
            self._busy = True
        await self._queue.put((event, final))

    async def run(self) -> None:
        """Send what is given, until the final event has its decision."""
        opened = asyncio.Event()
        reading = asyncio.create_task(self._read(opened))
        await opened_or_failed(opened, reading)
        final = False
        while not final:
            if self._queue.empty() and self._busy:
                self._busy = False
                self._slots.release()
            event, final = await self._queue.get()
            await self._answer(event)
        if self._busy:
            self._slots.release()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def _answer(self, event: dict[str, Any]) -> None:
        arrived = self._arrived[event["id"]] = asyncio.get_running_loop().create_future()
        start = time.perf_counter()
        taken = await self._client.send(event)
        self._tally.accepted += len(taken["accepted"])
        try:
            decision = await asyncio.wait_for(arrived, PATIENCE_SECONDS)
        except TimeoutError:
            return
        finally:
            self._arrived.pop(event["id"], None)
        self._tally.latencies_ms.append((time.perf_counter() - start) * 1000)
        self._tally.decisions += 1
        if decision["predicted"] is not None:
            self._tally.pairs.append((decision["predicted"], event["correct"]))

    async def _read(self, opened: asyncio.Event) -> None:
        async for told in self._client.follow(self._course, self._name, self._run, opened):
            if told.decision["seq"] in self._seen:
                self._tally.repeated += 1
                continue
            self._seen.add(told.decision["seq"])
            waiting = self._arrived.get(told.decision["for_event"])
            if waiting is not None and not waiting.done():
                waiting.set_result(told.decision)
