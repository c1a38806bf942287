"""What a segment is worth to a learner now: expected gain in mastery per expected minute, as signed parts.

    known = mastery between GUESSED and DONE, as a share
    left = (expected rise of mastery by the segment's questions x slowed + what they bring back)
           x nearness x growth x readiness x ahead x wanted
    score = sum over skills of weight x left x fit / minutes x stays^seen x priority x quality

Mastery is the probability of answering a typical item of the skill right. How far so many questions are expected to raise
it is what models.belief says of the levels at which the learner may be; slowed, where later tries of a course teach less
(models.shortfall). Of what was forgotten each try brings back BACK of the rest. Nearness is BEGUN to DONE_SOON, by how much
is known: what is nearly mastered is finished before more is begun. Growth: where levels mean anything (and half so where
there is one only), who knows next to nothing of a skill gains less of it, up to GROWN. Readiness is how far the skills are
known that this one builds on; ahead counts those that build on it: 1 + .25 for each, as far as that one is not known yet. A
segment fits who answers about five in eight of its questions right, fewer where beliefs are too high after much practice;
who wants to go slower is given easier ones. How deep that cuts depends on whether the author's levels mean anything
(models.levels). Wanted is what goal and work context ask for. Quality is the population's, and what a question of the
segment's format stands for (models.plan). What each visit before leaves, .85 or what the course's answers say, is in
models.familiarity. The factors are those of the policy page of the design, but for what is known ahead, nearness and formats
(docs/decisions/0034-ahead.md, 0037-new-eyes.md).

All segments of a course are worked out together, skills first; see models.plan.
"""

from __future__ import annotations

from math import log
from typing import Final, NamedTuple

from models import belief, shortfall
from models.belief import MOST_TRIES, rise
from models.mastery import Standing, standing
from models.plan import DOWNSTREAM, Entry, Learned, Plan, learned_of, plan_of
from models.population import Population
from models.row import SEEN_MASK, UNKNOWN, Row
from models.timing import expected_minutes
from schemas.course import Course, Segment

GOAL: Final = 1.5
CONTEXT: Final = 1.5
FITTING_BY_PACE: Final = [0.3, 1.4, -0.3]
"""How far an ability is best above a level, in logits: as it is, slower, faster. With guesses and slips (models.belief)
.62, .8 and .5 of the answers are right then."""
HARDEST: Final = -0.6
"""No pace is given harder questions than that, where harder ones fit (models.shortfall): .45 right."""

GUESSED: Final = 0.25
DONE: Final = 0.9
UNREADY: Final = 0.25
BEGUN: Final = 0.75
DONE_SOON: Final = 1.25
"""Nearness of a skill of which nothing is known, and of one that is known wholly."""
UNGROWN: Final = 0.16
GROWN: Final = 0.42
"""Growth at nothing known, and how much is known where it is whole."""

BACK: Final = 0.25
_BROUGHT: Final = [1.0 - (1.0 - BACK) ** tries for tries in range(MOST_TRIES + 1)]
UNFIT: Final = 0.9
"""The share of a gain that is lost where a segment does not fit at all and levels are trusted wholly."""

MOST_APART: Final = 4.0
"""Logits of a prediction that count for learning how far apart predictions are to be."""
FITS: Final = 1.25
SURE: Final = 0.01


