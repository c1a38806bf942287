"""What may be shown, and why something may not. Hard rules: nothing scored, nothing by chance.

A compulsory segment, and all that must be completed before it, passes the learner's own masks and the cool-down; only
completion or a waiver takes it away. A prerequisite holds for everything, whoever asks.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from models.gain import View
from models.row import COMPLETED, NOT_NOW, SEEN_MASK, SHOWN_SHIFT, SKIPPED, WAIVED
from schemas.course import Segment
from schemas.ids import hash32

COOL_DOWN: Final = 1
NOT_NOW_FOR: Final = 5
"""Visits to other segments for which "not now" keeps a segment away."""

DUE_BELOW: Final = 0.9
"""A repeatable segment that is finished is due again when the learner's mastery of one of its skills is below this."""


class Open(NamedTuple):
    """The segments that nothing removes, as a bitmap; those of them that compulsory content waits for; the first in the
    authored order that is not finished and may be shown, what the learner does not want only at the very end; and what is
    not finished, as a bitmap."""

    eligible: int
    waiting: int
    authored: Segment | None
    unfinished: int


def open_segments(view: View) -> Open:
    """What `removal` says of every segment, at once: a step looks at what the learner has met, not at the whole course."""
    row, plan = view.row, view.plan
    everything, by_key, visits = plan.everything, plan.by_key, row.visits
    rests = len(plan.entries) > COOL_DOWN
    done = over = unwanted = resting = 0
    unlocked = [0] * len(plan.layers)
    for key, state in row.segments.items():
        entry = by_key.get(key)
        bit = entry.bit if entry is not None else 0
        since = (visits - (state >> SHOWN_SHIFT)) & 0xFF
        if state & (COMPLETED | WAIVED):
            done |= bit
            for number, (_, waiting) in enumerate(plan.layers):
                unlocked[number] |= waiting.get(key, 0)
            if entry is not None and not is_due(view, entry.segment, state):
                over |= bit
        if state & SKIPPED or (state & NOT_NOW and since < NOT_NOW_FOR):
            unwanted |= bit
        if state & SEEN_MASK and since < COOL_DOWN and rests:
            resting |= bit
    blocked = 0
    for (gated, _), free in zip(plan.layers, unlocked, strict=True):
        blocked |= gated & ~free
    for skill, mastery, gated in plan.masteries:
        if view.mastery(skill) < mastery:
            blocked |= gated
    must = plan.required & ~done
    if row.format in plan.formats and not view.held_out:
        unwanted |= everything & ~plan.formats[row.format]
    eligible = everything & ~(over | blocked | (unwanted | resting) & ~must)
    following = everything & ~(done | blocked)
    wanted = following & ~(unwanted & ~must)
    return Open(eligible, eligible & must, plan.first(wanted or following), everything & ~done)


def removal(view: View, segment: Segment) -> str | None:
    """Why a segment may not be shown now (None: it may): finished, prerequisite, learner, format or cool-down."""
    row, key = view.row, hash32(segment.id)
    state = row.segments.get(key, 0)
    if finished(state) and not is_due(view, segment, state):
        return "finished"
    if not prerequisites_met(view, segment):
        return "prerequisite"
    if is_required(view, segment):
        return None
    if state & SKIPPED or (state & NOT_NOW and row.visits_since_mark(key) < NOT_NOW_FOR):
        return "learner"
    if row.format in view.plan.formats and hash32(segment.format) != row.format and not view.held_out:
        return "format"
    since = row.visits_since_seen(key)
    if since is not None and since < COOL_DOWN and len(view.course.segments) > COOL_DOWN:
        return "cool-down"
    return None


def is_due(view: View, segment: Segment, state: int) -> bool:
    """Whether a finished segment comes again: repeatable, not waived, and a skill of it is not (or no longer) mastered."""
    if not segment.repeatable or state & WAIVED:
        return False
    return not segment.skills or any(view.mastery(skill) < DUE_BELOW for skill in segment.skills)


def is_required(view: View, segment: Segment) -> bool:
    """Whether compulsory content still waits for this segment, or is it."""
    return segment.id in view.course.required and not finished(view.row.segments.get(hash32(segment.id), 0))


def finished(state: int) -> bool:
    """Whether a segment's state says completed or waived."""
    return bool(state & (COMPLETED | WAIVED))


def prerequisites_met(view: View, segment: Segment) -> bool:
    """Segments completed and skills mastered, as the author says."""
    for need in segment.prerequisites:
        if need.segment is not None and not finished(view.row.segments.get(hash32(need.segment), 0)):
            return False
        if need.skill is not None and view.mastery(need.skill) < need.mastery:
            return False
    return True


def ways_to(view: View, segment: Segment, most: int = 3) -> list[str]:
    """Segments that may be shown and lead to one whose prerequisites are not met; the nearest first, at most `most`."""
    found: list[str] = []
    waiting, seen = [segment], {segment.id}
    while waiting and len(found) < most:
        each = waiting.pop(0)
        for other in _needed(view, each):
            if other.id not in seen:
                seen.add(other.id)
                (found.append(other.id) if prerequisites_met(view, other) else waiting.append(other))
    return found[:most]


def way_back(view: View, opened: Open) -> Segment | None:
    """Where all that is not finished waits for mastery: what is to be gone through again for it, the least seen first."""
    row, plan = view.row, view.plan
    closed = [entry.segment for entry in plan.entries if entry.bit & opened.unfinished]
    skills = {need.skill for each in closed for need in each.prerequisites if need.skill is not None
              and view.mastery(need.skill) < need.mastery}  # fmt: skip
    teaching = [
        segment for segment in view.course.segments if skills & set(segment.skills) and prerequisites_met(view, segment)
    ]
    return min(teaching, key=lambda segment: row.segments.get(hash32(segment.id), 0) & SEEN_MASK, default=None)


def _needed(view: View, segment: Segment) -> list[Segment]:
    """What would help to meet the prerequisites of `segment` that are not met, in the authored order."""
    names = {need.segment for need in segment.prerequisites if need.segment is not None}
    skills = {need.skill for need in segment.prerequisites if need.skill and view.mastery(need.skill) < need.mastery}
    states = view.row.segments
    return [
        other
        for other in view.course.segments
        if other.id != segment.id
        and ((other.id in names and not finished(states.get(hash32(other.id), 0))) or skills & set(other.skills))
    ]
