"""What the insight agent reports of a course, as plain data: printed, written as JSON, and drawn as a page."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from agents.estimates import Estimate, Value


class SegmentReport(Struct, kw_only=True):
    """One segment: learners it was chosen for, how likely free choices of it were, what became of it, and its ratings."""

    id: str
    chosen: int = 0
    learners: int = 0
    least_propensity: float | None = None
    floor_met: bool = True
    completed: int = 0
    skipped: int = 0
    waived: int = 0
    rating: float | None = None
    ratings: int = 0


class Trouble(Struct, frozen=True):
    """A learner who may want help, in which state, and what it rests on. For a coach; never a ranking."""

    learner: str
    run: str
    state: str
    evidence: Mapping[str, float]


class CohortReport(Struct, frozen=True):
    """One cohort beside all others. `alarms` names the measures whose interval leaves out 0."""

    learners: int
    decisions: Estimate
    mastery_per_hour: Estimate
    minutes: Estimate
    false_skips: Estimate
    alarms: list[str]


class CourseReport(Struct, frozen=True, kw_only=True):
    """What is known of a course. `uplift` compares who is personalised with who is held out, by measure."""

    course: str
    learners: int
    held_out: int
    decisions: int
    arms: dict[str, int]
    segments: list[SegmentReport]
    uplift: dict[str, Estimate]
    effect_shown: bool
    summary: str
    false_skips: Estimate
    values: dict[str, Value]
    followed: int
    cohorts: dict[str, CohortReport]
    trouble: list[Trouble]
