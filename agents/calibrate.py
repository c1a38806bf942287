"""The calibrate agent: learns each course's population from topic `learning` and publishes versions of it.

Comes in: batches of learning records. Goes out: a version every 256 responses or 2 s, whichever is first, as a change
with a full one every 32. A batch is acknowledged only when a published version holds what it taught; what is handed over
again is known by the version's watermark and dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from agents.books import TopicBooks
from agents.ports import Batch, SharedLog
from models.population import Population, full_change
from models.population_learner import PopulationLearner
from runtime.tasks import retry
from schemas import topics
from schemas.codec import decode_learning
from schemas.decision import LearningRecord
from schemas.errors import Rejection
from schemas.population import PopulationChange, PopulationRecord, encode_population

EVERY_RESPONSES = 256
EVERY_SECONDS = 2.0
FULL_EVERY = 32
ITEMS_A_PIECE = 4_000
CELLS_A_PIECE = 8_000
BREATH = 8
"""Responses learned before the loop is given to others: learning must not stand in a decision's way."""


class Calibrate:
    """Learns what is offered to it. One a process; `run` owns everything it starts."""

    def __init__(self, log: SharedLog, books: TopicBooks, told: Callable[[str, Population], None] | None = None) -> None:
        self._log = log
        self._books = books
        self._told = told or (lambda course, version: None)
        self._batches: deque[Batch] = deque()
        self._unpublished: list[Callable[[], None]] = []
        self._arrived = asyncio.Event()
        self._learners: dict[tuple[str, str], PopulationLearner] = {}
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
        self._learners.clear()
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
            while self._batches:
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
        for count, record in enumerate(batch.records, 1):
            try:
                response = decode_learning(record.value)
            except Rejection:
                continue
            learner = await self._learner(response)
            learner.learn_one(response)
            if learner.pending >= EVERY_RESPONSES:
                await self._publish(learner)
            if count % BREATH == 0:
                await asyncio.sleep(0)

    async def _learner(self, response: LearningRecord) -> PopulationLearner:
        name = (response.tenant, response.course)
        learner = self._learners.get(name)
        if learner is None:
            start = await self._newest(*name)
            learner = self._learners[name] = PopulationLearner(*name, start)
        return learner

    async def _newest(self, tenant: str, course: str) -> Population:
        """The version to go on from: the newest in the topic, read to its end of now."""
        await self._books.tail.catch_up()
        return self._books.populations.newest(tenant, course)

    async def _publish_all(self) -> None:
        for learner in list(self._learners.values()):
            if learner.pending:
                await self._publish(learner)
        unpublished, self._unpublished = self._unpublished, []
        for ack in unpublished:
            ack()

    async def _publish(self, learner: PopulationLearner) -> None:
        change, name = learner.cut()
        await asyncio.sleep(0)
        await self._append(change, name, full=False)
        self._books.populations.hold(learner.tenant, learner.course, learner.version)
        if change.version % FULL_EVERY == 0:
            await self._append(full_change(learner.tenant, learner.course, learner.version), name, full=True)
        self._told(learner.course, learner.version)

    async def _append(self, change: PopulationChange, name: str, *, full: bool) -> None:
        key = f"{change.tenant}/{change.course}/{change.version}/{name}{'/full' if full else ''}".encode()
        pieces = in_pieces(change)
        for number, piece in enumerate(pieces):
            value = encode_population(PopulationRecord(hash=name, full=full, piece=number, pieces=len(pieces), change=piece))
            await retry(_appending(self._log, key, value))


def in_pieces(change: PopulationChange) -> list[PopulationChange]:
    """A change cut so that each piece stays under a megabyte; the first has everything but the later items and cells."""
    items, cells = list(change.items.items()), list(change.cells.items())
    count = max(1, -(-len(items) // ITEMS_A_PIECE), -(-len(cells) // CELLS_A_PIECE))
    return [
        replace(
            change,
            items=dict(items[n * ITEMS_A_PIECE : (n + 1) * ITEMS_A_PIECE]),
            cells=dict(cells[n * CELLS_A_PIECE : (n + 1) * CELLS_A_PIECE]),
            skills=change.skills if not n else {},
            segments=change.segments if not n else {},
            passes=change.passes if not n else {},
        )
        for n in range(count)
    ]


def _appending(log: SharedLog, key: bytes, value: bytes) -> Callable[[], Awaitable[None]]:
    return lambda: log.append(topics.POPULATION, key, value)
