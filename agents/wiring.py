"""What a lane is wired to, in one frozen object, and who watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from agents.compute import Computed
from agents.ports import Books, Checkpoints, DecisionSink, EventLog, LearnerStore

ROOM = 2_048
"""Records that a lane may have waiting."""
CALIBRATE_ROOM = 64
"""The same of calibrate, which gets them by the hundred."""


class Watcher(Protocol):
    """Who is told how a lane is doing (metrics, logs)."""

    def state(self, partition: int, name: str, detail: str = "") -> None: ...
    def stands(self, partition: int, applied: int) -> None: ...
    def moved(self, partition: int, done: Computed, newest_logged_ms: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What a lane is wired to. `sink` and `checkpoints` are None where one store holds log and view (standalone)."""

    log: EventLog
    store: LearnerStore
    books: Books
    sink: DecisionSink | None
    checkpoints: Checkpoints | None
    watcher: Watcher
    partitions: int
    checkpoint_seconds: float = 10.0
