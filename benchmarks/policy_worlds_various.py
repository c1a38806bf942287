"""What further worlds share: courses of any shape, segments with any number of items, answers that need several skills.

These worlds (policy_worlds_practice, policy_worlds_states) were written by somebody who had not read the policy, and tuned
with the fixed order, chance and the oracle only. The oracle hands `gain` only skill, authored difficulty and
`quality[segment] * weight`; here segments differ in their number of items and some in a true difficulty that the author does
not know, so a quality is a float that remembers its segment.
"""

from __future__ import annotations

from math import exp
from random import Random
from typing import Any

from msgspec import convert

from benchmarks.policy_worlds import Answer, Learner
from schemas.course import Course

DAY = 24 * 60.0


def logistic(x: float) -> float:
    """From a scale to a probability."""
    return 1.0 / (1.0 + exp(-max(-40.0, min(40.0, x))))


def course(name: str, seed: int, skills: list[dict[str, Any]], segments: list[dict[str, Any]]) -> Course:
    """A checked course without a holdout."""
    return convert(
        {"id": f"more-{name}", "version": str(seed), "holdout": 0.0, "skills": skills, "segments": segments}, Course
    )


def items(segment: str, count: int) -> list[dict[str, str]]:
    """Listed items, with the ids that `work` answers."""
    return [{"id": f"{segment}.{n}"} for n in range(count)]


class Quality(float):
    """Of a segment, for one of its skills; knows which segment."""

    segment: str

    @classmethod
    def of(cls, value: float, segment: str) -> Quality:
        made = cls(value)
        made.segment = segment
        return made

    def __mul__(self, other: float) -> Quality:
        return Quality.of(float(self) * float(other), self.segment)

    __rmul__ = __mul__

    def __deepcopy__(self, memo: object) -> Quality:
        return self


class Various(Learner):
    """Goes through segments with any number of items, whose answers may need several skills."""

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.quality = {name: Quality.of(value, name) for name, value in self.quality.items()}
        self.tries = dict.fromkeys(self.skills, 0)
        self.correct: bool | None = None

    def items_in(self, segment: str) -> int:
        """How many items are asked."""
        return len(self.course.by_id[segment].items)

    def hardness(self, segment: str) -> float:
        """True difficulty."""
        return self.course.by_id[segment].difficulty

    def right_in(self, segment: str) -> float:
        """Probability of a right answer to an item of this segment."""
        return self.right(next(iter(self.course.by_id[segment].skills)), self.hardness(segment))

    def ready(self, skill: str) -> float:
        """Mean mastery of what the skill builds on."""
        bases = self.bases[skill]
        return sum(self.mastery(base) for base in bases) / len(bases) if bases else 1.0

    def asked(self, difficulty: float, quality: float) -> tuple[int, float, float | None]:
        """Number of items, true difficulty and chance of a right answer, where `quality` tells the segment."""
        if isinstance(quality, Quality):
            return self.items_in(quality.segment), self.hardness(quality.segment), self.right_in(quality.segment)
        return 3, difficulty, None

    def work(self, segment: str) -> list[Answer]:
        given, asked, hard = self.course.by_id[segment], self.items_in(segment), self.hardness(segment)
        count = self.shown[segment] = self.shown.get(segment, 0) + 1
        random = Random(f"{self.seed}/{self.number}/{segment}/{count}")
        minutes = self.expected_minutes(segment) * exp(random.gauss(0.0, 0.15))
        answers = []
        for n in range(asked):
            self.correct = random.random() < self.right_in(segment)
            for name, weight in given.skills.items():
                chance = random.random()
                self.tries[name] += 1
                self.taught(name, hard, self.quality[segment] * weight, chance)
            latency = 60_000.0 * minutes / asked / 3 * exp(random.gauss(0.0, 0.4)) * (0.8 if self.correct else 1.1)
            answers.append(Answer(f"{segment}.{n}", self.correct, int(latency)))
        self.correct = None
        self.minutes += minutes
        self.session += minutes
        self._advance(minutes)
        if self.session > 60.0:
            self.session = 0.0
            self._advance(23 * 60.0)
        return answers
