"""The ports in memory. They obey the same contract tests as the real adapters, and stand beside them, never instead."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from agents.compute import Computed
from agents.ports import Advance, Dirty, LiveWrite, Look, Saved, StoredRow
from delivery.ports import Arrival
from schemas.interaction import LogRecord, Outgoing


class MemoryLog:
    """EventLog and IngestLog."""

    def __init__(self) -> None:
        self.partitions: dict[tuple[str, int], list[LogRecord]] = defaultdict(list)
        self.acked: dict[int, int] = {}
        self.remembered: dict[tuple[bytes, bytes], bytes] = {}

    async def append(self, records: Sequence[Outgoing]) -> Sequence[int]:
        offsets = []
        for record in records:
            place = self.partitions[record.topic, record.partition]
            offsets.append(len(place))
            place.append(LogRecord(len(place), record.key, record.value, record.headers))
        return offsets

    async def take(self, events: Sequence[Arrival]) -> Sequence[int | None]:
        found: list[int | None] = []
        for record, name, body in events:
            clash = self.remembered.setdefault((record.key, name), body) != body
            found.append(None if clash else (await self.append([record]))[0])
        return found

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        return self.partitions["interactions", partition][start : start + limit]

    async def end(self, partition: int) -> int:
        return len(self.partitions["interactions", partition])

    async def committed(self, partition: int) -> int:
        return self.acked.get(partition, 0)


class MemoryPartition:
    """One partition of the view."""

    def __init__(self) -> None:
        self.applied: int | None = None
        self.rebuilding = False
        self.checksum = 0
        self.rows: dict[str, StoredRow] = {}
        self.live: list[LiveWrite | None] = []
        self.tails: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.outbox: dict[int, Sequence[Outgoing]] = {}
        self.dirty: dict[str, int] = {}


class MemoryStore:
    """LearnerStore. `direct` sends what is emitted straight to `topics`, as standalone does."""

    def __init__(self, *, direct: bool = False) -> None:
        self.parts: dict[int, MemoryPartition] = defaultdict(MemoryPartition)
        self.direct = direct
        self.topics: list[Outgoing] = []

    async def look(self, partition: int) -> Look:
        part = self.parts[partition]
        outbox = sorted(part.outbox.items())
        return Look(part.applied, part.checksum, outbox, part.rebuilding)

    async def rows(self, partition: int, applied: int, keys: Sequence[str]) -> Sequence[StoredRow] | None:
        part = self.parts[partition]
        if (-1 if part.applied is None else part.applied) != applied:
            return None
        return [part.rows.get(key, StoredRow(None, {})) for key in keys]

    async def advance(self, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
        part = self.parts[partition]
        if (-1 if part.applied is None else part.applied) != expected:
            return False
        for row in change.rows:
            known = part.rows.get(row.key, StoredRow(None, {}))
            part.rows[row.key] = StoredRow(row.packed, {**known.chunks, **row.chunks})
            part.dirty[row.key] = change.last
        part.live += change.live
        for entry in change.live:
            if entry.body is not None:
                part.tails[entry.row].append((entry.seq, entry.body))
        if self.direct:
            self.topics += change.emitted
        elif change.emitted:
            part.outbox[change.last] = change.emitted
        await self.sent(partition, sent)
        part.applied, part.checksum = change.last, change.checksum
        return True

    async def sent(self, partition: int, batches: Sequence[int]) -> None:
        for last in batches:
            self.parts[partition].outbox.pop(last, None)

    async def replace(self, partition: int, applied: int, checksum: int, rows: Mapping[str, StoredRow],
                      seqs: Mapping[str, int]) -> None:  # fmt: skip
        part = self.parts[partition] = MemoryPartition()
        part.rows, part.applied, part.checksum = dict(rows), applied, checksum
        part.live.append(None)

    async def dirty(self, partition: int, applied: int) -> Dirty | None:
        part = self.parts[partition]
        if (-1 if part.applied is None else part.applied) != applied:
            return None
        return Dirty(applied, {key: part.rows[key] for key in part.dirty}, dict(part.dirty))

    async def clean(self, partition: int, marks: Mapping[str, int]) -> None:
        dirty = self.parts[partition].dirty
        for key, mark in marks.items():
            if dirty.get(key, mark + 1) <= mark:
                del dirty[key]


class MemorySink:
    """DecisionSink."""

    def __init__(self) -> None:
        self.records: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        self.records += records


class MemoryCheckpoints:
    """Checkpoints, without fencing: one process has one writer."""

    def __init__(self) -> None:
        self.saved: dict[int, Saved] = {}

    async def claim(self, partition: int) -> None:
        return

    async def watermark(self, partition: int) -> int | None:
        return self.saved.get(partition, Saved(None)).watermark

    async def load(self, partition: int) -> Saved:
        return self.saved.get(partition, Saved(None))

    async def save(self, partition: int, dirty: Dirty, confirmed: Callable[[], bool]) -> bool:
        if not confirmed():
            return False
        known = self.saved.get(partition, Saved(None))
        self.saved[partition] = Saved(dirty.applied, {**known.rows, **dirty.rows})
        return True


class MemoryShared:
    """SharedLog."""

    def __init__(self) -> None:
        self.topics: dict[str, list[LogRecord]] = defaultdict(list)
        self._arrived = asyncio.Event()

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        self.topics[topic].append(LogRecord(len(self.topics[topic]), key, value))
        self._arrived.set()

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        if len(self.topics[topic]) <= start:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_seconds)
            except TimeoutError:
                return [], start
        found = self.topics[topic][start:]
        return found, start + len(found)

    async def end(self, topic: str) -> int:
        return len(self.topics[topic])


class Notes:
    """Watcher that remembers."""

    def __init__(self) -> None:
        self.states: list[tuple[int, str, str]] = []
        self.done: list[Computed] = []

    def state(self, partition: int, name: str, detail: str = "") -> None:
        self.states.append((partition, name, detail))

    def stands(self, partition: int, applied: int) -> None:
        self.stood = applied

    def moved(self, partition: int, done: Computed, newest_logged_ms: int | None) -> None:
        self.done.append(done)

    def names(self) -> list[str]:
        """The states, in order."""
        return [name for _, name, _ in self.states]
