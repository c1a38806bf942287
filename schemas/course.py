"""A course as authors write it and as everybody reads it: skills, and segments that teach them.

A published version never changes. Ids are stable across versions: rows and population keep what they know by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from math import inf
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas.events import Name

Priority = Literal["core", "pass", "excel"]
Minutes = Annotated[float, Meta(ge=0.05, le=600)]


class Skill(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something to be able to do. `builds_on` names the skills that this one extends."""

    id: Name
    title: Annotated[str, Meta(max_length=300)] = ""
    builds_on: list[Name] = field(default_factory=list)


class Prerequisite(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Either a segment that must be completed, or a skill that must be mastered to `mastery`."""

    segment: Name | None = None
    skill: Name | None = None
    mastery: Annotated[float, Meta(gt=0, lt=1)] = 0.6


class Item(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question inside a segment. `answer` is the index of the right option."""

    id: Name
    prompt: str = ""
    options: list[str] = field(default_factory=list)
    answer: int = 0
    skills: list[Name] = field(default_factory=list)
    feedback: str = ""


class Segment(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A unit of content that a player can show. `skills` gives each skill its weight; `difficulty` is 0 easy, 1 hard.

    `test_out` lets a passed probe waive the segment although it is compulsory. `floor` is the least probability that it has
    wherever it is eligible and the choice is free. A `repeatable` segment comes again when its skills are due.
    """

    id: Name
    title: Annotated[str, Meta(max_length=300)] = ""
    skills: dict[Name, Annotated[float, Meta(gt=0, le=1)]] = field(default_factory=dict)
    format: Name = "text"
    minutes: Minutes = 3.0
    difficulty: Annotated[float, Meta(ge=0, le=1)] = 0.5
    compulsory: bool = False
    deadline_days: Annotated[float, Meta(gt=0)] | None = None
    priority: Priority = "pass"
    prerequisites: list[Prerequisite] = field(default_factory=list)
    repeatable: bool = False
    test_out: bool = False
    floor: Annotated[float, Meta(ge=0, le=0.2)] = 0.0
    body: str = ""
    items: list[Item] = field(default_factory=list)


FEWEST_QUESTIONS = 3
"""That a probe asks before it may pass."""
LANGUAGES = ("en", "de")
"""In which learners are told why; courses in others are told in the first."""

CourseId = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}(?!\n)$")]
"""Course ids stand in paths: letters, digits and . _ ~ - only, and not dots alone."""


class Course(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """One published version of a course. `segments` stand in the authored order.

    `holdout` is the share of learners, always the same ones, who get the authored order, so that its effect can be told.
    """

    id: CourseId
    version: Name
    title: Annotated[str, Meta(max_length=300)] = ""
    language: str = "en"
    description: str = ""
    holdout: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    skills: list[Skill] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)

    @cached_property
    def by_id(self) -> dict[str, Segment]:
        """Segments by their id."""
        return {segment.id: segment for segment in self.segments}

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each segment stands in the authored order, from 0."""
        return {segment.id: place for place, segment in enumerate(self.segments)}

    @cached_property
    def skill_titles(self) -> dict[str, str]:
        """What skills are called, by id; empty where nobody says."""
        return {skill.id: skill.title for skill in self.skills}

    @cached_property
    def item_skills(self) -> dict[str, list[str]]:
        """Skills of the items that name their own; all others have those of the segment they are asked in."""
        return {item.id: item.skills for segment in self.segments for item in segment.items if item.skills}

    @cached_property
    def required(self) -> dict[str, float]:
        """Compulsory segments and all that must be completed before them, with the earliest deadline in days."""
        needs = {s.id: [need.segment for need in s.prerequisites if need.segment is not None] for s in self.segments}
        found: dict[str, float] = {}
        for segment in self.segments:
            if segment.compulsory:
                deadline = inf if segment.deadline_days is None else segment.deadline_days
                for name in (segment.id, *_closure(needs[segment.id], needs)):
                    found[name] = min(found.get(name, inf), deadline)
        return found

    def skills_of(self, segment: str, item: str) -> list[str]:
        """The skills that answering `item` inside `segment` shows."""
        return self.item_skills.get(item) or list(self.by_id[segment].skills)


def _closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """Everything that can be reached from `start`, itself included."""
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges.get(name, ())
    return found
