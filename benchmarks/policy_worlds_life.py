"""Worlds written by somebody who had not read the policy: words to read with, exceptions, talks to customers, an exam."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random
from typing import ClassVar

from benchmarks.policy_worlds import DAY, Answer, Learner, course, items, logistic
from benchmarks.policy_worlds_trades import Rows, Stateful
from schemas.course import Course


def reading_course(seed: int) -> Course:
    """Ten to twelve themes in a foreign language: lists of words, texts made easy, real ones; only lists name items."""
    random, skills, segments = Random(f"course/reading/{seed}"), Rows(), Rows()
    for n in range(random.randint(10, 12)):
        skills.append({"id": f"t{n}", "builds_on": [f"t{random.randrange(n)}"] if n > 2 and random.random() < 0.5 else []})
        forms = ["words", "easy", *random.choice(([], ["words"], ["easy"])), "real", *random.choice(([], ["real"]))]
        for part, form in enumerate(forms):
            name, (low, high, asked, hard, *_) = f"t{n}-{part}", Reading.FORMS[form]
            other = {f"t{random.randrange(n)}": 0.3} if form == "real" and n and random.random() < 0.4 else {}
            segments.append({
                "id": name, "skills": {f"t{n}": 1.0} | other, "minutes": round(random.uniform(low, high), 1),
                "difficulty": round(min(1.0, hard + 0.02 * n + random.uniform(-0.1, 0.1)), 2), "format": form,
                "repeatable": True, "compulsory": part == 0 and n % 5 == 2, "items": items(name, asked * (form == "words")),
                "prerequisites": [{"segment": f"t{n}-0"}] if form == "real" else [],
            })  # fmt: skip
    return course("life-reading", seed, skills, segments)


class Reading(Stateful):
    """A text is understood by who knows nearly all of its words (95 to 98 of 100: Laufer 1989; Hu & Nation 2000), with fewer
    by who knows the theme (Recht & Leslie 1988). Only what is understood teaches words and theme (Nagy, Herman & Anderson
    1985), so the rich get richer (Stanovich 1986); lists teach words sooner (Laufer 2003), which fade if not read again.
    Everyday words help in all themes. State: words of the theme, knowledge of it, everyday words met there, times met."""

    FORMS: ClassVar = {
        "words": (3.0, 5.0, 8, 0.3, 0.075, 0.0, 0.002), "easy": (5.0, 8.0, 4, 0.3, 0.05, 0.08, 0.008),
        "real": (8.0, 13.0, 5, 0.7, 0.06, 0.12, 0.014),
    }  # fmt: skip
    """Least and most minutes, items, difficulty; what an item teaches of the theme's words, the theme, everyday words."""
    DAYS, ENOUGH, STEEP, THEME, REAL = (1.0, 2.0, 3.0), 0.94, 45.0, 0.035, 0.7

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.everyday, likes = self.random.betavariate(2.5, 2.0), self.random.betavariate(1.0, 3.0)
        self.half, self.common = self.random.uniform(12.0, 40.0), dict.fromkeys(self.skills, 0.0)
        theme = {skill: self.random.uniform(0.0, 0.4) + 0.6 * (self.random.random() < likes) for skill in self.skills}
        self.state = {s: (self.everyday * (0.1 + 0.65 * about), about, 0.0, 0.0) for s, about in theme.items()}

    def items_in(self, segment: str) -> int:
        return int(self.FORMS[self.course.by_id[segment].format][2])

    def work(self, segment: str) -> list[Answer]:
        skill = next(iter(self.course.by_id[segment].skills))
        slow = 1.6 - 0.7 * self._understands(skill, self.hardness(segment))
        return [Answer(a.item, a.correct, int(a.latency_ms * slow)) for a in super().work(segment)]

    def mastery(self, skill: str) -> float:
        return self._understands(skill, self.REAL)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.25 + 0.7 * self._understands(skill, difficulty)

    def right_in(self, segment: str) -> float:
        given, skill = self.course.by_id[segment], next(iter(self.course.by_id[segment].skills))
        return 0.2 + 0.76 * self.state[skill][0] if given.format == "words" else self.right(skill, given.difficulty)

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (words, theme, everyday, met), form = self.state[skill], self.course.by_id[segment].format
        *_, tells, about, common = self.FORMS[form]
        much *= 1.0 if form == "words" else self._understands(skill, self.hardness(segment))
        words, theme = words + (1.0 - words) * min(0.8, tells * much), theme + (1.0 - theme) * min(0.8, about * much)
        return words, theme, everyday + common * much, met + 0.3 * much

    def pass_time(self, minutes: float) -> None:
        total = sum(state[2] for state in self.state.values())
        for skill, (words, theme, everyday, met) in self.state.items():
            self.common[skill] = total - everyday
            self.state[skill] = words * 0.5 ** (minutes / DAY / self.half / (1.0 + met)), theme, everyday, met

    def _understands(self, skill: str, difficulty: float) -> float:
        words, theme, everyday, _ = self.state[skill]
        lacks = (1.0 - self.everyday) * exp(-self.common[skill] - everyday)
        known = 1.0 - (0.02 + 0.13 * difficulty) * lacks - (0.02 + 0.1 * difficulty) * (1.0 - words)
        return logistic(self.STEEP * (known + self.THEME * theme - self.ENOUGH))


