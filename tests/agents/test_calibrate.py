"""Calibrate: versions out of responses, once each, and gone on with after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from agents import calibrate as module
from agents.books import PopulationBook, TopicBooks
from agents.calibrate import Calibrate, in_pieces
from agents.ports import Batch
from agents.step import step
from models.population import Population
from runtime.tasks import cancel_all
from schemas import topics
from schemas.codec import encode_msgpack
from schemas.interaction import LogRecord
from schemas.population import PopulationChange, PopulationRecord, decode_population, encode_population
from tests.agents.test_lane import until
from tests.factories import course, interaction
from tests.fakes import MemoryShared


def responses(count: int, start: int = 0) -> list[LogRecord]:
    """Learning records as the lanes emit them."""
    found = []
    for offset in range(start, start + count):
        said = interaction(offset, item=f"i{offset % 5}", correct=offset % 3 > 0)
        learning = step(None, said, 0, offset, course(), Population.empty()).learning
        found.append(LogRecord(offset, b"default/tiny", encode_msgpack(learning)))
    return found


@asynccontextmanager
async def calibrating(shared: MemoryShared) -> AsyncIterator[tuple[Calibrate, TopicBooks]]:
    books = TopicBooks(shared)
    await books.tail.start()
    agent = Calibrate(shared, books)
    running = asyncio.create_task(agent.run())
    try:
        yield agent, books
    finally:
        await cancel_all([running])
        await books.tail.stop()


def newest(books: TopicBooks) -> Population:
    return books.populations.newest("default", "tiny")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.02)


async def test_a_version_is_published_for_so_many_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 1_000.0)
    shared = MemoryShared()
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(600), lambda: None))
        await until(lambda: newest(books).responses == 512)
        assert newest(books).stamp[0] == 2


async def test_a_batch_is_acknowledged_only_when_a_version_holds_it() -> None:
    shared, acked = MemoryShared(), []
    async with calibrating(shared) as (agent, _):
        agent.offer(Batch(responses(10), lambda: acked.append(newest_published(shared))))
        await until(lambda: bool(acked))
    assert acked == [10]


def newest_published(shared: MemoryShared) -> int:
    records = shared.topics[topics.POPULATION]
    return decode_population(records[-1].value).change.responses if records else 0


async def test_a_restart_goes_on_and_learns_nothing_twice() -> None:
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


async def test_old_versions_are_rebuilt_and_missing_ones_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_RESPONSES", 1)
    shared = MemoryShared()
    await shared.append(topics.COURSES, b"default/tiny/1", encode_course())
    async with calibrating(shared) as (agent, books):
        agent.offer(Batch(responses(90), lambda: None))
        await until(lambda: newest(books).responses == 90)
        stamps = [decoded.hash for decoded in every_delta(shared)]
        old = (3, stamps[2])
        assert books.population("default", "tiny", old) is None, "older than what is held"
        await asyncio.wait_for(books.wait("default", "tiny", "1", old), 5)
        found = books.population("default", "tiny", old)
        assert found is not None and found.responses == 3
        waiting = asyncio.create_task(books.wait("default", "tiny", "1", (91, "not yet")))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


def every_delta(shared: MemoryShared) -> list[PopulationRecord]:
    decoded = [decode_population(record.value) for record in shared.topics[topics.POPULATION]]
    return [record for record in decoded if not record.full]


def encode_course() -> bytes:
    from schemas.codec import encode_json

    return encode_json(course())


def test_a_large_change_travels_in_pieces_and_comes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ITEMS_A_PIECE", 10)
    monkeypatch.setattr(module, "CELLS_A_PIECE", 20)
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
