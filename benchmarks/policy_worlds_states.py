"""Worlds in which little moves until it leaps, or only what is near: rusty knowledge, insight, a zone of development."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random
from typing import Any

from benchmarks.policy_worlds import DAY, DELAY_MINUTES, Learner, course, items, logistic
from schemas.course import Course


def refresher_course(seed: int) -> Course:
    """Thirty skills, two segments each (one item, then two); five are bases of some others. No difficulties."""
    random = Random(f"course/refresher/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(30), 6))
    for n in range(30):
        builds = [f"c{random.randrange(5)}"] if n >= 5 and random.random() < 0.4 else []
        skills.append({"id": f"c{n}", "builds_on": builds})
        for part in range(2):
            name = f"c{n}-{part}"
            weights = {f"c{n}": 1.0}
            if random.random() < 0.2:
                weights.setdefault(f"c{random.randrange(30)}", round(random.uniform(0.2, 0.5), 1))
            segments.append({
                "id": name, "skills": weights, "minutes": round(random.uniform(3.0, 9.0), 1), "repeatable": True,
                "compulsory": part == 1 and n in compulsory, "format": ("video", "quiz")[part],
                "items": items(name, 1 + part),
            })  # fmt: skip
    return course("more-refresher", seed, skills, segments)


class Refresher(Learner):
    """A refresher for people who know half: a skill is unknown, rusty or known. Rusty ones come back quickly (savings,
    Ebbinghaus 1885; skill decay, Arthur et al. 1998), unknown ones take several tries and pass through rusty (three-state
    all-or-none learning, Atkinson & Crothers 1964). What was only just learned rusts during a delay.
    """

    MASTERY, RIGHT = (0.1, 0.55, 0.96), (0.27, 0.62, 0.93)
    REFRESH, LEARN = 0.45, 0.33

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        knows = self.random.betavariate(5.0, 5.0)
        self.state: dict[str, int] = {}
        for skill in self.skills:
            luck, rusty = self.random.random(), self.random.random()
            self.state[skill] = 2 if luck < knows else 1 if rusty < 0.45 else 0
        self.keeps = {skill: self.random.random() for skill in self.skills}
        self.new = dict.fromkeys(self.skills, False)

    def mastery(self, skill: str) -> float:
        return self.MASTERY[self.state[skill]]

    def right(self, skill: str, difficulty: float) -> float:
        return self.RIGHT[self.state[skill]]

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        if self.state[skill] < 2 and chance < self._chance(skill, self.state[skill], quality):
            self.state[skill] += 1
            self.new[skill] = True

    def gain(self, skill: str, segment: str) -> float:
        quality, asked = self.teaches(segment, skill), self.items_in(segment)
        odds = [float(self.state[skill] == n) for n in range(3)]
        up = self._chance(skill, 0, quality), self._chance(skill, 1, quality)
        for _ in range(asked):
            odds = [odds[0] * (1 - up[0]), odds[0] * up[0] + odds[1] * (1 - up[1]), odds[2] + odds[1] * up[1]]
        return sum(p * m for p, m in zip(odds, self.MASTERY, strict=True)) - self.mastery(skill)

    def pass_time(self, minutes: float) -> None:
        if minutes >= DELAY_MINUTES:
            for skill in self.skills:
                if self.state[skill] == 2 and self.new[skill] and self.keeps[skill] < 0.5 / self.tries[skill] ** 0.5:
                    self.state[skill] = 1

    def _chance(self, skill: str, state: int, quality: float) -> float:
        rate = self.REFRESH if state else self.LEARN * (0.4 + 0.6 * self.ready(skill))
        return min(0.95, rate * self.speed * quality)


def insight_course(seed: int) -> Course:
    """Nine skills, three to six segments each of one to five items, listed for every second skill. Difficulties: noise."""
    random = Random(f"course/insight/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(9), 5))
    for n in range(9):
        builds = [f"i{m}" for m in sorted(random.sample(range(n), min(n, random.choice((0, 1, 1, 2)))))]
        skills.append({"id": f"i{n}", "builds_on": builds})
        for part in range(random.randint(3, 6)):
            name, due = f"i{n}-{part}", part == 1 and n in compulsory
            asked, noise, told = random.randint(1, 5), round(random.random(), 2), random.random() < 0.5
            weights = {f"i{n}": round(random.uniform(0.7, 1.0), 1)}
            if n and random.random() < 0.2:
                weights[f"i{random.randrange(n)}"] = 0.5
            segments.append({
                "id": name, "skills": weights, "minutes": round(random.uniform(3.0, 12.0), 1), "compulsory": due,
                "repeatable": True, "prerequisites": [{"skill": base} for base in builds] if part > 1 and not due else [],
            } | ({"difficulty": noise} if told else {}) | ({"items": items(name, asked)} if n % 2 == 0 else {}))  # fmt: skip
    return course("more-insight", seed, skills, segments)


class Insight(Learner):
    """Plateaus and leaps (Gray & Lindstedt 2017; Bower 1961): effort heaps up unseen, and when there is enough, half of what
    is missing is understood at once (steps of Bush & Mosteller 1955). Two kinds of learners, fast and slow (mixtures of
    learning curves, Streeter 2015). How hard a segment truly is, its author does not know.
    """

    FAST, SLOW, SHARE_FAST = 2.4, 5.2, 0.6

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared = Random(f"insight/segments/{seed}")
        self.hard = {segment.id: shared.random() for segment in course.segments}
        self.count = {segment.id: shared.randint(1, 5) for segment in course.segments}
        tough = {skill: shared.uniform(0.7, 1.3) for skill in self.skills}
        fast = self.random.random() < self.SHARE_FAST
        k = (self.FAST if fast else self.SLOW) * exp(self.random.gauss(0.0, 0.12))
        self.need = {skill: [k * tough[skill] * self.random.uniform(0.7, 1.3) for _ in range(5)] for skill in self.skills}
        self.start = {skill: self.random.uniform(0.0, 0.25) for skill in self.skills}
        before = self.random.betavariate(1.0, 4.0)
        self.level = {skill: sum(self.random.random() < before for _ in range(3)) for skill in self.skills}
        self.effort = dict.fromkeys(self.skills, 0.0)
        self.keeps = {skill: self.random.random() for skill in self.skills}

    def items_in(self, segment: str) -> int:
        return len(self.course.by_id[segment].items) or self.count[segment]

    def hardness(self, segment: str) -> float:
        return self.hard[segment]

    def mastery(self, skill: str) -> float:
        return 1.0 - (1.0 - self.start[skill]) * 0.5 ** self.level[skill]

    def right(self, skill: str, difficulty: float) -> float:
        return 0.2 + 0.74 * self.mastery(skill) - 0.25 * (difficulty - 0.5) * self.mastery(skill)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.effort[skill] += self._step(skill, difficulty, quality) * (0.5 + chance)
        while self.level[skill] < 5 and self.effort[skill] >= self.need[skill][self.level[skill]]:
            self.effort[skill] -= self.need[skill][self.level[skill]]
            self.level[skill] += 1

    def gain(self, skill: str, segment: str) -> float:
        """A leap is worth its size, in proportion to the effort that was still missing."""
        asked, hard, quality = self.items_in(segment), self.hardness(segment), self.teaches(segment, skill)
        left, effort, level, gained = asked * self._step(skill, hard, quality), self.effort[skill], self.level[skill], 0.0
        while left > 0.0 and level < 5:
            missing = self.need[skill][level] - effort
            gained += (1.0 - self.start[skill]) * 0.5 ** (level + 1) * min(1.0, left / missing)
            left, effort, level = left - missing, 0.0, level + 1
        return gained

    def pass_time(self, minutes: float) -> None:
        if minutes >= 600.0:
            for skill in self.skills:
                self.effort[skill] *= exp(-0.1 * min(minutes / DAY, 14.0))
        if minutes >= DELAY_MINUTES:
            for skill in self.skills:
                if self.tries[skill] and self.level[skill] and self.keeps[skill] < 0.9 / self.level[skill] ** 1.5:
                    self.level[skill] -= 1

    def _step(self, skill: str, hard: float, quality: float) -> float:
        return quality * (1.25 - 0.7 * hard) * (0.4 + 0.6 * self.ready(skill))


ZONE_BASES: dict[int, list[int]] = {2: [0], 3: [1], 5: [2, 4]}


def zone_course(seed: int) -> Course:
    """Six skills with a ladder of eight segments each, authored as a spiral: two rungs of every skill, then the next two."""
    random = Random(f"course/zone/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"z{n}", "builds_on": [f"z{m}" for m in ZONE_BASES.get(n, [])]} for n in range(6)]
    segments: list[dict[str, Any]] = []
    for turn in range(4):
        for n in range(6):
            for rung in (2 * turn, 2 * turn + 1):
                name = f"z{n}-{rung}"
                bases = [f"z{m}" for m in ZONE_BASES.get(n, [])]
                segments.append({
                    "id": name, "skills": {f"z{n}": 1.0} | ({bases[0]: 0.3} if bases and rung == 5 else {}),
                    "minutes": round(random.uniform(4.0, 8.0), 1), "repeatable": True,
                    "difficulty": round(min(1.0, max(0.0, 0.1 + 0.115 * rung + random.gauss(0.0, 0.015))), 2),
                    "compulsory": rung == 0 and n in (1, 4), "items": items(name, 2 + rung // 3),
                    "prerequisites": [{"skill": base, "mastery": 0.4} for base in bases] if rung >= 4 else [],
                })  # fmt: skip
    return course("more-zone", seed, skills, segments)


class Zone(Learner):
    """A zone of proximal development: only what is a little above the present ability is learned from (Vygotsky 1978; Murray
    & Arroyo 2002), what is far above or below teaches nothing. Abilities fade, the slower the more they were practised, and
    what was once reached comes back twice as fast (savings, Nelson 1978).
    """

    STEP, ABOVE, WIDE, STEEP, LEVEL = 0.06, 0.07, 0.085, 11.0, 0.56

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        level = self.random.gauss(0.12, 0.12)
        self.ability = {skill: max(0.0, min(0.7, level + self.random.gauss(0.0, 0.08))) for skill in self.skills}
        self.floor, self.peak = dict(self.ability), dict(self.ability)
        self.step = self.STEP * exp(self.random.gauss(0.0, 0.35))
        self.holds = self.random.uniform(15.0, 40.0)

    def mastery(self, skill: str) -> float:
        return logistic(self.STEEP * (self.ability[skill] - self.LEVEL))

    def right(self, skill: str, difficulty: float) -> float:
        return 0.12 + 0.85 * logistic(self.STEEP * (self.ability[skill] - difficulty) + 0.9)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self._learn(skill, self._step(skill, self.ability[skill], difficulty, quality) * (0.5 + chance))

    def gain(self, skill: str, segment: str) -> float:
        """With what ability comes nearer to mastery, as the lower rungs by themselves master nothing."""
        asked, hard, quality = self.items_in(segment), self.hardness(segment), self.teaches(segment, skill)
        ability = self.ability[skill]
        for _ in range(asked):
            ability = min(1.0, ability + self._step(skill, ability, hard, quality))
        nearer = max(0.0, min(ability, 0.75) - min(self.ability[skill], 0.75))
        return logistic(self.STEEP * (ability - self.LEVEL)) - self.mastery(skill) + nearer

    def pass_time(self, minutes: float) -> None:
        for skill in self.skills:
            above = self.ability[skill] - self.floor[skill]
            if above > 0.0:
                days = self.holds * (1.0 + self.tries[skill] / 8.0)
                self.ability[skill] = self.floor[skill] + above * exp(-minutes / DAY / days)

    def _learn(self, skill: str, step: float) -> None:
        self.ability[skill] = min(1.0, self.ability[skill] + step)
        self.peak[skill] = max(self.peak[skill], self.ability[skill])

    def _step(self, skill: str, ability: float, difficulty: float, quality: float) -> float:
        away = (difficulty - ability - self.ABOVE) / self.WIDE
        again = 2.0 if ability < self.peak[skill] - 0.01 else 1.0
        return self.step * quality * again * exp(-0.5 * away * away) * (0.5 + 0.5 * self.ready(skill))


STATES: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "refresher": (refresher_course, Refresher),
    "insight": (insight_course, Insight),
    "zone": (zone_course, Zone),
}
