"""What a course is like, learned from how answers come out where beliefs (models.belief) expected something.

How steep the author's levels are; how well skills are known before any practice (`newness`), and how far apart predictions
of that are to be (`spread`); how far answers fall short of beliefs after much practice (models.shortfall); how far they
depend on their skills (`discrimination`), and how many quick ones are tries (`efforts`, models.timing): each by a step of
Newton's method on the log likelihood a version. Beside them the sums of models.familiarity. See decisions 24, 30, 31, 35 and
36 in docs/decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from models import familiarity
from models.belief import GUESSED, LEAST_SHARE
from models.population import DISCRIMINATION, EFFORTS, LEAST_SPREAD, Population
from schemas.decision import LearningRecord
from schemas.population import SkillValues

MOST_STEEP: Final = 12.0
LEAST_NEW: Final = -2.0
"""Newness never raises: nobody is to skip what others happened to know."""
MOST_SHORT: Final = 2.0
LEAST_DISCRIMINATION: Final = LEAST_SHARE
MOST_DISCRIMINATION: Final = 1.4
"""More than 1 counts as 1; it is how sure a course may become of that."""
KEPT: Final = 0.9999
"""What each response of a course leaves of the information about what the course is like, above what there was before any:
so about the last ten thousand count, and who answers nonsense is forgotten."""
NOTHING: Final = (0.0, 0.0)
"""What most answers say of new skills, and of those practised much."""


class Newton:
    """One number, with the information about it, that each version moves by one step of Newton's method within bounds. An
    answer speaks of where the number stood when the answer was read; else it would be pushed on and on by who is many
    versions behind."""

    __slots__ = ("_highest", "_information", "_kept", "_least", "_lowest", "_said", "_slope", "value")

    def __init__(
        self, start: tuple[float, ...], lowest: float, highest: float, least: float = 0.0, kept: float = 1.0
    ) -> None:
        self.value, self._information = start
        self._lowest, self._highest = lowest, highest
        self._least, self._kept = least, kept
        self._slope = self._said = 0.0

    def learn_one(self, said: tuple[float, float], at: float) -> None:
        """Take what an answer says: slope of its log likelihood where the number was `at`, information."""
        self._slope += said[0] + (at - self.value) * said[1]
        self._said += said[1]

    def cut(self, responses: int) -> tuple[float, float]:
        """Make the step. Each of the responses since the last one leaves the share `kept` of what was known above `least`.
        Returns the number, and the information about it."""
        known: float = self._least + self._kept**responses * (self._information - self._least)
        self._information = known + self._said
        self.value = max(self._lowest, min(self._highest, self.value + self._slope / self._information))
        self._slope = self._said = 0.0
        return self.value, self._information


class CourseValues(NamedTuple):
    """The fields of a PopulationChange that say what a course is like: each number with the information about it."""

    steepness: list[float]
    newness: list[float]
    shortfall: list[float]
    spread: list[float]
    discrimination: list[float]
    efforts: list[SkillValues]
    familiarity: list[float]


class CourseLearner:
    """Learns what a course is like from responses, one by one, and tells it version by version."""

    def __init__(self, start: Population) -> None:
        self._steepness = Newton(start.steepness, 0.0, MOST_STEEP)
        self._newness = Newton(start.newness, LEAST_NEW, 0.0)
        self._spread = Newton(start.spread, LEAST_SPREAD, 1.0)
        self._shortfall = Newton(start.shortfall, -MOST_SHORT, MOST_SHORT)
        self._discrimination = Newton(
            start.discrimination, LEAST_DISCRIMINATION, MOST_DISCRIMINATION, DISCRIMINATION[1], KEPT
        )
        self._efforts = [
            Newton(values, 0.0, 1.0, prior[1], KEPT) for values, prior in zip(start.efforts, EFFORTS, strict=True)
        ]
        self._practice: Sequence[float] = familiarity.NOTHING_TOLD
        self._familiarity: Sequence[float] = start.familiarity

    def learn_one(self, response: LearningRecord) -> None:
        """Learn from one answer. A rapid guess says only whether such answers are tries."""
        if not response.guessed:
            self._learn_try(response)
        self._learn_effort(response)

    def cut(self, responses: int) -> CourseValues:
        """What is known after all answers so far, of which so many responses came since the last time."""
        self._familiarity = familiarity.joined(self._familiarity, KEPT**responses, self._practice)
        self._practice = familiarity.NOTHING_TOLD
        return CourseValues(
            list(self._steepness.cut(responses)),
            list(self._newness.cut(responses)),
            list(self._shortfall.cut(responses)),
            list(self._spread.cut(responses)),
            list(self._discrimination.cut(responses)),
            [effort.cut(responses) for effort in self._efforts],
            list(self._familiarity),
        )

    def _learn_try(self, response: LearningRecord) -> None:
        steepness, newness, spread, discrimination = response.held or (
            self._steepness.value, self._newness.value, self._spread.value, self._discrimination.value
        )  # fmt: skip
        self._steepness.learn_one(response.pull, steepness)
        if response.first != NOTHING:
            self._newness.learn_one(response.first, newness)
            self._spread.learn_one(_times(response.first, response.apart), spread)
        if response.practised != NOTHING:
            self._shortfall.learn_one(response.practised, 0.0)
        if response.expected:
            p = response.expected
            error, variance = response.correct - p, p * (1.0 - p)
            self._discrimination.learn_one(_said(error, variance, response.sharper), discrimination)
            if response.practice:
                self._practice = familiarity.added(self._practice, error, variance, response.met, response.practice)

    def _learn_effort(self, response: LearningRecord) -> None:
        if response.expected and response.quick < len(self._efforts):
            effort, moved = self._efforts[response.quick], response.believed - GUESSED
            p = GUESSED + effort.value * moved
            effort.learn_one(_said(response.correct - p, p * (1.0 - p), moved), effort.value)


def _said(error: float, variance: float, moved: float) -> tuple[float, float]:
    """What an answer says of a number that moves its probability: slope of its log likelihood, information."""
    return error * moved / variance, moved * moved / variance


def _times(said: tuple[float, float], factor: float) -> tuple[float, float]:
    """What is said of a number, as of what it is multiplied by `factor` to get."""
    return said[0] * factor, said[1] * factor * factor
