"""`Prefer: wait=MS`: the decision of one event in the answer to it, or at the deadline a fallback that is marked as one.

The fallback is the `next_authored` that the learner's last decision carried, so it never breaks a prerequisite; its `seq`
is null, so it can never contradict a decision.
"""

from __future__ import annotations

from msgspec import json

from delivery.hub import Hub
from delivery.ingest import Accepted
from delivery.ports import LiveView, Published
from runtime import metrics
from schemas.codec import decode_decision
from schemas.decision import Decision
from schemas.events import ASKS_FOR_DECISION
from schemas.ids import RowId
from schemas.interaction import NO_POPULATION

LONGEST_MS = 10_000


def wait_ms(prefer: str | None) -> int | None:
    """Milliseconds of a `Prefer` header (RFC 7240), at most LONGEST_MS; None when it does not ask for waiting."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.partition(";")[0].strip().partition("=")
        digits = value.strip().strip('"')
        if name.strip().lower() == "wait" and digits.isascii() and digits.isdigit() and len(digits) < 10:
            return min(int(digits), LONGEST_MS)
    return None


async def decision_for(accepted: Accepted, milliseconds: int, hub: Hub, view: LiveView, published: Published,
                       now_ms: int) -> bytes | None:  # fmt: skip
    """The decision made at the event's offset (for a resend: the original), else the fallback.

    None: none is due, or the original is older than what is held at hand.
    """
    if accepted.event.type not in ASKS_FOR_DECISION:
        return None
    entry = await hub.decided_at(accepted.partition, accepted.offset, milliseconds / 1000)
    if entry is not None and entry.row != accepted.row:  # of a log that lost its end: never somebody else's decision
        entry = None
    if entry is not None and entry.body is not None:
        return entry.body
    if entry is not None and entry.seq:
        tail = await view.tail(accepted.partition, accepted.row, entry.seq - 1, 1)
        return tail.bodies[0][1] if tail.bodies and tail.bodies[0][0] == entry.seq else None
    if entry is not None:  # it was worked on, and none came of it
        return None
    metrics.FALLBACKS.inc()
    latest = await view.latest(accepted.partition, accepted.row)
    return json.encode(_fallback(accepted, latest, published, now_ms))


def _fallback(accepted: Accepted, latest: bytes | None, published: Published, now_ms: int) -> Decision:
    """The authored next segment that the last decision named, or the first of the course; from the newest version."""
    row, event = RowId.parse(accepted.row), accepted.event
    course = published.newest_course(row.tenant, row.course)
    segments = course.segments if course else []
    last = None if latest is None else decode_decision(latest)
    named = None if last is None else last.next_authored
    segment = next((s for s in segments if s.id == named and event.segment != named), None)
    if segment is None:
        segment = next((s for s in segments if not s.prerequisites and s.id != event.segment), None)
    return Decision(
        id=f"{accepted.row}/fallback", seq=None, tenant=row.tenant, learner=row.learner, course=row.course, run=row.run,
        segment=segment.id if segment else None, format=segment.format if segment else None,
        why="The authored next step, while your own is being worked out.", terms=[], runner_up=None, eligible="0",
        next_authored=segment.id if segment else None, propensity=1.0, arm="fallback", forced=True, fallback=True,
        for_event=str(event.id), predicted=None, policy="fallback", population=NO_POPULATION,
        course_version=course.version if course else "", engine=0, decided_at=now_ms,
    )  # fmt: skip