class View:
    """Everything that choosing needs of one learner at one moment. What it works out, it works out once.

    `logged_ms`: the moment by the log's clock, where nothing else is told of it. Who is `held_out` gets the authored order.
    """

    __slots__ = (
        "_fits",
        "_left",
        "_standing",
        "_worth",
        "course",
        "held_out",
        "learned",
        "logged_ms",
        "now_ms",
        "plan",
        "population",
        "row",
    )

    def __init__(self, row: Row, course: Course, population: Population, now_ms: int, logged_ms: int = UNKNOWN,
                 *, held_out: bool = False) -> None:  # fmt: skip
        self.row = row
        self.course = course
        self.population = population
        self.now_ms = now_ms
        self.logged_ms = logged_ms
        self.held_out = held_out
        self.plan: Plan = plan_of(course)
        self.learned: Learned = learned_of(course, population)
        self._standing: Standing | None = None
        self._left: list[list[float]] = []
        self._fits: list[float] | None = None
        self._worth: list[float] | None = None

    def mastery(self, skill: str) -> float:
        """Probability of a right answer to a typical item of `skill`, now."""
        return self.masteries[self.plan.skill_places[skill]]

    def believed(self, skill: str) -> bytes:
        """What is believed of a skill (models.belief), before its first answer, too."""
        return self.standing.beliefs[self.plan.skill_places[skill]]

    def known(self, skill: str) -> float:
        """Mastery as a share of the way from guessing to done."""
        return _share(self.mastery(skill))

    def teaches(self, known: bytes, tries: int, easier: float) -> float:
        """How far a question that adds `easier` to the logit of a typical one teaches who is believed to know its skill so
        after so many tries, 0 to 1: as in the score, at the usual pace."""
        learned = self.learned
        fit = 1.0
        if learned.trust > 0.0:
            ability = _ability(belief.mastery(known, learned.effects.right))
            fit = _fit(ability - _fitting(0, learned.harder) + easier, UNFIT * learned.trust)
        return fit / (1.0 + learned.slowing * tries)

    def apart(self, skills: list[str]) -> float:
        """The logit predicted of skills not practised yet, their mean, before what first answers told of such predictions;
        at most MOST_APART either way."""
        effects, whole = self.learned.effects, 0.0
        for skill in skills:
            mastery = self.mastery(skill)
            whole += (log(mastery / (1.0 - mastery)) - effects.newness) / effects.spread
        return max(-MOST_APART, min(MOST_APART, whole / len(skills)))

    def tells(self, skills: list[str], known: list[bytes], tries: list[int]) -> bool:
        """Whether an answer to a question of some skills says how far beliefs are too high (models.shortfall)."""
        if not shortfall.tells(known, tries, self.learned.effects.right):
            return False
        places, forgotten = self.plan.skill_places, self.standing.forgotten
        return all(forgotten[places[skill]] == 0.0 for skill in skills)

    @property
    def standing(self) -> Standing:
        """Where the learner stands in each skill of the plan."""
        if self._standing is None:
            self._standing = standing(self.row, self.learned.effects, self.now_ms)
        return self._standing

    @property
    def masteries(self) -> list[float]:
        """Mastery of each skill of the plan."""
        return self.standing.masteries

    @property
    def left(self) -> list[list[float]]:
        """What there is to gain of each skill by so many questions, whether they fit or not; empty where no segment asks as
        many."""
        if not self._left:
            self._left = _left(self)
        return self._left

    @property
    def fits(self) -> list[float]:
        """The share of a gain that is left at the level of each pair of the plan."""
        if self._fits is None:
            self._fits = _fits(self)
        return self._fits

    @property
    def worth(self) -> list[float]:
        """The score of every segment, in the authored order: expected gain per minute. Never negative."""
        if self._worth is None:
            self._worth = _worth(self)
        return self._worth


def _left(view: View) -> list[list[float]]:
    plan, growth = view.plan, view.learned.growth
    known = [_share(mastery) for mastery in view.masteries]
    factors: list[float] = []
    for place, share in enumerate(known):
        bases, factor = plan.bases[place], 1.0
        for later in plan.later[place]:
            factor += DOWNSTREAM * (1.0 - known[later])
        factor *= BEGUN + (DONE_SOON - BEGUN) * share
        if share < GROWN:
            factor *= 1.0 - growth * (1.0 - UNGROWN) * (1.0 - share / GROWN)
        factors.append(factor * _readiness(known, bases) if bases else factor)
    _add_wishes(view, factors)
    beliefs, forgotten, slowing = view.standing.beliefs, view.standing.forgotten, view.learned.slowing
    slowed = [1.0 / (1.0 + slowing * tries) for tries in view.standing.tries]
    left: list[list[float]] = [[]] * (MOST_TRIES + 1)
    for tries in view.learned.counts:
        left[tries] = [
            factor * (rise(belief, tries) * slow + lost * _BROUGHT[tries])
            for factor, belief, slow, lost in zip(factors, beliefs, slowed, forgotten, strict=True)
        ]
    return left


