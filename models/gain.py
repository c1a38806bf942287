"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    known = mastery between GUESSED and DONE, as a share
    gain = sum over skills of weight x (1 - known) x readiness x fit x (1 + .25 x skills that build on it) x wanted
    score = gain / minutes x .85^seen x priority x quality

Mastery is the probability of answering a typical item of the skill right; who guesses gets some right, who knows slips, so
only what lies between counts. Readiness is how far the skills are known that this one builds on. A segment far above or
below the learner's level fits less; who wants to go slower is given easier ones. Wanted is what goal and work context ask
for. Quality is the population's. The factors are those of the policy page of the design.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp

from models.knowledge import Masteries
from models.plan import Entry, Plan, plan_of, rates_of
from models.population import Population
from models.row import SEEN_MASK, Row
from models.sums import total
from models.timing import expected_minutes
from schemas.course import Course, Segment
from schemas.ids import hash32

SEEN_DISCOUNT = tuple(0.85**seen for seen in range(SEEN_MASK + 1))
GOAL, CONTEXT = 1.5, 1.5
LEVEL_BY_PACE = (0.0, 0.15, -0.15)
GUESSED, DONE = 0.25, 0.9
UNREADY, LEAST_LEFT = 0.25, 0.02
UNFIT, FITS = 0.4, 0.35


@dataclass(slots=True)
class View:
    """Everything that choosing needs of one learner at one moment. What it works out, it works out once."""

    row: Row
    course: Course
    population: Population
    now_ms: int
    plan: Plan = field(init=False)
    pace: float = field(init=False)
    rates: tuple[float, ...] = field(init=False)
    _masteries: Masteries = field(init=False)
    _mastery: dict[str, float] = field(default_factory=dict)
    gains: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = plan_of(self.course)
        self.pace = expected_minutes(self.row, 1.0)
        self.rates = rates_of(self.course, self.population)
        self._masteries = Masteries(self.row, self.population, self.now_ms)

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        known = self._mastery.get(skill)
        if known is None:
            known = self._mastery[skill] = self._masteries.of(skill)
        return known

    def known(self, skill: str) -> float:
        """Mastery as a share of the way from guessing to done."""
        return max(0.0, min(1.0, (self.mastery(skill) - GUESSED) / (DONE - GUESSED)))

    def gain(self, skill_at_level: tuple[str, int]) -> float:
        """Expected gain of a try at a skill in a segment of some level, with what builds on the skill counted in."""
        gain = self.gains.get(skill_at_level)
        if gain is None:
            skill, level = skill_at_level
            bases, known = self.plan.bases.get(skill), self.known(skill)
            ready = total(map(self.known, bases)) / len(bases) if bases else 1.0
            away = known - level / 10.0 - LEVEL_BY_PACE[self.row.pace_choice]
            fit = UNFIT + (1.0 - UNFIT) * exp(-((away / FITS) ** 2))
            worth = max(LEAST_LEFT, 1.0 - known) * (UNREADY + (1.0 - UNREADY) * ready) * fit
            gain = self.gains[skill_at_level] = worth * self.plan.ahead.get(skill, 1.0) * self._wanted(skill)
        return gain

    def _wanted(self, skill: str) -> float:
        """How much more a skill counts for the learner's goal and for what work asks for now."""
        row = self.row
        if not row.goal and not row.context:
            return 1.0
        key = hash32(skill)
        return (GOAL if key == row.goal else 1.0) * (CONTEXT if key in row.context else 1.0)


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
    terms = tuple((f"gain:{skill}", factor * weight * view.gain((skill, entry.level))) for skill, weight in entry.skills)
    return Score(segment, value(view, entry), terms)


def value(view: View, entry: Entry) -> float:
    """The score's value alone."""
    factor, whole = _factor(view, entry), 0.0
    for skill, weight in entry.skills:
        whole += factor * weight * view.gain((skill, entry.level))
    return whole


def _factor(view: View, entry: Entry) -> float:
    """What all skills of a segment share: time, boredom, the author's priority, its quality."""
    seen = view.row.segments.get(entry.key, 0) & SEEN_MASK
    return SEEN_DISCOUNT[seen] * view.rates[entry.bit.bit_length() - 1] / view.pace
