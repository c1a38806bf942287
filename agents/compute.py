"""From a run of records to one change of the view. Synchronous; the only state is the cache of rows it is given.

Rules: records in offset order; a known event id changes nothing but the position; what cannot be used becomes a reject
that is emitted like a decision, so that it is out before the offset is acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from msgspec import Raw

from agents.ports import Advance, LiveWrite, RowWrite, StoredRow
from agents.step import Outcome, step
from agents.window import IdWindow
from models.population import Population
from models.row import Row
from schemas import topics
from schemas.codec import body_hash, decode_interaction, encode_json, encode_msgpack, id_hash
from schemas.course import Course
from schemas.decision import Reject
from schemas.errors import Code, Rejection
from schemas.evidence import encode_evidence
from schemas.ids import decision_id, partition_of
from schemas.interaction import SCHEMA, Headers, Interaction, LogRecord, Outgoing

MAX_REJECTED_BYTES = 256 * 1024
"""Longer values are cut in their reject; the log still has them."""

LESSONS_BYTES = 4 * 1024
"""A record of topic `learning` takes no more lessons once it has so many bytes of them, about ten: nearly all that is saved
by sharing is saved, and what counts records (what a standalone store keeps, what a follower reads at once) stays small."""


class Decoded(NamedTuple):
    """A record and what it says, or why it cannot be used. `row` is the key of its row ("" where it cannot be used)."""

    record: LogRecord
    said: Interaction | Rejection
    row: str


class Versions(NamedTuple):
    """The versions that a record's stamp names."""

    course: Course
    population: Population


@dataclass(slots=True)
class CachedRow:
    """A row in memory: its packed bytes (never an object that could drift from them) and its id window."""

    packed: bytes | None
    window: IdWindow

    @classmethod
    def of(cls, stored: StoredRow) -> CachedRow:
        """Raises CorruptRow when the stored row fails its checksum."""
        count = Row.unpack(stored.packed).events if stored.packed is not None else 0
        return cls(stored.packed, IdWindow(count, dict(stored.chunks)))


class RowCache:
    """The rows met most recently, at most `limit` of them. Dropped whole whenever a lane is in doubt."""

    def __init__(self, limit: int = 2_048) -> None:
        self._limit = limit
        self._rows: OrderedDict[str, CachedRow] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> CachedRow:
        self._rows.move_to_end(key)
        return self._rows[key]

    def put(self, key: str, row: CachedRow) -> None:
        """Add a row."""
        self._rows[key] = row

    def shrink(self) -> None:
        """Forget the least recent beyond the limit. Called between batches, so that a batch never loses its rows."""
        while len(self._rows) > self._limit:
            self._rows.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()


@dataclass(slots=True)
class Computed:
    """What a run of records did: the change for the view, and counts for the engineers.

    `fates` tells of each record, in order, whether its bytes made sense; what a client may do wrong is no poison.
    """

    change: Advance
    applied: int = 0
    duplicates: int = 0
    rejects: list[Rejection] = field(default_factory=list)
    decisions: int = 0
    fates: list[bool] = field(default_factory=list)


def decode(records: Sequence[LogRecord], partition: int, partitions: int) -> list[Decoded]:
    """Decode once; a rejection is a value here."""
    return [_decoded(record, partition, partitions) for record in records]


def _decoded(record: LogRecord, partition: int, partitions: int) -> Decoded:
    try:
        said = decode_interaction(record)
    except Rejection as rejection:
        return Decoded(record, rejection, "")
    if partition_of(said.stamp.tenant, said.event.learner, partitions) != partition:
        why = f"Its row does not live in partition {partition}; only gateways write this topic."
        return Decoded(record, Rejection(Code.INVALID, why), "")
    return Decoded(record, said, record.key.decode())


def compute(partition: int, partitions: int, decoded: Sequence[Decoded], rows: RowCache,
            versions: Mapping[tuple[str, str, str, tuple[int, str]], Versions]) -> Computed:  # fmt: skip
    """Apply `decoded`, in order. `rows` holds the row of every record in it; `versions` the versions of every stamp."""
    last = decoded[-1].record
    work = _Work(partition, partitions)
    for record, said, key in decoded:
        if isinstance(said, Rejection):
            work.reject(record, said)
            continue
        try:
            work.apply(record, said, key, rows[key], versions[stamp_of(said)])
        except Rejection as rejection:
            work.reject(record, rejection)
    work.teach()
    change = Advance(
        last.offset,
        crc32(last.value),
        [RowWrite(key, write.packed, write.chunks) for key, write in work.writes.items()],
        work.live,
        work.emitted,
    )
    fates = [not (isinstance(d.said, Rejection)) for d in decoded]
    return Computed(change, work.applied, work.duplicates, work.rejects, sum(1 for w in work.live if w.body), fates)


