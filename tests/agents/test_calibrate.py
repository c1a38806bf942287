"""Calibrate: versions out of responses, once each, gone on with after a restart; learned here and in a process beside."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from agents import calibrate as module
from agents import lessons as lessons_module
from agents.books import PopulationBook, TopicBooks
from agents.calibrate import Calibrate
from agents.lessons import Ask, Cut, Lessons, begun, in_pieces
from agents.ports import Batch
from agents.step import step
from cli.beside import Beside
from models.population import Population
from runtime.tasks import cancel_all
from schemas import topics
from schemas.codec import decode_learning, encode_msgpack
from schemas.interaction import LogRecord
from schemas.population import PopulationChange, PopulationRecord, decode_population, encode_population
from tests.agents.world import until
from tests.factories import course, interaction
from tests.fakes import MemoryShared


def responses(count: int, name: str = "tiny") -> list[LogRecord]:
    """Learning records as the lanes emit them."""
    found = []
    for offset in range(count):
        said = interaction(offset, course=name, item=f"i{offset % 5}", correct=offset % 3 > 0)
        learning = step(None, said, 0, offset, course(), Population.empty()).learning
        found.append(LogRecord(offset, f"default/{name}".encode(), encode_msgpack([learning])))
    return found


class Calibrating:
    """Starts calibrates that learn here or beside."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.answered: list[Ask] = []

    @asynccontextmanager
    async def __call__(self, shared: MemoryShared) -> AsyncIterator[tuple[Calibrate, TopicBooks]]:
        books = TopicBooks(shared)
        await books.tail.start()
        async with self.lessons() as ask:
            agent = Calibrate(shared, books, self.noting(ask))
            self.running = asyncio.create_task(agent.run())
            try:
                yield agent, books
            finally:
                await cancel_all([self.running])
                await books.tail.stop()

    def noting(self, ask: Callable[[Ask], Awaitable[list[Cut]]]) -> Callable[[Ask], Awaitable[list[Cut]]]:
        async def noted(asked: Ask) -> list[Cut]:
            cuts = await ask(asked)
            self.answered.append(asked)
            return cuts

        return noted

    async def until_learned(self, count: int) -> None:
        """Until so many responses were learned."""
        await until(lambda: sum(len(asked.values) for asked in self.answered) == count)

    async def learn_and_forget(self, agent: Calibrate, ack: Callable[[], None]) -> None:
        """Learn 20 responses, and forget them before they are published: partitions moved."""
        agent.offer(Batch(responses(20), ack))
        await self.until_learned(20)
        agent.forget()

    @asynccontextmanager
    async def lessons(self) -> AsyncIterator[Callable[[Ask], Awaitable[list[Cut]]]]:
        if self.where == "beside":
            with Beside() as beside:
                try:
                    yield beside.ask
                finally:
                    await beside.close()
            return
        here = Lessons()

        async def ask(ask: Ask) -> list[Cut]:
            await asyncio.sleep(0)
            return here.answer(ask)

        yield ask


@pytest.fixture(params=["here", "beside"])
def calibrating(request: pytest.FixtureRequest) -> Calibrating:
    return Calibrating(request.param)


def newest(books: TopicBooks) -> Population:
    return books.populations.newest("default", "tiny")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.02)


async def test_batches_that_keep_coming_are_acknowledged(calibrating: Calibrating) -> None:
    acked: list[int] = []

    async def keep_coming(agent: Calibrate) -> None:
        while True:
            if agent.backlog < 2:
                agent.offer(Batch(responses(1), lambda: acked.append(1)))
            await asyncio.sleep(0)

    async with calibrating(MemoryShared()) as (agent, _):
        coming = asyncio.create_task(keep_coming(agent))
        try:
            await until(lambda: len(acked) > 3)
        finally:
            await cancel_all([coming])


async def test_a_version_is_published_for_so_many_responses(
    calibrating: Calibrating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 1_000.0)
    shared = MemoryShared()
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(600), lambda: None))
        await until(lambda: newest(books).responses == 512)
        assert newest(books).stamp[0] == 2


async def test_a_batch_is_acknowledged_only_when_a_version_holds_it(calibrating: Calibrating) -> None:
    shared, acked = MemoryShared(), []
    async with calibrating(shared) as (agent, _):
        agent.offer(Batch(responses(10), lambda: acked.append(newest_published(shared))))
        await until(lambda: bool(acked))
    assert acked == [10]