def _fits(view: View) -> list[float]:
    depth: float = UNFIT * view.learned.trust
    if depth == 0.0:
        return [1.0] * len(view.plan.pairs)
    fitting: float = _fitting(view.row.pace_choice, view.learned.harder)
    away = [_ability(mastery) - fitting for mastery in view.masteries]
    return [
        _fit(away[pair.skill] + easier, depth) for pair, easier in zip(view.plan.pairs, view.learned.easier, strict=True)
    ]


def _fitting(pace: int, harder: float) -> float:
    fitting: float = FITTING_BY_PACE[pace] - harder
    return fitting if fitting > HARDEST else HARDEST


def _fit(away: float, depth: float) -> float:
    return 1.0 - depth * (1.0 - bell(away))


def _readiness(known: list[float], bases: list[int]) -> float:
    """How far what a skill builds on is known, from UNREADY to 1."""
    ready, share = 0.0, 1.0 / len(bases)
    for base in bases:
        ready += known[base] * share
    return UNREADY + (1.0 - UNREADY) * ready


def _add_wishes(view: View, factors: list[float]) -> None:
    """Let a skill count more for the learner's goal and for what work asks for now."""
    row, places = view.row, view.learned.effects.places
    if row.goal in places:
        factors[places[row.goal]] *= GOAL
    for key in row.context:
        if key in places:
            factors[places[key]] *= CONTEXT


def factor_of(view: View, entry: Entry) -> float:
    """What all skills of a segment share: time, boredom, the author's priority, its quality."""
    return _factor(view.learned.rates[entry.place], expected_minutes(view.row, 1.0), view.row.segments.get(entry.key, 0),
                   view.learned.seen)  # fmt: skip


def _factor(rate: float, minutes: float, state: int, seen: list[float]) -> float:
    return rate / minutes * seen[state & SEEN_MASK]


def _worth(view: View) -> list[float]:
    left, fits, tries = view.left, view.fits, view.learned.tries
    rates, minutes = view.learned.rates, expected_minutes(view.row, 1.0)
    wholes = [_whole(left, tries[entry.place], fits, entry) for entry in view.plan.entries]
    worth = [whole * (rate / minutes) for whole, rate in zip(wholes, rates, strict=True)]
    by_key = view.plan.by_key
    for key, state in view.row.segments.items():
        entry = by_key.get(key)
        if entry is not None:
            worth[entry.place] = wholes[entry.place] * _factor(rates[entry.place], minutes, state, view.learned.seen)
    return worth


def _whole(left: list[list[float]], tries: list[int], fits: list[float], entry: Entry) -> float:
    whole = 0.0
    for number, (_, skill, pair, weight) in enumerate(entry.taught):
        whole += left[tries[number]][skill] * fits[pair] * weight
    return whole


def _share(mastery: float) -> float:
    return 0.0 if mastery <= GUESSED else 1.0 if mastery >= DONE else (mastery - GUESSED) / (DONE - GUESSED)


def _ability(mastery: float) -> float:
    """The logit of a right answer to a typical item, had nobody guessed or slipped: what levels are steps of."""
    share = (mastery - belief.GUESSED) / (belief.MOST - belief.GUESSED)
    share = SURE if share < SURE else 1.0 - SURE if share > 1.0 - SURE else share
    return log(share / (1.0 - share))


def bell(away: float) -> float:
    """Within .07 of e^-(away/FITS)^2, by multiplication alone: (1 - x/4)^4 for x = (away/FITS)^2, and 0 beyond x = 4."""
    bell = 1.0 - away * away * (0.25 / FITS**2)
    if bell <= 0.0:
        return 0.0
    bell *= bell
    return bell * bell


class Score(NamedTuple):
    """A segment's score and the parts that make it, largest first when explained."""

    segment: Segment
    value: float
    terms: list[tuple[str, float]]


def score(view: View, segment: Segment) -> Score:
    """Expected gain per minute of `segment`, with its parts."""
    entry, fits = view.plan.entries[view.course.places[segment.id]], view.fits
    factor, left, tries = factor_of(view, entry), view.left, view.learned.tries[entry.place]
    terms = [
        (f"gain:{name}", factor * (left[asked][skill] * fits[pair] * weight))
        for (name, skill, pair, weight), asked in zip(entry.taught, tries, strict=True)
    ]
    return Score(segment, view.worth[entry.place], terms)
