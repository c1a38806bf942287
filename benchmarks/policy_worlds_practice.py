"""Worlds in which every try moves something: performance factors, traces of memory, misconceptions that grow."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, log1p
from random import Random
from typing import Any

from benchmarks.policy_worlds import DAY, Learner, course, items, logistic
from schemas.course import Course


def pfa_course(seed: int) -> Course:
    """Ten skills, two to five segments each, two to five items; half of the segments need a second or third skill."""
    random = Random(f"course/pfa/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(1, 10), 3))
    for n in range(10):
        builds = [f"f{random.randrange(max(0, n - 4), n)}"] if n >= 2 and random.random() < 0.6 else []
        skills.append({"id": f"f{n}", "builds_on": builds})
        for part in range(random.randint(2, 5)):
            name = f"f{n}-{part}"
            weights = {f"f{n}": 1.0}
            if part and n and random.random() < 0.6:
                weights[builds[0] if builds else f"f{random.randrange(n)}"] = round(random.uniform(0.3, 0.9), 1)
            if part > 1 and n > 1 and random.random() < 0.3:
                weights.setdefault(f"f{random.randrange(n)}", round(random.uniform(0.3, 0.6), 1))
            asked, due = random.randint(2, 5), part == 0 and n in compulsory
            segments.append({
                "id": name, "skills": weights, "minutes": round(1.0 + asked * random.uniform(1.4, 2.4), 1),
                "difficulty": round(random.uniform(0.25, 0.8), 2), "compulsory": due, "repeatable": True,
                "prerequisites": [{"skill": base, "mastery": 0.5} for base in builds] if part >= 2 else [],
                "items": items(name, asked),
            })  # fmt: skip
    return course("more-pfa", seed, skills, segments)


class Pfa(Learner):
    """Performance factors: right and wrong tries add to a logit at rates of their own (Pavlik, Cen & Koedinger 2009), with
    learners who differ in their rates (Liu & Koedinger 2015, iAFM) and items that need all of their skills (conjunctive
    factor model, Cen, Koedinger & Junker 2008). What is not used fades with the logarithm of time.
    """

    RATE, RIGHT, WRONG, FADE = 0.14, 1.3, 0.55, 0.12

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared = Random(f"pfa/skills/{seed}")
        level, rate = self.random.gauss(-1.0, 0.8), self.RATE * exp(self.random.gauss(0.0, 0.45))
        self.logit: dict[str, float] = {}
        self.rate: dict[str, float] = {}
        for skill in self.skills:
            self.logit[skill] = level + shared.gauss(0.0, 0.6) + self.random.gauss(0.0, 0.4)
            self.rate[skill] = rate * exp(shared.gauss(0.0, 0.4))
        self.used = dict.fromkeys(self.skills, 0.0)

    def mastery(self, skill: str) -> float:
        idle = (self.clock_minutes - self.used[skill]) / DAY
        return logistic(self.logit[skill] - (self.FADE * log1p(idle) if self.tries[skill] else 0.0))

    def right(self, skill: str, difficulty: float) -> float:
        return logistic(self.logit[skill] - 2.0 * (difficulty - 0.5))

    def right_in(self, segment: str) -> float:
        given, p = self.course.by_id[segment], 1.0
        for skill, weight in given.skills.items():
            p *= self.right(skill, given.difficulty) ** weight
        return 0.1 + 0.9 * p

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        p = self.right(skill, difficulty) if self.correct is None else float(self.correct)
        self.logit[skill] = min(4.0, self.logit[skill] + self._step(skill, quality, p) * (0.5 + chance))
        self.used[skill] = self.clock_minutes

    def gain(self, skill: str, segment: str) -> float:
        step = self._step(skill, self.teaches(segment, skill), self.right_in(segment))
        return logistic(min(4.0, self.logit[skill] + self.items_in(segment) * step)) - self.mastery(skill)

    def _step(self, skill: str, quality: float, p: float) -> float:
        return self.rate[skill] * quality * (p * self.RIGHT + (1.0 - p) * self.WRONG)


def memory_course(seed: int) -> Course:
    """Sixteen sets of words that have nothing to do with one another, two to four short segments each, five items."""
    random = Random(f"course/memory/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"w{n}"} for n in range(16)]
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(16), 4))
    for n in range(16):
        rare = round(random.uniform(0.25, 0.75), 2)
        for part in range(random.randint(2, 4)):
            name = f"w{n}-{part}"
            segments.append({
                "id": name, "skills": {f"w{n}": 1.0}, "minutes": round(random.uniform(2.0, 4.5), 1), "difficulty": rare,
                "repeatable": True, "compulsory": part == 0 and n in compulsory, "format": random.choice(("cards", "quiz")),
                "items": items(name, 5),
            })  # fmt: skip
    return course("more-memory", seed, skills, segments)


class Memory(Learner):
    """Declarative memory of ACT-R with spacing: every presentation leaves a trace that decays as a power of time, the faster
    the more active the memory was then (Pavlik & Anderson 2005, their a, c, s; time outside of sessions counts little).
    Recalling leaves a stronger trace than failing to (Roediger & Karpicke 2006).
    """

    A, C, S, TAU, OUTSIDE, FLOOR, LATER, FAILED = 0.177, 0.217, 0.25, -0.9, 0.01, 600.0, 5400.0, 0.75

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.inner = 0.0
        self.a = self.A * exp(self.random.gauss(0.0, 0.12))
        shared = Random(f"memory/skills/{seed}")
        self.tau = {skill: self.TAU + shared.gauss(0.0, 0.1) + self.random.gauss(0.0, 0.06) for skill in self.skills}
        before = self.random.betavariate(1.0, 3.0)
        self.traces: dict[str, list[list[float]]] = {}
        for skill in self.skills:
            met, much = self.random.random() < before, exp(self.random.gauss(0.8, 0.4))
            self.traces[skill] = [[-12 * 3600.0, much, self.a]] if met else []

    def mastery(self, skill: str) -> float:
        return self._recall(skill, self._sum(skill, 0.0))

    def right(self, skill: str, difficulty: float) -> float:
        return 0.1 + 0.88 * self.mastery(skill)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        traces, p = self.traces[skill], self.mastery(skill) if self.correct is None else float(self.correct)
        left = quality * (self.FAILED + (1.0 - self.FAILED) * p) * (0.7 + 0.6 * chance) / 5
        if not traces or traces[-1][0] < self.inner:
            traces.append([self.inner, 0.0, self.a + self.C * self._sum(skill, 0.0)])
        traces[-1][1] += left

    def gain(self, skill: str, segment: str) -> float:
        quality, asked = self.teaches(segment, skill), self.items_in(segment)
        left = quality * (self.FAILED + (1.0 - self.FAILED) * self.mastery(skill)) * asked / 5
        new = left * (self.FLOOR + self.LATER) ** -(self.a + self.C * self._sum(skill, 0.0))
        old = self._sum(skill, self.LATER)
        return self._recall(skill, old + new) - self._recall(skill, old)

    def pass_time(self, minutes: float) -> None:
        self.inner += 60.0 * minutes * (self.OUTSIDE if minutes >= 600.0 else 1.0)

    def _sum(self, skill: str, later: float) -> float:
        whole: float = sum(much * (max(self.FLOOR, self.inner - when) + later) ** -d for when, much, d in self.traces[skill])
        return whole

    def _recall(self, skill: str, total: float) -> float:
        return logistic((log(total) - self.tau[skill]) / self.S) if total > 0.0 else 0.0


def misconceptions_course(seed: int) -> Course:
    """A chain of eight skills, four segments each; items are not listed. The last of a skill needs its first completed."""
    random = Random(f"course/misconceptions/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"m{n}", "builds_on": [f"m{n - 1}"] if n else []} for n in range(8)]
    segments: list[dict[str, Any]] = []
    for n in range(8):
        for part in range(4):
            due = part == 2 and n in (1, 4)
            needs: list[dict[str, Any]] = [{"skill": f"m{n - 1}", "mastery": 0.6}] if n and part and not due else []
            if part == 3:
                needs.append({"segment": f"m{n}-0"})
            segments.append({
                "id": f"m{n}-{part}", "skills": {f"m{n}": 1.0} | ({f"m{n - 1}": 0.2} if n and part == 0 else {}),
                "minutes": round(random.uniform(5.0, 10.0), 1), "difficulty": (0.3, 0.4, 0.6, 0.75)[part],
                "compulsory": due, "repeatable": True, "prerequisites": needs,
            })  # fmt: skip
    return course("more-misconceptions", seed, skills, segments)


class Misconceptions(Learner):
    """Right and wrong procedures compete; who lacks the base patches an impasse with a bug and strengthens it (VanLehn 1990,
    Mind Bugs; Siegler 1996, overlapping waves). Above a threshold of the base, feedback turns errors to account (Metcalfe
    2017). A right answer without the base teaches little. Old intuitions come back (Shtulman & Valcarcel 2012).
    """

    RATE, THRESHOLD, CORRECTED, HARM, BLIND = 0.28, 0.6, 0.8, 0.18, 0.35

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        level = self.random.gauss(-0.9, 0.8)
        self.balance = {skill: level - 0.12 * n + self.random.gauss(0.0, 0.5) for n, skill in enumerate(self.skills)}
        self.rate = self.RATE * self.speed
        self.count = {segment.id: 2 + place % 3 for place, segment in enumerate(course.segments)}

    def items_in(self, segment: str) -> int:
        return self.count[segment]

    def mastery(self, skill: str) -> float:
        return logistic(self.balance[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return 0.18 + 0.76 * logistic(1.4 * (self.balance[skill] - 2.0 * (difficulty - 0.5)))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        p = self.right(skill, difficulty) if self.correct is None else float(self.correct)
        change = self._step(skill, quality, p) * (0.5 + chance)
        self.balance[skill] = max(-3.0, min(3.5, self.balance[skill] + change))

    def gain(self, skill: str, segment: str) -> float:
        step = self._step(skill, self.teaches(segment, skill), self.right_in(segment))
        return logistic(max(-3.0, min(3.5, self.balance[skill] + self.items_in(segment) * step))) - self.mastery(skill)

    def pass_time(self, minutes: float) -> None:
        for skill in self.skills:
            if self.tries[skill] and -1.0 < self.balance[skill] < 2.5:
                self.balance[skill] -= 0.02 * min(minutes / DAY, 30.0)

    def _step(self, skill: str, quality: float, p: float) -> float:
        if self.ready(skill) >= self.THRESHOLD:
            return self.rate * quality * (p + (1.0 - p) * self.CORRECTED)
        return self.rate * quality * (p * self.BLIND - (1.0 - p) * self.HARM)


PRACTICE: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "pfa": (pfa_course, Pfa),
    "memory": (memory_course, Memory),
    "misconceptions": (misconceptions_course, Misconceptions),
}
