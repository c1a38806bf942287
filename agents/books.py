"""Published versions of courses and populations, read back from their topics; what a stamp names is found here.

The first record of a course version wins, whoever wrote a second. Populations form a tree by hash: a change is applied to
the parent that it names. The newest `keep` versions of a course's population are held; an older one is rebuilt by reading
the topic again, forwards, so that a replay in order reads it once.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict, deque

from msgspec.structs import replace

from agents.ports import SharedLog
from agents.tail import KEEP, TopicTail, since_of
from authoring.shelf import CourseShelf
from models.population import Population
from runtime.tasks import retry
from schemas import topics
from schemas.course import Course
from schemas.interaction import NO_POPULATION, LogRecord
from schemas.population import PopulationChange, PopulationNotice, PopulationRecord, decode_notice, decode_population

BEGINS = 3
"""So many full versions back readers begin, so that they hold what events under way are stamped with, too."""

Stamp = tuple[int, str]


class PopulationBook:
    """The newest versions of every course's population."""

    def __init__(self, keep: int = KEEP) -> None:
        self._keep = keep
        self._versions: dict[tuple[str, str], OrderedDict[Stamp, Population]] = {}
        self._newest: dict[tuple[str, str], Population] = {}
        self._pieces: dict[str, list[PopulationRecord]] = {}
        self._seen: dict[tuple[str, bool], tuple[int, set[int]]] = {}
        self._begins: dict[tuple[str, str], deque[tuple[int, int]]] = {}

    def add(self, record: LogRecord) -> Population | None:
        """Take a record of topic `population`. Returns the version that it completes."""
        notice = decode_notice(record.value)
        version = self._taken(record, notice)
        if record.offset >= 0 and (notice.full or notice.change.version == 1):
            self._note(record.offset, notice)
        return version

    @property
    def since(self) -> int:
        """Where who begins to read learns every course's newest version, and those since BEGINS - 1 full ones before."""
        return min((begins[0][0] for begins in self._begins.values()), default=0)

    def _note(self, offset: int, notice: PopulationNotice) -> None:
        """Note where a version begins that needs none before it, once all of it was read; a late copy is no such place."""
        first, seen = self._seen.setdefault((notice.hash, notice.full), (offset, set()))
        seen.add(notice.piece)
        if len(seen) < notice.pieces:
            return
        del self._seen[notice.hash, notice.full]
        change = notice.change
        begins = self._begins.setdefault((change.tenant, change.course), deque(maxlen=BEGINS))
        if not begins or begins[-1][1] < change.version:
            begins.append((first, change.version))

    def _taken(self, record: LogRecord, notice: PopulationNotice) -> Population | None:
        held = self.version(notice.change.tenant, notice.change.course, (notice.change.version, notice.hash))
        if held is not None:
            return held
        piece = decode_population(record.value)
        change = piece.change
        if piece.pieces > 1:
            pieces = self._pieces.setdefault(piece.hash, [])
            pieces.append(piece)
            if len({p.piece for p in pieces}) < piece.pieces:
                return None
            change = _joined(self._pieces.pop(piece.hash))
        return self._apply(piece, change)

    def _apply(self, piece: PopulationRecord, change: PopulationChange) -> Population | None:
        begin = piece.full or change.version == 1
        parent = (
            Population.empty() if begin else self.version(change.tenant, change.course, (change.version - 1, change.parent))
        )
        if parent is None:
            return None
        version = parent.apply(change, piece.hash)
        late = begin and self.newest(change.tenant, change.course).stamp[0] > change.version
        self.hold(change.tenant, change.course, version, newest=not late)
        return version

    def hold(self, tenant: str, course: str, version: Population, *, newest: bool = True) -> None:
        """Keep a version, the newest from now on unless that is not so; the oldest go."""
        held = self._versions.setdefault((tenant, course), OrderedDict())
        held[version.stamp] = version
        if newest:
            self._newest[tenant, course] = version
        while len(held) > self._keep:
            held.popitem(last=False)

    def version(self, tenant: str, course: str, stamp: Stamp) -> Population | None:
        """A version, if it is held."""
        if stamp == NO_POPULATION:
            return Population.empty()
        held = self._versions.get((tenant, course))
        return None if held is None else held.get(stamp)

    def newest(self, tenant: str, course: str) -> Population:
        """The version read last; the empty prior when there is none."""
        return self._newest.get((tenant, course)) or Population.empty()


class TopicBooks:
    """Both books, kept up to date by tailing their topics. `start` and `stop` it. `whole`: every version, held for ever."""

    def __init__(self, log: SharedLog, *, whole: bool = False) -> None:
        self.courses = CourseShelf()
        self.populations = PopulationBook(sys.maxsize if whole else KEEP)
        takers = {topics.COURSES: self.courses.add, topics.POPULATION: self.populations.add}
        self.tail = TopicTail(log, takers, {} if whole else {topics.POPULATION: since_of})
        self._past = _Past(log)

    def course(self, tenant: str, course: str, version: str) -> Course | None:
        return self.courses.version(tenant, course, version)

    def population(self, tenant: str, course: str, stamp: Stamp) -> Population | None:
        return self.populations.version(tenant, course, stamp) or self._past.version(tenant, course, stamp)

    async def wait(self, tenant: str, course: str, version: str, stamp: Stamp) -> None:
        """Wait until both versions are here; an old population is rebuilt from its topic."""
        while self.course(tenant, course, version) is None or self.population(tenant, course, stamp) is None:
            if stamp[0] < self.populations.newest(tenant, course).stamp[0]:
                await self._past.seek(tenant, course, stamp)
                if self.population(tenant, course, stamp) is not None:
                    continue
            await self.tail.changed(1.0)


class _Past:
    """Old versions of populations, rebuilt by reading the topic from its start, forwards."""

    def __init__(self, log: SharedLog) -> None:
        self._log = log
        self._book = PopulationBook()
        self._position = 0
        self._ahead: deque[LogRecord] = deque()
        self._lock = asyncio.Lock()

    def version(self, tenant: str, course: str, stamp: Stamp) -> Population | None:
        return self._book.version(tenant, course, stamp)

    async def seek(self, tenant: str, course: str, stamp: Stamp) -> None:
        """Read on until the version is held; start again when it lies behind. Returns at the topic's end, too."""
        async with self._lock:
            if self._book.newest(tenant, course).stamp[0] >= stamp[0]:
                self._book, self._position = PopulationBook(), 0
                self._ahead.clear()
            goal = await retry(lambda: self._log.end(topics.POPULATION))
            while self.version(tenant, course, stamp) is None:
                if self._ahead:
                    self._book.add(self._ahead.popleft())
                elif self._position < goal:
                    found, self._position = await retry(lambda: self._log.read(topics.POPULATION, self._position, 0.2))
                    self._ahead.extend(found)
                else:
                    return


def _joined(pieces: list[PopulationRecord]) -> PopulationChange:
    """A change that travelled in pieces, put together."""
    ordered = sorted({piece.piece: piece for piece in pieces}.values(), key=lambda piece: piece.piece)
    items = {name: values for piece in ordered for name, values in piece.change.items.items()}
    skills = {name: values for piece in ordered for name, values in piece.change.skills.items()}
    cells = {number: values for piece in ordered for number, values in piece.change.cells.items()}
    return replace(ordered[0].change, items=items, skills=skills, cells=cells)
