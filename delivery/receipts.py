"""Receipts: what was delivered of compulsory content goes into the log as events of type `delivered`, by the gateway.

A decision counts as delivered when a player's connection has taken it. The event's id comes from the decision's, so telling
it twice (a player that resumes) has one effect. Never in the player's way: a bounded queue, and a task that retries.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from uuid import UUID, uuid5

from delivery.ingest import Ingest
from runtime import metrics
from runtime.tasks import retry
from schemas.codec import decode_decision
from schemas.decision import Decision
from schemas.events import Event

NAMESPACE = UUID("6a2f7c1e-5d0b-4c55-9f0e-3b1f0a9c7d11")
MARK = b'"compulsory":true'
"""No text inside a decision can contain this: quotes within strings are escaped."""

WAITING, TOGETHER = 10_000, 500


class Receipts:
    """Collects and tells. `run` is owned by the gateway."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._bodies: asyncio.Queue[bytes] = asyncio.Queue(WAITING)

    def delivered(self, body: bytes) -> None:
        """A player's connection has taken this decision."""
        if MARK not in body:
            return
        try:
            self._bodies.put_nowait(body)
        except asyncio.QueueFull:
            metrics.RECEIPTS_LOST.inc()

    async def run(self) -> None:
        """Tell the log, for ever; what piled up meanwhile goes together."""
        while True:
            bodies = [await self._bodies.get()]
            while not self._bodies.empty() and len(bodies) < TOGETHER:
                bodies.append(self._bodies.get_nowait())
            await self._tell(bodies)

    async def _tell(self, bodies: list[bytes]) -> None:
        by_tenant: dict[str, list[tuple[Event, str]]] = defaultdict(list)
        for decision in map(decode_decision, bodies):
            if decision.seq is not None and decision.segment is not None:
                by_tenant[decision.tenant].append((_event(decision), decision.course_version))
        for tenant, events in by_tenant.items():
            await retry(partial(self._ingest.tell, tenant, events))


def _event(decision: Decision) -> Event:
    return Event(id=uuid5(NAMESPACE, decision.id), type="delivered", learner=decision.learner, course=decision.course,
                 run=decision.run, segment=decision.segment, decision=decision.seq)  # fmt: skip