async def test_what_was_learned_before_partitions_moved_is_not_published(
    calibrating: Calibrating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may have gone on from what is published."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 1_000.0)
    shared, acked = MemoryShared(), []
    async with calibrating(shared) as (agent, _):
        await calibrating.learn_and_forget(agent, lambda: acked.append("tiny"))
        agent.offer(Batch(responses(5, "other"), lambda: acked.append("other")))
        await calibrating.until_learned(25)
        await agent.stop()
        await until(lambda: bool(acked))
    assert acked == ["other"]
    assert [(record.change.course, record.change.responses) for record in every_delta(shared)] == [("other", 5)]


async def test_nothing_is_published_between_forgetting_and_the_next_response(
    calibrating: Calibrating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 1_000.0)
    shared, acked = MemoryShared(), []
    async with calibrating(shared) as (agent, _):
        await calibrating.learn_and_forget(agent, lambda: acked.append("tiny"))
        await agent.stop()
        await until(calibrating.running.done)
    assert (acked, every_delta(shared)) == ([], [])


def test_responses_are_learned_alike_alone_and_together() -> None:
    """Releases before lists wrote a record for each response."""
    alone = responses(20)
    lessons = [lesson for record in alone for lesson in decode_learning(record.value)]
    start = begun("default", "tiny", Population.empty())
    forms = ([record.value for record in alone], [encode_msgpack(each) for each in lessons], [encode_msgpack(lessons)])
    cuts = [Lessons().answer(Ask(begin=[start], values=values, cut=True)) for values in forms]
    assert cuts[0] == cuts[1] == cuts[2] and cuts[0]


def test_a_record_that_was_learned_in_part_teaches_the_rest() -> None:
    """Batches that are computed again may be cut elsewhere."""
    lessons = [lesson for record in responses(20) for lesson in decode_learning(record.value)]
    start = begun("default", "tiny", Population.empty())
    whole, twice = (
        Lessons().answer(Ask(begin=[start], values=[encode_msgpack(lessons[a:b]) for a, b in cuts], cut=True))
        for cuts in ([(0, 20)], [(0, 12), (7, 20)])
    )
    assert whole == twice and whole


async def test_after_partitions_moved_it_goes_on_from_what_another_published_last(calibrating: Calibrating) -> None:
    shared, other = MemoryShared(), Lessons()
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(10), lambda: None))
        await until(lambda: newest(books).responses == 10)
        start = begun("default", "tiny", newest(books))
        (theirs,) = other.answer(Ask(begin=[start], values=[record.value for record in responses(20)], cut=True))
        agent.forget()
        for key, value in theirs.records:
            await shared.append(topics.POPULATION, key, value)
        agent.offer(Batch(responses(25), lambda: None))
        await until(lambda: newest(books).responses == 25)
    assert [record.change.version for record in every_delta(shared)] == [1, 2, 3]


async def test_records_that_no_lane_wrote_are_passed_over(calibrating: Calibrating) -> None:
    shared = MemoryShared()
    strange = [LogRecord(0, b"\xff", b"{"), LogRecord(1, b"default/other", responses(1)[0].value)]
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(strange, lambda: None))
        agent.offer(Batch(responses(10), lambda: None))
        await until(lambda: newest(books).responses == 10)


async def test_who_loses_the_process_that_learns_fails_and_acknowledges_nothing() -> None:
    """The worker ends and its successor goes on from what is published."""
    shared, acked = MemoryShared(), []
    books = TopicBooks(shared)
    await books.tail.start()
    with Beside() as beside:
        agent = Calibrate(shared, books, beside.ask)
        running = asyncio.create_task(agent.run())
        agent.offer(Batch(responses(1), lambda: acked.append(0)))
        await until(lambda: acked == [0])
        os.kill(beside.pid, signal.SIGKILL)
        agent.offer(Batch(responses(2), lambda: acked.append(1)))
        with pytest.raises(RuntimeError, match="learns the population"):
            await asyncio.wait_for(running, 5)
        await beside.close()
    await books.tail.stop()
    assert acked == [0]


async def test_who_asks_nothing_notices_that_the_process_is_gone() -> None:
    """A worker whose partitions have no course to learn would go on without it until it gets one."""
    with Beside() as beside:
        watching = asyncio.create_task(beside.watch())
        await asyncio.sleep(0)
        assert not watching.done()
        os.kill(beside.pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="learns the population"):
            await asyncio.wait_for(watching, 5)


