"""`Prefer: wait=MS`: the decision of one event in the answer to it, or at the deadline a fallback that is marked as one.

The fallback is the `next_authored` that the learner's last decision carried, so it never breaks a prerequisite; its `seq`
is null, so it can never contradict a decision.
"""

from __future__ import annotations

from msgspec import json
from msgspec.structs import replace

from delivery.hub import Hub
from delivery.ingest import Accepted
from delivery.ports import LiveView, Published
from runtime import metrics
from schemas.codec import decode_decision
from schemas.decision import Decision
from schemas.events import ASKS_FOR_DECISION
from schemas.ids import RowId

LONGEST_MS = 10_000


def wait_ms(prefer: str | None) -> int | None:
    """Milliseconds of a `Prefer` header (RFC 7240), at most LONGEST_MS; None when it does not ask for waiting."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.strip().lower() == "wait" and value.strip().strip('"').isdigit():
            return min(int(value.strip().strip('"')), LONGEST_MS)
    return None


async def decision_for(accepted: Accepted, milliseconds: int, hub: Hub, view: LiveView, published: Published,
                       now_ms: int) -> bytes | None:  # fmt: skip
    """The decision made at the event's offset (for a resend: the original), else the fallback; None: none is due."""
    if accepted.event.type not in ASKS_FOR_DECISION:
        return None
    entry = await hub.decided_at(accepted.partition, accepted.offset, milliseconds / 1000)
    if entry is not None and entry.body is not None:
        return entry.body
    if entry is not None and entry.seq:
        tail = await view.tail(accepted.partition, accepted.row, entry.seq - 1, 1)
        if tail.bodies and tail.bodies[0][0] == entry.seq:
            return tail.bodies[0][1]
    metrics.FALLBACKS.inc()
    latest = await view.latest(accepted.partition, accepted.row)
    return json.encode(_fallback(accepted, latest, published, now_ms))


def _fallback(accepted: Accepted, latest: bytes | None, published: Published, now_ms: int) -> Decision:
    row = RowId.parse(accepted.row)
    if latest is not None:
        last = decode_decision(latest)
        return replace(
            last, id=f"{accepted.row}/fallback", seq=None, segment=last.next_authored, arm="fallback", fallback=True,
            forced=True, propensity=1.0, terms=[], runner_up=None, for_event=str(accepted.event.id), predicted=None,
            why="The authored next step, while your own is being worked out.", decided_at=now_ms,
        )  # fmt: skip
    course = published.newest_course(row.tenant, row.course)
    first = next((s for s in course.segments if not s.prerequisites), None) if course else None
    return Decision(
        id=f"{accepted.row}/fallback", seq=None, tenant=row.tenant, learner=row.learner, course=row.course, run=row.run,
        segment=first.id if first else None, format=first.format if first else None,
        why="The course's first step, while your own is being worked out.", terms=[], runner_up=None, eligible="0",
        next_authored=first.id if first else None, propensity=1.0, arm="fallback", forced=True, fallback=True,
        for_event=str(accepted.event.id), predicted=None, policy="fallback", population=(0, ""),
        course_version=course.version if course else "", engine=0, decided_at=now_ms,
    )  # fmt: skip
