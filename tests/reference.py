"""The judge: a pure in-order run over a log with its stamps, in one process, without lanes, stores or sends.

What the service holds at the end must be these rows and decisions, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agents.books import TopicBooks
from agents.compute import CachedRow, Computed, Decoded, RowCache, Versions, compute, decode, stamp_of
from agents.ports import EventLog, SharedLog
from agents.window import IdWindow
from schemas import topics
from schemas.codec import decode_reject
from schemas.errors import Rejection
from schemas.events import BY_GATEWAYS
from schemas.interaction import Interaction, LogRecord

EVERYTHING = 1 << 30


@dataclass
class Reference:
    """What a pure run gives: rows by key, decisions by (row, seq), and how many records were applied or refused."""

    rows: dict[str, bytes] = field(default_factory=dict)
    decisions: dict[tuple[str, int], bytes] = field(default_factory=dict)
    applied: int = 0
    duplicates: int = 0
    rejected: int = 0
    applied_ids: set[str] = field(default_factory=set)
    by_gateways: set[str] = field(default_factory=set)


class Reader(Protocol):
    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]: ...


async def reference_run(log: EventLog, shared: SharedLog, partitions: int) -> Reference:
    """Compute everything that stands in the log now."""
    books = TopicBooks(shared, whole=True)
    await books.tail.start()
    found = Reference()
    try:
        for partition in range(partitions):
            await _run_partition(partition, partitions, log, books, found)
    finally:
        await books.tail.stop()
    return found


async def _run_partition(partition: int, partitions: int, log: Reader, books: TopicBooks, found: Reference) -> None:
    rows, offset = RowCache(EVERYTHING), 0
    while records := await log.read(partition, offset, 500):
        assert records[0].offset == offset, "the log has a hole"
        offset = records[-1].offset + 1
        decoded = decode(records, partition, partitions)
        versions: dict[tuple[str, str, str, tuple[int, str]], Versions] = {}
        for said in (each.said for each in decoded):
            if isinstance(said, Rejection):
                continue
            if said.key not in rows:
                rows.put(said.key, CachedRow(None, IdWindow(0, {})))
            versions[stamp_of(said)] = _versions(books, said)
        done = compute(partition, partitions, decoded, rows, versions)
        found.rows |= {write.key: write.packed for write in done.change.rows}
        found.decisions |= {(e.row, e.seq): e.body for e in done.change.live if e.body is not None}
        found.applied += done.applied
        found.by_gateways |= {
            str(d.said.event.id) for d in decoded if not isinstance(d.said, Rejection) and d.said.event.type in BY_GATEWAYS
        }
        found.applied_ids |= _applied_ids(decoded, done)
        found.duplicates += done.duplicates
        found.rejected += len(done.rejects)


def _applied_ids(decoded: Sequence[Decoded], done: Computed) -> set[str]:
    """Ids of the events that changed a row: those of the batch that were neither rejected nor pointed back."""
    back = {entry.offset for entry in done.change.live if entry.body is None}
    out = {decode_reject(record.value).offset for record in done.change.emitted if record.topic == topics.REJECTS}
    return {str(d.said.event.id) for d in decoded if not isinstance(d.said, Rejection) and d.record.offset not in back | out}


def _versions(books: TopicBooks, said: Interaction) -> Versions:
    tenant, name, version, stamp = stamp_of(said)
    course, population = books.course(tenant, name, version), books.population(tenant, name, stamp)
    assert course is not None and population is not None, f"a stamp names versions that were never published: {stamp}"
    return Versions(course, population)
