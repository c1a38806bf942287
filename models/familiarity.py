"""How far practice stays with the items practised: learned of each course, from answers to items met before and new ones.

Beliefs (models.belief) take what a try teaches to be the skill's. Where it is in part the item's, whoever meets an item
again is right more often than believed, and at new items of the same skill is not. `familiarity` is by how many logits: what
having met the item adds to errors of beliefs, by weighted least squares beside a constant and the log of the tries so far
(who meets an item again has practised more), of answers to skills tried LEAST_TRIES times and more.

Where it is above 0 a segment seen before is worth less than another one of its skills; below 0 it is worth more.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Final

LEAST_TRIES: Final = 3
SEEN: Final = 0.85
"""What each visit before leaves of a segment's worth where familiarity is 0, as the design has it."""
SEEN_LESS: Final = 0.7
"""For each logit, by how much the log of that falls."""
LEAST_SEEN: Final = 0.5
MOST_SEEN: Final = 0.95
NOTHING_KNOWN: Final = (30.0, 0.0, 0.0, 30.0, 0.0, 30.0, 0.0, 0.0, 0.0)
"""The nine sums before any answer: of variance x each pair of (1, met, log tries), upper triangle, and of error x each."""
NOTHING_TOLD: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
"""The sums of no answers."""


def added(sums: Sequence[float], error: float, variance: float, met: float, tries: float) -> list[float]:
    """The sums with one answer more: by how much it was better than believed, and the variance of that; 1 where its item was
    met before, else 0; log of one and the tries so far."""
    a, b, c, d, e, f, g, h, i = sums
    return [
        a + variance, b + variance * met, c + variance * tries, d + variance * met * met, e + variance * met * tries,
        f + variance * tries * tries, g + error, h + error * met, i + error * tries,
    ]  # fmt: skip


def joined(sums: Sequence[float], share: float, told: Sequence[float]) -> list[float]:
    """The sums where only a share of what was added is left, with what was `told` since."""
    return [nothing + share * (value - nothing) + new for value, nothing, new in zip(sums, NOTHING_KNOWN, told, strict=True)]


def familiarity(sums: Sequence[float]) -> float:
    """By how many logits answers to items met before are better, by Cramer's rule."""
    a, b, c, d, e, f, g, h, i = sums
    whole = a * (d * f - e * e) - b * (b * f - e * c) + c * (b * e - d * c)
    return (a * (h * f - e * i) - g * (b * f - e * c) + c * (b * i - h * c)) / whole


def seen(familiar: float) -> float:
    """What each visit before leaves of a segment's worth, LEAST_SEEN to MOST_SEEN."""
    return max(LEAST_SEEN, min(MOST_SEEN, SEEN * exp(-SEEN_LESS * familiar)))
