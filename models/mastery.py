"""Mastery: the probability of a right answer to a typical, never met item of a skill, for all skills of a course at once.

Of a skill that the learner practises it is what `models.belief` says, less what the population says is forgotten since. Of
any other it is what `models.knowledge.predict` says for `item` None, with what a typical item of the course adds to the
logit (easy items are met first, so one of which nothing is known counts as easier than the course is), and with what first
answers in a skill told of such predictions: by how much they are too high (`newness`) and too far apart (`spread`). What all
skills share of the logit is summed once, and what the population says of a skill is looked up once for each way in which it
was practised lately.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from operator import mul
from typing import Final, NamedTuple

from models import belief
from models.entries import NO_BELIEF, NONE_YET
from models.features import (
    LAST_GAP,
    NAMES,
    SKILL_BY_ALL_RECENT,
    SKILL_BY_COUNT,
    SKILL_BY_RECENT,
    SKILL_GAP,
    UNMET,
    cell,
    count_bin,
    gap_bin,
    gap_since,
    log_count,
    of_learner,
    sigmoid,
    tenths,
)
from models.population import LEAST_SPREAD, NEW_SKILL, Population
from models.row import Row
from models.sums import total
from schemas.ids import hash32

UNPRACTISED: Final = -1.0
RESTED: Final = log1p(3600.0) / 5.0
"""A gap of an hour, as `gap_since` gives it: within it nothing counts as forgotten."""

OF_LEARNER: Final = tuple(
    NAMES.index(name)
    for name in ("bias", "item_first_seen", "all_wins", "all_fails", "all_log_ratio", "all_residual_fast",
                 "all_residual_slow", "streak", "last_outcome", "last_gap")
)  # fmt: skip
OF_SKILL: Final = tuple(
    NAMES.index(name) for name in ("skill_wins", "skill_fails", "skill_log_ratio", "skill_residual", "skill_gap")
)


class SkillEffects:
    """What a version of the population says of some skills. It remembers what it was asked. `typical`: see models.levels.
    `right`: the chance of a right answer to a typical item at each level of a belief."""

    __slots__ = (
        "_known",
        "_names",
        "_new",
        "_population",
        "bins",
        "newness",
        "of_learner",
        "of_skill",
        "places",
        "right",
        "spread",
        "typical",
    )

    def __init__(self, names: Sequence[str], population: Population, typical: float = 0.0) -> None:
        self.typical = typical
        self.right = belief.chances(0.0)
        self._names, self._population = names, population
        self.newness: float = population.newness[0]
        self.spread: float = min(1.0, max(LEAST_SPREAD, population.spread[0]))
        self._known: dict[int, float] = {}
        self._new: dict[int, list[float]] = {}
        self.places: dict[int, int] = {hash32(name): place for place, name in enumerate(names)}
        self.of_learner = tuple(population.weights[place] for place in OF_LEARNER)
        self.of_skill = tuple(population.weights[place] for place in OF_SKILL)
        self.bins = population.bins[SKILL_GAP]

    def forgotten(self, gap: float) -> float:
        """What a gap since practice takes from the logit: never positive."""
        if gap <= RESTED:
            return 0.0
        lost: float = self.of_skill[4] * (gap - RESTED) + self.bins[gap_bin(gap)] - self.bins[gap_bin(RESTED)]
        return lost if lost < 0.0 else 0.0

    def common(self, last_gap: float) -> float:
        """What no skill has a part in, but for the dense features."""
        return self._population.cells_effect([cell(LAST_GAP, 0, gap_bin(last_gap)), *UNMET])

    def new(self, lately: int) -> list[float]:
        """The logit of each skill while it is not practised yet. `lately`: the learner's last outcomes in all skills."""
        effects = self._new.get(lately)
        if effects is None:
            gap = self.bins[gap_bin(0.0)]
            effects = self._new[lately] = [self.of(place, NONE_YET, 0, lately) + gap for place in range(len(self._names))]
        return effects

    def of(self, place: int, recent: int, tries: int, lately: int) -> float:
        """The part of the logit that a skill has for who practised it in this way. All but `place` are below 16."""
        asked = ((place * 16 + recent) * 16 + tries) * 16 + lately
        effect = self._known.get(asked)
        if effect is None:
            name = self._names[place]
            key, population = hash32(name), self._population
            effect = self._known[asked] = population.skills.get(name, NEW_SKILL)[0] + population.cells_effect((
                cell(SKILL_BY_RECENT, key, recent),
                cell(SKILL_BY_COUNT, key, tries),
                cell(SKILL_BY_ALL_RECENT, key, lately),
            ))  # fmt: skip
        return effect


class Standing(NamedTuple):
    """Of each skill: mastery, between 0 and 1; what is believed (models.belief); what is forgotten of that mastery since;
    tries so far."""

    masteries: list[float]
    beliefs: list[bytes]
    forgotten: list[float]
    tries: list[int]


def masteries(row: Row, effects: SkillEffects, now_ms: int, *, believed: bool = True) -> list[float]:
    """Mastery of each skill of `effects`, in their order, at `now_ms` (-1: an unknown moment).

    Not `believed`: what answers alone say, by prediction, of practised skills as well.
    """
    return standing(row, effects, now_ms, believed=believed).masteries


def standing(row: Row, effects: SkillEffects, now_ms: int, *, believed: bool = True) -> Standing:
    """Where a learner stands in each skill of `effects`, in their order. The rest is as in `masteries`."""
    moment, lately = tenths(row, now_ms), row.recent
    wins, fails, streak, outcome, gap = of_learner(row, moment)
    dense = (1.0, 1.0, wins, fails, wins - fails, row.residual_fast, row.residual_slow, streak, outcome, gap)
    common = row.theta + effects.typical + total(map(mul, effects.of_learner, dense)) + effects.common(gap)
    places, bins = effects.places, effects.bins
    new = effects.new(lately)
    known = [UNPRACTISED] * len(new)
    beliefs, lost, tried = [NO_BELIEF] * len(new), [0.0] * len(new), [0] * len(new)
    w_wins, w_fails, w_ratio, w_residual, w_gap = effects.of_skill
    w_wins, w_fails = w_wins + w_ratio, w_fails - w_ratio
    for key, theta, _, residual, won, tries, last, _, recent, levels in row.skills.every():
        place = places.get(key)
        if place is None or not tries:
            continue
        tried[place] = tries
        gap = gap_since(moment, last)
        if believed and levels != NO_BELIEF:
            whole = belief.mastery(levels, effects.right)
            known[place] = _less(whole, effects.forgotten(gap))
            beliefs[place], lost[place] = levels, whole - known[place]
        else:
            logit = common + theta + w_wins * log_count(won) + w_fails * log_count(tries - won) + w_residual * residual
            logit += w_gap * gap + bins[gap_bin(gap)] + effects.of(place, recent, count_bin(tries), lately)
            known[place] = sigmoid(logit)
    for place, effect in enumerate(new):
        if known[place] == UNPRACTISED:
            known[place] = sigmoid(effects.newness + effects.spread * (common + effect))
        if beliefs[place] == NO_BELIEF:
            beliefs[place] = belief.start(known[place])
    return Standing(known, beliefs, lost, tried)


def _less(mastery: float, forgotten: float) -> float:
    """A mastery after its logit lost something."""
    return mastery if forgotten == 0.0 else sigmoid(log(mastery / (1.0 - mastery)) + forgotten)
