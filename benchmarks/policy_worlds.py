"""Simulated learners that disagree with our model and with one another, for judging policies.

- `bkt`: a skill is known or not; items are slipped and guessed; a try may teach (Corbett & Anderson 1995), less where the
  base is missing; some of what was hardly practised is lost after a delay.
- `irt`: abilities on a scale; a try teaches most near the learner's level; what is not used decays (Ebbinghaus), long
  sessions tire.
- `kst`: knowledge spaces (Doignon & Falmagne 1985): a skill can be learned only when all that it builds on is known; how
  good a segment is differs; careless errors and lucky guesses.

Twenty-eight more, written by others who had not read the policy and tuned with the fixed order, chance and the oracle
alone, are in policy_worlds_practice, _states, _teaching, _minds, _schooling, _trades, _life and _shapes
(docs/decisions/0023-other-worlds.md, 0034-ahead.md, 0035-what-answers-say.md, 0037-new-eyes.md).

A learner's chance depends on seed, learner, segment and how often it was shown, never on the policy: common random numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Any

from msgspec import convert

from schemas.course import Course

SKILLS, A_SKILL, ITEMS = 12, 4, 3
DAY = 24 * 60.0
DELAY_MINUTES = 14 * DAY
MASTERED = 0.8


def course_of(seed: int) -> Course:
    """Twelve skills that build on one another, four segments each, in topological order; four are compulsory."""
    random = Random(f"course/{seed}")
    skills = [
        {"id": f"k{n}", "builds_on": [f"k{m}" for m in sorted(random.sample(range(n), min(n, random.choice((0, 1, 1, 2)))))]}
        for n in range(SKILLS)
    ]
    segments = []
    for n, skill in enumerate(skills):
        for part in range(A_SKILL):
            weights = {f"k{n}": 1.0}
            if part == A_SKILL - 1 and skill["builds_on"]:
                weights[skill["builds_on"][0]] = 0.4
            compulsory = part == 1 and n % 3 == 2
            needs = [] if compulsory or part == 0 else [{"skill": base, "mastery": 0.5} for base in skill["builds_on"]]
            segments.append({
                "id": f"s{n}-{part}", "skills": weights, "minutes": round(random.uniform(4.0, 12.0), 1), "repeatable": True,
                "difficulty": round(0.2 + 0.2 * part, 2), "compulsory": compulsory, "prerequisites": needs,
                "items": items(f"s{n}-{part}", ITEMS),
            })  # fmt: skip
    return course("bench", seed, skills, segments)


def course(name: str, seed: int, skills: list[dict[str, Any]], segments: list[dict[str, Any]]) -> Course:
    """A course without a hold-out."""
    given = {"id": name, "version": str(seed), "holdout": 0.0, "skills": skills, "segments": segments}
    return convert(given, Course)


def items(segment: str, count: int) -> list[dict[str, str]]:
    """Listed items, with the ids that `Learner.work` answers."""
    return [{"id": f"{segment}.{n}"} for n in range(count)]


def logistic(x: float) -> float:
    """From a scale to a probability."""
    return 1.0 / (1.0 + exp(-max(-40.0, min(40.0, x))))


@dataclass(frozen=True)
class Answer:
    """One answer: which item, right or wrong, how long it took."""

    item: str
    correct: bool
    latency_ms: int


class Learner(ABC):
    """One simulated learner. `minutes` counts time spent; `clock_minutes` has the pauses between sessions, too."""

    def __init__(self, course: Course, seed: int, number: int) -> None:
        self.course, self.seed, self.number = course, seed, number
        self.random = Random(f"{type(self).__name__}/{seed}/{number}")
        self.pace = exp(self.random.gauss(0.0, 0.25))
        self.speed = exp(self.random.gauss(0.0, 0.4))
        self.minutes = self.clock_minutes = self.session = 0.0
        self.shown: dict[str, int] = {}
        self.correct: bool | None = None
        """The answer just given, while it teaches."""
        self.skills = [skill.id for skill in course.skills]
        self.tries = dict.fromkeys(self.skills, 0)
        self.bases = {skill.id: skill.builds_on for skill in course.skills}
        quality = Random(f"quality/{seed}")
        self.quality = {segment.id: quality.uniform(0.5, 1.5) for segment in course.segments}

    @abstractmethod
    def mastery(self, skill: str) -> float:
        """True probability of being able to do it, now."""

    @abstractmethod
    def right(self, skill: str, difficulty: float) -> float:
        """Probability of a right answer to an item."""

    @abstractmethod
    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        """A try at an item of a skill happened; `chance` is uniform on [0, 1)."""

    @abstractmethod
    def gain(self, skill: str, segment: str) -> float:
        """Expected gain in mastery of one of its skills by a whole segment, for the oracle."""

    def pass_time(self, minutes: float) -> None:  # noqa: B027
        """Without practice."""

    def items_in(self, segment: str) -> int:
        """How many items a segment asks."""
        return len(self.course.by_id[segment].items)

    def hardness(self, segment: str) -> float:
        """How difficult it truly is."""
        return self.course.by_id[segment].difficulty

    def right_in(self, segment: str) -> float:
        """Probability of a right answer to an item of a segment."""
        return self.right(next(iter(self.course.by_id[segment].skills)), self.hardness(segment))

    def teaches(self, segment: str, skill: str) -> float:
        """How well a segment teaches one of its skills."""
        return self.quality[segment] * self.course.by_id[segment].skills[skill]

    def ready(self, skill: str) -> float:
        """Mean mastery of what the skill builds on."""
        bases = self.bases[skill]
        return sum(self.mastery(base) for base in bases) / len(bases) if bases else 1.0

    def expected_minutes(self, segment: str) -> float:
        """What a segment will take this learner."""
        return self.course.by_id[segment].minutes * self.pace

    def mastered(self) -> float:
        """Share of the skills mastered now."""
        return sum(self.mastery(skill) >= MASTERED for skill in self.skills) / len(self.skills)

    def work(self, segment: str) -> list[Answer]:
        """Go through a segment: answer its items, learn, and let the time pass."""
        given = self.course.by_id[segment]
        count = self.shown[segment] = self.shown.get(segment, 0) + 1
        random = Random(f"{self.seed}/{self.number}/{segment}/{count}")
        minutes = self.expected_minutes(segment) * exp(random.gauss(0.0, 0.15))
        asked, answers = self.items_in(segment), []
        for n in range(asked):
            self.correct = random.random() < self.right_in(segment)
            for name in given.skills:
                self.tries[name] += 1
                self.taught(name, self.hardness(segment), self.teaches(segment, name), random.random())
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

    def delayed(self) -> float:
        """Share of the skills mastered after a delay without practice. The learner is spent by this."""
        self._advance(DELAY_MINUTES)
        return self.mastered()

    def _advance(self, minutes: float) -> None:
        self.clock_minutes += minutes
        self.pass_time(minutes)


class Bkt(Learner):
    """Known or not."""

    SLIP, GUESS = 0.1, 0.2

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        prior = self.random.betavariate(1.2, 3.0)
        self.known = {skill: self.random.random() < prior for skill in self.skills}
        self.rate = {skill: self.random.uniform(0.06, 0.16) * self.speed for skill in self.skills}
        self.keeps = {skill: self.random.random() for skill in self.skills}

    def mastery(self, skill: str) -> float:
        return float(self.known[skill])

    def right(self, skill: str, difficulty: float) -> float:
        p = 1 - self.SLIP if self.known[skill] else self.GUESS
        return p + (0.5 - difficulty) * 0.15

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.known[skill] |= chance < self._chance(skill, quality)

    def gain(self, skill: str, segment: str) -> float:
        if self.known[skill]:
            return 0.0
        left: float = (1.0 - self._chance(skill, self.teaches(segment, skill))) ** self.items_in(segment)
        return 1.0 - left

    def pass_time(self, minutes: float) -> None:
        if minutes >= DELAY_MINUTES:
            for skill in self.skills:
                if self.tries[skill] and self.keeps[skill] < 0.35 / self.tries[skill] ** 0.5:
                    self.known[skill] = False

    def _chance(self, skill: str, quality: float) -> float:
        return min(0.9, self.rate[skill] * quality * (0.25 + 0.75 * self.ready(skill)))


class Irt(Learner):
    """Abilities on a scale, with forgetting and fatigue."""

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        level = self.random.gauss(-1.2, 0.7)
        self.start = {skill: level + self.random.gauss(0.0, 0.6) for skill in self.skills}
        self.ability = dict(self.start)
        self.half_life = self.random.uniform(20, 60) * 24 * 60.0

    def mastery(self, skill: str) -> float:
        return 1.0 / (1.0 + exp(-1.8 * self.ability[skill]))

    def right(self, skill: str, difficulty: float) -> float:
        return 0.15 + 0.85 / (1.0 + exp(-1.5 * (self.ability[skill] - (difficulty * 3.0 - 1.8)) - 0.3 + self._tired()))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.ability[skill] = min(2.5, self.ability[skill] + self._step(skill, difficulty, quality) * (0.5 + chance))

    def gain(self, skill: str, segment: str) -> float:
        step = self._step(skill, self.hardness(segment), self.teaches(segment, skill))
        after = min(2.5, self.ability[skill] + self.items_in(segment) * step)
        return 1.0 / (1.0 + exp(-1.8 * after)) - self.mastery(skill)

    def pass_time(self, minutes: float) -> None:
        kept = exp(-log(2.0) * minutes / self.half_life)
        for skill in self.skills:
            self.ability[skill] = self.start[skill] + (self.ability[skill] - self.start[skill]) * kept

    def _step(self, skill: str, difficulty: float, quality: float) -> float:
        away = self.ability[skill] - (difficulty * 3.0 - 1.5)
        ready = 0.3 + 0.7 * self.ready(skill)
        return 0.4 * self.speed * quality * exp(-away * away / 3.0) * ready * (1.0 - 0.5 * self._tired())

    def _tired(self) -> float:
        return min(1.0, self.session / 90.0)


class Kst(Learner):
    """Knowledge spaces."""

    CARELESS, LUCKY = 0.08, 0.22

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        frontier = self.random.betavariate(1.0, 2.5) * len(self.skills)
        self.known: dict[str, bool] = {}
        for n, skill in enumerate(self.skills):
            self.known[skill] = n < frontier and all(self.known[base] for base in self.bases[skill])

    def mastery(self, skill: str) -> float:
        return float(self.known[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return 1.0 - self.CARELESS if self.known[skill] else self.LUCKY

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.known[skill] |= chance < self._chance(skill, quality)

    def gain(self, skill: str, segment: str) -> float:
        if self.known[skill]:
            return 0.0
        left: float = (1.0 - self._chance(skill, self.teaches(segment, skill))) ** self.items_in(segment)
        return 1.0 - left

    def _chance(self, skill: str, quality: float) -> float:
        open_now = all(self.known[base] for base in self.bases[skill])
        return min(0.9, (0.13 * self.speed if open_now else 0.004) * quality)


WORLDS: dict[str, type[Learner]] = {"bkt": Bkt, "irt": Irt, "kst": Kst}
