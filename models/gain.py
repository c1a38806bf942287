"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    gain = sum over skills of weight x (1 - mastery) x readiness x (1 + .25 x skills that build on it)
    score = gain / minutes x .85^seen x priority x work context and goal

Mastery is the probability of answering a typical item of the skill right. Readiness is highest where a try teaches most,
when success is likely but not certain; the factors are those of the policy page of the design.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.knowledge import Masteries
from models.plan import Entry, Plan, plan_of
from models.population import Population
from models.row import SEEN_MASK, Row
from models.timing import expected_minutes
from schemas.course import Course, Segment
from schemas.ids import hash32

SEEN_DISCOUNT = tuple(0.85**seen for seen in range(SEEN_MASK + 1))
GOAL = 1.5


@dataclass(slots=True)
class View:
    """Everything that choosing needs of one learner at one moment. What it works out, it works out once."""

    row: Row
    course: Course
    population: Population
    now_ms: int
    plan: Plan = field(init=False)
    pace: float = field(init=False)
    _masteries: Masteries = field(init=False)
    _mastery: dict[str, float] = field(default_factory=dict)
    gains: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = plan_of(self.course)
        self.pace = expected_minutes(self.row, 1.0)
        self._masteries = Masteries(self.row, self.population, self.now_ms)

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        known = self._mastery.get(skill)
        if known is None:
            known = self._mastery[skill] = self._masteries.of(skill)
        return known

    def gain(self, skill: str) -> float:
        """Expected gain of a try at `skill`, with what builds on it counted in."""
        gain = self.gains.get(skill)
        if gain is None:
            mastery = self.mastery(skill)
            readiness = 0.3 + 0.7 * min(1.0, 2.0 * mastery)
            gain = self.gains[skill] = (1.0 - mastery) * readiness * self.plan.ahead.get(skill, 1.0)
        return gain


@dataclass(frozen=True, slots=True)
class Score:
    """A segment's score and the parts that make it, largest first when explained."""

    segment: Segment
    value: float
    terms: tuple[tuple[str, float], ...]


def score(view: View, segment: Segment) -> Score:
    """Expected gain per minute of `segment`, with its parts. Never negative."""
    entry = view.plan.entries[view.course.places[segment.id]]
    factor = _factor(view, entry)
    terms = tuple((f"gain:{skill}", factor * weight * view.gain(skill)) for skill, weight in entry.skills)
    return Score(segment, value(view, entry), terms)


def value(view: View, entry: Entry) -> float:
    """The score's value alone."""
    factor, whole = _factor(view, entry), 0.0
    for skill, weight in entry.skills:
        whole += factor * weight * view.gain(skill)
    return whole


def _factor(view: View, entry: Entry) -> float:
    """What all skills of a segment share: time, boredom, the author's priority, the learner's goal."""
    row = view.row
    factor = SEEN_DISCOUNT[row.segments.get(entry.key, 0) & SEEN_MASK] * entry.rate / view.pace
    if row.goal and any(row.goal == hash32(skill) for skill, _ in entry.skills):
        return factor * GOAL
    return factor
