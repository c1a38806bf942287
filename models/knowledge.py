"""What a learner can do: a population's logistic regression plus the learner's own abilities by an extended Kalman step.

    z = w.phi + d_item + mean(d_skill) + theta + mean(theta_skill)        p = 1 / (1 + e^-z)

After an answer y the abilities share the innovation by their variances (S = 1/h, h = p(1-p)):
    den = S + v + sum(v_s)/n^2;  theta += v e S / den;  v *= 1 - v/den;  theta_s and v_s alike with v_s/n; then noise.

`predict` and `learn` are the two halves of the step; `KnowledgeModel` is the same as a River classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from operator import mul
from typing import NamedTuple

from models.features import NAMES, features, gap_since, sigmoid, tenths
from models.population import NEW_SKILL, Population
from models.row import Row, SkillState, bounded, count
from models.sums import total
from schemas.ids import hash32

START_VARIANCE, START_SKILL_VARIANCE = 0.3, 0.1
NOISE, SKILL_NOISE = 0.0005, 0.004
MAX_ABILITY = 6.0
SKILL_RATE, FAST_RATE, SLOW_RATE = 0.25, 0.3, 0.05
GUESS_DAMPING = 0.3
SKILL_PLACES = tuple(
    NAMES.index(name) for name in ("skill_wins", "skill_fails", "skill_log_ratio", "skill_residual", "skill_gap")
)


class Prediction(NamedTuple):
    """What the model said before the answer counted. `ability` is the learner's own part of the logit `z`."""

    p: float
    z: float
    ability: float
    features: list[float]


def predict(row: Row, population: Population, item: str | None, skills: Sequence[str], shown_ms: int) -> Prediction:
    """Probability of a right answer. Changes nothing. `item` None asks about a typical item of `skills`."""
    phi = features(row, item, skills, shown_ms)
    own = ability(row, skills)
    z = own + population.skill_effect(skills) + total(map(mul, population.weights, phi))
    if item is not None:
        z += population.item(item)[0]
    return Prediction(sigmoid(z), z, own, phi)


class Masteries:
    """Probability of a right answer to a typical, never met item of a skill: what `predict` says for `item` None.

    What all skills share of the logit is summed once, so that asking about every skill of a course is cheap.
    """

    __slots__ = ("_common", "_moment", "_population", "_row", "_skill_weights")

    def __init__(self, row: Row, population: Population, now_ms: int) -> None:
        phi = features(row, None, (), now_ms)
        weights = population.weights
        self._common = row.theta + total(map(mul, weights, phi))
        self._skill_weights = tuple(weights[place] for place in SKILL_PLACES)
        self._row, self._population = row, population
        self._moment = tenths(row, now_ms)

    def of(self, skill: str) -> float:
        """Mastery of `skill`, between 0 and 1."""
        z = self._common + self._population.skills.get(skill, NEW_SKILL)[0]
        state = self._row.skills.get(hash32(skill))
        if state is not None:
            wins, fails, ratio, residual, gap = self._skill_weights
            log_wins, log_fails = log1p(state.wins), log1p(state.tries - state.wins)
            z += state.theta + wins * log_wins + fails * log_fails + ratio * (log_wins - log_fails)
            z += residual * state.residual + gap * gap_since(self._moment, state.last)
        return sigmoid(z)


def ability(row: Row, skills: Sequence[str]) -> float:
    """theta + mean(theta_skill): the learner's part of the logit."""
    if not skills:
        return row.theta
    states = row.skills
    known = [states[key].theta for key in map(hash32, skills) if key in states]
    return row.theta + total(known) / len(skills)


def learn(row: Row, predicted: Prediction, item: str, skills: Sequence[str], correct: bool, shown_ms: int, at_ms: int,
          *, guessed: bool = False) -> None:  # fmt: skip
    """Let an answer count: abilities, residuals, counts, recency. A rapid guess moves abilities less."""
    states = [_state(row, hash32(name)) for name in skills]
    _update_abilities(row, states, predicted.p, correct, GUESS_DAMPING if guessed else 1.0)
    error = correct - predicted.p
    row.residual_fast += FAST_RATE * (error - row.residual_fast)
    row.residual_slow += SLOW_RATE * (error - row.residual_slow)
    moment = tenths(row, at_ms)
    for state in states:
        state.residual += SKILL_RATE * (error - state.residual)
        state.wins, state.tries = _counted(state.wins, state.tries, correct, 65_535)
        state.last, state.last_event = moment or state.last, row.events & 0xFFFF
    met = row.items.meet(hash32(item))
    met.wins, met.tries = _counted(met.wins, met.tries, correct, 255)
    met.last, met.last_event = moment or met.last, row.events & 0xFFFF
    row.wins, row.tries = row.wins + correct, row.tries + 1
    row.streak = (max(row.streak, 0) + 1 if correct else min(row.streak, 0) - 1) if abs(row.streak) < 1000 else 0
    row.last_outcome = int(correct)


def _update_abilities(row: Row, states: list[SkillState], p: float, correct: bool, damping: float) -> None:
    h = max(p * (1.0 - p), 1e-4)
    n = max(len(states), 1)
    spread = 1.0 / h
    den = spread + row.v + total(s.v for s in states) / (n * n)
    innovation = damping * (correct - p) * spread / den
    row.theta = bounded(row.theta + row.v * innovation, MAX_ABILITY)
    row.v = min(row.v * (1.0 - damping * row.v / den) + NOISE, START_VARIANCE)
    for state in states:
        share = state.v / n
        state.theta = bounded(state.theta + share * innovation, MAX_ABILITY)
        state.v = min(state.v * (1.0 - damping * share / n / den) + SKILL_NOISE, 2 * START_SKILL_VARIANCE)


def _state(row: Row, key: int) -> SkillState:
    state = row.skills.get(key)
    if state is None:
        state = row.skills[key] = SkillState(v=START_SKILL_VARIANCE)
    return state


def _counted(wins: int, tries: int, correct: bool, most: int) -> tuple[int, int]:
    """One more try; a full counter keeps its share instead of stopping wins and tries apart."""
    if tries >= most:
        return min(wins, most - 1) if not correct else count(wins, most), most
    return wins + correct, tries + 1
