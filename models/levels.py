"""Whether an author's levels of difficulty mean anything: learned from what is answered, and believed until then.

What items add to the logit is set against the difficulty of their segments by least squares (ridge towards LEVEL_PRIOR),
items counting by how well the population knows them. Where the slope is STEEP levels are trusted wholly, from FLAT on
not at all, nor where a course has one level only. Where no item is listed nothing can tell: levels are half trusted. Who
knows next to nothing gains less where levels mean something (models.gain); where there is one level only nothing tells of
that either, and it is half believed.

That slope is too flat where it matters: who is asked an item was chosen for it. It says whether levels mean anything; how
steep they are where they do is learned beside beliefs, which know what was chosen (models.belief.pull).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from models.population import NEW_ITEM, Population
from schemas.course import Course

LEVEL_PRIOR: Final = -1.5
PRIOR_WEIGHT: Final = 0.1
STEEP: Final = -1.5
FLAT: Final = -0.75
TYPICAL_PRIOR: Final = 5.0
UNTOLD: Final = 0.5
"""How far levels are trusted where no item is listed, and growth where there is one level."""


class Levels(NamedTuple):
    """`slope`: logits for the whole way from easy to hard. `trust` in levels, and in `growth`: 0 to 1. `middle`: the mean
    difficulty of the segments. `typical`: what an item of that difficulty adds to the logit, 0 while no item is known."""

    slope: float
    trust: float
    growth: float
    middle: float
    typical: float


def levels_of(course: Course, population: Population) -> Levels:
    """What a version of the population says of a course's levels. Sums are running sums, in the authored order."""
    known: list[tuple[float, float, float]] = []
    weights = level = effect = whole = 0.0
    listed = False
    easiest = hardest = course.segments[0].difficulty if course.segments else 0.0
    for segment in course.segments:
        difficulty = segment.difficulty
        whole += difficulty
        easiest, hardest = min(easiest, difficulty), max(hardest, difficulty)
        for item in segment.items:
            listed = True
            values = population.item(item.id)
            weight = 1.0 - values[1] / NEW_ITEM[1]
            if weight > 0.0:
                known.append((weight, difficulty, values[0]))
                weights += weight
                level += weight * difficulty
                effect += weight * values[0]
    middle = whole / len(course.segments) if course.segments else 0.0
    if weights > 0.0:
        level /= weights
        effect /= weights
    spread, together = PRIOR_WEIGHT, PRIOR_WEIGHT * LEVEL_PRIOR
    for weight, difficulty, value in known:
        spread += weight * (difficulty - level) * (difficulty - level)
        together += weight * (difficulty - level) * (value - effect)
    slope = together / spread
    one, told = hardest == easiest, max(0.0, min(1.0, (slope - FLAT) / (STEEP - FLAT)))
    trust = 0.0 if one else told if listed else UNTOLD * told
    typical = effect * weights / (weights + TYPICAL_PRIOR) + slope * (middle - level) if weights > 0.0 else 0.0
    return Levels(slope, trust, UNTOLD if one else trust, middle, typical)
