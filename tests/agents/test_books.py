"""Where reading begins: late enough that a start stays short however old a service is, early enough for all that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agents import books as module
from agents import lessons as lessons_module
from agents.books import KEEP, PopulationBook, TopicBooks
from agents.calibrate import Calibrate
from agents.lessons import Ask, Cut, Lessons, full_records
from agents.ports import Batch
from models.population import Population
from runtime.tasks import cancel_all
from schemas import topics
from schemas.interaction import LogRecord
from schemas.population import decode_population, encode_population
from streams.published import PublishedTopics
from tests.agents.test_calibrate import responses
from tests.fakes import MemoryShared

BUSY, QUIET = "busy", "quiet"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version every two responses, so that topics are long."""
    monkeypatch.setattr(lessons_module, "EVERY_RESPONSES", 2)


async def learn(shared: MemoryShared, batches: Sequence[list[LogRecord]]) -> None:
    """Let a calibrate learn batches, one after another, and stop it."""
    books, lessons = TopicBooks(shared), Lessons()

    async def ask(what: Ask) -> list[Cut]:
        return lessons.answer(what)

    await books.tail.start()
    agent = Calibrate(shared, books, ask)
    running = asyncio.create_task(agent.run())
    for batch in batches:
        learned = asyncio.Event()
        agent.offer(Batch(batch, learned.set))
        while agent.backlog:
            await asyncio.sleep(0)
        await books.tail.catch_up()
    await agent.stop()
    await running
    await cancel_all([*books.tail.tasks])


async def started(shared: MemoryShared, *, whole: bool = False) -> TopicBooks:
    books = TopicBooks(shared, whole=whole)
    await books.tail.start()
    await books.tail.stop()
    return books


def in_batches(records: list[LogRecord], size: int) -> list[list[LogRecord]]:
    return [records[at : at + size] for at in range(0, len(records), size)]


class Counting(MemoryShared):
    """How many records of the population's topic were read."""

    def __init__(self, shared: MemoryShared) -> None:
        super().__init__()
        self.topics, self.read_count = shared.topics, 0

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        found, after = await super().read(topic, start, wait_seconds)
        self.read_count += len(found) * (topic == topics.POPULATION)
        return found, after


async def test_a_start_reads_the_last_full_versions_and_holds_what_events_under_way_name() -> None:
    shared = MemoryShared()
    await learn(shared, in_batches(responses(1_000, BUSY), 20))
    counting = Counting(shared)
    books, everything = await started(counting), await started(shared, whole=True)
    written = len(shared.topics[topics.POPULATION])
    assert written > 500 and counting.read_count < 110
    whole = everything.populations.newest("default", BUSY)
    assert books.populations.newest("default", BUSY) == whole
    first = whole.stamp[0] - KEEP + 1
    named = [decode_population(record.value) for record in shared.topics[topics.POPULATION]]
    stamps = [(each.change.version, each.hash) for each in named if each.change.version >= first]
    assert all(books.populations.version("default", BUSY, stamp) is not None for stamp in stamps)


async def test_a_gateway_that_begins_late_names_the_same_versions() -> None:
    shared = MemoryShared()
    await learn(shared, [responses(10, QUIET), *in_batches(responses(300, BUSY), 20)])
    books, published = await started(shared), PublishedTopics(shared)
    await published.tail.start()
    await published.tail.stop()
    for course in (BUSY, QUIET):
        assert published.newest_population("default", course) == books.populations.newest("default", course).stamp != (0, "")


async def test_a_course_that_nobody_uses_any_more_is_written_again_and_holds_nobody_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STALE_RECORDS", 100)
    shared = MemoryShared()
    await learn(shared, [responses(10, QUIET), *in_batches(responses(1_000, BUSY), 20)])
    counting = Counting(shared)
    books, everything = await started(counting), await started(shared, whole=True)
    written = len(shared.topics[topics.POPULATION])
    assert counting.read_count < 220 < written
    for course in (BUSY, QUIET):
        newest = books.populations.newest("default", course)
        assert newest.stamp[0] > 0 and newest.stamp == everything.populations.newest("default", course).stamp
    again = [r for r in shared.topics[topics.POPULATION] if r.key.startswith(b"default/quiet/") and r.key.endswith(b"/full")]
    assert 1 <= len(again) <= written // 100 + 1
    published = PublishedTopics(Counting(shared))
    await published.tail.start()
    await published.tail.stop()
    assert published.newest_population("default", QUIET) == everything.populations.newest("default", QUIET).stamp


def versions(count: int) -> list[tuple[LogRecord, Population]]:
    """Changes of one course, one after another, and the versions that they make."""
    lessons, book, found = Lessons(), PopulationBook(), list[tuple[LogRecord, Population]]()
    lessons.answer(Ask(begin=[lessons_module.begun("default", BUSY, Population.empty())]))
    for record in responses(2 * count, BUSY):
        for cut in lessons.answer(Ask(values=[record.value])):
            for key, value in cut.records:
                given = LogRecord(len(found), key, value)
                version = book.add(given)
                assert version is not None
                found.append((given, version))
    return found


def test_a_version_that_is_not_the_newest_any_more_is_no_place_to_begin() -> None:
    """Somebody wrote it again while its owner went on."""
    (first, one), (second, two) = versions(2)
    book = PopulationBook()
    ((key, value),) = full_records("default", BUSY, one, 0)
    for record in (first, second, LogRecord(5_000, key, value)):
        book.add(record)
    assert (book.since, book.newest("default", BUSY)) == (0, two)


def test_what_was_written_twice_is_one_place_to_begin() -> None:
    ((first, one),) = versions(1)
    book = PopulationBook()
    ((key, value),) = full_records("default", BUSY, one, 0)
    for offset in (1, 2, 3, 4):
        book.add(first if offset == 1 else LogRecord(offset, key, value))
    assert book.since == 0
    book.add(LogRecord(module.STALE_RECORDS + 9, key, value))
    assert book.since == module.STALE_RECORDS + 9


def test_half_a_version_is_no_place_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    ((first, one),) = versions(1)
    monkeypatch.setattr(lessons_module, "CELLS_A_PIECE", 5)
    pieces = full_records("default", BUSY, one, 0)
    book = PopulationBook()
    book.add(first)
    for number, (key, value) in enumerate(pieces):
        assert (book.since, len(pieces) > 2) == (0, True)
        book.add(LogRecord(5_000 + number, key, value))
    assert book.since == 5_000


async def test_records_that_do_not_say_where_to_begin_are_all_read() -> None:
    """They are from an earlier release."""
    shared = MemoryShared()
    await learn(shared, in_batches(responses(300, BUSY), 20))
    records = shared.topics[topics.POPULATION]
    last = decode_population(records[-1].value)
    records[-1] = records[-1]._replace(value=encode_population(type(last)(**{
        **{name: getattr(last, name) for name in last.__struct_fields__}, "since": 0})))  # fmt: skip
    counting = Counting(shared)
    assert (await started(counting)).populations.newest("default", BUSY).stamp[0] == 150
    assert counting.read_count == len(records) + 1
