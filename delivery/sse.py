"""Adaptation topics over server-sent events: the subscriber half of Mercure, framed by sse-starlette.

Order matters: subscribe first, then read the tail after the cursor, then tell what was queued meanwhile; the session drops
what would be told twice. Every frame's id is a cursor, also the first, empty one: a client that is cut off before its
first decision still knows where it stood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from sse_starlette import EventSourceResponse, ServerSentEvent

from delivery.hub import Hub, Subscription
from delivery.ports import LiveView
from delivery.session import Session, read_cursor
from runtime import metrics
from schemas.ids import RowId, partition_of

PING_SECONDS = 15
RETRY_MS = 1_000


async def subscribe(rows: list[RowId], last_event_id: str | None, hub: Hub, view: LiveView,
                    partitions: int) -> EventSourceResponse:  # fmt: skip
    """A response that tells the decisions of `rows`, from the cursor on when there is one."""
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
        headers["Mercure-Last-Event-ID"] = last_event_id if complete else "gap"
    frames = _frames(session, missed, subscription, leave)
    return EventSourceResponse(frames, ping=PING_SECONDS, headers=headers, sep="\n")


async def _catch_up(rows: list[RowId], last_event_id: str | None, view: LiveView,
                    partitions: int) -> tuple[Session, list[tuple[str, int, bytes]], bool]:  # fmt: skip
    """The session, what it missed since its cursor, and whether nothing in between was lost."""
    told = read_cursor(last_event_id) if last_event_id else {}
    session, complete = Session(), bool(told) or not last_event_id
    missed: list[tuple[str, int, bytes]] = []
    for row in rows:
        partition = partition_of(row.tenant, row.learner, partitions)
        since = told.get(row.key)
        tail = await view.tail(partition, row.key, 0 if since is None else since, 1_000)
        newest = tail.bodies[-1][0] if tail.bodies else (since or 0)
        if since is None:
            session.told[row.key] = newest
            continue
        session.told[row.key] = since
        complete = complete and (not tail.bodies or tail.bodies[0][0] == since + 1)
        missed += [(row.key, seq, body) for seq, body in tail.bodies]
    return session, missed, complete


async def _frames(session: Session, missed: list[tuple[str, int, bytes]], subscription: Subscription,
                  leave: Callable[[], None]) -> AsyncIterator[ServerSentEvent]:  # fmt: skip
    try:
        yield ServerSentEvent(id=session.cursor(), retry=RETRY_MS, sep="\n")
        for row, seq, body in missed:
            if session.take(row, seq):
                yield ServerSentEvent(body.decode(), id=session.cursor(), sep="\n")
        while (decided := await subscription.next()) is not None:
            row, seq, body = decided
            if session.take(row, seq):
                yield ServerSentEvent(body.decode(), id=session.cursor(), sep="\n")
    finally:
        leave()
