"""How far answers of who practised much fall short of what is believed of them, and what follows: learned of each course.

Beliefs assume that every try may teach (models.belief). Where learners come to an end of what practice teaches them, they
are believed to know what they do not. It shows in answers to skills tried MUCH times and more, believed at KNOWN and more,
of which nothing is forgotten: `shortfall` is by how many logits they are worse than expected, a maximum likelihood by
Newton's steps (models.course_learner). Where it is above 0 later tries teach less than the first ones did, and, as who
practises what is easy does not get on, harder questions fit. Below 0 it changes nothing: beliefs that are too modest cost
minutes, not gaps (docs/decisions/0030-shortfall.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models import belief
from models.belief import Six

MUCH: Final = 8
KNOWN: Final = 0.75
SLOWED: Final = 1.0
"""For each logit of shortfall: how much slower a try teaches for each try before it."""
HARDENED: Final = 16.0
"""For each such logit, by how many logits harder questions fit best; at most MOST_HARDER."""
MOST_HARDER: Final = 0.9
MOST: Final = 0.5
"""Logits of shortfall that count."""


def slowing(shortfall: float) -> float:
    """What each try before takes from what one more teaches: it teaches 1 / (1 + slowing x tries)."""
    return SLOWED * _counted(shortfall)


def harder(shortfall: float) -> float:
    """By how many logits harder questions fit best than they would."""
    return min(MOST_HARDER, HARDENED * _counted(shortfall))


def tells(known: Sequence[bytes], tries: Sequence[int], right: Six) -> bool:
    """Whether an answer says anything of it: all of its skills were practised much and are believed (`known`) to be known.
    `right` is the chance of a right answer to a typical item at each level."""
    return all(tried >= MUCH and belief.mastery(each, right) >= KNOWN for each, tried in zip(known, tries, strict=True))


def _counted(shortfall: float) -> float:
    return min(MOST, max(0.0, shortfall))
