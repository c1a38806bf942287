"""What the agents need of the world, declared by those who need it. Adapters live in `streams`; fakes in tests obey the
same contract tests.

All offsets count from 0 within a partition. Every method may raise Unavailable when its part does not answer; a method
whose effect is then unknown says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from schemas.course import Course
from schemas.interaction import LogRecord, Outgoing

if TYPE_CHECKING:
    from models.population import Population


class Batch(NamedTuple):
    """Records of one partition, in order, as an engine handed them over. `ack` when all of them are safe."""

    records: Sequence[LogRecord]
    ack: Callable[[], None]


class StoredRow(NamedTuple):
    """A row as the view holds it: packed (None: there is none) and its id chunks by slot."""

    packed: bytes | None
    chunks: dict[int, bytes]


class RowWrite(NamedTuple):
    """A row to be written, with the id chunks that changed."""

    key: str
    packed: bytes
    chunks: dict[int, bytes]


class LiveWrite(NamedTuple):
    """An entry for the live stream at `offset`. `body` None points to decision `seq` (0: none) for a resend."""

    offset: int
    row: str
    seq: int
    body: bytes | None


class Advance(NamedTuple):
    """Everything that one micro-batch changes in the view.

    `checksum` is that of the record at `last`; `emitted` waits in the outbox under `last` until it is sent.
    """

    last: int
    checksum: int
    rows: Sequence[RowWrite]
    live: Sequence[LiveWrite]
    emitted: Sequence[Outgoing]


class Look(NamedTuple):
    """A partition of the view at one moment.

    `applied` None: the view is empty or half rebuilt. `outbox`: what each batch emitted, under its last offset, in order.
    """

    applied: int | None
    checksum: int
    outbox: Sequence[tuple[int, Sequence[Outgoing]]]
    rebuilding: bool = False


class Dirty(NamedTuple):
    """What changed since the last checkpoint, read in one script. `marks`: row -> offset of its last change."""

    applied: int
    rows: Mapping[str, StoredRow]
    marks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Saved:
    """What topic `learner-state` holds of a partition: the watermark (None: no checkpoint yet) and the rows."""

    watermark: int | None
    rows: Mapping[str, StoredRow] = field(default_factory=dict)


class EventLog(Protocol):
    """The log `interactions`, read by offset."""

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """Up to `limit` records from offset `start` on, without holes; empty at the end of the log."""
        ...

    async def end(self, partition: int) -> int:
        """The offset that the next record will get."""
        ...

    async def committed(self, partition: int) -> int:
        """The first offset not yet acknowledged by the group."""
        ...


class LearnerStore(Protocol):
    """The view: one hash slot a partition; every method is one script, so it happens whole or not at all."""

    async def look(self, partition: int) -> Look: ...

    async def rows(self, partition: int, applied: int, keys: Sequence[str]) -> Sequence[StoredRow] | None:
        """The rows called `keys`, or None when the view's `applied` is not the one given."""
        ...

    async def advance(self, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
        """Write `change` if `applied` is `expected`; False: refused, nothing written. Unavailable: unknown outcome.

        `sent`: batches, by their last offsets, to take out of the outbox on the way.
        """
        ...

    async def sent(self, partition: int, batches: Sequence[int]) -> None:
        """Take batches, by their last offsets, out of the outbox."""
        ...

    async def replace(self, partition: int, applied: int, checksum: int, rows: Mapping[str, StoredRow],
                      seqs: Mapping[str, int]) -> None:  # fmt: skip
        """Replace the whole partition; live and learner streams begin anew with a reset entry."""
        ...

    async def dirty(self, partition: int, applied: int) -> Dirty | None:
        """Rows changed since they were last marked clean, or None when `applied` is not the one given."""
        ...

    async def clean(self, partition: int, marks: Mapping[str, int]) -> None:
        """Clear marks that are not newer than those given."""
        ...


class DecisionSink(Protocol):
    """Where emitted records go."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Returns when all are durably in their topics. Raises Unavailable when that is unknown; send them again."""
        ...


class Checkpoints(Protocol):
    """Topic `learner-state`, written by one fenced writer a partition."""

    async def claim(self, partition: int) -> None:
        """Fence every earlier writer of this partition."""
        ...

    async def watermark(self, partition: int) -> int | None:
        """That of the last committed checkpoint, without reading its rows; None: no checkpoint yet."""
        ...

    async def load(self, partition: int) -> Saved:
        """The last committed checkpoint, all of it."""
        ...

    async def save(self, partition: int, dirty: Dirty, confirmed: Callable[[], bool]) -> bool:
        """Write rows and watermark in one transaction; commit only if `confirmed`. False: not written."""
        ...


class Books(Protocol):
    """Published versions of courses and populations. A version that is not there yet is waited for."""

    def course(self, tenant: str, course: str, version: str) -> Course | None: ...

    def population(self, tenant: str, course: str, stamp: tuple[int, str]) -> Population | None: ...

    async def wait(self, tenant: str, course: str, version: str, stamp: tuple[int, str]) -> None:
        """Returns when both are there."""
        ...


class SharedLog(Protocol):
    """A topic with one partition that everybody reads whole (`courses`, `population`)."""

    async def append(self, topic: str, key: bytes, value: bytes) -> None: ...

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        """Records from `start` on, and where to go on reading; waits up to `wait_seconds` for the first."""
        ...

    async def end(self, topic: str) -> int:
        """Where reading would stand after the newest record of now."""
        ...
