"""Policies to compare with. Each is told what happened and asked for the next segment of a learner.

All but `fixed`, `random` and the oracle estimate mastery by the same Bayesian knowledge tracing with general parameters
(start .3, taught .15, slip .1, guess .2), and may not show what builds on a skill estimated under .5.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict, deque
from math import exp, log
from random import Random

import numpy as np
from numpy.typing import NDArray

from benchmarks.policy_worlds import Answer, Learner
from models.plan import plan_of
from schemas.course import Course, Segment

KNOWN = 0.85


class Policy(ABC):
    """Chooses for many learners; what it learns of all may be shared."""

    def __init__(self, course: Course, seed: int) -> None:
        self.course, self.seed = course, seed
        self.skill_of = {segment.id: next(iter(segment.skills)) for segment in course.segments}
        self.bases = {skill.id: skill.builds_on for skill in course.skills}

    @abstractmethod
    def choose(self, learner: Learner) -> str:
        """The next segment."""

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:  # noqa: B027
        """What came of it."""

    def estimate(self, learner: Learner, skill: str) -> float | None:
        """The policy's own idea of a mastery; None when it has none."""
        return None


class Fixed(Policy):
    """The authored order, again and again."""

    def choose(self, learner: Learner) -> str:
        segments = self.course.segments
        return segments[sum(learner.shown.values()) % len(segments)].id


class Anyhow(Policy):
    """Any segment."""

    def choose(self, learner: Learner) -> str:
        random = Random(f"{self.seed}/{learner.number}/{sum(learner.shown.values())}")
        return random.choice(self.course.segments).id


class Oracle(Policy):
    """Greedy with the learner's true state and dynamics: what no policy that must infer them should pass by much. A skill
    counts a quarter more for each that builds on it, known or not."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        plan = plan_of(course)
        self.ahead = {name: 1.0 + 0.25 * len(plan.later[place]) for name, place in plan.skill_places.items()}

    def choose(self, learner: Learner) -> str:
        return max(self.course.segments, key=lambda segment: self._worth(learner, segment)).id

    def _worth(self, learner: Learner, segment: Segment) -> float:
        gain = sum(learner.gain(skill, segment.id) * self.ahead[skill] for skill in segment.skills)
        return gain / learner.expected_minutes(segment.id)


class Tracing(Policy):
    """Keeps an estimate of each mastery."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.known: dict[tuple[int, str], float] = defaultdict(lambda: 0.3)
        self.last: dict[int, str] = {}

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:
        key = learner.number, self.skill_of[segment]
        for answer in answers:
            p = self.known[key]
            seen, not_seen = (0.9, 0.2) if answer.correct else (0.1, 0.8)
            p = p * seen / (p * seen + (1 - p) * not_seen)
            self.known[key] = p + (1 - p) * 0.15
        self.last[learner.number] = segment

    def estimate(self, learner: Learner, skill: str) -> float | None:
        return self.known[learner.number, skill]

    def open(self, learner: Learner) -> list[Segment]:
        """Segments whose bases are there and that were not just shown."""
        number, last = learner.number, self.last.get(learner.number)
        found = [
            segment for segment in self.course.segments
            if segment.id != last and all(self.known[number, base] >= 0.5 for base in self.bases[self.skill_of[segment.id]])
        ]  # fmt: skip
        return found or list(self.course.segments)


class MasterySkip(Tracing):
    """The authored order without what is estimated to be known; then from the start again."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.place: dict[int, int] = defaultdict(int)

    def choose(self, learner: Learner) -> str:
        segments = self.course.segments
        for step in range(len(segments)):
            place = (self.place[learner.number] + step) % len(segments)
            if self.known[learner.number, self.skill_of[segments[place].id]] < 0.95:
                self.place[learner.number] = place + 1
                return segments[place].id
        self.place[learner.number] += 1
        return segments[self.place[learner.number] % len(segments)].id


class WeakestFirst(Tracing):
    """The segment of the weakest skill that was shown least (OATutor; Pardos et al. 2023)."""

    def choose(self, learner: Learner) -> str:
        return min(self.open(learner), key=lambda s: (self.known[learner.number, self.skill_of[s.id]],
                                                      learner.shown.get(s.id, 0))).id  # fmt: skip


class EloTarget(Tracing):
    """The segment whose predicted share of right answers is nearest to .65 (Elo; Papousek & Pelanek 2017)."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.ability: dict[tuple[int, str], float] = defaultdict(float)
        self.difficulty: dict[str, float] = defaultdict(float)

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:
        super().told(learner, segment, answers)
        key = learner.number, self.skill_of[segment]
        for answer in answers:
            e = answer.correct - self._p(key, segment)
            self.ability[key] += 0.4 * e
            self.difficulty[segment] -= 0.05 * e

    def choose(self, learner: Learner) -> str:
        return min(self.open(learner), key=lambda s: (abs(self._p((learner.number, self.skill_of[s.id]), s.id) - 0.65)
                                                      + 0.05 * learner.shown.get(s.id, 0))).id  # fmt: skip

    def _p(self, key: tuple[int, str], segment: str) -> float:
        return 1.0 / (1.0 + exp(self.difficulty[segment] - self.ability[key]))


