"""A course version made ready for choosing: what depends on the course alone is worked out once, not for every decision.

Sets of segments are bitmaps: bit n is the nth segment of the authored order. Names have become places by now, so that
choosing is loops over lists of numbers, which a compiler turns into quick ones (docs/decisions/0016-compiled.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import exp, log
from typing import Final

from models import shortfall
from models.belief import MOST_TRIES
from models.familiarity import familiarity, seen
from models.levels import levels_of
from models.mastery import SkillEffects
from models.population import NEW_SEGMENT, NO_PASSES, Population
from models.row import SEEN_MASK
from models.sums import total
from schemas.course import Course, Segment
from schemas.ids import hash32

PRIORITY: Final = {"core": 1.25, "pass": 1.0, "excel": 0.8}
DOWNSTREAM: Final = 0.25
STARS: Final = 0.1
PRIOR_STARS: Final = 3.0
PRIOR_RATINGS: Final = 5.0
FORM: Final = 0.5
"""How far formats differ by their minutes a question: 0 where every question teaches the same, 1 where every minute does."""
USUAL_TRIES: Final = 3.0
PRIOR_PASSES: Final = 2.0
VERSIONS_KEPT: Final = 8
BITMAPS_KEPT: Final = 4_096


class Entry:
    """One segment: its 32-bit name, its place and bit in the authored order, and what it teaches: per skill its name, its
    place, its pair and its weight; which share of its questions draws on each (`asking`); and the skill of the largest
    weight, the last by name of equals ("" for none)."""

    __slots__ = ("asking", "bit", "key", "place", "segment", "strongest", "taught")

    def __init__(self, segment: Segment, place: int, taught: list[tuple[str, int, int, float]]) -> None:
        self.segment = segment
        self.key: int = hash32(segment.id)
        self.place = place
        self.bit = 1 << place
        self.taught = taught
        self.asking: list[float] = _asking(segment)
        self.strongest: str = max((weight, name) for name, _, _, weight in taught)[1] if taught else ""


class Pair:
    """A skill, by its place, at the level at which some segments teach it."""

    __slots__ = ("level", "skill")

    def __init__(self, skill: int, level: float) -> None:
        self.skill = skill
        self.level = level


class Plan:
    """A course, arranged.

    `by_deadline` has what is required, most urgent first. `layers`: the nth prerequisite segment of each segment, as all
    that have one and, by the 32-bit name of the prerequisite, those that wait for it. `masteries`: skill, level and who
    waits for it. By skill: `bases` are the skills that it builds on, `later` those that build on it, directly or not.
    `rates` and `floors` are by segment; `floors` is None where nobody asks for one. `version` is the 32-bit name of the
    course version.
    """

    __slots__ = ("bases", "by_deadline", "by_key", "entries", "everything", "floors", "formats", "kept", "later", "layers",
                 "masteries", "pairs", "rates", "required", "skill_places", "version")  # fmt: skip

    def __init__(self, course: Course) -> None:
        names = list(dict.fromkeys(_skills(course)))
        self.skill_places: dict[str, int] = {name: place for place, name in enumerate(names)}
        numbers: dict[tuple[str, int], int] = {}
        self.entries: list[Entry] = [
            Entry(each, place, [(name, self.skill_places[name],
                                 numbers.setdefault((name, round(10 * each.difficulty)), len(numbers)), weight)
                                for name, weight in each.skills.items()])
            for place, each in enumerate(course.segments)
        ]  # fmt: skip
        self.pairs: list[Pair] = [Pair(self.skill_places[name], level / 10.0) for name, level in numbers]
        self.by_key: dict[int, Entry] = {entry.key: entry for entry in self.entries}
        self.everything: int = (1 << len(self.entries)) - 1
        required = [entry for entry in self.entries if entry.segment.id in course.required]
        self.required: int = _bits(required)
        self.version: int = hash32(course.version)
        self.by_deadline: list[Entry] = sorted(required, key=lambda entry: course.required[entry.segment.id])
        self.formats: dict[int, int] = {
            hash32(form): _bits(entry for entry in self.entries if entry.segment.format == form)
            for form in {segment.format for segment in course.segments}
        }
        self.layers: list[tuple[int, dict[int, int]]] = _layers(self.entries)
        self.masteries: list[tuple[str, float, int]] = _masteries(self.entries)
        bases = {skill.id: skill.builds_on for skill in course.skills}
        self.bases: list[list[int]] = [[self.skill_places[base] for base in bases.get(name, ())] for name in names]
        self.later: list[list[int]] = _later(self.bases)
        self.rates: list[float] = [PRIORITY[segment.priority] / segment.minutes for segment in course.segments]
        floors = [segment.floor for segment in course.segments]
        self.floors: list[float] | None = floors if any(floors) else None
        self.kept: dict[int, list[int]] = {}

    def places(self, bitmap: int) -> list[int]:
        """The places that a bitmap has, rising. Many learners have the same, so the last ones are kept."""
        places = self.kept.get(bitmap)
        if places is None:
            if len(self.kept) >= BITMAPS_KEPT:
                self.kept.clear()
            places = self.kept[bitmap] = [place for place, bit in enumerate(reversed(f"{bitmap:b}")) if bit == "1"]
        return places

    def first(self, bitmap: int) -> Segment | None:
        """The first segment of a bitmap in the authored order."""
        return self.entries[(bitmap & -bitmap).bit_length() - 1].segment if bitmap else None


class Learned:
    """What a version of the population tells of a course: each segment's worth per minute before any learner, how many
    questions going through it asks of each of its skills (`tries`; `counts` has each number once), and the effects of its
    skills. Worth is the author's priority over minutes, times quality (the ratings "time well spent", shrunken) and what a
    question of its format stands for (`forms`), against a usual one. `easier` is by pair of the plan: what its level adds to
    the logit of a right answer. `trust` says how far levels mean anything, 0 to 1, and `growth` how far who knows nothing
    gains less; `steep` how steep levels are, and `middle` is their mean. `slowing` and `harder`: see models.shortfall.
    `discrimination` and `efforts` are what models.belief and models.timing ask for; `seen` is what is left of a segment's
    worth after so many visits (models.familiarity). `held` goes back to calibrate with every answer, so that it knows what
    was held of the course when the answer was read: steepness, newness, spread, discrimination."""

    __slots__ = ("counts", "discrimination", "easier", "effects", "efforts", "forms", "growth", "harder", "held", "middle",
                 "rates", "seen", "slowing", "steep", "tries", "trust")  # fmt: skip

    def __init__(self, course: Course, plan: Plan, population: Population) -> None:
        levels = levels_of(course, population)
        self.trust: float = levels.trust
        self.growth: float = levels.growth
        self.middle: float = levels.middle
        self.steep: float = population.steepness[0]
        self.discrimination: float = min(1.0, population.discrimination[0])
        self.efforts: list[float] = [effort for effort, _ in population.efforts]
        self.held: tuple[float, float, float, float] = (
            population.steepness[0], population.newness[0], population.spread[0], population.discrimination[0]
        )  # fmt: skip
        left: float = seen(familiarity(population.familiarity))
        self.seen: list[float] = [left**visits for visits in range(SEEN_MASK + 1)]
        self.slowing: float = shortfall.slowing(population.shortfall[0])
        self.harder: float = shortfall.harder(population.shortfall[0])
        self.easier: list[float] = [self.steep * (levels.middle - pair.level) for pair in plan.pairs]
        asked = questions(course, population)
        self.forms: list[float] = forms(course, asked)
        self.rates: list[float] = [
            rate * form * quality(population, entry.segment.id)
            for rate, form, entry in zip(plan.rates, self.forms, plan.entries, strict=True)
        ]
        self.tries: list[list[int]] = [
            [max(1, round(count * share)) for share in entry.asking]
            for count, entry in zip(asked, plan.entries, strict=True)
        ]
        self.counts: list[int] = sorted({count for counts in self.tries for count in counts})
        self.effects = SkillEffects(list(plan.skill_places), population, levels.typical)


def plan_of(course: Course) -> Plan:
    """The plan of a course version; kept with the course, which never changes."""
    plan: Plan | None = course.__dict__.get("_plan")
    if plan is None:
        plan = course.__dict__["_plan"] = Plan(course)
    return plan


def learned_of(course: Course, population: Population) -> Learned:
    """What a version of the population tells of a course, worked out once."""
    kept: dict[tuple[int, str], Learned] = course.__dict__.setdefault("_learned", {})
    learned = kept.get(population.stamp)
    if learned is None:
        while len(kept) >= VERSIONS_KEPT:
            del kept[next(iter(kept))]
        learned = kept[population.stamp] = Learned(course, plan_of(course), population)
    return learned


def quality(population: Population, segment: str) -> float:
    """How good learners found a segment, shrunken towards the middle: 1 when nothing is known, .8 to 1.2."""
    stars, count = population.segments.get(segment, NEW_SEGMENT)
    mean = (stars + PRIOR_STARS * PRIOR_RATINGS) / (count + PRIOR_RATINGS)
    return 1.0 + STARS * (mean - PRIOR_STARS)


def questions(course: Course, population: Population) -> list[int]:
    """How many questions going through each segment asks, 1 to MOST_TRIES: the mean so far, shrunken towards what the course
    lists, or to what is usual in the course where it lists nothing."""
    listed = [len(segment.items) for segment in course.segments if segment.items]
    passes = [population.passes.get(segment.id, NO_PASSES) for segment in course.segments]
    answers, times = sum(given for given, _ in passes), sum(times for _, times in passes)
    usual = sum(listed) / len(listed) if listed else (answers + USUAL_TRIES) / (times + 1.0) if times else USUAL_TRIES
    counts: list[int] = []
    for segment, (given, times) in zip(course.segments, passes, strict=True):
        expected = len(segment.items) or usual
        mean = (given + PRIOR_PASSES * expected) / (times + PRIOR_PASSES) if times else expected
        counts.append(max(1, min(MOST_TRIES, round(mean))))
    return counts


def forms(course: Course, asked: list[int]) -> list[float]:
    """How much a question of each segment's format stands for, against a usual one of the course: a film with one question
    teaches more than that question asks. Halfway between "every question teaches the same" and "every minute does": the
    root of how much longer the minutes a question are, by geometric means. `asked`: questions of each segment."""
    logs: dict[str, list[float]] = {}
    for segment, count in zip(course.segments, asked, strict=True):
        logs.setdefault(segment.format, []).append(log(segment.minutes / count))
    usual = total(map(total, logs.values())) / max(1, len(asked))
    each = {form: exp(FORM * (total(given) / len(given) - usual)) for form, given in logs.items()}
    return [each[segment.format] for segment in course.segments]


def _asking(segment: Segment) -> list[float]:
    """Which share of a segment's questions draws on each of its skills, as those that it lists say; all of them where it
    lists none."""
    asked = [item.skills or list(segment.skills) for item in segment.items]
    return [sum(name in names for names in asked) / len(asked) if asked else 1.0 for name in segment.skills]


def _skills(course: Course) -> Iterator[str]:
    """Every skill that is named anywhere in a course."""
    for skill in course.skills:
        yield skill.id
        yield from skill.builds_on
    for segment in course.segments:
        yield from segment.skills
        for item in segment.items:
            yield from item.skills
        yield from (need.skill for need in segment.prerequisites if need.skill is not None)


def _later(bases: list[list[int]]) -> list[list[int]]:
    """For each skill those that build on it, directly or not."""
    later: list[list[int]] = [[] for _ in bases]
    for place in range(len(bases)):
        waiting, found = list(bases[place]), {place}
        while waiting:
            base = waiting.pop()
            if base not in found:
                found.add(base)
                later[base].append(place)
                waiting += bases[base]
    return later


def _layers(entries: Iterable[Entry]) -> list[tuple[int, dict[int, int]]]:
    layers: list[dict[int, int]] = []
    for entry in entries:
        needed = {hash32(need.segment) for need in entry.segment.prerequisites if need.segment is not None}
        for number, key in enumerate(sorted(needed)):
            if number == len(layers):
                layers.append({})
            layers[number][key] = layers[number].get(key, 0) | entry.bit
    return [(sum(layer.values()), layer) for layer in layers]


def _masteries(entries: Iterable[Entry]) -> list[tuple[str, float, int]]:
    waiting: dict[tuple[str, float], int] = {}
    for entry in entries:
        for need in entry.segment.prerequisites:
            if need.skill is not None:
                waiting[need.skill, need.mastery] = waiting.get((need.skill, need.mastery), 0) | entry.bit
    return [(skill, mastery, bits) for (skill, mastery), bits in waiting.items()]


def _bits(entries: Iterable[Entry]) -> int:
    return sum(entry.bit for entry in entries)
