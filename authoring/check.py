"""What is wrong with a course, in words an author can act on.

An error stops publishing; a warning is advice. Rules that protect learners: no circle of prerequisites, every segment can
be reached, and nothing but completion of segments may stand before compulsory content.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from schemas.course import FEWEST_QUESTIONS, LANGUAGES, Course, Segment
from schemas.ids import hash32

MOST_MASTERY = 0.9
"""Mastery beyond this is hardly ever believed of anybody (models.belief): nothing is to wait for it."""


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
        *_closed(course),
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


def _closed(course: Course) -> Iterator[Finding]:
    """Segments that nobody can reach, as what teaches the mastery that they wait for cannot be reached without it."""
    needs = {segment.id: _needs(course, segment) for segment in course.segments}
    waiting: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, missing in needs.items():
        for need in missing:
            waiting[need].append(name)
    reached = [name for name, missing in needs.items() if not missing]
    for name in reached:  # grows on the way
        for gained in [("segment", name), *(("skill", skill) for skill in course.by_id[name].skills)]:
            for other in waiting.pop(gained, ()):
                needs[other].discard(gained)
                if not needs[other]:
                    reached.append(other)
    for name, missing in needs.items():
        skills = sorted(skill for kind, skill in missing if kind == "skill")
        if skills:
            message = f"Nobody comes here: what teaches {', '.join(map(repr, skills))} cannot be reached before."
            yield Finding(True, f"segments.{name}.prerequisites", message)
    for segment in course.segments:
        if any(need.skill is not None and need.mastery > MOST_MASTERY for need in segment.prerequisites):
            message = f"Mastery above {MOST_MASTERY} is hardly ever reached; ask for at most that."
            yield Finding(True, f"segments.{segment.id}.prerequisites", message)


def _needs(course: Course, segment: Segment) -> set[tuple[str, str]]:
    """The segments and skills that a segment waits for, as far as the course has them."""
    segments = {("segment", need.segment) for need in segment.prerequisites if need.segment in course.by_id}
    return segments | {("skill", need.skill) for need in segment.prerequisites if need.skill is not None}


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
    if course.language.split("-", maxsplit=1)[0].lower() not in LANGUAGES:
        message = (
            f"There are no sentences in {course.language!r} yet; learners read English ({', '.join(LANGUAGES)} are there)."
        )
        yield Finding(False, "language", message)
    asked = Counter(frozenset(item.skills or each.skills) for each in course.segments for item in each.items)
    for segment in course.segments:
        yield from _segment_content(segment)
        few = FEWEST_QUESTIONS - _questions(segment, asked) if segment.test_out else 0
        if few > 0:
            message = f"To test out of it takes {few} more question{'s' * (few > 1)} on its skills."
            yield Finding(False, f"segments.{segment.id}.test_out", message)


def _questions(segment: Segment, asked: Mapping[frozenset[str], int]) -> int:
    """How many items a probe may ask: those that show nothing but skills of the segment, and its own."""
    skills = set(segment.skills)
    own = sum(not skills.issuperset(item.skills) for item in segment.items)
    return own + sum(count for shown, count in asked.items() if skills and shown <= skills)


def _segment_content(segment: Segment) -> Iterator[Finding]:
    where = f"segments.{segment.id}"
    if not segment.title:
        yield Finding(False, f"{where}.title", "Without a title learners see the id.")
    if not segment.skills:
        yield Finding(False, f"{where}.skills", "Without skills the model cannot tell what this segment is good for.")
    if segment.deadline_days is not None and not segment.compulsory:
        yield Finding(False, f"{where}.deadline_days", "Only compulsory segments have a deadline.")
    for item in segment.items:
        if item.options and not 0 <= item.answer < len(item.options):
            yield Finding(True, f"{where}.items.{item.id}.answer", f"There is no option number {item.answer}.")
