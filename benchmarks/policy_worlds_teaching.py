"""Worlds written by somebody who had not read the policy: contrast, worked examples, facts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import exp, log, prod
from random import Random
from typing import Any, ClassVar

from benchmarks.policy_worlds import DAY, Answer, Learner, course, items, logistic
from schemas.course import Course


def contrast_course(seed: int) -> Course:
    """Three families of four kinds of birds, four to seven sets of pictures each; the last sets show a relative, too."""
    random = Random(f"course/contrast/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"{family}{n}"} for family in "xyz" for n in range(4)]
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(12), 3))
    for place, skill in enumerate(skills):
        for part in range(parts := random.randint(4, 7)):
            name, relative = f"{skill['id']}-{part}", skill["id"][0] + str((place + random.randint(1, 3)) % 4)
            weights = {skill["id"]: 1.0} | ({relative: 0.6} if part >= parts - random.randint(1, 2) else {})
            segments.append({
                "id": name, "skills": weights, "minutes": round(random.uniform(2.5, 5.5), 1), "format": "pictures",
                "difficulty": round(random.uniform(0.2, 0.8), 2), "repeatable": True,
                "compulsory": part == 0 and place in compulsory, "items": items(name, random.randint(3, 6)),
            })  # fmt: skip
    return course("sealed-contrast", seed, skills, segments)


class Contrast(Learner):
    """Categories are learned from mere exposure, and told apart where they meet: what differs is noticed when relatives
    follow one another or stand side by side (Kornell & Bjork 2008; discriminative contrast, Kang & Pashler 2012; sequential
    attention, Carvalho & Goldstone 2014). Naming one is choosing among its family (Nosofsky 1986). Both fade.
    """

    SEE, TELL, ALONE, ALIKE = 0.14, 0.13, 0.35, 0.5

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared = Random(f"contrast/skills/{seed}")
        self.kin = {skill: [kin for kin in self.skills if kin[0] == skill[0] and kin != skill] for skill in self.skills}
        pairs = [frozenset(pair) for pair in combinations(self.skills, 2) if pair[0][0] == pair[1][0]]
        self.easy = {pair: shared.uniform(0.7, 1.4) for pair in pairs}
        self.eye = exp(self.random.gauss(0.0, 0.3))
        self.seen = {skill: self.random.uniform(0.0, 0.5) for skill in self.skills}
        self.apart = {pair: self.random.uniform(0.0, 0.4) for pair in pairs}
        self.half_life = self.random.uniform(20.0, 50.0) * DAY
        self.last: set[str] = set()
        self.beside: set[str] = set()

    def work(self, segment: str) -> list[Answer]:
        now = set(self.course.by_id[segment].skills)
        self.beside, self.last = self.last | now, now
        return super().work(segment)

    def mastery(self, skill: str) -> float:
        return self._mastery(skill, self.seen[skill], self.apart)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.24 + (0.68 - 0.2 * (difficulty - 0.5)) * self.mastery(skill)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        much = self.eye * quality * (0.5 + chance)
        self.seen[skill] += self.SEE * much
        self.apart = self._told(skill, self.beside, much)

    def gain(self, skill: str, segment: str) -> float:
        """Telling a relative from this one helps the relative, too."""
        much = self.eye * self.teaches(segment, skill) * self.items_in(segment)
        apart = self._told(skill, self.last | set(self.course.by_id[segment].skills), much)
        others = sum(self._mastery(kin, self.seen[kin], apart) - self.mastery(kin) for kin in self.kin[skill])
        return self._mastery(skill, self.seen[skill] + self.SEE * much, apart) - self.mastery(skill) + others

    def pass_time(self, minutes: float) -> None:
        kept = exp(-log(2.0) * minutes / self.half_life)
        self.seen = {skill: kept * seen for skill, seen in self.seen.items()}
        self.apart = {pair: kept * apart for pair, apart in self.apart.items()}

    def _told(self, skill: str, beside: set[str], much: float) -> dict[frozenset[str], float]:
        apart = dict(self.apart)
        for kin in self.kin[skill]:
            pair = frozenset((skill, kin))
            apart[pair] += self.TELL * self.easy[pair] * much * (1.0 if kin in beside else self.ALONE)
        return apart

    def _mastery(self, skill: str, seen: float, apart: dict[frozenset[str], float]) -> float:
        confused = [self.ALIKE * exp(-apart[frozenset((skill, kin))]) for kin in self.kin[skill]]
        return (1.0 - exp(-seen)) * prod(1.0 - each for each in confused)


def examples_course(seed: int) -> Course:
    """Fifteen skills in a tree; examples of one item, completion tasks of two, then problems, minutes in proportion."""
    random = Random(f"course/examples/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(15), 4))
    for n in range(15):
        builds = [f"e{(n - 1) // 2}"] if n else []
        skills.append({"id": f"e{n}", "builds_on": builds})
        forms = ["example", *random.choice(([], ["example"])), "completion", *["problem"] * random.randint(1, 3)]
        for part, form in enumerate(forms):
            name = f"e{n}-{part}"
            asked = {"example": 1, "completion": 2, "problem": random.randint(3, 5)}[form]
            needs = {"problem": [{"segment": f"e{n}-0"}], "completion": [{"skill": base, "mastery": 0.4} for base in builds]}
            segments.append({
                "id": name, "skills": {f"e{n}": 1.0}, "minutes": round(asked * random.uniform(1.7, 2.3), 1), "format": form,
                "repeatable": True, "compulsory": part == 0 and n in compulsory, "items": items(name, asked),
                "prerequisites": needs.get(form, []),
            })  # fmt: skip
    return course("sealed-examples", seed, skills, segments)


class Examples(Learner):
    """Understanding comes first and from worked examples, fluency after it and from problems (Anderson 1982; four stages,
    Renkl & Atkinson 2003). Who does not understand yet is overloaded by problems, who does has nothing left to learn from
    examples (Sweller & Cooper 1985; expertise reversal, Kalyuga et al. 2003). What is understood but not fluent fades.
    """

    FORMS: ClassVar = {"example": (0.7, 0.0, 0.0), "completion": (0.35, 0.2, 0.35), "problem": (0.1, 0.33, 0.55)}
    """How much they explain and drill, and the understanding without which they are too much."""

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        before = self.random.betavariate(1.2, 4.0) * len(self.skills)
        self.span, self.quick = self.random.gauss(0.0, 0.08), exp(self.random.gauss(0.0, 0.25))
        self.grasp: dict[str, float] = {}
        self.fluent: dict[str, float] = {}
        for n, skill in enumerate(self.skills):
            self.grasp[skill] = self.random.uniform(0.0, 0.25) + 0.7 * (n < before)
            self.fluent[skill] = self.random.uniform(0.3, 0.8) * (n < before)
        self.form = "problem"

    def work(self, segment: str) -> list[Answer]:
        self.form = self.course.by_id[segment].format
        return super().work(segment)

    def mastery(self, skill: str) -> float:
        return self.grasp[skill] * (0.15 + 0.85 * self.fluent[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return 0.08 + 0.88 * self.mastery(skill)

    def right_in(self, segment: str) -> float:
        """The question to an example asks for the reason, and half of a completion task is given."""
        given = self.course.by_id[segment]
        skill = next(iter(given.skills))
        asks = {"example": self.grasp[skill], "completion": 0.5 * (self.grasp[skill] + self.mastery(skill))}
        return 0.08 + 0.88 * asks.get(given.format, self.mastery(skill))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        p = self.right(skill, difficulty) if self.correct is None else float(self.correct)
        state = self.grasp[skill], self.fluent[skill]
        self.grasp[skill], self.fluent[skill] = self._after(skill, state, quality * (0.5 + chance), self.form, p)

    def gain(self, skill: str, segment: str) -> float:
        state, p = (self.grasp[skill], self.fluent[skill]), self.right_in(segment)
        for _ in range(self.items_in(segment)):
            state = self._after(skill, state, self.teaches(segment, skill), self.course.by_id[segment].format, p)
        return state[0] * (0.15 + 0.85 * state[1]) - self.mastery(skill)

    def pass_time(self, minutes: float) -> None:
        for skill in self.skills:
            if self.tries[skill]:
                self.grasp[skill] *= exp(-minutes / DAY / (60.0 + 240.0 * self.fluent[skill]))

    def _after(self, skill: str, state: tuple[float, float], much: float, form: str, p: float) -> tuple[float, float]:
        grasp, fluent = state
        explains, drills, needed = self.FORMS[form]
        able = logistic(9.0 * (grasp - needed + self.span))
        grasp += (1.0 - grasp) * min(0.9, explains * self.quick * much * (0.3 + 0.7 * self.ready(skill)))
        return grasp, fluent + (1.0 - fluent) * min(0.9, drills * self.quick * much * able * (0.6 + 0.4 * p))


def facts_course(seed: int) -> Course:
    """Forty facts in order of size, their difficulty, two or three drills each, some of the inverse, too."""
    random = Random(f"course/facts/{seed}")
    skills: list[dict[str, Any]] = [{"id": f"t{n}"} for n in range(40)]
    sizes = sorted(random.uniform(0.1, 0.95) for _ in skills)
    segments: list[dict[str, Any]] = []
    compulsory = set(random.sample(range(40), 5))
    for n, size in enumerate(sizes):
        for part in range(random.randint(2, 3)):
            name, asked = f"t{n}-{part}", random.randint(4, 8)
            segments.append({
                "id": name, "skills": {f"t{n}": 1.0} | ({f"t{n ^ 1}": 0.5} if part and random.random() < 0.5 else {}),
                "minutes": round(asked * random.uniform(0.3, 0.4), 2), "difficulty": round(size, 2), "format": "cards",
                "repeatable": True, "compulsory": part == 0 and n in compulsory, "items": items(name, asked),
            })  # fmt: skip
    return course("sealed-facts", seed, skills, segments)


class Facts(Learner):
    """Associations compete: every answer given, right or wrong, is the likelier next time, the right ones more so; what
    cannot be recalled is worked out by counting, slowly, and for large numbers often wrongly (Siegler & Shrager 1984;
    Shrager & Siegler 1998). About half is known before, mostly the small ones. Mastered is what is recalled; it stays.
    """

    RIGHT, WRONG, OUSTED, TOLD, SURE, STEEP = 0.18, 0.06, 0.04, 0.07, 3.0, 1.6

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        size = {next(iter(segment.skills)): segment.difficulty for segment in course.segments}
        knows, self.counts = self.random.betavariate(6.0, 8.0), self.random.uniform(0.75, 1.0)
        self.learns = exp(self.random.gauss(0.0, 0.25))
        self.strength: dict[str, float] = {}
        self.rival: dict[str, float] = {}
        for skill in self.skills:
            known, much = self.random.random() < knows + 0.6 * (0.5 - size[skill]), self.random.random()
            self.strength[skill] = 4.4 + 2.0 * much if known else 0.8 + 1.2 * much
            self.rival[skill] = (0.2 + 0.5 * size[skill]) * self.random.uniform(0.5, 1.5)

    def work(self, segment: str) -> list[Answer]:
        slow = 1.7 - self.mastery(next(iter(self.course.by_id[segment].skills)))
        return [Answer(a.item, a.correct, int(a.latency_ms * slow)) for a in super().work(segment)]

    def mastery(self, skill: str) -> float:
        return self._recall(self.strength[skill], self.rival[skill])

    def right(self, skill: str, difficulty: float) -> float:
        recalled = self.mastery(skill)
        return 0.97 * recalled + (1.0 - recalled) * max(0.1, self.counts * (1.05 - 0.75 * difficulty))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        p = self.right(skill, difficulty) if self.correct is None else float(self.correct)
        state = self.strength[skill], self.rival[skill]
        self.strength[skill], self.rival[skill] = self._after(state, quality * (0.5 + chance), p)

    def gain(self, skill: str, segment: str) -> float:
        state, p = (self.strength[skill], self.rival[skill]), self.right_in(segment)
        for _ in range(self.items_in(segment)):
            state = self._after(state, self.teaches(segment, skill), p)
        return self._recall(*state) - self.mastery(skill)

    def _recall(self, strength: float, rival: float) -> float:
        return logistic(self.STEEP * (strength - self.SURE)) * strength / (strength + rival)

    def _after(self, state: tuple[float, float], much: float, p: float) -> tuple[float, float]:
        (strength, rival), much = state, much * self.learns
        strength += much * (p * self.RIGHT + (1.0 - p) * self.TOLD)
        return min(9.0, strength), rival + much * ((1.0 - p) * self.WRONG - p * self.OUSTED * rival)


TEACHING: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "contrast": (contrast_course, Contrast),
    "examples": (examples_course, Examples),
    "facts": (facts_course, Facts),
}
