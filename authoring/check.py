"""What is wrong with a course, in words an author can act on.

An error stops publishing; a warning is advice. Rules that protect learners: no circle of prerequisites, every segment can
be reached, and nothing but completion of segments may stand before compulsory content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.course import Course, Segment
from schemas.ids import hash32

FEWEST_QUESTIONS = 3
"""That a probe asks before it may pass."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend. `where` is a path into the file."""

    error: bool
    where: str
    message: str


def check(course: Course) -> list[Finding]:
    """All findings, errors first."""
    found = [
        *_ids(course),
        *_references(course),
        *_circles(course),
        *_compulsory(course),
        *_content(course),
    ]
    return sorted(found, key=lambda finding: not finding.error)


def _ids(course: Course) -> Iterator[Finding]:
    if not course.segments:
        yield Finding(True, "segments", "A course needs at least one segment.")
    kinds = {
        "segments": [segment.id for segment in course.segments],
        "skills": [skill.id for skill in course.skills],
        "items": [item.id for segment in course.segments for item in segment.items],
    }
    for kind, names in kinds.items():
        for name, times in Counter(names).items():
            if times > 1:
                yield Finding(True, kind, f"{name!r} is there {times} times; ids must differ.")
        by_hash: dict[int, str] = {}
        for name in dict.fromkeys(names):
            other = by_hash.setdefault(hash32(name), name)
            if other != name:
                yield Finding(True, kind, f"{name!r} and {other!r} share a 32-bit name; rename one of them.")


def _references(course: Course) -> Iterator[Finding]:
    skills, segments = {skill.id for skill in course.skills}, set(course.by_id)
    for skill in course.skills:
        yield from _unknown(f"skills.{skill.id}.builds_on", skill.builds_on, skills, "skill")
    for segment in course.segments:
        where = f"segments.{segment.id}"
        yield from _unknown(f"{where}.skills", segment.skills, skills, "skill")
        for need in segment.prerequisites:
            if (need.segment is None) == (need.skill is None):
                yield Finding(True, f"{where}.prerequisites", "Name either a segment or a skill.")
            yield from _unknown(f"{where}.prerequisites", [need.segment] if need.segment else [], segments, "segment")
            yield from _unknown(f"{where}.prerequisites", [need.skill] if need.skill else [], skills, "skill")
        for item in segment.items:
            yield from _unknown(f"{where}.items.{item.id}.skills", item.skills, skills, "skill")


def _unknown(where: str, names: Iterable[str], known: set[str], kind: str) -> Iterator[Finding]:
    for name in names:
        if name not in known:
            yield Finding(True, where, f"There is no {kind} {name!r} in this course.")


def _circles(course: Course) -> Iterator[Finding]:
    needs = {s.id: [n.segment for n in s.prerequisites if n.segment] for s in course.segments}
    builds = {skill.id: list(skill.builds_on) for skill in course.skills}
    for kind, edges in (("segments", needs), ("skills", builds)):
        circle = _circle(edges)
        if circle:
            yield Finding(True, kind, f"These wait for each other for ever: {' -> '.join(circle)}.")


def _circle(edges: dict[str, list[str]]) -> list[str]:
    """One circle among `edges`, or an empty list. Does not recurse, so long chains are fine."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        stack = [(start, iter(edges.get(start, ())))]
        on_path = {start}
        path.append(start)
        while stack and start not in done:
            name, following = stack[-1]
            after = next(following, None)
            if after is None:
                stack.pop()
                path.pop()
                on_path.discard(name)
                done.add(name)
            elif after in on_path:
                return [*path[path.index(after) :], after]
            elif after not in done:
                stack.append((after, iter(edges.get(after, ()))))
                path.append(after)
                on_path.add(after)
    return []


def _compulsory(course: Course) -> Iterator[Finding]:
    """Compulsory content, and all that stands before it, may only wait for completions."""
    waiting = [segment.id for segment in course.segments if segment.compulsory]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        segment = course.by_id.get(name)
        if segment is None or name in seen:
            continue
        seen.add(name)
        for need in segment.prerequisites:
            if need.skill is not None:
                message = f"Compulsory content would wait for mastery of {need.skill!r}; ask for a completed segment."
                yield Finding(True, f"segments.{name}.prerequisites", message)
            if need.segment is not None:
                waiting.append(need.segment)


def _content(course: Course) -> Iterator[Finding]:
    taught = {skill for segment in course.segments for skill in segment.skills}
    for skill in course.skills:
        if skill.id not in taught:
            yield Finding(False, f"skills.{skill.id}", "No segment teaches this skill.")
    floors = sum(segment.floor for segment in course.segments)
    if floors > 0.5:
        message = f"All floors together are {floors:.2f}; where they come to more than .5 they are scaled down to it."
        yield Finding(False, "segments", message)
    for segment in course.segments:
        yield from _segment_content(segment)
        few = FEWEST_QUESTIONS - sum(1 for _ in _questions(course, segment))
        if segment.test_out and few > 0:
            message = f"To test out of it takes {few} more question{'s' * (few > 1)} on its skills."
            yield Finding(False, f"segments.{segment.id}.test_out", message)


def _questions(course: Course, segment: Segment) -> Iterator[str]:
    """Items that show nothing but skills of `segment`: what a probe may ask."""
    for other in course.segments:
        for item in other.items:
            skills = set(item.skills or other.skills)
            if other is segment or (segment.skills and skills <= set(segment.skills)):
                yield item.id


def _segment_content(segment: Segment) -> Iterator[Finding]:
    where = f"segments.{segment.id}"
    if not segment.title:
        yield Finding(False, f"{where}.title", "Without a title learners see the id.")
    if not segment.skills:
        yield Finding(False, f"{where}.skills", "Without skills the model cannot tell what this segment is good for.")
    for item in segment.items:
        if item.options and not 0 <= item.answer < len(item.options):
            yield Finding(True, f"{where}.items.{item.id}.answer", f"There is no option number {item.answer}.")
