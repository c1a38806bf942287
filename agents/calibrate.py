"""The calibrate agent: learns each course's population from topic `learning` and publishes versions of it.

Comes in: batches of learning records. Goes out: a version every 256 responses or 2 s, whichever is first, as a change
with a full one every 32. A batch is acknowledged only when a published version holds what it taught; what is handed over
again is known by the version's watermark and dropped. Learning itself may happen elsewhere (`agents.lessons`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from agents.books import TopicBooks
from agents.lessons import Ask, Cut, begun
from agents.ports import Batch, SharedLog
from runtime.tasks import retry
from schemas import topics
from schemas.interaction import LogRecord

EVERY_SECONDS = 2.0
Told = Callable[[str, int], None]


class Calibrate:
    """Learns what is offered to it. One a process; `run` owns everything it starts. `lessons` is asked one thing at a time;
    `told` hears the course and number of each version that went out."""

    def __init__(self, log: SharedLog, books: TopicBooks, lessons: Callable[[Ask], Awaitable[list[Cut]]],
                 told: Told | None = None) -> None:  # fmt: skip
        self._log = log
        self._books = books
        self._lessons = lessons
        self._told = told or (lambda course, version: None)
        self._batches: deque[Batch] = deque()
        self._unpublished: list[Callable[[], None]] = []
        self._arrived = asyncio.Event()
        self._begun: set[bytes] = set()
        self._forget = False
        self._stopping = False

    def offer(self, batch: Batch) -> None:
        """Take a batch of topic `learning`."""
        self._batches.append(batch)
        self._arrived.set()

    @property
    def backlog(self) -> int:
        """Batches that wait."""
        return len(self._batches)

    def forget(self) -> None:
        """Partitions moved: start again from what is published, when the next record comes."""
        self._forget = True
        self._begun.clear()
        self._unpublished.clear()
        self._batches.clear()

    async def stop(self) -> None:
        """Publish what was learned; `run` then returns."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Learn and publish until stopped."""
        loop = asyncio.get_running_loop()
        due = loop.time() + EVERY_SECONDS
        while not (self._stopping and not self._batches):
            await self._wait(due - loop.time())
            while self._batches and loop.time() < due:
                await self._learn(self._batches.popleft())
            if loop.time() >= due:
                await self._publish_all()
                due = loop.time() + EVERY_SECONDS
        await self._publish_all()

    async def _wait(self, seconds: float) -> None:
        self._arrived.clear()
        if self._batches or self._stopping:
            return
        try:
            async with asyncio.timeout(max(seconds, 0.01)):
                await self._arrived.wait()
        except TimeoutError:
            return

    async def _learn(self, batch: Batch) -> None:
        self._unpublished.append(batch.ack)
        new = {record.key for record in batch.records} - self._begun
        if new:
            await self._begin(new)
        await self._publish(await self._ask(values=[record.value for record in batch.records]))

    async def _begin(self, courses: Iterable[bytes]) -> None:
        """Go on from the newest versions in the topic, read to its end of now."""
        await self._books.tail.catch_up()
        names = [key.decode(errors="replace").partition("/") for key in sorted(courses)]
        newest = [begun(tenant, course, self._books.populations.newest(tenant, course)) for tenant, _, course in names]
        forget, self._forget = self._forget, False
        self._begun.update(courses)
        await self._publish(await self._ask(forget=forget, begin=newest))

    async def _publish_all(self) -> None:
        """Nothing is asked while what was learned is to be forgotten."""
        if self._begun:
            await self._publish(await self._ask(cut=True))
        unpublished, self._unpublished = self._unpublished, []
        for ack in unpublished:
            ack()

    async def _ask(self, **what: Any) -> list[Cut]:
        return await self._lessons(Ask(**what, since=self._books.populations.since))

    async def _publish(self, cuts: list[Cut]) -> None:
        for cut in cuts:
            for key, value in cut.records:
                await retry(_appending(self._log, key, value))
                self._books.populations.add(LogRecord(-1, key, value))
            self._told(cut.course, cut.version)


def _appending(log: SharedLog, key: bytes, value: bytes) -> Callable[[], Awaitable[None]]:
    return lambda: log.append(topics.POPULATION, key, value)
