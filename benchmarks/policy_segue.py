"""Our policy as it runs: the service's own step over rows, its decisions, and a population learned while it goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from uuid import UUID

from agents.step import step
from benchmarks.policy_rivals import Policy
from benchmarks.policy_worlds import Answer, Learner
from models.gain import View
from models.population import Population
from models.population_learner import PopulationLearner
from models.row import Row
from schemas.codec import decode_decision
from schemas.course import Course
from schemas.decision import Decision
from schemas.events import Event
from schemas.interaction import Interaction, Stamp

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
EVERY = 256


class Segue(Policy):
    """One row a learner; versions of the population every 256 responses."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.rows: dict[int, bytes] = {}
        self.next: dict[int, Decision] = {}
        self.learner = PopulationLearner("default", "bench", Population.empty())
        self.offset = 0
        self.decisions: list[Decision] = []
        self.step_us: list[float] = []

    def choose(self, learner: Learner) -> str:
        if learner.number not in self.next:
            self._send(learner, 0.0, type="requested")
        decision = self.next[learner.number]
        if decision.segment is None:  # nothing is due any more: whoever goes on does so in the authored order
            return min(self.course.segments, key=lambda segment: learner.shown.get(segment.id, 0)).id
        self.decisions.append(decision)
        return decision.segment

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:
        back = learner.clock_minutes
        for number, answer in enumerate(answers):
            self._send(learner, back - 0.1 * (len(answers) - number), type="answered", segment=segment, item=answer.item,
                       correct=answer.correct, latency_ms=answer.latency_ms)  # fmt: skip
        self._send(learner, back, type="completed", segment=segment)

    def estimate(self, learner: Learner, skill: str) -> float | None:
        row = Row.unpack(self.rows[learner.number])
        return View(row, self.course, self.learner.version, row.last_at_ms).mastery(skill)

    def _send(self, learner: Learner, minutes: float, **fields: object) -> None:
        at = START + timedelta(minutes=minutes)
        event = Event(id=UUID(int=self.offset + 1), learner=f"l{learner.number}", course="bench", at=at,
                      **fields)  # type: ignore[arg-type]  # fmt: skip
        version = self.learner.version
        stamp = Stamp(tenant="default", logged_ms=int(at.timestamp() * 1000), course_version=self.course.version,
                      population=version.stamp)  # fmt: skip
        begin = perf_counter()
        outcome = step(
            self.rows.get(learner.number), Interaction(stamp=stamp, event=event), 0, self.offset, self.course, version
        )
        self.step_us.append((perf_counter() - begin) * 1e6)
        self.offset += 1
        self.rows[learner.number] = outcome.row
        if outcome.learning is not None:
            self.learner.learn_one(outcome.learning)
            if self.learner.pending >= EVERY:
                self.learner.cut()
        if outcome.decision is not None:
            self.next[learner.number] = decode_decision(outcome.decision)
