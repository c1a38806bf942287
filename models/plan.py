"""A course version made ready for choosing: what depends on the course alone is worked out once, not for every decision."""

from __future__ import annotations

from typing import NamedTuple

from schemas.course import Course, Segment
from schemas.ids import hash32

PRIORITY = {"core": 1.25, "pass": 1.0, "excel": 0.8}
DOWNSTREAM = 0.25


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

    `lean` has of each entry what ranking reads: key, rate, free, skills with the level, bit.
    """

    entries: tuple[Entry, ...]
    ahead: dict[str, float]
    bases: dict[str, list[str]]
    lean: tuple[tuple[int, float, bool, tuple[tuple[tuple[str, int], float], ...], int], ...]


def plan_of(course: Course) -> Plan:
    """The plan of a course version; kept with the course, which never changes."""
    plan: Plan | None = course.__dict__.get("_plan")
    if plan is None:
        plan = course.__dict__["_plan"] = _made(course)
    return plan


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
        tuple(
            (e.key, e.rate, e.free, tuple(((skill, e.level), weight) for skill, weight in e.skills), e.bit) for e in entries
        ),
    )
