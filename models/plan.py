"""A course version made ready for choosing: what depends on the course alone is worked out once, not for every decision.

Sets of segments are bitmaps: bit n is the nth segment of the authored order. Numbers of all segments, skills or pairs of
skill and level are arrays, used with plain arithmetic only (+ - x /, minimum, maximum), which gives the same bits on every
machine; numpy's sums, powers and exponentials need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.mastery import SkillEffects
from models.population import NEW_SEGMENT, Population
from schemas.course import Course, Segment
from schemas.ids import hash32

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

PRIORITY = {"core": 1.25, "pass": 1.0, "excel": 0.8}
DOWNSTREAM = 0.25
STARS, PRIOR_STARS, PRIOR_RATINGS = 0.1, 3.0, 5.0
VERSIONS_KEPT, BITMAPS_KEPT = 8, 4_096


class Entry(NamedTuple):
    """One segment: its 32-bit name, its place and bit in the authored order, and per skill its weight and its pair."""

    segment: Segment
    key: int
    place: int
    bit: int
    skills: tuple[tuple[str, float, int], ...]


class Column(NamedTuple):
    """For each segment one of its skills, as pair and weight; for each skill one that it builds on, as place and share.

    The weight is 0 where there are fewer.
    """

    places: Places
    weights: Floats


@dataclass(frozen=True, slots=True)
class Plan:
    """A course, arranged.

    `by_deadline` has what is required, most urgent first. `layers`: the nth prerequisite segment of each segment, as all
    that have one and, by the 32-bit name of the prerequisite, those that wait for it. `masteries`: skill, level and who
    waits for it. `pair_skills` and `pair_levels` are the pairs of skill and difficulty that segments teach at. `unbased`
    is 1 for a skill that builds on nothing.
    """

    entries: tuple[Entry, ...]
    by_key: Mapping[int, Entry]
    skill_places: Mapping[str, int]
    everything: int
    required: int
    by_deadline: tuple[Entry, ...]
    formats: Mapping[int, int]
    layers: tuple[tuple[int, Mapping[int, int]], ...]
    masteries: tuple[tuple[str, float, int], ...]
    pair_skills: Places
    pair_levels: Floats
    taught: tuple[Column, ...]
    ahead: Floats
    unbased: Floats
    bases: tuple[Column, ...]
    rates: Floats
    floors: Floats | None
    kept: dict[int, Places] = field(default_factory=dict)

    def places(self, bitmap: int) -> Places:
        """The places that a bitmap has, rising. Many learners have the same, so the last ones are kept."""
        places = self.kept.get(bitmap)
        if places is None:
            count = len(self.entries)
            packed = np.frombuffer(bitmap.to_bytes((count + 7) // 8, "little"), np.uint8)
            places = np.flatnonzero(np.unpackbits(packed, count=count, bitorder="little"))
            if len(self.kept) >= BITMAPS_KEPT:
                self.kept.clear()
            self.kept[bitmap] = places
        return places

    def first(self, bitmap: int) -> Segment | None:
        """The first segment of a bitmap in the authored order."""
        return self.entries[(bitmap & -bitmap).bit_length() - 1].segment if bitmap else None


class Learned(NamedTuple):
    """What a version of the population tells of a course: each segment's worth per minute before any learner, and the
    effects of its skills."""

    rates: Floats
    effects: SkillEffects


def plan_of(course: Course) -> Plan:
    """The plan of a course version; kept with the course, which never changes."""
    plan: Plan | None = course.__dict__.get("_plan")
    if plan is None:
        plan = course.__dict__["_plan"] = _made(course)
    return plan


def learned_of(course: Course, population: Population) -> Learned:
    """What a version of the population tells of a course, worked out once. Rates are the author's priority over minutes,
    times quality: the ratings "time well spent", shrunken."""
    kept: dict[tuple[int, str], Learned] = course.__dict__.setdefault("_learned", {})
    learned = kept.get(population.stamp)
    if learned is None:
        while len(kept) >= VERSIONS_KEPT:
            del kept[next(iter(kept))]
        plan = plan_of(course)
        qualities = np.array([quality(population, entry.segment.id) for entry in plan.entries])
        learned = kept[population.stamp] = Learned(
            plan.rates * qualities, SkillEffects(tuple(plan.skill_places), population)
        )
    return learned


def quality(population: Population, segment: str) -> float:
    """How good learners found a segment, shrunken towards the middle: 1 when nothing is known, .8 to 1.2."""
    stars, count = population.segments.get(segment, NEW_SEGMENT)
    mean = (stars + PRIOR_STARS * PRIOR_RATINGS) / (count + PRIOR_RATINGS)
    return 1.0 + STARS * (mean - PRIOR_STARS)


def _made(course: Course) -> Plan:
    skills = tuple(dict.fromkeys(_skills(course)))
    places = {name: place for place, name in enumerate(skills)}
    pairs: dict[tuple[str, int], int] = {}
    entries = tuple(
        Entry(each, hash32(each.id), place, 1 << place,
              tuple((name, weight, pairs.setdefault((name, round(10 * each.difficulty)), len(pairs)))
                    for name, weight in each.skills.items()))
        for place, each in enumerate(course.segments)
    )  # fmt: skip
    bases = {skill.id: skill.builds_on for skill in course.skills}
    floors = np.array([segment.floor for segment in course.segments])
    return Plan(
        entries,
        {entry.key: entry for entry in entries},
        places,
        (1 << len(entries)) - 1,
        _bits(entry for entry in entries if entry.segment.id in course.required),
        tuple(sorted((e for e in entries if e.segment.id in course.required), key=lambda e: course.required[e.segment.id])),
        {
            hash32(form): _bits(e for e in entries if e.segment.format == form)
            for form in {s.format for s in course.segments}
        },
        _layers(entries),
        _masteries(entries),
        np.array([places[name] for name, _ in pairs], np.intp),
        np.array([level / 10.0 for _, level in pairs]),
        _columns([[(pair, weight) for _, weight, pair in entry.skills] for entry in entries]),
        np.array([1.0 + DOWNSTREAM * course.downstream.get(name, 0) for name in skills]),
        np.array([0.0 if bases.get(name) else 1.0 for name in skills]),
        _columns([[(places[base], 1.0 / len(bases[name])) for base in bases.get(name, ())] for name in skills]),
        np.array([PRIORITY[segment.priority] / segment.minutes for segment in course.segments]),
        floors if floors.any() else None,
    )


def _skills(course: Course) -> Iterator[str]:
    """Every skill that is named anywhere in a course."""
    for skill in course.skills:
        yield skill.id
        yield from skill.builds_on
    for segment in course.segments:
        yield from segment.skills
        yield from (need.skill for need in segment.prerequisites if need.skill is not None)


def _columns(lists: list[list[tuple[int, float]]]) -> tuple[Column, ...]:
    """Lists of different lengths as columns, filled up with weight 0."""
    longest = max(map(len, lists), default=0)
    padded = [[*each, *[(0, 0.0)] * (longest - len(each))] for each in lists]
    return tuple(
        Column(np.array([each[n][0] for each in padded], np.intp), np.array([each[n][1] for each in padded]))
        for n in range(longest)
    )


def _layers(entries: Iterable[Entry]) -> tuple[tuple[int, Mapping[int, int]], ...]:
    layers: list[dict[int, int]] = []
    for entry in entries:
        needed = {hash32(need.segment) for need in entry.segment.prerequisites if need.segment is not None}
        for number, key in enumerate(sorted(needed)):
            if number == len(layers):
                layers.append({})
            layers[number][key] = layers[number].get(key, 0) | entry.bit
    return tuple((sum(layer.values()), layer) for layer in layers)


def _masteries(entries: Iterable[Entry]) -> tuple[tuple[str, float, int], ...]:
    waiting: dict[tuple[str, float], int] = {}
    for entry in entries:
        for need in entry.segment.prerequisites:
            if need.skill is not None:
                waiting[need.skill, need.mastery] = waiting.get((need.skill, need.mastery), 0) | entry.bit
    return tuple((skill, mastery, bits) for (skill, mastery), bits in waiting.items())


def _bits(entries: Iterable[Entry]) -> int:
    return sum(entry.bit for entry in entries)