def stamp_of(said: Interaction) -> tuple[str, str, str, tuple[int, str]]:
    """The key of a record's versions: tenant, course, course version, population."""
    stamp = said.stamp
    return stamp.tenant, said.event.course, stamp.course_version, stamp.population


class _Work:
    """What has piled up while a batch is computed."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self.partitions = partitions
        self.writes: dict[str, RowWrite] = {}
        self.live: list[LiveWrite] = []
        self.emitted: list[Outgoing] = []
        self.lessons: dict[tuple[str, str], list[tuple[Headers, bytes]]] = defaultdict(list)
        self.rejects: list[Rejection] = []
        self.applied = 0
        self.duplicates = 0

    def apply(self, record: LogRecord, said: Interaction, key: str, row: CachedRow, versions: Versions) -> None:
        name, body = id_hash(said.event), body_hash(said)
        known = row.window.find(name)
        if known is not None:
            self._seen_before(record, key, said, body, known.body, known.seq)
            return
        outcome = step(row.packed, said, self.partition, record.offset, *versions)
        self._emit(record, key, said, row.packed, outcome)
        row.packed = outcome.row
        slot, chunk = row.window.remember(name, body, outcome.seq)
        chunks = self.writes[key].chunks if key in self.writes else {}
        self.writes[key] = RowWrite(key, outcome.row, {**chunks, slot: chunk})
        self.applied += 1

    def _seen_before(self, record: LogRecord, key: str, said: Interaction, body: bytes, known: bytes, seq: int) -> None:
        if body != known:
            self.live.append(LiveWrite(record.offset, key, 0, None))
            raise Rejection(Code.ID_REUSED, f"Event id {said.event.id} was used before with another body.")
        self.duplicates += 1
        self.live.append(LiveWrite(record.offset, key, seq, None))

    def _emit(self, record: LogRecord, key: str, said: Interaction, before: bytes | None, outcome: Outcome) -> None:
        headers = (("schema", SCHEMA), *[header for header in record.headers if header[0] == "kid"])
        if outcome.decision is not None:
            self.live.append(LiveWrite(record.offset, key, outcome.seq, outcome.decision))
            named = decision_id(key, outcome.seq).encode()
            before_it = (*headers, ("row", before or b""))
            self.emitted.append(Outgoing(topics.DECISIONS, self.partition, named, outcome.decision, before_it))
        if outcome.learning is not None:
            self.lessons[said.stamp.tenant, said.event.course].append((headers, encode_msgpack(outcome.learning)))
        for each in outcome.evidence:
            named = f"{each.row}/{each.number}".encode()
            self.emitted.append(Outgoing(topics.EVIDENCE, self.partition, named, encode_evidence(each), headers))

    def teach(self) -> None:
        """Emit what was learned, course by course, so that what calibrate reads costs little for each response.

        In the order of offsets: calibrate drops what stands behind a later one of its partition.
        """
        for (tenant, course), lessons in self.lessons.items():
            where, key = partition_of(tenant, course, self.partitions), f"{tenant}/{course}".encode()
            for headers, together in _records_of(lessons):
                value = encode_msgpack([Raw(lesson) for lesson in together])
                self.emitted.append(Outgoing(topics.LEARNING, where, key, value, headers))

    def reject(self, record: LogRecord, rejection: Rejection) -> None:
        self.rejects.append(rejection)
        value = encode_json(
            Reject(
                partition=self.partition,
                offset=record.offset,
                code=rejection.code,
                detail=rejection.detail,
                value=record.value[:MAX_REJECTED_BYTES],
                headers=list(record.headers),
            )
        )
        self.emitted.append(Outgoing(topics.REJECTS, self.partition, record.key, value, (("schema", SCHEMA),)))


def _records_of(lessons: Iterable[tuple[Headers, bytes]]) -> Iterator[tuple[Headers, list[bytes]]]:
    """Lessons that share headers and a record, in order."""
    for headers, following in groupby(lessons, itemgetter(0)):
        together, size = list[bytes](), 0
        for _, lesson in following:
            if size >= LESSONS_BYTES:
                yield headers, together
                together, size = [], 0
            together.append(lesson)
            size += len(lesson)
        yield headers, together
