"""Where reading begins: late enough that a start stays short however old a service is, early enough for all that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from agents import lessons as lessons_module
from agents.books import PopulationBook, TopicBooks
from agents.calibrate import Calibrate
from agents.lessons import Ask, Cut, Lessons, full_records
from agents.ports import Batch
from agents.tail import KEEP
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


async def told(shared: MemoryShared) -> PublishedTopics:
    published = PublishedTopics(shared)
    await published.tail.start()
    await published.tail.stop()
    return published


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
    books, published = await started(shared), await told(shared)
    for course in (BUSY, QUIET):
        assert published.newest_population("default", course) == books.populations.newest("default", course).stamp != (0, "")


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


async def test_what_comes_late_is_neither_the_newest_nor_a_place_to_begin() -> None:
    """Somebody who was held up writes an old version whole, or the first one again; the reader does not hold it any more."""
    made, shared, book = versions(80), MemoryShared(), PopulationBook()
    ((key, value),) = full_records("default", BUSY, made[9][1], 0)
    for record in (*[record for record, _ in made], LogRecord(0, key, value), made[0][0]):
        await shared.append(topics.POPULATION, record.key, record.value)
        book.add(shared.topics[topics.POPULATION][-1])
    assert (book.newest("default", BUSY), book.since) == (made[-1][1], 0)
    assert (await told(shared)).newest_population("default", BUSY) == made[-1][1].stamp


async def test_a_gateway_names_only_what_workers_can_build() -> None:
    """A worker that slept while others went on 70 versions writes a change of a version that nobody holds any more."""
    shared = MemoryShared()
    await learn(shared, [responses(20, QUIET)])
    lessons = Lessons()
    ten = (await started(shared)).populations.newest("default", QUIET)
    lessons.answer(Ask(begin=[lessons_module.begun("default", QUIET, ten)]))
    (pending,) = lessons.answer(Ask(values=[record.value for record in responses(24, QUIET)[22:]]))
    await learn(shared, [responses(160, QUIET)])
    for key, value in pending.records:
        await shared.append(topics.POPULATION, key, value)
    books, published = await started(shared), await told(shared)
    assert books.populations.newest("default", QUIET).stamp[0] == 80
    assert published.newest_population("default", QUIET) == books.populations.newest("default", QUIET).stamp


def test_half_a_version_is_no_place_to_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, one),) = versions(1)
    monkeypatch.setattr(lessons_module, "CELLS_A_PIECE", 5)
    pieces, book = full_records("default", BUSY, one, 0), PopulationBook()
    assert len(pieces) > 2
    for number, (key, value) in enumerate(pieces):
        assert (book.since, book.newest("default", BUSY).stamp) == (0, (0, ""))
        book.add(LogRecord(5_000 + number, key, value))
    assert (book.since, book.newest("default", BUSY)) == (5_000, one)


async def test_a_first_read_that_brings_nothing_is_repeated() -> None:
    """A new consumer may need longer to connect than one read waits."""

    class Slow(Counting):
        asked = 0

        async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
            self.asked += topic == topics.POPULATION
            return ([], start) if self.asked == 1 else await super().read(topic, start, wait_seconds)

    shared = MemoryShared()
    await learn(shared, in_batches(responses(1_000, BUSY), 20))
    slow = Slow(shared)
    assert (await started(slow)).populations.newest("default", BUSY).stamp[0] == 500
    assert slow.read_count < 110


@pytest.mark.parametrize("seed", range(6))
async def test_who_begins_late_knows_what_who_read_everything_knows(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three writers whose books lag, of which some go on after another took over their course, or write a record twice."""
    monkeypatch.setattr(lessons_module, "FULL_EVERY", 4)
    random, topic = Random(seed), list[LogRecord]()
    courses = ("a", "b")[: 1 + seed % 2]
    pools = {course: responses(400, course) for course in courses}
    books, lessons = [PopulationBook() for _ in range(3)], [Lessons() for _ in range(3)]
    read, next_response = [0, 0, 0], dict.fromkeys(courses, 0)
    begun: set[tuple[int, str]] = set()
    began_late = 0
    for _ in range(150):
        writer, course = random.randrange(3), random.choice(courses)
        if random.random() < 0.3 or (writer, course) not in begun:  # else it may not know that others went on: a fork
            for record in topic[read[writer] :]:
                books[writer].add(record)
            read[writer] = len(topic)
            start = lessons_module.begun("default", course, books[writer].newest("default", course))
            lessons[writer].answer(Ask(begin=[start]))
            begun.add((writer, course))
        value = pools[course][next_response[course]].value
        next_response[course] += 1
        for cut in lessons[writer].answer(Ask(values=[value], cut=True, since=books[writer].since)):
            for key, value in cut.records * random.choice((1, 1, 1, 2)):
                topic.append(LogRecord(len(topic), key, value))
                books[writer].add(LogRecord(-1, key, value))
        since = decode_population(topic[-1].value).since
        began_late += since > 0
        shared, whole, late = MemoryShared(), PopulationBook(), PopulationBook()
        for record in topic:
            whole.add(record)
        for record in topic[since:]:
            late.add(record)
        shared.topics[topics.POPULATION] = topic
        named = (await told(shared)).newest_population("default", course)
        assert late.newest("default", course) == whole.newest("default", course)
        assert late.version("default", course, named) is not None
    assert began_late > 30


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
