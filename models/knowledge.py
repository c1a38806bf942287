"""What a learner can do: a population's logistic regression plus the learner's own abilities by an extended Kalman step.

    z = w.phi + sum(cells) + d_item + mean(d_skill) + theta + mean(theta_skill)        p = 1 / (1 + e^-z)

After an answer y the abilities share the innovation by their variances (S = 1/h, h = p(1-p)):
    den = S + v + sum(v_s)/n^2;  theta += v e S / den;  v *= 1 - v/den;  theta_s and v_s alike with v_s/n; then noise.

`predict` and `learn` are the two halves of the step; models.classifier has the same as a River classifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final, NamedTuple, Protocol

from models.entries import MOST_MET, SkillState
from models.features import features, sigmoid, skills_key, states_of, tenths
from models.row import START_VARIANCE, Row, bounded, count
from models.sums import total
from schemas.ids import hash32
from schemas.population import ItemValues

MAX_SKILL_VARIANCE: Final = 0.2
NOISE: Final = 0.0005
SKILL_NOISE: Final = 0.004
MAX_ABILITY: Final = 6.0
SKILL_RATE: Final = 0.25
FAST_RATE: Final = 0.3
SLOW_RATE: Final = 0.05
GUESS_DAMPING: Final = 0.3


class Shared(Protocol):
    """What a prediction reads of a population: a version of it, or the learner of it as it is now."""

    @property
    def weights(self) -> Sequence[float]:
        """Weights of the dense features."""

    def item(self, name: str) -> ItemValues:
        """What is known of an item."""

    def skill_effect(self, names: Sequence[str]) -> float:
        """Mean effect of some skills."""

    def cells_effect(self, numbers: Iterable[int]) -> float:
        """Sum of the effects of some cells."""


class Prediction(NamedTuple):
    """What the model said before the answer counted. `ability` is the learner's own part of the logit `z`."""

    p: float
    z: float
    ability: float
    features: list[float]
    cells: list[int]


def predict(row: Row, population: Shared, item: str | None, skills: Sequence[str], shown_ms: int) -> Prediction:
    """Probability of a right answer. Changes nothing. `item` None asks about a typical item of `skills`."""
    states = states_of(row, skills)
    own = ability(row, states)
    phi, cells = features(row, item, skills, states, shown_ms)
    z = own + population.skill_effect(skills) + total(map(mul, population.weights, phi)) + population.cells_effect(cells)
    if item is not None:
        z += population.item(item)[0]
    return Prediction(sigmoid(z), z, own, phi, cells)


def ability(row: Row, states: Sequence[SkillState]) -> float:
    """theta + mean(theta_skill): the learner's part of the logit."""
    if len(states) == 1:
        return row.theta + states[0].theta
    return row.theta + total(state.theta for state in states) / len(states) if states else row.theta


def learn(row: Row, predicted: Prediction, item: str, skills: Sequence[str], correct: bool, at_ms: int,
          *, guessed: bool = False) -> None:  # fmt: skip
    """Let an answer count: abilities, residuals, counts, recency. A rapid guess moves abilities less."""
    states = [row.skills.touch(hash32(name)) for name in skills]
    _update_abilities(row, states, predicted.p, correct, GUESS_DAMPING if guessed else 1.0)
    error = correct - predicted.p
    row.residual_fast += FAST_RATE * (error - row.residual_fast)
    row.residual_slow += SLOW_RATE * (error - row.residual_slow)
    moment, tried = tenths(row, at_ms), row.tries & 0xFFFF
    for state in states:
        state.residual += SKILL_RATE * (error - state.residual)
        state.wins, state.tries = _counted(state.wins, state.tries, correct, 65_535)
        state.last, state.last_try, state.recent = moment or state.last, tried, recent_with(state.recent, correct, 3)
    key, name = hash32(item), skills_key(skills) if skills else 0
    met = row.items.touch(key)
    met.wins, met.tries = _counted(met.wins, met.tries, correct, MOST_MET)
    met.last, met.last_try, met.recent = moment or met.last, tried, recent_with(met.recent, correct, 2)
    row.run = min(row.run + 1, 255) if name == row.last_skills else 1
    row.last_skills, row.last_item, row.last_answer = name, key, moment or row.last_answer
    row.wins, row.tries = row.wins + correct, row.tries + 1
    row.streak = (max(row.streak, 0) + 1 if correct else min(row.streak, 0) - 1) if abs(row.streak) < 1000 else 0
    row.last_outcome, row.recent = int(correct), recent_with(row.recent, correct, 3)


def recent_with(recent: int, correct: bool, most: int) -> int:
    """Last outcomes as bits behind a leading one (1: none yet), with one more; at most `most` are kept."""
    longer, full = recent << 1 | correct, 1 << most
    return longer if longer < full << 1 else full | longer & full - 1


def _update_abilities(row: Row, states: list[SkillState], p: float, correct: bool, damping: float) -> None:
    h = p * (1.0 - p)
    h = max(h, 1e-4)
    n = len(states) or 1
    spread = 1.0 / h
    den = spread + row.v + total(s.v for s in states) / (n * n)
    innovation = damping * (correct - p) * spread / den
    row.theta = bounded(row.theta + row.v * innovation, MAX_ABILITY)
    row.v = min(row.v * (1.0 - damping * row.v / den) + NOISE, START_VARIANCE)
    for state in states:
        share = state.v / n
        state.theta = bounded(state.theta + share * innovation, MAX_ABILITY)
        state.v = min(state.v * (1.0 - damping * share / n / den) + SKILL_NOISE, MAX_SKILL_VARIANCE)


def _counted(wins: int, tries: int, correct: bool, most: int) -> tuple[int, int]:
    """One more try; a full counter keeps its share instead of stopping wins and tries apart."""
    if tries >= most:
        return min(wins, most - 1) if not correct else count(wins, most), most
    return wins + correct, tries + 1
