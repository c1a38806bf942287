"""From a request body to the log: split, decode, check, stamp, append. Nothing is half done.

Comes in: bytes and a tenant. Goes out: what was accepted, with its place in the log, and what was rejected and why. An
event counts as accepted only when the log has it durably.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec import MsgspecError, json

from delivery.ports import Arrival, IngestLog, Published
from runtime import metrics
from schemas import topics
from schemas.codec import body_hash, decode_event, encode_interaction, id_hash, split_batch
from schemas.errors import Code, Rejection
from schemas.events import BY_GATEWAYS, Event
from schemas.ids import partition_of
from schemas.interaction import PLAIN_KEY_ID, SCHEMA, Interaction, Outgoing, Stamp

MAX_BODY_BYTES = 1024 * 1024
MAX_EVENTS = 1_000
HEADERS = (("schema", SCHEMA), ("kid", PLAIN_KEY_ID))


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event in the log."""

    event: Event
    partition: int
    offset: int
    row: str


@dataclass(slots=True)
class Taken:
    """What became of a request. `rejected` gives the index within the request."""

    single: bool
    accepted: list[Accepted] = field(default_factory=list)
    rejected: list[tuple[int, str | None, Rejection]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes request bodies. `now` gives milliseconds since the epoch."""

    log: IngestLog
    published: Published
    partitions: int
    now: Callable[[], int]

    async def take(self, tenant: str, body: bytes) -> Taken:
        """Raises Rejection for a body that is no list of events at all, Unavailable when the log cannot take them."""
        raws, several = split_batch(body)
        if len(raws) > MAX_EVENTS:
            raise Rejection(Code.TOO_LARGE, f"A request may have {MAX_EVENTS} events; this one has {len(raws)}.")
        taken = Taken(single=not several)
        good: list[tuple[int, Interaction]] = []
        for index, raw in enumerate(raws):
            try:
                good.append((index, self._read(tenant, raw)))
            except Rejection as rejection:
                taken.rejected.append((index, _id_in(raw), rejection))
                metrics.REJECTED.labels(rejection.code, "edge").inc()
        await self._append(tenant, good, taken)
        return taken

    async def tell(self, tenant: str, events: Sequence[tuple[Event, str]]) -> None:
        """Append events of the gateway's own, each with the course version that it is about. Raises Unavailable."""
        now, newest = self.now(), self.published.newest_population
        good = [
            Interaction(
                stamp=Stamp(tenant=tenant, logged_ms=now, course_version=version, population=newest(tenant, event.course)),
                event=event,
            )
            for event, version in events
        ]
        await self._append(tenant, list(enumerate(good)), Taken(single=False))

    def _read(self, tenant: str, raw: bytes) -> Interaction:
        event, extra = decode_event(raw)
        if event.type in BY_GATEWAYS:
            raise Rejection(Code.INVALID, f"Only gateways say what was {event.type}; a player sends `rendered`.")
        course = self.published.newest_course(tenant, event.course)
        if course is None:
            raise Rejection(Code.UNKNOWN_COURSE, f"There is no course {event.course!r}; publish it first.")
        if event.segment is not None and not self.published.has_segment(tenant, course.id, event.segment):
            raise Rejection(Code.UNKNOWN_SEGMENT, f"Course {course.id!r} has no segment {event.segment!r}.")
        stamp = Stamp(
            tenant=tenant,
            logged_ms=self.now(),
            course_version=course.version,
            population=self.published.newest_population(tenant, event.course),
        )
        return Interaction(stamp=stamp, event=event, extra=extra)

    async def _append(self, tenant: str, good: list[tuple[int, Interaction]], taken: Taken) -> None:
        if not good:
            return
        arrivals = [Arrival(self._record(tenant, each), id_hash(each.event), body_hash(each)) for _, each in good]
        offsets = await self.log.take(arrivals)
        for (index, each), arrival, offset in zip(good, arrivals, offsets, strict=True):
            if offset is None:
                reused = Rejection(Code.ID_REUSED, f"Event id {each.event.id} was used before with another body.")
                taken.rejected.append((index, str(each.event.id), reused))
                metrics.REJECTED.labels(Code.ID_REUSED, "edge").inc()
                continue
            taken.accepted.append(Accepted(each.event, arrival.record.partition, offset, each.key))
            metrics.ACCEPTED.labels(each.event.type).inc()

    def _record(self, tenant: str, each: Interaction) -> Outgoing:
        partition = partition_of(tenant, each.event.learner, self.partitions)
        return Outgoing(topics.INTERACTIONS, partition, each.key.encode(), encode_interaction(each), HEADERS)


def _id_in(raw: bytes) -> str | None:
    """The id that a rejected event seems to have, for the client's book-keeping."""
    try:
        found = json.decode(raw)
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    name = found.get("id") if isinstance(found, dict) else None
    return name[:64] if isinstance(name, str) else None
