"""How lanes are watched: metrics for machines, one log line an incident for people."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agents.compute import Computed
from agents.ports import EventLog
from runtime import metrics
from runtime.clock import wall_clock
from runtime.logging import logger
from schemas import topics
from schemas.errors import Unavailable

log = logger("segue.worker")
LOUD = {"doubt": "warning", "waiting": "warning", "halted": "error", "restored": "warning"}


class LaneWatch:
    """Watcher of all lanes of a worker."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._states: dict[int, str] = {}
        self._newest: dict[int, int] = {}
        self._applied: dict[int, int] = {}

    def state(self, partition: int, name: str, detail: str = "") -> None:
        metrics.LANE_STATES.labels(name).inc()
        if name == "left":
            self._forget(partition)
            return
        self._states[partition] = name
        metrics.HALTED.labels(partition).set(name == "halted")
        if name in LOUD:
            getattr(log, LOUD[name])(f"lane {name}", partition=partition, detail=detail)

    def _forget(self, partition: int) -> None:
        """Another worker tells of it now; a series that stays would tell of a lag that nobody has."""
        for known in (self._states, self._newest, self._applied):
            known.pop(partition, None)
        for gauge, labels in (
            (metrics.HALTED, (partition,)),
            (metrics.LAG_SECONDS, (partition,)),
            (metrics.OFFSET_LAG, (self._group, topics.INTERACTIONS, partition)),
        ):
            with suppress(KeyError):
                gauge.remove(*labels)

    def stands(self, partition: int, applied: int) -> None:
        self._applied[partition] = applied

    def moved(self, partition: int, done: Computed, newest_logged_ms: int | None) -> None:
        metrics.APPLIED.labels(partition).inc(done.applied)
        metrics.DUPLICATES.labels(partition).inc(done.duplicates)
        metrics.DECISIONS.labels(partition).inc(done.decisions)
        for rejection in done.rejects:
            metrics.REJECTED.labels(rejection.code, "lane").inc()
        self._applied[partition] = done.change.last
        if newest_logged_ms is not None:
            self._newest[partition] = newest_logged_ms

    def published(self, course: str, version: int) -> None:
        """A population version went out."""
        metrics.POPULATION_VERSION.labels(course).set(version)

    def watch(self, source: EventLog, beat: Callable[[str], Awaitable[None]]) -> list[asyncio.Task[None]]:
        """What runs for ever: saying that this worker works, and keeping the lag series fresh. The first does not wait for
        the second, which asks a log that may be away."""
        return [
            asyncio.create_task(self._beat(beat), name="beat"), asyncio.create_task(self._measure(source), name="lag"),
        ]  # fmt: skip

    async def _beat(self, beat: Callable[[str], Awaitable[None]]) -> None:
        while True:
            if any(state == "working" for state in self._states.values()):
                with suppress(Unavailable):
                    await beat(self._name)
            await asyncio.sleep(0.2 if not self._states else 1.0)

    async def _measure(self, source: EventLog) -> None:
        while True:
            for partition, applied in list(self._applied.items()):
                try:
                    behind = max(0, await source.end(partition) - 1 - applied)
                except Unavailable:
                    break
                if partition not in self._applied:
                    continue  # it left while we asked
                metrics.OFFSET_LAG.labels(self._group, topics.INTERACTIONS, partition).set(behind)
                seconds = max(0, wall_clock() - self._newest.get(partition, wall_clock())) / 1000 if behind else 0.0
                metrics.LAG_SECONDS.labels(partition).set(seconds)
            await asyncio.sleep(0.2 if not self._states else 1.0)
