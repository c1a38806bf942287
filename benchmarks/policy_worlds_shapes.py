"""Worlds written by somebody who had not read the policy: films that ask nothing, a long curriculum, banks, rich tags."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, prod
from random import Random
from typing import ClassVar

from benchmarks.policy_worlds import DAY, Answer, Learner, course, items
from benchmarks.policy_worlds_schooling import Sitter
from benchmarks.policy_worlds_trades import Rows, Stateful
from schemas.course import Course


class Knowing(Sitter):
    """Answers rightly what is known, and some by luck."""

    knows: dict[str, float]

    def mastery(self, skill: str) -> float:
        return self.knows[skill]

    def right(self, skill: str, difficulty: float) -> float:
        return 0.15 + (0.84 - 0.1 * difficulty) * self.mastery(skill)


def films_course(seed: int) -> Course:
    """Six modules of three or four skills: films and pages to see once, that ask nothing, then one or two quizzes to take
    again if need be, each item on one skill or two at once; in the end a test of twelve skills."""
    random, skills, segments, pool = Random(f"course/films/{seed}"), Rows(), Rows(), list[str]()
    for module in range(7):
        about = [f"f{module}{n}" for n in range(random.randint(3, 4) * (module < 6))]
        for n, skill in enumerate(about):
            old = about[n - 1 : n] if random.random() < 0.6 else random.sample(pool, bool(pool) and random.random() < 0.4)
            skills.append({"id": skill, "builds_on": old})
            for part, form in enumerate(random.choice((["film"], ["film", "page"], ["page", "film"], ["film", "film"]))):
                segments.append({
                    "id": f"{skill}-{part}", "skills": {skill: 1.0} | {s: 0.3 for s in old if part}, "format": form,
                    "minutes": round(random.uniform(*Films.FORMS[form][:2]), 1), "difficulty": 0.5, "repeatable": False,
                })  # fmt: skip
        more = [(f"again{module}", about + random.sample(pool, min(len(pool), 2)), f"quiz{module}")]
        quizzes = [(f"quiz{module}", about, f"{about[-1]}-0"), *more * (random.random() < 0.6)] if about else []
        for name, over, need in quizzes or [("test", random.sample(pool, 12), "quiz5")]:
            first = random.sample(over, len(over)) + random.choices(over, k=3)
            named = [[one, *random.sample([s for s in over if s != one], random.random() < 0.35)] for one in first]
            segments.append({
                "id": name, "skills": dict.fromkeys(over, 1.0), "format": "quiz", "difficulty": 0.5, "repeatable": True,
                "minutes": round(len(named) * random.uniform(*Films.FORMS["quiz"][:2]), 1),
                "items": [{**item, "skills": one} for item, one in zip(items(name, len(named)), named, strict=True)],
                "prerequisites": [] if name in ("quiz0", "quiz2", "quiz4") else [{"segment": need}],
                "compulsory": name in ("quiz1", "quiz4"),
            })  # fmt: skip
        pool += about
    return course("shapes-films", seed, skills, segments)


class Films(Knowing, Stateful):
    """What was just watched seems known and is soon gone; recall makes it last (Roediger & Karpicke 2006), if right or put
    right (Butler & Roediger 2008). Watching again adds little (Callender & McDaniel 2009). What passes by is lost without
    the base (Leahy & Sweller 2011). A failed try opens the mind (Richland et al. 2009). State: seen, held, primed."""

    FORMS: ClassVar = {"film": (5.0, 10.0, 0.75, 0.42), "page": (2.0, 4.0, 0.45, 0.22), "quiz": (0.6, 0.9, 0.0, 0.0)}
    """Least and most minutes (a quiz: of an item), what a first look leaves seen and held."""
    SITS, SEEN, AGAIN, RECALL, PUT_RIGHT, PRIMES = (20.0, 45.0), 0.55, 0.35, 0.34, 0.14, 0.5

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        draw, before, self.keeps = self.random, self.random.betavariate(1.2, 3.5), self.random.uniform(60.0, 120.0)
        self.half, self.quality = draw.uniform(1.0, 3.0), {name: 0.5 + 0.5 * much for name, much in self.quality.items()}
        self.about = {s.id: [course.skills_of(s.id, item.id) for item in s.items] for s in course.segments}
        self.state = {s: (0.0, draw.uniform(0.6, 0.95) if draw.random() < before else 0.05, 0.0) for s in self.skills}

    def work(self, segment: str) -> list[Answer]:
        random, self.inside = Random(f"watch/{self.seed}/{self.number}/{segment}/{self.shown.get(segment, 0)}"), segment
        for skill in () if self.about[segment] else self.course.by_id[segment].skills:
            self.tries[skill] += 1
            super().taught(skill, self.hardness(segment), self.teaches(segment, skill), random.uniform(0.3, 0.7))
        return super().work(segment)

    def mastery(self, skill: str) -> float:
        return 1.0 - (1.0 - self.state[skill][1]) * (1.0 - self.SEEN * self.state[skill][0])

    def right_in(self, segment: str) -> float:
        return self._right(self.about[segment][self.at // len(self.course.by_id[segment].skills)])

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        asked, self.at = self.about[self.inside][self.at // len(self.course.by_id[self.inside].skills)], self.at + 1
        if skill in asked:
            super().taught(skill, difficulty, quality, chance)

    def gain(self, skill: str, segment: str) -> float:
        given, start, much = self.state[skill], self.mastery(skill), self.quick * self.teaches(segment, skill)
        for asked in self.about[segment] or [[skill]]:
            if skill in asked:
                self.state[skill] = self.after(skill, segment, much, self._right(asked))
        end, self.state[skill] = self.mastery(skill), given
        return end - start

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (seen, held, primed), (*_, shows, leaves) = self.state[skill], self.FORMS[self.course.by_id[segment].format]
        if shows:
            much *= (1.0 + self.PRIMES * primed) * (0.4 + 0.6 * self.ready(skill)) * self.AGAIN ** self.shown.get(segment, 0)
            return seen + (1.0 - seen) * min(0.95, shows * much), held + (1.0 - held) * min(0.7, leaves * much), 0.0
        p *= self.mastery(skill)
        recalls = self.RECALL * p + self.PUT_RIGHT * (1.0 - p) * (0.3 + 0.7 * seen)
        return seen, held + (1.0 - held) * min(0.8, recalls * much), primed + (1.0 - primed) * (1.0 - p)

    def pass_time(self, minutes: float) -> None:
        fades, stays, opens = (0.5 ** (minutes / DAY / half) for half in (self.half, self.keeps, 1.0))
        self.state = {s: (seen * fades, held * stays, primed * opens) for s, (seen, held, primed) in self.state.items()}

    def _right(self, asked: list[str]) -> float:
        return 0.2 + 0.77 * prod(map(self.mastery, asked))


def curriculum_course(seed: int) -> Course:
    """Nine strands of six or seven grades, grade after grade in the authored order; four to six short segments a skill."""
    random, skills, segments = Random(f"course/curriculum/{seed}"), Rows(), Rows()
    tops = [random.randint(6, 7) for _ in range(9)]
    for grade, strand in [(grade, strand) for grade in range(7) for strand in range(9) if grade < tops[strand]]:
        other, skill = random.choice([s for s in range(9) if s != strand]), f"m{strand}{grade}"
        old = [f"m{s}{grade - 1}" for s in (strand, *[other] * (random.random() < 0.35)) if grade]
        skills.append({"id": skill, "builds_on": old})
        for part, asked in enumerate(random.choices((2, 3, 4), k=random.randint(4, 6))):
            segments.append({
                "id": f"{skill}-{part}", "skills": {skill: 1.0} | ({old[-1]: 0.3} if old and part == 3 else {}),
                "minutes": round(0.2 + asked * random.uniform(0.35, 0.45), 1), "format": "exercise" if part else "example",
                "difficulty": round(min(1.0, 0.1 + 0.08 * grade + 0.06 * part + random.uniform(0.0, 0.1)), 2),
                "items": items(f"{skill}-{part}", asked), "compulsory": part == 0 and grade == 3 and strand % 4 == 1,
                "prerequisites": [{"skill": old[0], "mastery": 0.4}] if old and part == 2 else [], "repeatable": True,
            })  # fmt: skip
    return course("shapes-curriculum", seed, skills, segments)


class Curriculum(Knowing, Stateful):
    """Skills rest on lower ones (learning hierarchies, Gagné 1968). School got learners to some grade, by strand, with gaps.
    What was learned once comes back soon (savings, Ebbinghaus 1885; Nelson 1978): how well a thing is stored and how well
    retrieved are two things; storing gains most when retrieving is hard (Bjork & Bjork 1992). State: stored, retrieved."""

    SITS, DAYS, RATE, SAVES, STORES = (12.0, 30.0), (1.0, 1.0, 2.0), 0.12, 1.5, 0.07

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        grade, self.half, draw = self.random.gauss(3.8, 0.9), self.random.uniform(25.0, 60.0), self.random
        self.quality = {name: 0.7 + 0.3 * quality for name, quality in self.quality.items()}
        reached, self.state = [grade + draw.gauss(0.0, 1.0) for _ in range(9)], {}
        for skill in self.skills:
            learned, gone = draw.random() < 0.93 and int(skill[2]) < reached[int(skill[1])], draw.random() < 0.36
            kept = draw.uniform(0.15, 0.6) if gone else draw.uniform(0.83, 0.98)
            self.state[skill] = draw.uniform(0.4, 1.0) if learned else 0.04, kept if learned else draw.uniform(0.0, 0.15)

    def mastery(self, skill: str) -> float:
        return self.state[skill][1]

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        stored, retrieved = self.state[skill]
        comes = min(0.8, self.RATE * much * (1.0 + self.SAVES * stored) * (0.15 + 0.85 * self.ready(skill)))
        stores = min(0.8, self.STORES * much * (1.2 - retrieved) * (0.5 + 0.5 * p))
        return stored + (1.0 - stored) * stores, retrieved + (1.0 - retrieved) * comes

    def pass_time(self, minutes: float) -> None:
        lost = minutes / DAY / self.half
        self.state = {s: (stored, r * 0.5 ** (lost / (0.5 + 4.0 * stored))) for s, (stored, r) in self.state.items()}


def banks_course(seed: int) -> Course:
    """Six to eight skills of like difficulty, one or two banks each of 15 to 30 items, of which a visit asks 4 or 5."""
    random, skills, segments = Random(f"course/banks/{seed}"), Rows(), Rows()
    for n in range(random.randint(6, 8)):
        skills.append({"id": f"q{n}", "builds_on": [f"q{n - 1}"] if n and random.random() < 0.3 else []})
        for part, bank in enumerate(random.choices(range(15, 31), k=random.choice((1, 2, 2)))):
            segments.append({
                "id": f"q{n}-{part}", "skills": {f"q{n}": 1.0}, "format": "quiz", "repeatable": True, "difficulty": 0.5,
                "minutes": round((4 + bank % 2) * random.uniform(0.7, 0.95), 1),
                "compulsory": part == 0 and n in (1, 4), "items": items(f"q{n}-{part}", bank),
                "prerequisites": [{"skill": f"q{n}", "mastery": 0.35}] if part and n % 3 == 0 else [],
            })  # fmt: skip
    return course("shapes-banks", seed, skills, segments)


class Banks(Knowing):
    """Items leave two traces: their words, soon gone, and the gist, that serves for new ones (fuzzy traces, Reyna & Brainerd
    1995). Items met before are answered from memory (instances, Logan 1988), so practice helps these most (Pan & Rickard
    2018); the gist, which is mastery, grows with the variety of what is met (Posner & Keele 1968), by known items little."""

    SITS, DAYS, RATE, STALE, WORDS = (15.0, 35.0), (1.0, 1.0, 3.0), 0.0275, 0.65, 0.55

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        bank, before = Random(f"banks/{seed}"), self.random.betavariate(1.6, 2.8)
        self.hard = {item.id: exp(bank.gauss(0.0, 0.45)) for s in course.segments for item in s.items}
        self.knows = {s: min(0.93, max(0.03, self.random.gauss(before, 0.3))) for s in self.skills}
        self.rate = {s: self.RATE * self.quick * exp(self.random.gauss(0.0, 0.35)) for s in self.skills}
        self.words = {s.id: {item.id: 0.0 for item in s.items} for s in course.segments}
        self.half, self.keeps, self.drawn = self.random.uniform(2.0, 8.0), self.random.uniform(60.0, 150.0), list[str]()

    def items_in(self, segment: str) -> int:
        return 4 + len(self.words[segment]) % 2

    def work(self, segment: str) -> list[Answer]:
        random = Random(f"drawn/{self.seed}/{self.number}/{segment}/{self.shown.get(segment, 0)}")
        self.drawn = random.sample(list(self.words[segment]), self.items_in(segment))
        return [Answer(i, a.correct, a.latency_ms) for i, a in zip(self.drawn, super().work(segment), strict=True)]

    def right_in(self, segment: str) -> float:
        skill, item = next(iter(self.course.by_id[segment].skills)), self.drawn[self.at]
        return 0.2 + 0.77 * (1.0 - (1.0 - float(self.knows[skill] ** self.hard[item])) * (1.0 - self.words[segment][item]))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        words, item, self.at = self.words[self.inside], self.drawn[self.at], self.at + 1
        self.knows[skill] += (1.0 - self.knows[skill]) * self._step(skill, quality, words[item]) * (0.5 + chance)
        words[item] += (1.0 - words[item]) * self.WORDS

    def gain(self, skill: str, segment: str) -> float:
        words = self.words[segment].values()
        step = self._step(skill, self.teaches(segment, skill), sum(words) / len(words))
        return (1.0 - self.knows[skill]) * (1.0 - float((1.0 - step) ** self.items_in(segment)))

    def pass_time(self, minutes: float) -> None:
        fades, stays = 0.5 ** (minutes / DAY / self.half), 0.5 ** (minutes / DAY / self.keeps)
        self.knows = {skill: gist * stays for skill, gist in self.knows.items()}
        self.words = {name: {item: word * fades for item, word in words.items()} for name, words in self.words.items()}

    def _step(self, skill: str, quality: float, word: float) -> float:
        return min(0.6, self.rate[skill] * (1.0 + quality) * (1.0 - self.STALE * word) * (0.6 + 0.4 * self.ready(skill)))


def tags_course(seed: int) -> Course:
    """Fifteen skills; lectures, tasks and checks of 2 to 30 minutes, each tagged with 3 to 5 skills and a priority."""
    random, segments = Random(f"course/tags/{seed}"), Rows()
    skills = Rows({"id": f"x{n}", "builds_on": [f"x{m}" for m in random.sample(range(n), min(n, n % 3))]} for n in range(15))
    for n in range(15):
        for part, form in enumerate(["lecture", "task", *random.choice(([], ["check"], ["task"]))][n % 4 == 2 :]):
            near = random.sample([f"x{m}" for m in range(max(0, n - 4), min(15, n + 5)) if m != n], random.randint(2, 4))
            (low, high, *_), on = Tags.FORMS[form], {"skill": f"x{n - 1}", "mastery": 0.3}
            minutes = round(low * (high / low) ** random.random(), 1)
            segments.append({
                "id": f"x{n}-{part}", "skills": dict(zip((f"x{n}", *near), (1.0, 0.5, 0.3, 0.2, 0.1), strict=False)),
                "minutes": minutes, "difficulty": round(random.uniform(0.3, 0.7), 2), "format": form, "repeatable": True,
                "priority": "core" if n < 5 and not part else "excel" if form == "task" and part > 1 else "pass",
                "compulsory": not part and n in (3, 8), "items": items(f"x{n}-{part}", max(2, min(8, round(minutes / 2.5)))),
                "prerequisites": [on] * (n > 0) if part > 1 else [{"segment": f"x{n}-0"}] if part and n % 2 else [],
            })  # fmt: skip
    return course("shapes-tags", seed, skills, segments)


class Tags(Knowing):
    """Tasks do not train or take what authors say (Cen, Koedinger & Junker 2006; Rupp & Templin 2008). Things that hang
    together must be minded at once: who knows few is overloaded and learns little of any (element interactivity, Sweller
    1994); being told spares beginners this and is redundant for those who know (expertise reversal, Kalyuga et al. 2003)."""

    FORMS: ClassVar = {"lecture": (6, 30, 0.14, 0.4, 0.6), "task": (4, 16, 0.28, 2.2, 0), "check": (2, 5, 0.2, 1.5, 0)}
    """Least and most minutes, what an item teaches, how much the load weighs, how redundant it is to those who know."""
    SITS, DAYS, OFF, MISSES = (30.0, 60.0), (1.0, 1.0, 2.0), 0.45, 0.25

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        truth, before, self.half = Random(f"tags/{seed}"), self.random.betavariate(1.5, 2.5), self.random.uniform(50, 120)
        self.off = {s.id: min(2.5, max(0.4, exp(truth.gauss(0.0, self.OFF)))) for s in course.segments}
        self.trains: dict[str, dict[str, float]] = {}
        for given in course.segments:
            hidden = {truth.choice(self.skills): 0.3} if truth.random() < self.MISSES else {}
            kept = ((s, w) for s, w in given.skills.items() if truth.random() > self.MISSES or w == 1.0)
            self.trains[given.id] = hidden | {s: w * exp(truth.gauss(0.0, 0.4)) for s, w in kept}
        self.knows = {s: min(0.95, max(0.02, self.random.gauss(before, 0.25))) for s in self.skills}

    def expected_minutes(self, segment: str) -> float:
        return super().expected_minutes(segment) * self.off[segment]

    def right_in(self, segment: str) -> float:
        needs, power = self.trains[segment], 0.5 + self.hardness(segment)
        return 0.12 + 0.83 * float(prod(self.knows[s] ** w for s, w in needs.items()) ** (power / sum(needs.values())))

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        if skill == next(iter(self.course.by_id[self.inside].skills)):
            self._train(self.knows, self.inside, 0.5 + chance)

    def gain(self, skill: str, segment: str) -> float:
        knows = {name: self.knows[name] for name in (*self.trains[segment], skill)}
        for _ in range(self.items_in(segment)):
            self._train(knows, segment, 1.0)
        return knows[skill] - self.knows[skill]

    def pass_time(self, minutes: float) -> None:
        for skill, knows in self.knows.items():
            self.knows[skill] = knows * 0.5 ** (minutes / DAY / self.half / (1.0 + 0.3 * self.tries[skill]))

    def _train(self, knows: dict[str, float], segment: str, much: float) -> None:
        trains, (*_, tells, weighs, redundant) = self.trains[segment], self.FORMS[self.course.by_id[segment].format]
        load = sum(w * (1.0 - knows[skill]) for skill, w in trains.items())
        much *= tells * self.quick * self.quality[segment] / (1.0 + weighs * load)
        for skill, w in trains.items():
            knows[skill] += (1.0 - knows[skill]) * min(0.6, much * w * (1.0 - redundant * knows[skill]))


SHAPES: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "films": (films_course, Films), "curriculum": (curriculum_course, Curriculum),
    "banks": (banks_course, Banks), "tags": (tags_course, Tags),
}  # fmt: skip