def grammar_course(seed: int) -> Course:
    """Eighteen structures in five stages: phrases to learn by heart, the rule, exercises, for some a list of exceptions."""
    random, skills, segments = Random(f"course/grammar/{seed}"), Rows(), Rows()
    for n in range(18):
        before = range(max(0, n // 4 * 4 - 4), n // 4 * 4)
        old = [f"g{m}" for m in sorted(random.sample(before, min(len(before), 1 + n % 2)))]
        skills.append({"id": f"g{n}", "builds_on": old})
        more = random.choice(([], ["exceptions"], ["exceptions", "exercise"]))
        for part, form in enumerate(["phrases", "rule", "exercise", *more][n < 8 and n % 4 == 3 :]):
            name, (low, high, asked, *_) = f"g{n}-{part}", Grammar.FORMS[form]
            segments.append({
                "id": name, "skills": {f"g{n}": 1.0} | ({old[0]: 0.4} if part == 4 and old else {}), "format": form,
                "minutes": round(random.uniform(low, high), 1), "repeatable": True, "items": items(name, asked),
                "difficulty": round(0.1 + 0.1 * (n // 4) + 0.08 * part + random.uniform(0.0, 0.1), 2),
                "prerequisites": [{"skill": base, "mastery": 0.5} for base in old] if form == "exercise" else [],
                "compulsory": form == "rule" and n % 7 == 3,
            })  # fmt: skip
    return course("life-grammar", seed, skills, segments)


class Grammar(Stateful):
    """Learners say right what they have by heart, then wrong as they grasp the rule and overdo it, then right again
    (U-shape, Kellerman 1985; McLaughlin 1990; Marcus et al. 1992). Exceptions stick once the rule has led astray and that
    is corrected (Tomasello & Herron 1988). A rule is grasped at its stage only (Pienemann 1984) and stays; what is by heart
    fades (Ullman 2001). Some have lived abroad, some know lessons only. State: phrases by heart, rule, exceptions."""

    FORMS: ClassVar = {
        "phrases": (2.0, 4.0, 5, 0.0, 0.13, 0.02, 0.03), "rule": (3.0, 5.0, 4, 0.15, 0.02, 0.22, 0.03),
        "exercise": (3.0, 5.5, 6, None, 0.05, 0.1, 0.13), "exceptions": (2.5, 4.0, 5, 1.0, 0.05, 0.01, 0.24),
    }  # fmt: skip
    """Least and most minutes, items, share of exceptions (or as in life), what an item teaches of each of the state."""
    SITS, BY_HEART = (12.0, 30.0), 0.8

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        language, self.half = Random(f"grammar/{seed}"), self.random.uniform(30.0, 90.0)
        abroad, years = self.random.betavariate(0.8, 1.2), self.random.betavariate(1.0, 2.2)
        self.odd = {skill: language.uniform(0.05, 0.55) for skill in self.skills}
        heard = {skill: self.BY_HEART * (0.2 * years + 0.8 * abroad * self.random.random() ** 0.5) for skill in self.skills}
        rule = {skill: max(0.0, 2.5 * years - n / 18) * self.random.random() for n, skill in enumerate(self.skills)}
        self.state = {s: (heard[s], min(1.0, rule[s]), min(0.7, rule[s]) * self.random.random()) for s in self.skills}

    def mastery(self, skill: str) -> float:
        return self._says(skill, self.odd[skill])

    def right(self, skill: str, difficulty: float) -> float:
        return 0.08 + 0.89 * self.mastery(skill)

    def right_in(self, segment: str) -> float:
        skill, odd = next(iter(self.course.by_id[segment].skills)), self.FORMS[self.course.by_id[segment].format][3]
        return 0.08 + 0.89 * self._says(skill, self.odd[skill] if odd is None else odd)

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (heart, rule, odd), (*_, says, tells, shows) = self.state[skill], self.FORMS[self.course.by_id[segment].format]
        stage, astray = 0.2 + 0.8 * self.ready(skill), 0.3 + 0.7 * rule * (1.2 - 0.4 * p)
        new, grasped, noted = (min(0.8, step * much) for step in (says, tells * stage, shows * astray))
        return heart + (self.BY_HEART - heart) * new, rule + (1.0 - rule) * grasped, odd + (1.0 - odd) * noted

    def pass_time(self, minutes: float) -> None:
        kept = 0.5 ** (minutes / DAY / self.half)
        self.state = {skill: (heart * kept, rule, odd * kept) for skill, (heart, rule, odd) in self.state.items()}

    def _says(self, skill: str, share: float) -> float:
        heart, rule, odd = self.state[skill]
        regular, irregular = 1.0 - (1.0 - heart) * (1.0 - rule), 1.0 - (1.0 - heart) * (1.0 - odd)
        return (1.0 - share) * regular + share * irregular * (1.0 - rule * (1.0 - odd))


def selling_course(seed: int) -> Course:
    """Seven parts of a conversation with a customer, flat: a page, a film, role plays, plays with a coach, whole talks."""
    random, segments = Random(f"course/selling/{seed}"), Rows()
    for n in range(7):
        film, again = random.choice(([], ["film"])), random.choice(([], ["coached"]))
        for part, form in enumerate(["page", *film, "play", "coached", "play", *again, "talk"]):
            (low, high, *_), others = Selling.FORMS[form], random.sample([m for m in range(7) if m != n], 2)
            segments.append({
                "id": f"c{n}-{part}", "skills": {f"c{n}": 1.0} | {f"c{m}": 0.6 for m in others if form == "talk"},
                "minutes": round(random.uniform(low, high), 1), "difficulty": round(random.uniform(0.3, 0.7), 2),
                "format": form, "repeatable": True, "compulsory": form == "page" and n % 3 == 0,
                "prerequisites": [{"segment": f"c{n}-0"}] if form in ("coached", "talk") else [],
            })  # fmt: skip
    return course("life-selling", seed, [{"id": f"c{n}"} for n in range(7)], segments)


class Selling(Stateful):
    """Whether a customer agrees says little about how well one talked: experience misleads (Brehmer 1980; Hogarth 2001).
    Ways that worked are kept, for merit or by luck (Bush & Mosteller 1955), good ones dropped after bad luck (Denrell &
    March 2001), less by who knows why they are good. Coaches see what was done; models help (Taylor, Russ-Eft & Chan 2005);
    knowing is not doing, and habits come back (Baldwin & Ford 1988). State: knows the better way, uses it, has used it."""

    FORMS: ClassVar = {
        "page": (3.0, 6.0, 3, 0.2, 0.02), "film": (5.0, 8.0, 2, 0.25, 0.1), "play": (4.0, 7.0, 3, 0.03, 0.03),
        "coached": (8.0, 12.0, 4, 0.14, 0.14), "talk": (10.0, 15.0, 4, 0.06, 0.07),
    }  # fmt: skip
    """Least and most minutes, items, what an item teaches of knowing, and of doing to who knows."""
    SITS, DAYS, GOOD, USUAL, LUCK, HABIT = (15.0, 35.0), (1.0, 1.0, 3.0), 0.68, 0.4, 0.12, 0.3

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        low, high = self.random.choice(((0.0, 0.3), (0.0, 0.3), (0.1, 0.5), (0.3, 0.9)))
        self.half, self.job = self.random.uniform(20.0, 60.0), {s: self.random.uniform(low, high) for s in self.skills}
        self.state = {s: (min(0.95, uses + self.random.uniform(0.0, 0.3)), uses, 0.0) for s, uses in self.job.items()}

    def items_in(self, segment: str) -> int:
        return int(self.FORMS[self.course.by_id[segment].format][2])

    def mastery(self, skill: str) -> float:
        return self.state[skill][1]

    def right(self, skill: str, difficulty: float) -> float:
        return 0.08 + 0.86 * self.state[skill][1]

    def right_in(self, segment: str) -> float:
        given, skill = self.course.by_id[segment], next(iter(self.course.by_id[segment].skills))
        if given.format not in ("play", "talk"):
            return self.right(skill, given.difficulty) if given.format == "coached" else 0.3 + 0.65 * self.state[skill][0]
        does = sum(self.state[skill][1] for skill in given.skills) / len(given.skills)
        return self.USUAL + (self.GOOD - self.USUAL) * does + 0.3 * (0.5 - given.difficulty)

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (knows, uses, used), form = self.state[skill], self.course.by_id[segment].format
        *_, tells, trains = self.FORMS[form]
        moved = (1.0 - uses) * min(0.8, trains * much * (0.2 + 0.8 * knows))
        if form in ("play", "talk"):
            sells = self.USUAL + (self.GOOD - self.USUAL) * uses
            won, lost = uses * self.GOOD / sells, uses * (1.0 - self.GOOD) / (1.0 - sells)
            better, worse = p * won + (1.0 - p) * (1.0 - lost) * knows, p * (1.0 - won) + (1.0 - p) * lost
            moved += min(0.5, self.LUCK * much) * (better * (1.0 - uses) - worse * (1.0 - 0.85 * knows) * uses)
        knows += (1.0 - knows) * min(0.8, tells * much)
        return knows, min(0.99, max(0.01, uses + moved)), used + self.HABIT * much * uses * (form not in ("page", "film"))

    def pass_time(self, minutes: float) -> None:
        for skill, (knows, uses, used) in self.state.items():
            kept = 0.5 ** (minutes / DAY / self.half / (1.0 + used))
            self.state[skill] = knows, min(uses, self.job[skill]) + max(0.0, uses - self.job[skill]) * kept, used


def exam_course(seed: int) -> Course:
    """Six subjects of five to seven topics: a page, or exercises, or both; then timed mock exams, each item on one topic."""
    random, skills, segments = Random(f"course/exam/{seed}"), Rows(), Rows()
    for subject in "abcdef":
        topics = [f"{subject}{n}" for n in range(random.randint(5, 7))]
        for n, topic in enumerate(topics):
            skills.append({"id": topic, "builds_on": [topics[random.randrange(n)]] if n and random.random() < 0.35 else []})
            held = random.uniform(0.25, 0.85)
            for form in random.choice((["page", "drill"], ["page", "drill"], ["drill"])):
                name, (low, high, asked, *_) = f"{topic}-{len(segments)}", Exam.FORMS[form]
                segments.append({
                    "id": name, "skills": {topic: 1.0}, "minutes": round(random.uniform(low, high), 1), "format": form,
                    "difficulty": round(held + random.gauss(0.0, 0.05), 2), "repeatable": True, "items": items(name, asked),
                })  # fmt: skip
        for mock in range(random.randint(1, 3)):
            name, (low, high, asked, *_) = f"{subject}-mock{mock}", Exam.FORMS["mock"]
            chosen = [*random.sample(topics, 4), *random.choices(topics, k=asked - 4)]
            listed = [{**item, "skills": [topic]} for item, topic in zip(items(name, asked), chosen, strict=True)]
            segments.append({
                "id": name, "skills": {topic: 0.8 for topic in topics if topic in chosen}, "format": "mock",
                "minutes": round(random.uniform(low, high), 1), "difficulty": 0.6, "repeatable": True, "items": listed,
                "compulsory": mock == 0 and subject in "be",
                "prerequisites": [{"skill": topics[0], "mastery": 0.3}] if mock or subject not in "be" else [],
            })  # fmt: skip
    return course("life-exam", seed, skills, segments)


class Exam(Stateful):
    """Worry takes up the mind in tests, most where much must be held and little is fluent (Eysenck & Calvo 1992; Beilock &
    Carr 2005): the anxious show in exercises what they do not in exams (Hembree 1988). Tests make knowledge last (Roediger &
    Karpicke 2006) and calm (Agarwal et al. 2014), unless failed. State: known, fluent; an exam shows mastery."""

    FORMS: ClassVar = {
        "page": (2.0, 4.0, 2, 0.45, 0.03, 0.1), "drill": (2.5, 4.5, 4, 0.22, 0.19, 0.15),
        "mock": (7.0, 11.0, 7, 0.4, 0.35, 1.0),
    }  # fmt: skip
    """Least and most minutes, items, what an item teaches of knowing and of being fluent, how much is at stake."""
    SITS, CALMS, SCARES = (20.0, 45.0), 0.02, 0.025

    def __init__(self, course: Course, seed: int, number: int) -> None:
        super().__init__(course, seed, number)
        self.worry, school = self.random.betavariate(1.0, 1.7), self.random.betavariate(2.0, 3.0)
        self.nature, self.half = self.worry, self.random.uniform(30.0, 80.0)
        self.about = {s.id: [course.skills_of(s.id, item.id)[0] for item in s.items] for s in course.segments}
        self.takes = {next(iter(s.skills)): s.difficulty for s in course.segments if s.format == "drill"}
        strong = {subject: self.random.gauss(school, 0.2) for subject in "abcdef"}
        known = {s: min(0.95, max(0.02, self.random.gauss(strong[s[0]], 0.2))) for s in self.skills}
        self.state = {s: (known[s], 0.6 * known[s] * self.random.random()) for s in self.skills}

    def mastery(self, skill: str) -> float:
        return self._shows(skill, 1.0)

    def right(self, skill: str, difficulty: float) -> float:
        return 0.15 + 0.82 * self.mastery(skill)

    def right_in(self, segment: str) -> float:
        return self._right(segment, self.about[segment][self.at // len(self.course.by_id[segment].skills)])

    def taught(self, skill: str, difficulty: float, quality: float, chance: float) -> None:
        asked, self.at = self.about[self.inside][self.at // len(self.course.by_id[self.inside].skills)], self.at + 1
        if asked == skill:
            super().taught(skill, difficulty, quality, chance)
            self._feels(self.inside, float(self.correct or 0.0))

    def gain(self, skill: str, segment: str) -> float:
        given, worry, much = self.state[skill], self.worry, self.quick * self.teaches(segment, skill)
        start = self.mastery(skill)
        for asked in self.about[segment]:
            p = self._right(segment, asked)
            if asked == skill:
                self.state[skill] = self.after(skill, segment, much, p)
            self._feels(segment, p)
        end, self.state[skill], self.worry = self.mastery(skill), given, worry
        return end - start

    def after(self, skill: str, segment: str, much: float, p: float) -> tuple[float, ...]:
        (known, fluent), (*_, tells, trains, stake) = self.state[skill], self.FORMS[self.course.by_id[segment].format]
        much *= (1.0 - 0.5 * self.worry * stake) * (0.5 + 0.5 * self.ready(skill))
        trained = min(0.8, trains * much * known * (0.4 + 0.6 * p))
        return known + (1.0 - known) * min(0.8, tells * much), fluent + (1.0 - fluent) * trained

    def pass_time(self, minutes: float) -> None:
        days = minutes / DAY
        self.worry = self.nature + (self.worry - self.nature) * 0.5 ** (days / 60.0)
        for skill, (known, fluent) in self.state.items():
            self.state[skill] = known * 0.5 ** (days / self.half / (1.0 + 4.0 * fluent)), fluent * 0.5 ** (days / 90.0)

    def _right(self, segment: str, skill: str) -> float:
        return 0.15 + 0.82 * self._shows(skill, self.FORMS[self.course.by_id[segment].format][5])

    def _feels(self, segment: str, p: float) -> None:
        stake = self.FORMS[self.course.by_id[segment].format][5]
        self.worry += stake * (self.SCARES * (1.0 - p) * self.nature * (1.0 - self.worry) - self.CALMS * p * self.worry)

    def _shows(self, skill: str, stake: float) -> float:
        known, fluent = self.state[skill]
        return known * (1.0 - self.worry * stake * self.takes[skill] * (1.0 - fluent))


LIFE: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    "reading": (reading_course, Reading), "grammar": (grammar_course, Grammar),
    "selling": (selling_course, Selling), "exam": (exam_course, Exam),
}  # fmt: skip
