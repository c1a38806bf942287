"""What the gateway needs of the world: a log to append to, a view to tail, and the newest published versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.course import Course
from schemas.decision import LiveEntry
from schemas.interaction import Outgoing


class Tail(NamedTuple):
    """A row's last decisions (seq, body), and the view's `applied` then; `oldest` and `newest`: seqs still held."""

    applied: int
    bodies: Sequence[tuple[int, bytes]]
    oldest: int
    newest: int


class Arrival(NamedTuple):
    """An event on its way into the log, with the hashes of its id and of its body."""

    record: Outgoing
    id_hash: bytes
    body_hash: bytes


class IngestLog(Protocol):
    """The log, from the gateway's side."""

    async def take(self, events: Sequence[Arrival]) -> Sequence[int | None]:
        """Append; the offset of each once all is durable, None for an id that was lately used with another body.

        That memory is a courtesy and may be gone; the lane decides. Raises Unavailable: then some may be in the log, and
        the client sends again.
        """
        ...


class LiveView(Protocol):
    """What the workers have decided."""

    async def newest(self) -> dict[int, int]:
        """The number of the newest live entry of each partition; 0 when there is none."""
        ...

    async def oldest(self) -> dict[int, int]:
        """The number of the oldest live entry that is still held of each partition; 0 when there is none."""
        ...

    async def workers(self, silent_ms: int) -> int:
        """How many workers have said within the last `silent_ms` that they work, by the store's clock."""
        ...

    async def read(self, after: Mapping[int, int], wait_seconds: float) -> Sequence[LiveEntry]:
        """Live entries after those numbers, in order within a partition."""
        ...

    async def applied(self) -> dict[int, int]:
        """How far each partition's view stands; partitions that are being rebuilt are left out."""
        ...

    async def epoch(self) -> int:
        """Rises when numbers of decisions that were told may be used again: after a power cut that took the last second."""
        ...

    async def tail(self, partition: int, row: str, after: int, limit: int = 100) -> Tail:
        """A row's decisions after seq `after`."""
        ...

    async def latest(self, partition: int, row: str) -> bytes | None:
        """A row's last decision."""
        ...


class Published(Protocol):
    """The newest versions, as read back from their topics."""

    def newest_course(self, tenant: str, course: str) -> Course | None: ...

    def course_version(self, tenant: str, course: str, version: str) -> Course | None: ...

    def has_segment(self, tenant: str, course: str, segment: str) -> bool:
        """Whether any version of a course has a segment."""
        ...

    def courses(self, tenant: str) -> Sequence[Course]:
        """The newest version of every course of a tenant."""
        ...

    def newest_population(self, tenant: str, course: str) -> tuple[int, str]: ...

    async def publish_course(self, tenant: str, course: Course) -> None:
        """Append a version and return when it was read back. Raises Unavailable."""
        ...
