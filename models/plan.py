"""A course version made ready for choosing: what depends on the course alone is worked out once, not for every decision."""

from __future__ import annotations

from math import exp
from typing import NamedTuple

from models.population import NEW_SEGMENT, Population
from schemas.course import Course, Segment
from schemas.ids import hash32

PRIORITY = {"core": 1.25, "pass": 1.0, "excel": 0.8}
DOWNSTREAM = 0.25
TAUGHT, MOST_TAUGHT = 1.5, 0.7
STARS, PRIOR_STARS, PRIOR_RATINGS = 0.1, 3.0, 5.0
RATES_KEPT = 8


class Entry(NamedTuple):
    """One segment. `rate` is the author's priority over minutes; `free`: no prerequisite keeps it back; `bit`: its place;
    `level`: its difficulty in tenths."""

    segment: Segment
    key: int
    rate: float
    free: bool
    skills: tuple[tuple[str, float], ...]
    bit: int
    level: int


class Plan(NamedTuple):
    """A course's segments in the authored order, how much more each skill counts for those that build on it, and
    what each builds on.

    `by_key` finds an entry by its 32-bit name; `lean` has of each what ranking reads: key, free, skills with the level, bit.
    `floors`: some segment has one.
    """

    entries: tuple[Entry, ...]
    ahead: dict[str, float]
    bases: dict[str, list[str]]
    by_key: dict[int, Entry]
    floors: bool
    lean: tuple[tuple[int, bool, tuple[tuple[tuple[str, int], float], ...], int], ...]


def plan_of(course: Course) -> Plan:
    """The plan of a course version; kept with the course, which never changes."""
    plan: Plan | None = course.__dict__.get("_plan")
    if plan is None:
        plan = course.__dict__["_plan"] = _made(course)
    return plan


def rates_of(course: Course, population: Population) -> tuple[float, ...]:
    """For each segment the author's priority over minutes, times what the population tells of its quality: how well it
    teaches, and the ratings "time well spent", both shrunken. Worked out once a version of the population."""
    kept: dict[tuple[int, str], tuple[float, ...]] = course.__dict__.setdefault("_rates", {})
    rates = kept.get(population.stamp)
    if rates is None:
        while len(kept) >= RATES_KEPT:
            del kept[next(iter(kept))]
        entries = plan_of(course).entries
        rates = kept[population.stamp] = tuple(entry.rate * quality(population, entry.segment.id) for entry in entries)
    return rates


def quality(population: Population, segment: str) -> float:
    """How good a segment is beside others, as far as is known: 1 when nothing is; about .3 to 3.4."""
    effect, _, stars, count = population.segments.get(segment, NEW_SEGMENT)
    mean = (stars + PRIOR_STARS * PRIOR_RATINGS) / (count + PRIOR_RATINGS)
    return exp(TAUGHT * max(-MOST_TAUGHT, min(MOST_TAUGHT, effect))) * (1.0 + STARS * (mean - PRIOR_STARS))


def _made(course: Course) -> Plan:
    entries = tuple(
        Entry(
            s,
            hash32(s.id),
            PRIORITY[s.priority] / s.minutes,
            not s.prerequisites,
            tuple(s.skills.items()),
            1 << place,
            round(10 * s.difficulty),
        )
        for place, s in enumerate(course.segments)
    )
    ahead = {skill: 1.0 + DOWNSTREAM * count for skill, count in course.downstream.items()}
    bases = {skill.id: skill.builds_on for skill in course.skills if skill.builds_on}
    return Plan(
        entries,
        ahead,
        bases,
        {entry.key: entry for entry in entries},
        any(segment.floor for segment in course.segments),
        tuple((e.key, e.free, tuple(((skill, e.level), weight) for skill, weight in e.skills), e.bit) for e in entries),
    )
