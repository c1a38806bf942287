"""Worlds written by somebody who had not read the policy: chained steps, listening at speed, outdated rules, drills."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, prod
from random import Random
from typing import Any, ClassVar

from benchmarks.policy_worlds import DAY, Answer, Learner, course, items, logistic
from benchmarks.policy_worlds_schooling import Sitter
from schemas.course import Course

Rows = list[dict[str, Any]]


def chains(seed: int) -> list[list[int]]:
    """Eight to ten jobs of five steps each, in their order; the steps of early jobs come again in later ones."""
    random = Random(f"apprentices/chains/{seed}")
    return [random.sample(range(min(Apprentices.STEPS, 6 + 2 * n)), 5) for n in range(random.randint(8, 10))]


def apprentices_course(seed: int) -> Course:
    """Jobs of a trade: a demonstration, drills of first and last steps, two whole jobs, a project with an earlier job."""
    random, jobs, skills, segments = Random(f"course/apprentices/{seed}"), chains(seed), Rows(), Rows()
    for n, job in enumerate(jobs):
        alike = sorted(range(n), key=lambda m: (-len({*jobs[m]} & {*job}), m))
        skills.append({"id": f"j{n}", "builds_on": [f"j{m}" for m in alike[:2] if len({*jobs[m]} & {*job}) > 1]})
        for part, form in enumerate(["demo", "first", "last", "whole", "whole", *(["project"] if n else [])]):
            name, (low, high, asked) = f"j{n}-{part}", Apprentices.FORMS[form]
            segments.append({
                "id": name, "skills": {f"j{n}": 1.0} | ({f"j{alike[0]}": 0.6} if form == "project" else {}),
                "minutes": round(random.uniform(low, high), 1), "difficulty": round(random.uniform(0.2, 0.8), 2),
                "format": form, "repeatable": True, "compulsory": part == 0 and n % 3 == 0, "items": items(name, asked),
                "prerequisites": [{"skill": f"j{n}", "mastery": 0.25}] if form == "project" else [],
            })  # fmt: skip
    return course("trades-apprentices", seed, skills, segments)


class Apprentices(Sitter):
    """A job is right only if each step is; a wrong one spoils the piece, what comes after is not practised (whole and part
    tasks, Naylor & Briggs 1963; chaining, Wightman & Lintern 1985). Steps are what is learned and transfers (Thorndike &
    Woodworth 1901; Singley & Anderson 1989) and fades (Arthur et al. 1998). Watching helps beginners (Wulf et al. 2010)."""

    FORMS: ClassVar = {"demo": (4, 7, 2), "first": (4, 7, 4), "last": (4, 7, 4), "whole": (7, 11, 3), "project": (11, 16, 3)}
    STEPS, RATE, SEES, BEST = 22, 0.17, 1.2, 0.99

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        steps, met, self.half = Random(f"steps/{seed}"), self.random.betavariate(0.8, 3.0), self.random.uniform(15.0, 60.0)
        self.chain = dict(zip(self.skills, chains(seed), strict=True))
        self.raw = [steps.uniform(0.3, 0.75) for _ in range(self.STEPS)]
        done = {step for job in self.chain.values() for step in (job if self.random.random() < met else ())}
        self.level = [self.random.uniform(1.5, 4.0) * (step in done) for step in range(self.STEPS)]

    def mastery(self, skill: str) -> float:
        return prod(self._does(step, self.level[step]) for step in self.chain[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return self.mastery(skill)

    def right_in(self, segment: str) -> float:
        does = [self._does(step, self.level[step]) for step in self._steps(segment)]
        return 0.3 + 0.6 * sum(does) / len(does) if self.course.by_id[segment].format == "demo" else prod(does)

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        spoils = 1.0 if self.correct else chance * (1.0 - self.right_in(self.inside))
        spoils = spoils if skill == next(iter(self.course.by_id[self.inside].skills)) else chance
        self._train(self.level, self.inside, skill, quality, spoils)

    def gain(self, skill: str, segment: str) -> float:
        level = list(self.level)
        for name in list(self.course.by_id[segment].skills) * self.items_in(segment):
            self._train(level, segment, name, self.teaches(segment, name))
        return prod(self._does(step, level[step]) for step in self.chain[skill]) - self.mastery(skill)

    def pass_time(self, minutes: float) -> None:
        self.level = [level * 0.5 ** (minutes / DAY / self.half) for level in self.level]

    def _train(self, level: list[float], segment: str, skill: str, much: float, spoils: float | None = None) -> None:
        good, shows = 1.0, self.course.by_id[segment].format == "demo"
        for step in self._steps(segment, skill):
            reached, does = good if spoils is None else float(spoils >= 1.0 - good), self._does(step, level[step])
            level[step] += self.RATE * self.quick * much * (self.SEES * exp(-level[step]) if shows else reached)
            good *= does

    def _does(self, step: int, level: float) -> float:
        return self.BEST - (self.BEST - self.raw[step]) * exp(-level)

    def _steps(self, segment: str, skill: str = "") -> list[int]:
        chain, form = self.chain[skill or next(iter(self.course.by_id[segment].skills))], self.course.by_id[segment].format
        return chain[:3] if form == "first" else chain[3:] if form == "last" else chain


class Stateful(Sitter):
    """Skills have states; `after` an item is the next: of skill, segment, how much it teaches, chance of being right."""

    state: dict[str, tuple[float, ...]]
    after: Callable[[str, str, float, float], tuple[float, ...]]

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        self.state[skill] = self.after(skill, self.inside, self.quick * quality * (0.5 + chance), float(self.correct or 0.0))

    def gain(self, skill: str, segment: str) -> float:
        given, start, much = self.state[skill], self.mastery(skill), self.quick * self.teaches(segment, skill)
        for _ in range(self.items_in(segment)):
            self.state[skill] = self.after(skill, segment, much, self.right_in(segment))
        end, self.state[skill] = self.mastery(skill), given
        return end - start


def listening_course(seed: int) -> Course:
    """Twenty-four kinds of talk: each is heard slowly, at a natural pace and, mostly, fast, as `difficulty` says."""
    random, skills, segments = Random(f"course/listening/{seed}"), Rows(), Rows()
    for n in range(24):
        skills.append({"id": f"h{n}", "builds_on": [f"h{random.randrange(n)}"] if n and random.random() < 0.4 else []})
        for part in range(random.choice((2, 3, 3, 4))):
            name, asked, mixed = f"h{n}-{part}", random.randint(4, 6), part == 2 and n % 3 == 2
            segments.append({
                "id": name, "skills": {f"h{n}": 1.0} | ({f"h{random.randrange(n)}": 0.5} if mixed else {}),
                "minutes": round(asked * random.uniform(0.7, 1.1), 1), "format": "audio", "repeatable": True,
                "difficulty": round((0.15, 0.5, 0.75, 0.85)[part] + random.uniform(-0.08, 0.08), 2),
                "compulsory": part == 1 and n % 6 == 3, "items": items(name, asked),
            })  # fmt: skip
    return course("trades-listening", seed, skills, segments)


class Listening(Stateful):
    """Listening is accurate first, quick later, by a power of practice (Anderson 1982; Segalowitz & Segalowitz 1993;
    DeKeyser 1997): beginners follow slow talk, natural talk counts. What is not followed teaches little; fast talk that is
    followed teaches most. Some have read much, heard little. What is automatic helps a bit in all talk (Field 2008)."""

    NATURAL, SHARP, POWER, EAR, RATE, STEP = 0.6, 4.5, 0.45, 0.25, 0.27, 1.0

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        read, heard = self.random.betavariate(1.5, 2.0), self.random.betavariate(0.6, 1.5)
        self.slow, self.ear = exp(self.random.gauss(log(2.4), 0.2)), 4.0 * heard
        known = [min(0.97, max(0.02, self.random.gauss(read, 0.25))) for _ in self.skills]
        self.state = {skill: (known[n], 30.0 * heard * self.random.random()) for n, skill in enumerate(self.skills)}

    def work(self, segment: str) -> list[Answer]:
        slow = min(2.5, 0.5 + self._takes(next(iter(self.course.by_id[segment].skills))))
        return [Answer(a.item, a.correct, int(a.latency_ms * slow)) for a in super().work(segment)]

    def mastery(self, skill: str) -> float:
        return self.state[skill][0] * self._follows(skill, self.NATURAL)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.25 + 0.7 * self.state[skill][0] * self._follows(skill, difficulty)

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (known, heard), hard = self.state[skill], self.hardness(segment)
        follows = self._follows(skill, hard)
        learns = min(0.6, self.RATE * much * (0.15 + 0.85 * follows) * (0.4 + 0.6 * self.ready(skill)))
        return known + (1.0 - known) * learns, heard + self.STEP * much * p * follows * (0.2 + hard)

    def pass_time(self, minutes: float) -> None:
        self.state = {s: (k * 0.5 ** (minutes / DAY / (60.0 + 60.0 * h)), h) for s, (k, h) in self.state.items()}
        self.ear = max(self.ear, sum(heard for _, heard in self.state.values()) / len(self.state))

    def _takes(self, skill: str) -> float:
        return float(self.slow * (1.0 + self.state[skill][1]) ** -self.POWER * (1.0 + self.ear) ** -self.EAR)

    def _follows(self, skill: str, difficulty: float) -> float:
        return logistic(self.SHARP * (log(2.4) - 1.4 * difficulty - log(self._takes(skill))))


def outdated_course(seed: int) -> Course:
    """Forty rules, none built on another: a page and a quiz each, a case of two rules for some. Difficulty is noise."""
    random, segments = Random(f"course/outdated/{seed}"), Rows()
    for n in range(40):
        for part, form in enumerate(["page", "quiz", *random.choice(([], [], ["case"]))]):
            name, (low, high, asked, _), other = f"r{n}-{part}", Outdated.FORMS[form], (n + random.randint(1, 39)) % 40
            segments.append({
                "id": name, "skills": {f"r{n}": 1.0} | ({f"r{other}": 0.6} if form == "case" else {}), "repeatable": True,
                "minutes": round(random.uniform(low, high), 1), "difficulty": round(random.uniform(0.2, 0.8), 2),
                "format": form, "compulsory": part == n % 2 and n % 9 == 4, "items": items(name, asked),
                "prerequisites": [{"segment": f"r{n}-0"}] if part == 1 and n % 2 else [],
            })  # fmt: skip
    return course("trades-outdated", seed, [{"id": f"r{n}"} for n in range(40)], segments)


class Outdated(Stateful):
    """Half are new, half are old hands, sure of all rules, of which many have changed. Who is sure skims pages and answers
    quickly, wrongly too. Sure errors are corrected well (hypercorrection, Butterfield & Metcalfe 2001), but old rules come
    back within days unless new ones were recalled (Butler, Fazio & Marsh 2011). State: known, held of old, silenced."""

    FORMS: ClassVar = {"page": (2.0, 4.0, 1, 0.6), "quiz": (1.5, 3.0, 3, 0.26), "case": (3.0, 5.0, 2, 0.3)}
    CHANGED, SKIMS, SURPRISE, LETS_GO, HURRY = 0.5, 0.8, 0.8, 0.6, 0.45

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        shared, (low, high) = Random(f"outdated/{seed}"), self.random.choice(((0.85, 0.98), (0.0, 0.15)))
        changed, before = {skill: shared.random() < self.CHANGED for skill in self.skills}, self.random.uniform(low, high)
        sure = {skill: self.random.uniform(0.82, 0.98) * (self.random.random() < before) for skill in self.skills}
        self.state = {skill: (0.0, sure[skill], 0.0) if changed[skill] else (sure[skill], 0.0, 0.0) for skill in self.skills}
        self.back, self.keeps = DAY * self.random.uniform(3.0, 10.0), DAY * self.random.uniform(30.0, 70.0)

    def work(self, segment: str) -> list[Answer]:
        skill = next(iter(self.course.by_id[segment].skills))
        hurry = 1.0 - self.HURRY * max(self.state[skill][0], self._old(skill))
        return [Answer(a.item, a.correct, int(a.latency_ms * hurry)) for a in super().work(segment)]

    def mastery(self, skill: str) -> float:
        return self.state[skill][0] * (1.0 - self._old(skill))

    def right(self, skill: str, difficulty: float) -> float:
        return 0.04 * self._old(skill) + (1.0 - self._old(skill)) * (0.25 + 0.7 * self.state[skill][0])

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (now, held, quiet), old, form = self.state[skill], self._old(skill), self.course.by_id[segment].format
        page, step = form == "page", self.FORMS[form][3] * much
        told = min(0.9, step * (1.0 - self.SKIMS * old if page else 0.7 * p + (1.0 - p) * (0.8 + self.SURPRISE * old)))
        return now + (1.0 - now) * told, held * (1.0 - self.LETS_GO * p * now * (not page)), quiet + (1.0 - quiet) * told

    def pass_time(self, minutes: float) -> None:
        for s, (now, old, quiet) in self.state.items():
            self.state[s] = now * exp(-minutes / self.keeps / (self.tries[s] or 1e9)), old, quiet * exp(-minutes / self.back)

    def _old(self, skill: str) -> float:
        return self.state[skill][1] * (1.0 - self.state[skill][2])


def drills_course(seed: int) -> Course:
    """Twelve to fourteen drills: a talk, two or three exercises, scenarios of two drills; nobody lists the items."""
    random, skills, segments = Random(f"course/drills/{seed}"), Rows(), Rows()
    for n in range(random.randint(12, 14)):
        skills.append({"id": f"d{n}", "builds_on": [f"d{random.randrange(n)}"] if n > 1 and random.random() < 0.5 else []})
        for part, form in enumerate(["talk", "drill", "drill", *random.choice(([], ["scenario"], ["drill", "scenario"]))]):
            (low, high, *_), two = Drills.FORMS[form], form == "scenario" and n > 0
            segments.append({
                "id": f"d{n}-{part}", "skills": {f"d{n}": 1.0} | ({f"d{random.randrange(n)}": 0.8} if two else {}),
                "minutes": round(random.uniform(low, high), 1), "difficulty": round(random.uniform(0.3, 0.7), 2),
                "format": form, "repeatable": True, "compulsory": n % 4 == 1 and part == n % 3 % 2,
                "prerequisites": [{"segment": f"d{n}-0"}] if part == 1 else [{"skill": f"d{n}", "mastery": 0.4}] * two,
            })  # fmt: skip
    return course("trades-drills", seed, skills, segments)


class Drills(Stateful):
    """Doing one thing over and over looks good and is soon gone; changing hurts now, helps later, for what left the mind is
    built anew (contextual interference, Shea & Morgan 1979; Lee & Magill 1983; Soderstrom & Bjork 2015). Drills fade in
    weeks (Arthur et al. 1998), slower if overtrained (Driskell et al. 1992). State: stored, warm, in mind, overtrained."""

    FORMS: ClassVar = {"talk": (3.0, 5.0, 1, 1.6), "drill": (4.0, 7.0, 4, 1.0), "scenario": (6.0, 10.0, 3, 1.3)}
    SITS, DAYS, STORES, WARMS, WARMEST, BLOCKED = (25.0, 45.0), (1.0, 2.0, 4.0), 0.27, 0.2, 0.6, 0.7

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        before, self.weeks, draw = self.random.betavariate(0.8, 2.0), self.random.uniform(20.0, 45.0), self.random
        self.state = {skill: (draw.uniform(0.5, 2.6) * (draw.random() < before), 0.0, 0.0, 0.0) for skill in self.skills}

    def items_in(self, segment: str) -> int:
        return int(self.FORMS[self.course.by_id[segment].format][2])

    def mastery(self, skill: str) -> float:
        return 0.98 * (1.0 - exp(-self.state[skill][0] - self.state[skill][1]))

    def right(self, skill: str, difficulty: float) -> float:
        return 0.04 + 0.92 * (1.0 - (1.0 - self.mastery(skill)) * (1.0 - 0.5 * self.state[skill][2]))

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (stored, warm, mind, beyond), given = self.state[skill], self.course.by_id[segment]
        much *= self.FORMS[given.format][3] * (0.3 + 0.7 * self.ready(skill))
        warmer = min(0.9, self.WARMS * much * (0.3 + 0.7 * mind)) * (self.WARMEST - warm)
        stored += self.STORES * much * (1.0 - self.BLOCKED * mind)
        return stored, warm + warmer, 1.0 if len(given.skills) == 1 else 0.4, beyond + much * (self.mastery(skill) >= 0.8)

    def pass_time(self, minutes: float) -> None:
        days, inside = minutes / DAY, self.course.by_id[self.inside].skills if self.inside else {}
        for skill, (stored, warm, mind, beyond) in self.state.items():
            stays, kept = 1.0 if skill in inside else 0.3, 0.5 ** (days / self.weeks / (1.0 + beyond))
            self.state[skill] = stored * kept, warm * 0.5**days, mind * stays * exp(-minutes / 30.0), beyond


TRADES: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "apprentices": (apprentices_course, Apprentices), "listening": (listening_course, Listening),
    "outdated": (outdated_course, Outdated), "drills": (drills_course, Drills),
}  # fmt: skip
