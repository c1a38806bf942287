"""Adaptation topics over server-sent events: the subscriber half of Mercure, framed by sse-starlette.

Order matters: subscribe first, then read the tail after the cursor, then tell what was queued meanwhile; the session drops
what would be told twice. Every frame's id is a cursor, also the first, empty one: a client that is cut off before its
first decision still knows where it stood. A gap that cannot be filled is an event `gap` with the row and its first and last
missing number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from random import randint

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from delivery.hub import GONE, Hub, Subscription
from delivery.ports import LiveView
from delivery.session import Session, read_cursor
from runtime import metrics
from runtime.logging import logger
from runtime.tasks import retry
from schemas.ids import RowId, partition_of

PING_SECONDS = 15
SLOW_READER_SECONDS = 10
RETRY_MS = (500, 3_000)
"""How long clients are asked to wait before they come back, each another while, so that a herd does not come at once."""

Delivered = Callable[[bytes], None]
log = logger(__name__)


async def subscribe(rows: list[RowId], last_event_id: str | None, hub: Hub, view: LiveView,
                    partitions: int, delivered: Delivered) -> EventSourceResponse:  # fmt: skip
    """A response that tells the decisions of `rows`, from the cursor on when there is one.

    `delivered` is called with each decision that the connection has taken.
    """
    subscription = Subscription()
    leave = hub.subscribe([row.key for row in rows], subscription)
    try:
        session, missed, complete = await _catch_up(rows, last_event_id, view, partitions)
    except BaseException:
        leave()
        raise
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if last_event_id:
        metrics.STREAMS_RESUMED.inc()
        headers["Mercure-Last-Event-ID"] = last_event_id if complete and last_event_id.isprintable() else "gap"
    frames = _frames(session, missed, subscription, view, partitions, delivered)
    return Topic(frames, leave, subscription.evict, headers)


class Topic(EventSourceResponse):
    """A subscription as a response; whatever ends it, the hub forgets it."""

    def __init__(self, frames: AsyncIterator[ServerSentEvent], leave: Callable[[], None], evict: Callable[[], None],
                 headers: dict[str, str]) -> None:  # fmt: skip
        super().__init__(frames, ping=PING_SECONDS, headers=headers, sep="\n", send_timeout=SLOW_READER_SECONDS)
        self._leave = leave
        self._evict = evict

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:
            self._evict()  # the server closes what is not complete; the client comes back with its cursor
            log.info("a reader who does not read was cut off")
        finally:
            self._leave()


async def _catch_up(rows: list[RowId], last_event_id: str | None, view: LiveView,
                    partitions: int) -> tuple[Session, list[tuple[str, int, bytes]], bool]:  # fmt: skip
    """The session, what it missed since its cursor, and whether nothing in between was lost."""
    told, epoch = read_cursor(last_event_id) if last_event_id else ({}, 0)
    session, complete = Session(epoch=await view.epoch()), bool(told) or not last_event_id
    if told and epoch != session.epoch:  # a power cut took decisions that were told, and their numbers are used again
        told, complete = dict.fromkeys(told, 0), False
    missed: list[tuple[str, int, bytes]] = []
    for row in rows:
        partition = partition_of(row.tenant, row.learner, partitions)
        since = told.get(row.key)
        tail = await view.tail(partition, row.key, since or 0, 1_000)
        if since is None:
            session.told[row.key] = tail.newest
            continue
        if since > tail.newest:
            session.told[row.key], complete = tail.newest, False
            continue
        session.told[row.key] = since
        complete = complete and tail.oldest <= since + 1
        missed += [(row.key, seq, body) for seq, body in tail.bodies]
    return session, missed, complete


async def _frames(session: Session, missed: list[tuple[str, int, bytes]], subscription: Subscription, view: LiveView,
                  partitions: int, delivered: Delivered) -> AsyncIterator[ServerSentEvent]:  # fmt: skip
    yield ServerSentEvent(id=session.cursor(), retry=randint(*RETRY_MS), sep="\n")
    for row, seq, body in missed:
        if session.take(row, seq):
            yield ServerSentEvent(body.decode(), id=session.cursor(), sep="\n")
            delivered(body)
    while (decided := await subscription.next()) is not None:
        row, seq, body = decided
        if body == GONE:
            if session.told.get(row, 0) < seq:
                yield ServerSentEvent(f"{row} {session.told.get(row, 0) + 1} {seq}", event="gap", sep="\n")
                session.take(row, seq)
            continue
        for lost_seq, lost_body in await _between(session, row, seq, view, partitions):
            if session.take(row, lost_seq):
                yield ServerSentEvent(lost_body.decode(), id=session.cursor(), sep="\n")
                delivered(lost_body)
        if session.told.get(row, seq - 1) < seq - 1:
            yield ServerSentEvent(f"{row} {session.told[row] + 1} {seq - 1}", event="gap", sep="\n")
        if session.take(row, seq):
            yield ServerSentEvent(body.decode(), id=session.cursor(), sep="\n")
            delivered(body)


async def _between(session: Session, row: str, seq: int, view: LiveView, partitions: int) -> Sequence[tuple[int, bytes]]:
    """Decisions that the live stream skipped on its way to `seq`: read from the row's tail. Usually none."""
    told = session.told.get(row, seq - 1)
    if told >= seq - 1:
        return ()
    owner = RowId.parse(row)
    partition = partition_of(owner.tenant, owner.learner, partitions)
    tail = await retry(lambda: view.tail(partition, row, told))
    return [(each, body) for each, body in tail.bodies if each < seq]
