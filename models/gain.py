"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    gain = sum over skills of weight x (1 - mastery) x readiness x (1 + .25 x skills that build on it)
    score = gain / minutes x .85^seen x priority x work context and goal

Mastery is the probability of answering a typical item of the skill right. Readiness is highest where a try teaches most,
when success is likely but not certain; the factors are those of the policy page of the design.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.knowledge import Masteries
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
    """Everything that choosing needs of one learner at one moment. Masteries are computed once each, when asked for."""

    row: Row
    course: Course
    population: Population
    now_ms: int
    _masteries: Masteries = field(init=False)
    _mastery: dict[str, float] = field(default_factory=dict)
    _pace: float = field(init=False)

    def __post_init__(self) -> None:
        self._masteries = Masteries(self.row, self.population, self.now_ms)
        self._pace = expected_minutes(self.row, 1.0)

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        known = self._mastery.get(skill)
        if known is None:
            known = self._mastery[skill] = self._masteries.of(skill)
        return known


@dataclass(frozen=True, slots=True)
class Score:
    """A segment's score and the parts that make it, largest first when explained."""

    segment: Segment
    value: float
    terms: tuple[tuple[str, float], ...]


def score(view: View, segment: Segment) -> Score:
    """Expected gain per minute of `segment`. Never negative."""
    factor = _factor(view, segment)
    ahead, mastery = view.course.downstream, view.mastery
    terms = tuple(
        (f"gain:{skill}", factor * _gain(mastery(skill), weight, ahead.get(skill, 0)))
        for skill, weight in segment.skills.items()
    )
    return Score(segment, sum(value for _, value in terms), terms)


def value(view: View, segment: Segment) -> float:
    """The score's value alone, for ranking many."""
    ahead, mastery, total = view.course.downstream, view.mastery, 0.0
    factor = _factor(view, segment)
    for skill, weight in segment.skills.items():
        total += factor * _gain(mastery(skill), weight, ahead.get(skill, 0))
    return total


def _factor(view: View, segment: Segment) -> float:
    """What all skills of a segment share: time, boredom, the author's priority, the learner's goal."""
    seen = view.row.segments.get(hash32(segment.id), 0) & SEEN_MASK
    factor = SEEN_DISCOUNT**seen * PRIORITY[segment.priority] / (view._pace * segment.minutes)
    goal = view.row.goal
    return factor * GOAL if goal and any(goal == hash32(skill) for skill in segment.skills) else factor


def _gain(mastery: float, weight: float, ahead: int) -> float:
    readiness = 0.3 + 0.7 * min(1.0, 2.0 * mastery)
    return weight * (1.0 - mastery) * readiness * (1.0 + DOWNSTREAM * ahead)
