"""The newest published versions, for gateways: read back from the topics, without the learner model."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from agents.ports import SharedLog
from agents.tail import KEEP, TopicTail, since_of
from authoring.shelf import CourseShelf
from schemas import topics
from schemas.codec import encode_json
from schemas.course import Course
from schemas.errors import Unavailable
from schemas.interaction import NO_POPULATION, LogRecord
from schemas.population import PopulationNotice, decode_notice

PUBLISH_SECONDS = 10.0


class PublishedTopics:
    """Published, over the shared topics. Names only what was read back whole."""

    def __init__(self, log: SharedLog) -> None:
        self._log = log
        self._shelf = CourseShelf()
        self._populations: dict[tuple[str, str], OrderedDict[str, int]] = {}
        self._pieces: dict[tuple[str, bool], set[int]] = {}
        takers = {topics.COURSES: self._shelf.add, topics.POPULATION: self._take_population}
        self.tail = TopicTail(log, takers, {topics.POPULATION: since_of})

    def newest_course(self, tenant: str, course: str) -> Course | None:
        return self._shelf.newest(tenant, course)

    def course_version(self, tenant: str, course: str, version: str) -> Course | None:
        return self._shelf.version(tenant, course, version)

    def has_segment(self, tenant: str, course: str, segment: str) -> bool:
        return self._shelf.has_segment(tenant, course, segment)

    def courses(self, tenant: str) -> Sequence[Course]:
        return self._shelf.all(tenant)

    def newest_population(self, tenant: str, course: str) -> tuple[int, str]:
        known = self._populations.get((tenant, course))
        if not known:
            return NO_POPULATION
        name = next(reversed(known))
        return known[name], name

    async def publish_course(self, tenant: str, course: Course) -> None:
        key = f"{tenant}/{course.id}/{course.version}".encode()
        await self._log.append(topics.COURSES, key, encode_json(course))
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                while self.course_version(tenant, course.id, course.version) is None:
                    await self.tail.changed(0.5)
        except TimeoutError:
            raise Unavailable("log", "the course was written but not read back in time") from None

    def _take_population(self, record: LogRecord) -> None:
        piece = decode_notice(record.value)
        seen = self._pieces.setdefault((piece.hash, piece.full), set())
        seen.add(piece.piece)
        if len(seen) == piece.pieces:
            del self._pieces[piece.hash, piece.full]
            self._name(piece)

    def _name(self, piece: PopulationNotice) -> None:
        """The version is the newest from now on, if workers can build it: they hold as many as are known here."""
        change = piece.change
        known = self._populations.setdefault((change.tenant, change.course), OrderedDict())
        begin = piece.full or change.version == 1
        late = begin and bool(known) and known[next(reversed(known))] > change.version
        if piece.hash not in known and not late and (begin or change.parent in known):
            known[piece.hash] = change.version
            while len(known) > KEEP:
                known.popitem(last=False)
