"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    known = mastery between GUESSED and DONE, as a share
    gain = sum over skills of weight x (1 - known) x readiness x fit x (1 + .25 x skills that build on it) x wanted
    score = gain / minutes x .85^seen x priority x quality

Mastery is the probability of answering a typical item of the skill right; who guesses gets some right, who knows slips, so
only what lies between counts. Readiness is how far the skills are known that this one builds on. A segment far above or
below the learner's level fits less; who wants to go slower is given easier ones. Wanted is what goal and work context ask
for. Quality is the population's. The factors are those of the policy page of the design.

All segments of a course are worked out together, in arrays; see models.plan for which arithmetic they may use.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.mastery import masteries
from models.plan import Floats, Learned, Plan, learned_of, plan_of
from models.population import Population
from models.row import SEEN_MASK, Row
from models.timing import expected_minutes
from schemas.course import Course, Segment

SEEN_DISCOUNT = np.array([0.85**seen for seen in range(SEEN_MASK + 1)])
GOAL, CONTEXT = 1.5, 1.5
LEVEL_BY_PACE = (0.0, 0.15, -0.15)
GUESSED, DONE = 0.25, 0.9
UNREADY, LEAST_LEFT = 0.25, 0.02
UNFIT, FITS = 0.4, 0.6


@dataclass(slots=True)
class View:
    """Everything that choosing needs of one learner at one moment. What it works out, it works out once."""

    row: Row
    course: Course
    population: Population
    now_ms: int
    plan: Plan = field(init=False)
    learned: Learned = field(init=False)
    _masteries: list[float] | None = None
    _gains: Floats | None = None
    _factors: Floats | None = None
    _worth: Floats | None = None

    def __post_init__(self) -> None:
        self.plan = plan_of(self.course)
        self.learned = learned_of(self.course, self.population)

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        return self._all_masteries()[self.plan.skill_places[skill]]

    def known(self, skill: str) -> float:
        """Mastery as a share of the way from guessing to done."""
        return _share(self.mastery(skill))

    @property
    def gains(self) -> Floats:
        """Expected gain of a try at a skill in a segment of some level, what builds on the skill counted in: of each pair
        of the plan."""
        if self._gains is None:
            self._gains = self._work_out_gains()
        return self._gains

    @property
    def worth(self) -> Floats:
        """The score of every segment, in the authored order: expected gain per minute. Never negative."""
        if self._worth is None:
            gains, taught = self.gains, self.plan.taught
            whole = gains.take(taught[0].places) * taught[0].weights if taught else np.zeros(len(self.plan.entries))
            for column in taught[1:]:
                whole += gains.take(column.places) * column.weights
            self._worth = whole * self.factors
        return self._worth

    @property
    def factors(self) -> Floats:
        """What all skills of a segment share: time, boredom, the author's priority, its quality."""
        if self._factors is None:
            self._factors = self._work_out_factors()
        return self._factors

    def _work_out_factors(self) -> Floats:
        factors = self.learned.rates / expected_minutes(self.row, 1.0)
        entry_of, seen = self.plan.by_key.get, bytearray(len(factors))
        for key, state in self.row.segments.items():
            entry = entry_of(key)
            if entry is not None:
                seen[entry.place] = state & SEEN_MASK
        factors *= SEEN_DISCOUNT.take(np.frombuffer(seen, np.uint8))
        return factors

    def _all_masteries(self) -> list[float]:
        if self._masteries is None:
            self._masteries = masteries(self.row, self.learned.effects, self.now_ms)
        return self._masteries

    def _work_out_gains(self) -> Floats:
        plan = self.plan
        known = np.array([_share(mastery) for mastery in self._all_masteries()])
        left = np.maximum(1.0 - known, LEAST_LEFT) * plan.ahead
        if plan.bases:
            left *= self._readiness(known)
        self._add_wishes(left)
        if self.row.pace_choice:
            known = known - LEVEL_BY_PACE[self.row.pace_choice]
        away = known.take(plan.pair_skills) - plan.pair_levels
        return left.take(plan.pair_skills) * (UNFIT + (1.0 - UNFIT) * _bell(away))

    def _readiness(self, known: Floats) -> Floats:
        """How far what each skill builds on is known, from UNREADY to 1."""
        ready = self.plan.unbased
        for column in self.plan.bases:
            ready = ready + known.take(column.places) * column.weights
        return UNREADY + (1.0 - UNREADY) * ready

    def _add_wishes(self, left: Floats) -> None:
        """Let a skill count more for the learner's goal and for what work asks for now."""
        row, places = self.row, self.learned.effects.places
        if row.goal in places:
            left[places[row.goal]] *= GOAL
        for key in row.context:
            if key in places:
                left[places[key]] *= CONTEXT


def _share(mastery: float) -> float:
    return 0.0 if mastery <= GUESSED else 1.0 if mastery >= DONE else (mastery - GUESSED) / (DONE - GUESSED)


def _bell(away: Floats) -> Floats:
    """Within .07 of e^-(away/FITS)^2, by multiplication alone: (1 - x/4)^4 for x = (away/FITS)^2, and 0 beyond x = 4."""
    bell = np.maximum(1.0 - away * away * (0.25 / FITS**2), 0.0)
    bell *= bell
    bell *= bell
    return bell


@dataclass(frozen=True, slots=True)
class Score:
    """A segment's score and the parts that make it, largest first when explained."""

    segment: Segment
    value: float
    terms: tuple[tuple[str, float], ...]


def score(view: View, segment: Segment) -> Score:
    """Expected gain per minute of `segment`, with its parts."""
    entry, gains = view.plan.entries[view.course.places[segment.id]], view.gains
    factor = float(view.factors[entry.place])
    terms = tuple((f"gain:{skill}", factor * (weight * float(gains[pair]))) for skill, weight, pair in entry.skills)
    return Score(segment, float(view.worth[entry.place]), terms)
