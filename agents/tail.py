"""Following shared topics: read to the end of now, then go on; everything read goes to a function a topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from agents.ports import SharedLog
from runtime.logging import logger
from runtime.tasks import cancel_all, retry
from schemas.errors import Rejection
from schemas.interaction import LogRecord
from schemas.population import decode_notice

log = logger(__name__)
KEEP = 64
"""Versions of a course's population that are held."""


def since_of(record: LogRecord) -> int:
    """Where a record of topic `population` says that reading may begin. Raises Rejection when it is none."""
    return decode_notice(record.value).since


class TopicTail:
    """Follows some shared topics. Owns its tasks: `start` and `stop`.

    `since`: for a topic of which not everything is needed, where to begin, by what its newest record says.
    """

    def __init__(self, log: SharedLog, takers: Mapping[str, Callable[[LogRecord], object]],
                 since: Mapping[str, Callable[[LogRecord], int]] | None = None) -> None:  # fmt: skip
        self._log = log
        self._takers = takers
        self._since = since or {}
        self._positions = dict.fromkeys(takers, 0)
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when all that stood in the topics has been read; goes on reading."""
        for topic in self._positions:
            goal = await self._end(topic)
            self._positions[topic] = await self._begin(topic, goal)
            while self._positions[topic] < goal:
                await self._read(topic, 0.2)
        self._tasks = [asyncio.create_task(self._follow(topic), name=f"tail:{topic}") for topic in self._positions]

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for ever; if one of these ends, its owner must."""
        return self._tasks

    async def stop(self) -> None:
        """Stop reading."""
        await cancel_all(self._tasks)

    async def catch_up(self) -> None:
        """Returns when all that stands in the topics now has been read."""
        for topic in self._positions:
            goal = await self._end(topic)
            while self._positions[topic] < goal:
                await self.changed(1.0)

    async def changed(self, seconds: float) -> None:
        """Returns when something new was read, or after `seconds`."""
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), seconds)
            except TimeoutError:
                return

    async def _begin(self, topic: str, end: int) -> int:
        since = self._since.get(topic)
        if since is None or end == 0:
            return 0
        newest: Sequence[LogRecord] = ()
        while not newest:  # a reader may need longer to connect than one read waits
            newest, _ = await retry(lambda: self._log.read(topic, end - 1, 0.2))
        try:
            return since(newest[0])
        except Rejection as rejection:
            log.error("unusable record, reading all", topic=topic, offset=end - 1, reason=str(rejection))
            return 0

    async def _end(self, topic: str) -> int:
        return await retry(lambda: self._log.end(topic))

    async def _follow(self, topic: str) -> None:
        while True:
            await self._read(topic, 1.0)

    async def _read(self, topic: str, wait_seconds: float) -> None:
        start = self._positions[topic]
        records, self._positions[topic] = await retry(lambda: self._log.read(topic, start, wait_seconds))
        for record in records:
            try:
                self._takers[topic](record)
            except Rejection as rejection:
                log.error("unusable record skipped", topic=topic, offset=record.offset, reason=str(rejection))
        if records:
            async with self._changed:
                self._changed.notify_all()