async def test_the_process_beside_takes_no_signals_and_ends_with_its_owner() -> None:
    with Beside() as beside:
        assert await beside.ask(Ask()) == []
        os.kill(beside.pid, signal.SIGINT)
        os.kill(beside.pid, signal.SIGTERM)
        assert await beside.ask(Ask()) == []
        await beside.close()
    with pytest.raises(ProcessLookupError):
        os.kill(beside.pid, 0)


def newest_published(shared: MemoryShared) -> int:
    records = shared.topics[topics.POPULATION]
    return decode_population(records[-1].value).change.responses if records else 0


async def test_a_restart_goes_on_and_learns_nothing_twice(calibrating: Calibrating) -> None:
    shared = MemoryShared()
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(100), lambda: None))
        await until(lambda: newest(books).responses == 100)
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(150), lambda: None))
        await until(lambda: newest(books).responses == 150)
    whole = MemoryShared()
    async with calibrating(whole) as (agent, books):
        agent.offer(Batch(responses(150), lambda: None))
        await until(lambda: newest(books).responses == 150)
        expected = newest(books)
    book = TopicBooks(shared)
    await book.tail.start()
    assert newest(book).weights == expected.weights
    assert newest(book).items.whole() == expected.items.whole()
    await book.tail.stop()


@asynccontextmanager
async def many_versions(
    calibrating: Calibrating, shared: MemoryShared, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[TopicBooks, list[tuple[int, str]]]]:
    """130 of them, the last 64 held; their stamps."""
    monkeypatch.setattr(lessons_module, "EVERY_RESPONSES", 1)
    await shared.append(topics.COURSES, b"default/tiny/1", encode_course())
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(130), lambda: None))
        await until(lambda: newest(books).responses == 130)
        yield books, [(record.change.version, record.hash) for record in every_delta(shared)]


async def test_old_versions_are_rebuilt_and_missing_ones_waited_for(
    calibrating: Calibrating, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many_versions(calibrating, MemoryShared(), monkeypatch) as (books, stamps):
        assert books.population("default", "tiny", stamps[2]) is None, "older than what is held"
        await asyncio.wait_for(books.wait("default", "tiny", "1", stamps[2]), 5)
        found = books.population("default", "tiny", stamps[2])
        assert found is not None and found.responses == 3
        waiting = asyncio.create_task(books.wait("default", "tiny", "1", (131, "not yet")))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


class CountingShared(MemoryShared):
    """Gives twenty records a read, and counts who asks from where."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        self.asked.append(start)
        found, _ = await super().read(topic, start, wait_seconds)
        return found[:20], start + len(found[:20])


async def test_a_replay_in_order_reads_old_versions_once(calibrating: Calibrating, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that computes a long log again asks for one version after another."""
    shared = CountingShared()
    async with many_versions(calibrating, shared, monkeypatch) as (books, stamps):
        await books.tail.stop()
        shared.asked.clear()
        for stamp in stamps[:60]:
            await asyncio.wait_for(books.wait("default", "tiny", "1", stamp), 5)
    assert shared.asked == [0, 20, 40, 60]


def every_delta(shared: MemoryShared) -> list[PopulationRecord]:
    decoded = [decode_population(record.value) for record in shared.topics[topics.POPULATION]]
    return [record for record in decoded if not record.full]


def encode_course() -> bytes:
    from schemas.codec import encode_json

    return encode_json(course())


def test_a_large_change_travels_in_pieces_and_comes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons_module, "ITEMS_A_PIECE", 10)
    monkeypatch.setattr(lessons_module, "CELLS_A_PIECE", 20)
    change = PopulationChange(
        tenant="default", course="tiny", version=1, parent="", weights=[1.0], gradients=[1.0],
        items={f"i{n}": (float(n), 1.0, 2.0, 1.0, n) for n in range(35)}, skills={"a": (1.0, 1.0)}, watermark={0: 1},
        responses=35, cells={n: (float(n), 1.0, 0.5, 1.0) for n in range(50)},
    )  # fmt: skip
    pieces, book = in_pieces(change), PopulationBook()
    assert len(pieces) == 4
    made: Callable[[int], LogRecord] = lambda n: LogRecord(n, b"", encode_population(  # noqa: E731
        PopulationRecord(hash="h", full=False, piece=n, pieces=4, change=pieces[n])))  # fmt: skip
    assert [book.add(made(n)) is not None for n in (2, 0, 3, 1)] == [False, False, False, True]
    assert book.newest("default", "tiny").items.whole() == change.items
    assert book.newest("default", "tiny").cells.whole() == change.cells
