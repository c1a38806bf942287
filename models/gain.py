"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    gain = sum over skills of weight x (1 - mastery) x readiness x (1 + .25 x skills that build on it)
    score = gain / minutes x .85^seen x priority x work context and goal

Mastery is the probability of answering a typical item of the skill right. Readiness is highest where a try teaches most,
when success is likely but not certain; the factors are those of the policy page of the design.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.knowledge import predict
from models.population import Population
from models.row import SEEN_MASK, Row
from models.timing import expected_minutes
from schemas.course import Course, Segment
from schemas.ids import hash32

DOWNSTREAM = 0.25
SEEN_DISCOUNT = 0.85
PRIORITY = {"core": 1.25, "pass": 1.0, "excel": 0.8}
GOAL = 1.5


@dataclass(slots=True)
class View:
    """Everything that scoring needs of one learner at one moment. Masteries are computed once each."""

    row: Row
    course: Course
    population: Population
    now_ms: int
    _mastery: dict[str, float] = field(default_factory=dict)

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        known = self._mastery.get(skill)
        if known is None:
            known = self._mastery[skill] = predict(self.row, self.population, None, (skill,), self.now_ms).p
        return known


@dataclass(frozen=True, slots=True)
class Score:
    """A segment's score and the parts that make it, largest first when explained."""

    segment: Segment
    value: float
    terms: tuple[tuple[str, float], ...]


def score(view: View, segment: Segment) -> Score:
    """Expected gain per minute of `segment`. Never negative."""
    minutes = expected_minutes(view.row, segment.minutes)
    seen = view.row.segments.get(hash32(segment.id), 0) & SEEN_MASK
    factor = SEEN_DISCOUNT**seen * PRIORITY[segment.priority] / minutes
    wanted = GOAL if view.row.goal and any(view.row.goal == hash32(skill) for skill in segment.skills) else 1.0
    ahead = view.course.downstream
    terms = tuple(
        (f"gain:{skill}", _gain(view.mastery(skill), weight, ahead.get(skill, 0)) * factor * wanted)
        for skill, weight in segment.skills.items()
    )
    return Score(segment, sum(value for _, value in terms), terms)


def _gain(mastery: float, weight: float, ahead: int) -> float:
    readiness = 0.3 + 0.7 * min(1.0, 2.0 * mastery)
    return weight * (1.0 - mastery) * readiness * (1.0 + DOWNSTREAM * ahead)
