"""Which segment comes next:  candidates -> mask -> compulsory queue -> score -> explore -> choice.

The same row, course version, population version and decision id always give the same choice: all chance comes from a
generator seeded by the decision's id, and the exact probability of the choice is part of it. Nothing here can drop a
compulsory segment: it leaves the queue only by being completed or waived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.gain import SEEN_DISCOUNT, Score, View, score, value
from models.row import ANY_MARK, COMPLETED, DO_NOT_PERSONALISE, NOT_NOW, SEEN_MASK, SHOWN_SHIFT, SKIPPED, WAIVED, Row
from models.sums import total
from schemas.course import Course, Segment
from schemas.ids import chance_of, hash32

POLICY = "gain-per-minute/2"
TEMPERATURE = 0.04
UNIFORM_SHARE = 0.05
COOL_DOWN = 1
NOT_NOW_FOR = 5
"""Visits to other segments for which "not now" keeps a segment away."""

COMPULSORY_EVERY = 4
DAY_MS = 86_400_000
DEADLINE_NEAR_DAYS = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen among what, and how likely that was. `segment` None: there is nothing left to show."""

    segment: Segment | None
    arm: str
    propensity: float
    forced: bool
    fallback: bool
    best: Score | None
    runner_up: Score | None
    eligible: int
    next_authored: Segment | None


def choose(view: View, decision: str, asked_for: str | None = None, *, held_out: bool = False) -> Choice:
    """Choose for the decision called `decision`. `asked_for` is a segment that the learner asked for.

    Who is held out gets the authored order, with all else as it is for others.
    """
    places, worth, bitmap = ranked(view)
    allowed = [view.plan.entries[place].segment for place in places]
    authored = next_authored(view)
    wanted = None if asked_for is None else view.course.by_id.get(asked_for)
    if wanted is not None and prerequisites_met(view, wanted):
        return Choice(wanted, "requested", 1.0, True, False, score(view, wanted), None, bitmap, authored)
    if not allowed:
        return _authored(view, bitmap, authored)
    due = _due_required(view, allowed)
    if due is not None:
        return Choice(due, "compulsory", 1.0, True, False, score(view, due), None, bitmap, authored)
    if held_out and authored is not None:
        return Choice(authored, "holdout", 1.0, True, False, score(view, authored), None, bitmap, authored)
    if view.row.flags & DO_NOT_PERSONALISE:
        return Choice(allowed[0], "authored", 1.0, True, False, score(view, allowed[0]), None, bitmap, authored)
    return _explore(view, decision, allowed, worth, bitmap, authored)


def is_held_out(course: Course, tenant: str, learner: str) -> bool:
    """Whether a learner belongs to a course's hold-out: a hash of the names, the same in every run and version."""
    return chance_of(f"holdout/{tenant}/{course.id}/{learner}") < course.holdout


def ranked(view: View) -> tuple[list[int], list[float], int]:
    """The segments that nothing removes: their places in the authored order, what each is worth, and their bitmap.

    The one loop over all segments of a course. Plain cases are seen without asking for reasons; what is worked out here
    is what `removal` and `models.gain.value` say of each segment.
    """
    row, plan, pace, gains = view.row, view.plan, view.pace, view.gains
    state_of, visits, plain = row.segments.get, row.visits, not row.format
    places, worth, bitmap = [], [], 0
    for place, (key, rate, free, skills, bit) in enumerate(plan.lean):
        state = state_of(key, 0)
        rested = not state & SEEN_MASK or (visits - (state >> SHOWN_SHIFT)) & 0xFF >= COOL_DOWN
        if not (plain and free and rested and not state & ANY_MARK) and removal(view, plan.entries[place].segment):
            continue
        if row.goal:
            whole = value(view, plan.entries[place])
        else:
            factor, whole = SEEN_DISCOUNT[state & SEEN_MASK] * rate / pace, 0.0
            for skill, weight in skills:
                gain = gains.get(skill)
                whole += factor * weight * (view.gain(skill) if gain is None else gain)
        places.append(place)
        worth.append(whole)
        bitmap |= bit
    return places, worth, bitmap


def removal(view: View, segment: Segment) -> str | None:
    """Why a segment may not be shown now (None: it may).

    Compulsory segments, and all that must be completed before them, pass the learner's own masks and the cool-down.
    """
    row = view.row
    state = row.segments.get(hash32(segment.id), 0)
    if finished(state) and not segment.repeatable:
        return "finished"
    if not prerequisites_met(view, segment):
        return "prerequisite"
    if is_required(view, segment):
        return None
    if state & SKIPPED or (state & NOT_NOW and row.visits_since_mark(hash32(segment.id)) < NOT_NOW_FOR):
        return "learner"
    if row.format and hash32(segment.format) != row.format and _has_format(view.course, row.format):
        return "format"
    since = row.visits_since_seen(hash32(segment.id))
    if since is not None and since < COOL_DOWN and len(view.course.segments) > COOL_DOWN:
        return "cool-down"
    return None


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