class Weighted(Tracing):
    """Weighted sum of readiness, demand, fit of difficulty and continuity (ALOSI; Rosen et al. 2018)."""

    def choose(self, learner: Learner) -> str:
        return max(self.open(learner), key=lambda s: self._score(learner, s)).id

    def _score(self, learner: Learner, segment: Segment) -> float:
        skill, number = self.skill_of[segment.id], learner.number
        bases, p = self.bases[skill], self.known[number, skill]
        ready = min((self.known[number, base] for base in bases), default=1.0)
        demand = max(0.0, log(0.95 / max(p, 1e-3)))
        fit = -abs(segment.difficulty - p)
        same = self.skill_of.get(self.last.get(number, ""), "") == skill
        return min(0.0, log(ready / 0.85)) + demand + 0.5 * fit + 0.2 * same - 0.3 * learner.shown.get(segment.id, 0)


class Zpdes(Tracing):
    """A bandit over open skills by recent progress (Clement et al. 2015)."""

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.past: dict[tuple[int, str], deque[int]] = defaultdict(lambda: deque(maxlen=8))

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:
        super().told(learner, segment, answers)
        self.past[learner.number, self.skill_of[segment]].extend(answer.correct for answer in answers)

    def choose(self, learner: Learner) -> str:
        found = [s for s in self.open(learner) if self.known[learner.number, self.skill_of[s.id]] < 0.97] or self.open(
            learner
        )
        skills = sorted({self.skill_of[segment.id] for segment in found})
        worth = np.array([self._progress(learner.number, skill) for skill in skills])
        share = 0.8 * worth / worth.sum() + 0.2 / len(skills)
        random = Random(f"{self.seed}/z/{learner.number}/{sum(learner.shown.values())}")
        skill = random.choices(skills, share.tolist())[0]
        return min((s for s in found if self.skill_of[s.id] == skill), key=lambda s: learner.shown.get(s.id, 0)).id

    def _progress(self, number: int, skill: str) -> float:
        past = list(self.past[number, skill])
        if len(past) < 4:
            return 0.5
        half = len(past) // 2
        return max(0.05, sum(past[half:]) / (len(past) - half) - sum(past[:half]) / half + 0.05)


class LinUcb(Tracing):
    """Shared LinUCB (Li et al. 2010): reward is the estimated gain in mastery per minute."""

    ALPHA = 0.3

    def __init__(self, course: Course, seed: int) -> None:
        super().__init__(course, seed)
        self.a: NDArray[np.float64] = np.eye(8)
        self.b: NDArray[np.float64] = np.zeros(8)
        self.inverse: NDArray[np.float64] = np.eye(8)
        self.before: dict[int, tuple[NDArray[np.float64], float, str]] = {}

    def choose(self, learner: Learner) -> str:
        found = self.open(learner)
        x = np.array([self._x(learner, segment) for segment in found])
        theta = self.inverse @ self.b
        best = int(np.argmax(x @ theta + self.ALPHA * np.sqrt(np.einsum("ij,jk,ik->i", x, self.inverse, x))))
        skill = self.skill_of[found[best].id]
        self.before[learner.number] = x[best], self.known[learner.number, skill], skill
        return found[best].id

    def told(self, learner: Learner, segment: str, answers: list[Answer]) -> None:
        super().told(learner, segment, answers)
        if learner.number in self.before:
            x, known, skill = self.before.pop(learner.number)
            reward = 10.0 * (self.known[learner.number, skill] - known) / self.course.by_id[segment].minutes
            self.a += np.outer(x, x)
            self.b += reward * x
            self.inverse = np.asarray(np.linalg.inv(self.a), dtype=np.float64)

    def _x(self, learner: Learner, segment: Segment) -> list[float]:
        skill, number = self.skill_of[segment.id], learner.number
        p, bases = self.known[number, skill], self.bases[skill]
        ready = min((self.known[number, base] for base in bases), default=1.0)
        seen = min(learner.shown.get(segment.id, 0), 5) / 5
        return [1.0, p, p * p, ready, segment.difficulty, segment.difficulty * p, segment.minutes / 12, seen]


RIVALS: dict[str, type[Policy]] = {
    "oracle": Oracle, "fixed": Fixed, "random": Anyhow, "mastery_skip": MasterySkip, "weakest_first": WeakestFirst,
    "elo_target": EloTarget, "weighted": Weighted, "zpdes": Zpdes, "linucb": LinUcb,
}  # fmt: skip
