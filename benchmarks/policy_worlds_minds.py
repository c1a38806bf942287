"""Worlds written by somebody who had not read the policy: morale, shared elements, hypotheses."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, prod
from random import Random
from typing import Any

from benchmarks.policy_worlds import DAY, Learner, course, items, logistic
from schemas.course import Course


def morale_course(seed: int) -> Course:
    """A deep chain of seven skills, six to ten segments each, roughly from easy to hard; the harder half needs the base."""
    random = Random(f"course/morale/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(7), 3))
    for n in range(7):
        builds = [f"d{n - 1}"] if n else []
        if n > 2 and random.random() < 0.3:
            builds.append(f"d{n - 3}")
        skills.append({"id": f"d{n}", "builds_on": builds})
        for part in range(parts := random.randint(6, 10)):
            name, rises = f"d{n}-{part}", part / (parts - 1)
            hard = round(min(1.0, max(0.0, 0.1 + 0.8 * rises + random.gauss(0.0, 0.1))), 2)
            segments.append({
                "id": name, "skills": {f"d{n}": 1.0}, "minutes": round(random.uniform(2.5, 5.0), 1), "difficulty": hard,
                "repeatable": True, "compulsory": part == 1 and n in compulsory, "items": items(name, random.randint(2, 4)),
                "prerequisites": [{"skill": base, "mastery": 0.5} for base in builds[:1]] if rises > 0.5 else [],
            })  # fmt: skip
    return course("sealed-morale", seed, skills, segments)


class Morale(Learner):
    """Effort goes with the belief that it will succeed (self-efficacy, Bandura 1997; expectancy and value, Eccles & Wigfield
    2002): success at something demanding raises it, failure lowers it, much more for some than for others (Diener & Dweck
    1978), and what is too easy bores (control and value, Pekrun 2006). A night restores half. What surprises teaches most
    (Rescorla & Wagner 1972), to those who try; who does not try answers anyhow.
    """

    RATE, UP, DOWN, BORED = 0.36, 0.1, 0.035, 0.03

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        level = self.random.gauss(-1.3, 0.7)
        self.start = {skill: level - 0.1 * n + self.random.gauss(0.0, 0.4) for n, skill in enumerate(self.skills)}
        self.ability = dict(self.start)
        self.fragile = self.random.choice((0.6, 2.0)) * exp(self.random.gauss(0.0, 0.15))
        self.usual = self.random.uniform(0.4, 0.8)
        self.belief, self.rate = self.usual, self.RATE * exp(self.random.gauss(0.0, 0.35))

    def mastery(self, skill: str) -> float:
        return logistic(1.5 * self.ability[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return 0.12 + (self._able(skill, difficulty) - 0.12) * (0.6 + 0.4 * self.belief)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        p = self.right(skill, difficulty)
        step = self._step(skill, self._able(skill, difficulty), quality)
        self.ability[skill] = min(3.0, self.ability[skill] + step * (0.5 + chance))
        self.belief += self._moves(p, p if self.correct is None else float(self.correct))

    def gain(self, skill: str, segment: str) -> float:
        """A better mood is worth a little of what is to be learned with it."""
        p, able = self.right(skill, self.hardness(segment)), self._able(skill, self.hardness(segment))
        asked = self.items_in(segment)
        after = min(3.0, self.ability[skill] + asked * self._step(skill, able, self.teaches(segment, skill)))
        return logistic(1.5 * after) - self.mastery(skill) + 0.3 * asked * self._moves(p, p)

    def pass_time(self, minutes: float) -> None:
        if minutes >= 600.0:
            self.belief += 0.5 * (self.usual - self.belief)
        for skill, start in self.start.items():
            above = self.ability[skill] - start
            if above > 0.0:
                self.ability[skill] = start + above * exp(-log(2.0) * minutes / DAY / (30.0 + self.tries[skill]))

    def _able(self, skill: str, difficulty: float) -> float:
        return 0.12 + 0.86 * logistic(1.7 * (self.ability[skill] - (3.6 * difficulty - 2.0)))

    def _step(self, skill: str, able: float, quality: float) -> float:
        effort, ready = 0.2 + 0.8 * self.belief, 0.3 + 0.7 * self.ready(skill)
        return self.rate * quality * effort * ready * (1.0 - 0.9 * able)

    def _moves(self, expected: float, success: float) -> float:
        """Of belief, at one task."""
        up = self.UP * (1.0 - self.belief) * success * 2.0 * (1.0 - expected)
        bored = self.BORED * self.belief * success * (expected > 0.85)
        return up - bored - self.DOWN * self.fragile * self.belief * (1.0 - success)


def elements_course(seed: int) -> Course:
    """Ten simple skills and fourteen that extend them; some segments have several. Difficulties mean little."""
    random = Random(f"course/elements/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"a{n}"} for n in range(10)]
    for n in range(10, 24):
        builds = sorted(random.sample(range(10), random.randint(1, 2)))
        skills.append({"id": f"a{n}", "builds_on": [f"a{m}" for m in builds]})
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(24), 6))
    for n, skill in enumerate(skills):
        for part in range(random.randint(2, 4)):
            name, weights, asked = f"a{n}-{part}", {f"a{n}": 1.0}, random.randint(1, 4)
            if part and random.random() < 0.45:
                weights |= {f"a{m}": 0.5 for m in random.sample(range(24), random.randint(1, 2)) if m != n}
            hard = 0.35 + 0.2 * (n >= 10) + random.uniform(-0.3, 0.3)
            needs = [{"skill": base, "mastery": 0.3} for base in skill.get("builds_on", [])] if part == 2 else []
            segments.append({
                "id": name, "skills": weights, "minutes": round(1.0 + asked * random.uniform(0.8, 1.8), 1),
                "difficulty": round(hard, 2), "compulsory": part == 1 and n in compulsory, "prerequisites": needs,
            } | {"repeatable": True, "items": items(name, asked) if n % 3 else []})  # fmt: skip
    return course("sealed-elements", seed, skills, segments)


class Elements(Learner):
    """Skills share elements that no author lists, and transfer is as much as they share (identical elements, Thorndike &
    Woodworth 1901; productions, Singley & Anderson 1989; primitive elements, Taatgen 2013). A skill needs all of its
    elements, and one is practised where the others do not get in the way. Learners differ in what they bring.
    """

    ELEMENTS, STEP, ALONE = 18, 0.095, 0.2

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared = Random(f"elements/skills/{seed}")
        self.uses: dict[str, list[int]] = {}
        for skill in self.skills:
            taken = {element for base in self.bases[skill] for element in self.uses[base]}
            own = shared.sample(range(self.ELEMENTS), 1 if self.bases[skill] else shared.randint(1, 2))
            self.uses[skill] = sorted(taken | set(own))
        self.asks = {segment.id: len(segment.items) or shared.randint(1, 4) for segment in course.segments}
        brings = self.random.betavariate(1.5, 4.5)
        met = [self.random.random() < brings for _ in range(self.ELEMENTS)]
        self.strength = [self.random.uniform(2.0, 4.0) if each else self.random.uniform(0.1, 0.6) for each in met]
        self.step = self.STEP * exp(self.random.gauss(0.0, 0.3))

    def items_in(self, segment: str) -> int:
        return self.asks[segment]

    def mastery(self, skill: str) -> float:
        return self._all(skill, self.strength)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.1 + 0.86 * self.mastery(skill) - 0.1 * (difficulty - 0.5)

    def right_in(self, segment: str) -> float:
        given = self.course.by_id[segment]
        p: float = prod(self.mastery(skill) ** weight for skill, weight in given.skills.items())
        return 0.1 + 0.86 * p - 0.1 * (given.difficulty - 0.5)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self._practise(skill, self.strength, quality * (0.5 + chance))

    def gain(self, skill: str, segment: str) -> float:
        """What transfers to skills that the segment does not name counts with its first."""
        names, strength = self.course.by_id[segment].skills, list(self.strength)
        for name in names:
            self._practise(name, strength, self.teaches(segment, name) * self.items_in(segment))
        wanted = [skill, *(name for name in self.skills if skill == next(iter(names)) and name not in names)]
        return sum(self._all(name, strength) - self.mastery(name) for name in wanted)

    def _all(self, skill: str, strength: list[float]) -> float:
        return prod(1.0 - exp(-strength[element]) for element in self.uses[skill])

    def _practise(self, skill: str, strength: list[float], much: float) -> None:
        whole = self._all(skill, strength)
        for element in self.uses[skill]:
            others = whole / max(1e-6, 1.0 - exp(-strength[element]))
            strength[element] = min(6.0, strength[element] + self.step * much * (self.ALONE + (1.0 - self.ALONE) * others))


def hypotheses_course(seed: int) -> Course:
    """Eighteen rules, two to four segments each; cases are not listed, minutes and difficulties say nothing of them."""
    random = Random(f"course/hypotheses/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(18), 4))
    for n in range(18):
        skills.append({"id": f"r{n}", "builds_on": [f"r{random.randrange(n)}"] if n and random.random() < 0.33 else []})
        for part in range(parts := random.randint(2, 4)):
            segments.append({
                "id": f"r{n}-{part}", "skills": {f"r{n}": 1.0}, "minutes": round(random.uniform(3.0, 8.0), 1),
                "difficulty": round(random.random(), 2), "compulsory": part == 0 and n in compulsory, "repeatable": True,
                "prerequisites": [{"segment": f"r{n}-0"}] if part == parts - 1 else [],
            })  # fmt: skip
    return course("sealed-hypotheses", seed, skills, segments)


class Hypotheses(Learner):
    """Rules are guessed and tested: while one seems to work it is kept, only an error makes a learner try another, out of
    those not yet ruled out (Restle 1962; Bower & Trabasso 1964; Levine 1975). So nothing is learned from right answers, and
    cases that a wrong rule gets right are of no use. Without the base there is more to rule out. Nothing is known before,
    nothing is forgotten, and learners are much alike.
    """

    HELD, WRONG, SLIP = 0.96, 0.3, 0.06

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared = Random(f"hypotheses/skills/{seed}")
        self.asks = {segment.id: shared.randint(2, 8) for segment in course.segments}
        self.fits = {segment.id: shared.uniform(0.35, 0.65) for segment in course.segments}
        many = {skill: shared.uniform(3.0, 8.0) for skill in self.skills}
        self.left = {skill: many[skill] * self.random.uniform(0.8, 1.25) for skill in self.skills}
        self.heeds = self.random.uniform(0.65, 0.9)
        self.held = dict.fromkeys(self.skills, False)

    def items_in(self, segment: str) -> int:
        return self.asks[segment]

    def hardness(self, segment: str) -> float:
        """How often a wrong rule fails here."""
        return 1.0 - self.fits[segment]

    def mastery(self, skill: str) -> float:
        return self.HELD if self.held[skill] else self.WRONG

    def right(self, skill: str, difficulty: float) -> float:
        return 1.0 - self.SLIP if self.held[skill] else 1.0 - difficulty

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        heeds = min(0.95, self.heeds * quality)
        if self.held[skill] or self.correct or chance >= heeds:
            return
        found = chance < heeds * self._found(skill, self.left[skill])
        self.held[skill], self.left[skill] = found, max(1.0, self.left[skill] - 1.0)

    def gain(self, skill: str, segment: str) -> float:
        if self.held[skill]:
            return 0.0
        not_yet, left = 1.0, self.left[skill]
        tried = self.hardness(segment) * min(0.95, self.heeds * self.teaches(segment, skill))
        for _ in range(self.items_in(segment)):
            not_yet *= 1.0 - tried * self._found(skill, left)
            left = max(1.0, left - tried)
        return (1.0 - not_yet) * (self.HELD - self.WRONG)

    def _found(self, skill: str, left: float) -> float:
        """Probability that the next rule is the right one."""
        return (0.3 + 0.7 * (self.ready(skill) > 0.5)) / max(1.0, left)


MINDS: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "morale": (morale_course, Morale),
    "elements": (elements_course, Elements),
    "hypotheses": (hypotheses_course, Hypotheses),
}
