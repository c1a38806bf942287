"""How well a learner knows a skill they practise: how likely each of six levels is, a hidden Markov model.

    right at a level:  GUESSED + (MOST - GUESSED) / (1 + e^-(STEEP level + easier))
    after a try:       the level stays, or climbs one or more steps (STAYED, CLIMBED), as far as the try may have taught
    easier:            how steep the course's levels are x how far the item is below their middle (models.levels)

An answer changes the belief by Bayes' rule; then the try itself may have taught. An item of several skills draws on each as
their weights say. Two levels are Bayesian knowledge tracing (Corbett & Anderson 1995); six hold abilities on a scale too.

A belief starts where `models.mastery` stands. From then on it is learned from other learners how steep levels are
(docs/decisions/0024-practice-counts.md), whether tries come to teach less after many (models.shortfall), and what a course
is like (docs/decisions/0035-what-answers-say.md): how far an answer depends on its skill and not on the item's own luck
(`discrimination`), and which quick answers are guesses (models.timing). What answers tell of growth itself is too little,
because whoever practises more meets the same items again, and harder ones (docs/decisions/0022-belief.md). Kept as a byte in
255ths for each level but the lowest, never less than one: none is ever ruled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from operator import mul
from typing import Final

from models.entries import LEVELS
from models.features import sigmoid
from models.sums import total

Six = tuple[float, float, float, float, float, float]
"""A number for each level, the lowest first: compiled, six numbers side by side, of which no list has to be made."""

GUESSED: Final = 0.18
MOST: Final = 0.95
STEEP: Final = 1.3
ABILITIES: Final = [-3.0, -1.8, -0.6, 0.6, 1.8, 3.0]
STAYED: Final = 15.0
CLIMBED: Final = [1.0, 0.6, 0.36, 0.216, 0.1296]
"""Against STAYED: one step, two, and so on, as far as there are levels."""

LEAST_SHARE: Final = 0.25
"""However little answers count, of an item's skills each has at least this share in what an answer says, or all that is its
own: with less, who is wrong time and again would be believed to learn by it."""

MOST_TRIES: Final = 12
"""Tries of a visit that are told apart."""

SURE: Final = 0.03
"""A start is never nearer than this to knowing nothing or all, as a share of what lies between."""

_CLIMBS: Final = [[STAYED, *CLIMBED[: LEVELS - 1 - level]] for level in range(LEVELS)]
_WHOLE: Final = [total(climbs) for climbs in _CLIMBS]


def chances(easier: float) -> Six:
    """Probability of a right answer at each level, for items that add `easier` to the logit of a typical one."""
    return _six([GUESSED + (MOST - GUESSED) * sigmoid(STEEP * ability + easier) for ability in ABILITIES])


def tried(right: Six, effort: float) -> Six:
    """The chances where only a share of the answers, `effort`, are tries, and the others guesses."""
    return _six([GUESSED + effort * (chance - GUESSED) for chance in right])


def start(mastery: float) -> bytes:
    """The belief about a learner who answers a typical item right with probability `mastery`, as far as is known before any
    practice: a normal distribution of deviation 1 around the ability that does so. In steps of a hundredth."""
    return _STARTS[int(100.0 * mastery + 0.5)]


def _start(mastery: float) -> bytes:
    share = (mastery - GUESSED) / (MOST - GUESSED)
    share = SURE if share < SURE else 1.0 - SURE if share > 1.0 - SURE else share
    ability = log(share / (1.0 - share)) / STEEP
    return _packed([exp(-0.5 * (each - ability) * (each - ability)) for each in ABILITIES])


def mastery(known: bytes, right: Six) -> float:
    """Probability of a right answer where each level has the chance in `right`."""
    return _mean(_levels(known), right)


def shares(known: bytes) -> list[float]:
    """How likely each level is, the lowest first; together 1."""
    levels = _levels(known)
    whole = _sum(levels)
    return [each / whole for each in levels]


def rise(known: bytes, tries: int) -> float:
    """How much more likely a right answer to a typical item is expected to be after so many tries, 1 to MOST_TRIES."""
    return _mean(_levels(known), RISES[tries])


def heard(beliefs: Sequence[bytes], weights: Sequence[float], taught: Sequence[float], correct: bool, right: Six,
          damping: float = 1.0) -> list[bytes]:  # fmt: skip
    """Beliefs about the skills of an item after an answer to it. `weights`, above 0 and at most 1: how much the item draws
    on each skill. `taught`, 0 to 1: how far the try may have taught each. `right`: the chances of a right answer at each
    level. `damping`, 0 to 1: how much the answer says at all."""
    whole = total(weights)
    means = [mastery(known, right) for known in beliefs]
    expected = total(map(mul, weights, means)) / whole
    after: list[bytes] = []
    for known, weight, learned, mean in zip(beliefs, weights, taught, means, strict=True):
        share = weight / whole
        share = max(damping * share, min(share, LEAST_SHARE))
        after.append(_climbed(_weighed(known, right, correct, expected - share * mean, share), learned))
    return after


def pull(beliefs: Sequence[bytes], weights: Sequence[float], correct: bool, right: Six,
         below: float) -> tuple[float, tuple[float, float]]:  # fmt: skip
    """How likely a right answer was, and what the answer says of how steep levels are: the slope of its log likelihood, and
    its Fisher information. `below`: how far the item's difficulty is below the course's middle, -1 to 1."""
    whole, expected, moved = total(weights), 0.0, 0.0
    each = _six([(chance - GUESSED) * (MOST - chance) / (MOST - GUESSED) for chance in right])
    for known, weight in zip(beliefs, weights, strict=True):
        expected += weight / whole * mastery(known, right)
        moved += weight / whole * mastery(known, each) * below
    variance = expected * (1.0 - expected)
    return expected, ((correct - expected) * moved / variance, moved * moved / variance)


def sharper(beliefs: Sequence[bytes], weights: Sequence[float], recents: Sequence[int], right: Six) -> float:
    """By how much more likely a right answer is for each unit by which the last outcomes of its skills (`recents`, bits
    behind a leading one) had counted more, as if they had come after all that taught."""
    whole, moved = total(weights), 0.0
    squares = _six([chance * chance for chance in right])
    for known, weight, recent in zip(beliefs, weights, recents, strict=True):
        mean, share = mastery(known, right), weight / whole
        variance = _mean(_levels(known), squares) - mean * mean
        outcomes = recent.bit_length() - 1
        said = (recent - (1 << outcomes)).bit_count() - outcomes * mean
        moved += share * share * variance * said / (mean * (1.0 - mean))
    return moved


def _weighed(known: bytes, right: Six, correct: bool, others: float, share: float) -> list[float]:
    """Bayes' rule. The chance of a right answer at a level is `others` and `share` of that level's own."""
    if correct:
        return [each * (others + share * chance) for each, chance in zip(_levels(known), right, strict=True)]
    return [each * (1.0 - others - share * chance) for each, chance in zip(_levels(known), right, strict=True)]


def _climbed(levels: list[float], taught: float) -> bytes:
    """A try may have taught."""
    climbed = [(1.0 - taught) * each for each in levels]
    for level in range(LEVELS):
        moved = taught * levels[level] / _WHOLE[level]
        climbs = _CLIMBS[level]
        for steps in range(LEVELS - level):
            climbed[level + steps] += moved * climbs[steps]
    return _packed(climbed)


def _rises() -> list[Six]:
    """How much the chance at each level is expected to rise, by number of tries from 0."""
    now = chances(0.0)
    after, rises = list(now), [_six([0.0] * LEVELS)]
    for _ in range(MOST_TRIES):
        after = [
            total(climbs * after[level + steps] for steps, climbs in enumerate(_CLIMBS[level])) / _WHOLE[level]
            for level in range(LEVELS)
        ]
        rises.append(_six([then - chance for then, chance in zip(after, now, strict=True)]))
    return rises


def _packed(levels: list[float]) -> bytes:
    whole = 0.0
    for each in levels:
        whole += each
    return bytes([_as_byte(each / whole) for each in levels[1:]])


def _levels(known: bytes) -> Six:
    a, b, c, d, e = float(known[0]), float(known[1]), float(known[2]), float(known[3]), float(known[4])
    lowest = 255.0 - (a + b + c + d + e)
    return lowest if lowest > 1.0 else 1.0, a, b, c, d, e


def _six(values: list[float]) -> Six:
    a, b, c, d, e, f = values
    return a, b, c, d, e, f


def _mean(levels: Six, values: Six) -> float:
    """The mean of some values, each as likely as its level."""
    a, b, c, d, e, f = levels
    return (a * values[0] + b * values[1] + c * values[2] + d * values[3] + e * values[4] + f * values[5]) / _sum(levels)


def _sum(levels: Six) -> float:
    return levels[0] + levels[1] + levels[2] + levels[3] + levels[4] + levels[5]


def _as_byte(share: float) -> int:
    return max(1, int(255.0 * share + 0.5))


RISES: Final = _rises()
_STARTS: Final = [_start(n / 100.0) for n in range(101)]
