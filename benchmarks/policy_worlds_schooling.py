"""Worlds written by somebody who had not read the policy: cognates, wandering minds, roles at work, upkeep of the basics."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random
from typing import Any, ClassVar

from benchmarks.policy_worlds import DAY, DELAY_MINUTES, Answer, Learner, course, items
from schemas.course import Course


class Sitter(Learner):
    """Sits down for some minutes, then not for a day or more; goes through a segment's items in turn."""

    SITS, DAYS = (20.0, 40.0), (1.0, 1.0, 1.0)

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.sits, self.away = self.random.uniform(*self.SITS), DAY * self.random.choice(self.DAYS)
        self.quick, self.inside, self.at = exp(self.random.gauss(0.0, 0.25)), "", 0

    def work(self, segment: str) -> list[Answer]:
        self.inside, self.at = segment, 0
        answers = super().work(segment)
        if self.session > self.sits:
            self.session = 0.0
            self._advance(self.away - self.sits)
        return answers


def cognates_course(seed: int) -> Course:
    """Thirty-two sets of words out of eight fields, in four units that have one of each; two or three short decks a set."""
    random, words = Random(f"course/cognates/{seed}"), Random(f"cognates/words/{seed}")
    segments: list[dict[str, Any]] = []
    for n, alike in enumerate(words.betavariate(0.8, 1.6) for _ in range(32)):
        for part in range(random.randint(2, 3)):
            name, asked = f"v{n}-{part}", random.randint(5, 9)
            hard = 0.6 - 0.45 * alike + 0.05 * (n // 8) + 0.1 * part + random.gauss(0.0, 0.03)
            segments.append({
                "id": name, "skills": {f"v{n}": 1.0} | ({f"v{random.randrange(n)}": 0.4} if part == 2 and n > 8 else {}),
                "minutes": round(asked * random.uniform(0.28, 0.4), 2), "difficulty": round(hard, 2), "format": "cards",
                "repeatable": True, "compulsory": part == 0 and n % 9 == 4, "items": items(name, asked),
            })  # fmt: skip
    return course("schooling-cognates", seed, [{"id": f"v{n}"} for n in range(32)], segments)


class Cognates(Sitter):
    """Words that look like known ones are guessed, learned sooner and kept longer (de Groot & Keijzer 2000), more so by who
    has a related language. New words of one field get mixed up when learned together (Tinkham 1993; Waring 1997). Memory
    halves in a time that grows with recall (Settles & Meeder 2016), most where it is an effort (Bjork & Bjork 1992).
    """

    SITS, DAYS, RATE, GROWS, MIXED = (8.0, 25.0), (1.0, 1.0, 2.0), 0.1, 0.5, 1.5

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        words, met = Random(f"cognates/words/{seed}"), self.random.betavariate(1.0, 5.0)
        self.fresh, sees = dict.fromkeys(self.skills, 0.0), self.random.choice((0.25, 0.4, 0.75))
        self.alike = {skill: words.betavariate(0.8, 1.6) for skill in self.skills}
        self.guessed = {skill: sees * alike for skill, alike in self.alike.items()}
        self.level = {skill: self.random.uniform(0.3, 0.9) * (self.random.random() < met) for skill in self.skills}
        self.half = {skill: self.random.uniform(6.0, 15.0) * (1.0 + alike) for skill, alike in self.alike.items()}

    def mastery(self, skill: str) -> float:
        return self.guessed[skill] + (1.0 - self.guessed[skill]) * self.level[skill]

    def right(self, skill: str, difficulty: float) -> float:
        return 0.08 + 0.89 * self.mastery(skill)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        level, much = self.level[skill], quality * (0.5 + chance)
        self.half[skill] = min(400.0, self.half[skill] * (1.0 + self.GROWS * much * level * (1.0 - level)))
        self.level[skill] += (1.0 - level) * self._step(skill, much)
        self.fresh[skill] = 1.0

    def gain(self, skill: str, segment: str) -> float:
        left: float = (1.0 - self._step(skill, self.teaches(segment, skill))) ** self.items_in(segment)
        return (1.0 - self.mastery(skill)) * (1.0 - left)

    def pass_time(self, minutes: float) -> None:
        for skill in self.skills:
            self.level[skill] *= 0.5 ** (minutes / DAY / self.half[skill])
            self.fresh[skill] *= exp(-minutes / 30.0)

    def _step(self, skill: str, much: float) -> float:
        kin = [other for other in self.skills[int(skill[1:]) % 8 :: 8] if other != skill]
        mixed = sum(self.fresh[other] * (1.0 - self.mastery(other)) for other in kin)
        return min(0.9, self.RATE * self.quick * (1.0 + self.alike[skill]) * much / (1.0 + self.MIXED * mixed))


def wandering_course(seed: int) -> Course:
    """Rules of a firm: ten to thirteen skills, a long video each, pages, cases, and quizzes; only these list their items."""
    random = Random(f"course/wandering/{seed}")
    segments: list[dict[str, Any]] = []
    skills: list[dict[str, Any]] = [{"id": f"p{n}"} for n in range(random.randint(10, 13))]
    for n, skill in enumerate(skills):
        skill["builds_on"] = [f"p{random.randrange(n)}"] if n and random.random() < 0.3 else []
        for part, form in enumerate(
            ["video", *random.choice(([], ["page"])), "quiz", *random.choice(([], ["case"], ["quiz"]))]
        ):
            name, (low, high, asked, *_) = f"p{n}-{part}", Wandering.FORMS[form]
            segments.append({
                "id": name, "skills": {f"p{n}": 1.0}, "minutes": round(random.uniform(low, high), 1), "format": form,
                "repeatable": True, "compulsory": part == 0 and n % 2 == 1, "items": items(name, asked * (form == "quiz")),
                "prerequisites": [{"segment": f"p{n}-0"}] if form == "case" else [],
            })  # fmt: skip
    return course("schooling-wandering", seed, skills, segments)


class Wandering(Sitter):
    """Minds wander, the more the longer nothing is asked and the longer one sits (Risko et al. 2012; questions in between
    help, Szpunar, Khan & Schacter 2013), and the second time (Phillips et al. 2016). Who is not there learns next to nothing
    and guesses rapidly (Wise & Kong 2005); some do so most of the time. Quizzes teach who has understood something.
    """

    FORMS: ClassVar = {
        "video": (6.0, 15.0, 2, 0.1, 0.0), "page": (3.0, 6.0, 1, 0.1, 0.0),
        "quiz": (2.5, 5.0, 5, 0.03, 0.1), "case": (6.0, 9.0, 3, 0.04, 0.1),
    }  # fmt: skip
    """Least and most minutes, items, what a minute teaches, and what more to those who have grasped nearly all."""
    ABSENT, GUESS, HURRY, AGAIN = 0.12, 0.27, 0.15, 0.75

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.there, before, self.holds = [True], self.random.betavariate(1.5, 4.0), self.random.uniform(4.0, 12.0)
        self.will = self.random.uniform(0.8, 1.0) * self.random.choice((0.6, 1.0, 1.0))
        self.grasp = {skill: min(0.95, max(0.0, self.random.gauss(before, 0.2))) for skill in self.skills}

    def items_in(self, segment: str) -> int:
        return int(self.FORMS[self.course.by_id[segment].format][2])

    def attends(self, segment: str) -> float:
        stretch = self.course.by_id[segment].minutes / self.items_in(segment) / self.holds * exp(self.session / 60.0)
        return self.will * self.AGAIN ** (segment in self.shown) * (1.0 - exp(-stretch)) / stretch

    def work(self, segment: str) -> list[Answer]:
        random = Random(f"there/{self.seed}/{self.number}/{segment}/{self.shown.get(segment, 0)}")
        self.there = [random.random() < attends for attends in [self.attends(segment)] * self.items_in(segment)]
        told = zip(super().work(segment), self.there, strict=True)
        return [a if there else Answer(a.item, a.correct, int(a.latency_ms * self.HURRY)) for a, there in told]

    def mastery(self, skill: str) -> float:
        return self.grasp[skill]

    def right(self, skill: str, difficulty: float) -> float:
        return self.GUESS + (0.95 - self.GUESS) * self.grasp[skill] * self.there[self.at]

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        step = self._step(self.inside, skill, self.grasp[skill], self.there[self.at])
        self.grasp[skill] += step * quality * (0.5 + chance)
        self.at += 1

    def gain(self, skill: str, segment: str) -> float:
        grasp, attends = self.grasp[skill], self.attends(segment)
        for _ in range(self.items_in(segment)):
            grasp += self._step(segment, skill, grasp, attends) * self.teaches(segment, skill)
        return grasp - self.grasp[skill]

    def _step(self, segment: str, skill: str, grasp: float, there: float) -> float:
        *_, asked, tells, asks = self.FORMS[self.course.by_id[segment].format]
        rate = (tells + asks * grasp) * self.course.by_id[segment].minutes / asked * (0.5 + 0.5 * self.ready(skill))
        return (1.0 - grasp) * min(0.5, rate * self.quick) * (self.ABSENT + (1.0 - self.ABSENT) * there)


def roles_course(seed: int) -> Course:
    """What new people learn in a firm: six areas, an overview and three or four skills in each, two or three segments."""
    random = Random(f"course/roles/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    for area, n in [(area, n) for area in "ghjlqu" for n in range(random.randint(4, 5))]:
        skills.append({"id": f"{area}{n}", "builds_on": [f"{area}0"] if n else []})
        for part in range(random.randint(2, 3)):
            name, asked = f"{area}{n}-{part}", random.randint(3, 4)
            segments.append({
                "id": name, "skills": {f"{area}{n}": 1.0}, "minutes": round(asked * random.uniform(1.2, 2.0), 1),
                "difficulty": round(0.25 + 0.1 * n + random.uniform(0.0, 0.2), 2), "repeatable": True,
                "compulsory": part == n == 0 and area in "gjq", "items": items(name, asked),
                "prerequisites": [{"skill": f"{area}0", "mastery": 0.4}] if n > 1 and part else [],
            })  # fmt: skip
    return course("schooling-roles", seed, skills, segments)


class Roles(Sitter):
    """People come with what their work has taught them, whole areas of it, by role and years; and who knows much of an area
    learns the rest of it more easily (schemas, Bransford & Johnson 1972; van Kesteren et al. 2012; the rich get richer,
    Witherby & Carpenter 2022). A skill is five points, known or not; each item is about one, and no segment about all.
    """

    POINTS, RATE, ROLES, LOST = range(5), 1.0, 5, 0.15

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared, years = Random(f"roles/{seed}"), self.random.uniform(0.6, 1.0)
        role = self.random.choice([{s[0]: shared.betavariate(0.7, 1.1) for s in self.skills} for _ in range(self.ROLES)])
        self.about = {s.id: [(3 * int(s.id[-1]) + n) % 5 for n in range(len(s.items))] for s in course.segments}
        self.knows = {skill: [self.random.random() < role[skill[0]] * years for _ in self.POINTS] for skill in self.skills}

    def mastery(self, skill: str) -> float:
        return sum(self.knows[skill]) / len(self.POINTS)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.93 if self.knows[skill][self.about[self.inside][self.at]] else 0.3 - 0.15 * difficulty

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.knows[skill][self.about[self.inside][self.at]] |= chance < self._chance(skill, difficulty, quality)
        self.at += 1

    def gain(self, skill: str, segment: str) -> float:
        new = sum(not self.knows[skill][point] for point in self.about[segment])
        return new * self._chance(skill, self.hardness(segment), self.teaches(segment, skill)) / len(self.POINTS)

    def pass_time(self, minutes: float) -> None:
        for skill in filter(self.tries.get, self.skills if minutes >= DELAY_MINUTES else ()):
            self.knows[skill] = [known and self.random.random() > self.LOST for known in self.knows[skill]]

    def _chance(self, skill: str, difficulty: float, quality: float) -> float:
        area = [self.mastery(other) for other in self.skills if other[0] == skill[0]]
        eased = (1.2 - 0.5 * difficulty) * (0.35 + 0.35 * sum(area) / len(area) + 0.3 * self.ready(skill))
        return min(0.95, self.RATE * self.quick * quality * eased)


def upkeep_course(seed: int) -> Course:
    """Algebra: eight skills one upon the other, each a lesson and five or six sets of exercises, two with a base added."""
    random = Random(f"course/upkeep/{seed}")
    skills: list[dict[str, Any]] = []
    segments: list[dict[str, Any]] = []
    for n in range(8):
        builds = [f"b{m}" for m in (n - 1, n - 2 - random.randint(0, 1)) if m >= 0 and (m == n - 1 or random.random() < 0.5)]
        skills.append({"id": f"b{n}", "builds_on": builds})
        for part in range(parts := random.randint(6, 7)):
            name, asked = f"b{n}-{part}", random.randint(4, 8)
            segments.append({
                "id": name, "skills": {f"b{n}": 1.0} | ({builds[0]: 0.4} if n and part >= parts - 2 else {}),
                "minutes": round(asked * random.uniform(0.5, 0.8), 1), "format": "exercises" if part else "lesson",
                "difficulty": round(0.15 + 0.03 * n + 0.08 * part + random.uniform(0.0, 0.1), 2), "repeatable": True,
                "prerequisites": [{"skill": base, "mastery": 0.5} for base in builds] if part > 2 else [],
                "compulsory": part == 0 and n % 3 == 1, "items": items(name, asked),
            })  # fmt: skip
    return course("schooling-upkeep", seed, skills, segments)


class Upkeep(Sitter):
    """Errors fall with the power of practice (Newell & Rosenbloom 1981). What is learned fades, but for a part that stays
    (permastore, Bahrick 1984), and is kept up by learning what makes use of it (mathematics for life, Bahrick & Hall 1991);
    who has forgotten the basics makes errors of theirs and learns less. Pupils sit down every few days.
    """

    DAYS, STEP, USED, STAYS, ERRS, POWER = (1.0, 2.0, 3.0), 0.21, 0.2, 0.45, 0.85, 0.78

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        before, self.half = self.random.betavariate(1.2, 3.0) * len(self.skills), self.random.uniform(6.0, 14.0)
        self.stays = {skill: self.random.uniform(1.0, 9.0) * (n < before) for n, skill in enumerate(self.skills)}
        self.fresh = dict.fromkeys(self.skills, 0.0)

    def mastery(self, skill: str) -> float:
        return 1.0 - self.ERRS * float((1.0 + self.stays[skill] + self.fresh[skill]) ** -self.POWER)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.05 + 0.92 * float(self.mastery(skill) ** (0.5 + difficulty)) * (0.5 + 0.5 * self.ready(skill))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        much = self._much(skill, quality, float(self.correct or 0.0)) * (0.5 + chance)
        for name, share in {skill: 1.0, **dict.fromkeys(self.bases[skill], self.USED)}.items():
            self.fresh[name] += share * much

    def gain(self, skill: str, segment: str) -> float:
        p, much = self.right_in(segment), 0.0
        for name in self.course.by_id[segment].skills:
            share = 1.0 if name == skill else self.USED * (skill in self.bases[name])
            much += share * self._much(name, self.teaches(segment, name), p) * self.items_in(segment)
        left = float((1.0 + much / (1.0 + self.stays[skill] + self.fresh[skill])) ** -self.POWER)
        return (1.0 - self.mastery(skill)) * (1.0 - left)

    def pass_time(self, minutes: float) -> None:
        kept = 0.5 ** (minutes / DAY / self.half)
        for skill, fresh in self.fresh.items():
            self.stays[skill] += self.STAYS * fresh * (1.0 - kept)
            self.fresh[skill] = fresh * kept

    def _much(self, skill: str, quality: float, p: float) -> float:
        return self.STEP * self.quick * quality * (0.6 + 0.4 * p) * (0.1 + 0.9 * self.ready(skill) ** 2)


SCHOOLING: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "cognates": (cognates_course, Cognates), "wandering": (wandering_course, Wandering),
    "roles": (roles_course, Roles), "upkeep": (upkeep_course, Upkeep),
}  # fmt: skip