def next_authored(view: View) -> Segment | None:
    """The first segment in the authored order that is not finished and may be shown; skipped ones only at the very end."""
    skipped: Segment | None = None
    for segment in view.course.segments:
        state = view.row.segments.get(hash32(segment.id), 0)
        if finished(state) or not prerequisites_met(view, segment):
            continue
        if not state & SKIPPED or is_required(view, segment):
            return segment
        skipped = skipped or segment
    return skipped


def _authored(view: View, bitmap: int, authored: Segment | None) -> Choice:
    """Everything is masked: the authored next one, or the end of the course."""
    if authored is None:
        return Choice(None, "finished", 1.0, True, False, None, None, bitmap, None)
    return Choice(authored, "authored", 1.0, True, True, score(view, authored), None, bitmap, authored)


def _due_required(view: View, allowed: Sequence[Segment]) -> Segment | None:
    """The required segment whose turn has come: every COMPULSORY_EVERY visits, near its deadline, or at the end."""
    if not view.course.required:
        return None
    queue = [segment for segment in allowed if is_required(view, segment)]
    if not queue:
        return None
    first = min(queue, key=lambda segment: view.course.required[segment.id])
    turn = view.row.visits % COMPULSORY_EVERY == COMPULSORY_EVERY - 1
    return first if turn or len(queue) == len(allowed) or _deadline_near(view, first) else None


def _deadline_near(view: View, segment: Segment) -> bool:
    if view.row.run_start_ms < 0 or view.now_ms < 0:
        return False
    return (view.now_ms - view.row.run_start_ms) / DAY_MS > view.course.required[segment.id] - DEADLINE_NEAR_DAYS


def _explore(view: View, decision: str, allowed: Sequence[Segment], worth: Sequence[float], bitmap: int,
             authored: Segment | None) -> Choice:  # fmt: skip
    """Softmax over scores as shares of the best, mixed with a uniform share, drawn with the decision's own seed."""
    probabilities = _probabilities(worth)
    drawn = _draw(probabilities, chance_of(decision))
    best = worth.index(max(worth))
    second = best if best != drawn else _second(worth, best)
    runner_up = None if second is None else score(view, allowed[second])
    arm = "best" if drawn == best else "explore"
    chosen = score(view, allowed[drawn])
    return Choice(chosen.segment, arm, probabilities[drawn], False, False, chosen, runner_up, bitmap, authored)


def _second(values: Sequence[float], best: int) -> int | None:
    """The place of the highest value but that at `best`, the first of several; None when there is no other."""
    if len(values) < 2:
        return None
    others = [*values[:best], -math.inf, *values[best + 1 :]]
    return others.index(max(others))


def _probabilities(values: Sequence[float]) -> list[float]:
    top, exp = max(values), math.exp
    scale = 1.0 / (TEMPERATURE * max(top, 1e-9))
    weights = [exp((value - top) * scale) for value in values]
    whole = total(weights)
    floor = UNIFORM_SHARE / len(values)
    return [(1.0 - UNIFORM_SHARE) * weight / whole + floor for weight in weights]


def _draw(probabilities: Sequence[float], u: float) -> int:
    for index, probability in enumerate(probabilities):
        u -= probability
        if u < 0.0:
            return index
    return len(probabilities) - 1


def _has_format(course: Course, wanted: int) -> bool:
    return any(hash32(segment.format) == wanted for segment in course.segments)


def control(row: Row, action: str, segment: str | None) -> None:
    """Let a learner's own choice count: `action` as in schemas.events.Action."""
    if action == "personalise":
        row.flags &= ~DO_NOT_PERSONALISE
    elif action == "do_not_personalise":
        row.flags |= DO_NOT_PERSONALISE
    elif action == "restart":
        row.segments = {key: state & ~(SKIPPED | NOT_NOW) for key, state in row.segments.items()}
    elif segment is not None:
        _control_segment(row, action, hash32(segment))


def _control_segment(row: Row, action: str, key: int) -> None:
    state = row.segments.get(key, 0)
    if action == "skip":
        row.segments[key] = state | SKIPPED
    elif action == "not_now":
        row.mark_now(key, NOT_NOW)
    elif action in ("again", "back"):
        row.segments[key] = state & ~(SKIPPED | NOT_NOW)
