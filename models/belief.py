"""How well a learner knows a skill they practise: how likely each of six levels is, a hidden Markov model.

    right at a level:  GUESSED + (MOST - GUESSED) / (1 + e^-(STEEP level + DIFFICULTY (.5 - difficulty)))
    after a try:       the level stays, or climbs one or more steps (STAYED, CLIMBED)

An answer changes the belief by Bayes' rule; then the try itself may have taught. An item of several skills draws on each as
their weights say. Two levels are Bayesian knowledge tracing (Corbett & Anderson 1995); six hold abilities on a scale too.

A belief starts where `models.mastery` stands. From then on nothing of it is learned from other learners: what they teach
about growth is too little, because whoever practises more meets the same items again, and harder ones
(docs/decisions/0022-belief.md). Kept as a byte in 255ths for each level but the lowest, never less than one: none is ever
ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from operator import mul
from typing import Final

from models.entries import LEVELS
from models.features import sigmoid
from models.sums import total

GUESSED: Final = 0.18
MOST: Final = 0.95
STEEP: Final = 1.3
DIFFICULTY: Final = 2.0
ABILITIES: Final = [-3.0, -1.8, -0.6, 0.6, 1.8, 3.0]
STAYED: Final = 15.0
CLIMBED: Final = [1.0, 0.6, 0.36, 0.216, 0.1296]
"""Against STAYED: one step, two, and so on, as far as there are levels."""

SURE: Final = 0.03
"""A start is never nearer than this to knowing nothing or all, as a share of what lies between."""

_CLIMBS: Final = [[STAYED, *CLIMBED[: LEVELS - 1 - level]] for level in range(LEVELS)]
_WHOLE: Final = [total(climbs) for climbs in _CLIMBS]


def chances(difficulty: float) -> list[float]:
    """Probability of a right answer at each level, for items of a difficulty from 0 to 1."""
    easier = DIFFICULTY * (0.5 - difficulty)
    return [GUESSED + (MOST - GUESSED) * sigmoid(STEEP * ability + easier) for ability in ABILITIES]


def start(mastery: float, difficulty: float) -> bytes:
    """The belief about a learner who answers an item of `difficulty` right with probability `mastery`, as far as is known
    before any practice: a normal distribution of deviation 1 around the ability that does so."""
    share = (mastery - GUESSED) / (MOST - GUESSED)
    share = SURE if share < SURE else 1.0 - SURE if share > 1.0 - SURE else share
    ability = (log(share / (1.0 - share)) - DIFFICULTY * (0.5 - difficulty)) / STEEP
    return _packed([exp(-0.5 * (each - ability) * (each - ability)) for each in ABILITIES])


def mastery(known: bytes, right: Sequence[float]) -> float:
    """Probability of a right answer where each level has the chance in `right`."""
    levels = _levels(known)
    return total(map(mul, levels, right)) / total(levels)


def shares(known: bytes) -> list[float]:
    """How likely each level is, the lowest first; together 1."""
    levels = _levels(known)
    whole = total(levels)
    return [each / whole for each in levels]


def heard(beliefs: Sequence[bytes], weights: Sequence[float], correct: bool, difficulty: float,
          damping: float = 1.0) -> list[bytes]:  # fmt: skip
    """Beliefs about the skills of an item after an answer to it. `weights`, above 0 and at most 1: how much the item draws
    on each skill, and how far the try may have taught it. `damping`, 0 to 1: how much the answer says at all."""
    right, whole = chances(difficulty), total(weights)
    means = [mastery(known, right) for known in beliefs]
    expected = total(map(mul, weights, means)) / whole
    after: list[bytes] = []
    for known, weight, mean in zip(beliefs, weights, means, strict=True):
        share = damping * weight / whole
        after.append(_climbed(_weighed(known, right, correct, expected - share * mean, share), weight))
    return after


def _weighed(known: bytes, right: list[float], correct: bool, others: float, share: float) -> list[float]:
    """Bayes' rule. The chance of a right answer at a level is `others` and `share` of that level's own."""
    weighed: list[float] = []
    for level, each in enumerate(_levels(known)):
        chance = others + share * right[level]
        weighed.append(each * (chance if correct else 1.0 - chance))
    return weighed


def _climbed(levels: list[float], taught: float) -> bytes:
    """A try may have taught."""
    climbed = [(1.0 - taught) * each for each in levels]
    for level in range(LEVELS):
        moved = taught * levels[level] / _WHOLE[level]
        for steps, climbs in enumerate(_CLIMBS[level]):
            climbed[level + steps] += moved * climbs
    return _packed(climbed)


def _packed(levels: list[float]) -> bytes:
    whole = total(levels)
    return bytes([_as_byte(each / whole) for each in levels[1:]])


def _levels(known: bytes) -> list[float]:
    lowest = 255.0 - total(known)
    return [lowest if lowest > 1.0 else 1.0, *[float(each) for each in known]]


def _as_byte(share: float) -> int:
    return max(1, int(255.0 * share + 0.5))
