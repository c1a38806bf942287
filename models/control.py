"""A learner's own choices, and what becomes of them.

Every control event is honoured, or answered: not honoured only where it would drop compulsory content, break a
prerequisite, ask for what is not there or steer the choice of who is held out; then the reply names the reason and what is
possible instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models import probe
from models.gain import View
from models.mask import NOT_NOW_FOR, finished, is_required, prerequisites_met, ways_to
from models.row import DO_NOT_PERSONALISE, NOT_NOW, SKIPPED, WAIVED, Row
from schemas.course import Segment
from schemas.events import Event
from schemas.ids import hash32

MAX_CONTEXT = 8
PACES = ("normal", "slower", "faster")
CONTROLS = frozenset({"requested", "skipped", "overridden", "preferred", "contextualised"})
FEEDBACK = ("normal", "less", "more")


@dataclass
class Obeyed:
    """What a learner's choice came to. `segment`: what is to be shown because of it. `reason` "": honoured.

    `also`: why another part of the same choice is not honoured. `waived`: the segment that a passed probe took off the list,
    by `answers`: its questions, and whether each was right.
    """

    action: str = ""
    segment: Segment | None = None
    about: Segment | None = None
    reason: str = ""
    offers: list[str] = field(default_factory=list)
    also: str = ""
    waived: Segment | None = None
    answers: list[tuple[str, bool]] = field(default_factory=list)


def obey(view: View, event: Event) -> Obeyed | None:
    """Let a control event count in the row. None: the event is no control."""
    segment = view.course.by_id.get(event.segment) if event.segment else None
    if event.segment and segment is None and event.type in ("requested", "skipped", "overridden"):
        return Obeyed(event.action or event.type, reason="gone")
    match event.type:
        case "requested":
            return _give(view, "requested", segment) if segment is not None else None
        case "skipped":
            return _skip(view, segment)
        case "overridden" if event.action is not None:
            return _overridden(view, event.action, segment)
        case "preferred":
            return _preferred(view, event)
        case "contextualised":
            return _contextualised(view, event)
        case _:
            return None


def refuse_late(event: Event) -> Obeyed | None:
    """The answer to a control event from before the run. None: the event is no control."""
    asks = event.type in CONTROLS and not (event.type == "requested" and event.segment is None)
    return Obeyed(event.action or event.type, reason="late") if asks else None


def hold_out(obeyed: Obeyed, event: Event) -> None:
    """Say of what would steer the choice that it does not for who is held out: kept in the row, and nothing more."""
    asks = (
        event.action == "personalise"
        or (event.format or "any") != "any"
        or (event.pace or "normal") != "normal"
        or (event.goal or "none") != "none"
        or bool(event.context)
    )
    if asks and not obeyed.reason:
        obeyed.reason = "holdout"


def keep_format(obeyed: Obeyed, event: Event, row: Row, chosen: Segment | None, arm: str) -> None:
    """Say why what comes next has not the format that was just asked for: it is compulsory, or nothing else is left."""
    if event.type != "preferred" or (event.format or "any") == "any" or obeyed.reason or chosen is None:
        return
    if hash32(chosen.format) != row.format and arm != "probe":
        obeyed.reason = "compulsory" if arm == "compulsory" else "none_left"
        obeyed.about, obeyed.offers = chosen, [chosen.id]


def _overridden(view: View, action: str, segment: Segment | None) -> Obeyed:
    row = view.row
    if action == "personalise":
        row.flags &= ~DO_NOT_PERSONALISE
        return Obeyed(action)
    if action == "do_not_personalise":
        row.flags |= DO_NOT_PERSONALISE
        return Obeyed(action)
    if action == "restart":
        row.segments = {key: state & ~(SKIPPED | NOT_NOW) for key, state in row.segments.items()}
        _leave_probe(row)
        first = next((each for each in view.course.segments if prerequisites_met(view, each)), None)
        return Obeyed(action, first, first)
    segment = segment or (_before(view) if action == "back" else _current(view))
    if segment is None:
        return _of_nothing(view, action)
    if action == "skip":
        return _skip(view, segment)
    if action == "not_now":
        return _not_now(view, segment)
    if action == "know":
        return _know(view, segment)
    return _give(view, action, segment)


def _give(view: View, action: str, segment: Segment) -> Obeyed:
    if not prerequisites_met(view, segment):
        return Obeyed(action, None, segment, "prerequisite", ways_to(view, segment))
    key = hash32(segment.id)
    if key in view.row.segments:
        view.row.segments[key] &= ~(SKIPPED | NOT_NOW)
    _leave_probe(view.row)
    return Obeyed(action, segment, segment)


def _skip(view: View, segment: Segment | None) -> Obeyed:
    if segment is None:
        return _of_nothing(view, "skip")
    _leave_probe_of(view, segment)
    if is_required(view, segment):
        return _still_required(view, "skip", segment)
    view.row.mark(hash32(segment.id), SKIPPED)
    return Obeyed("skip", None, segment)


def _of_nothing(view: View, action: str) -> Obeyed:
    """There is no segment that it could be said of: none was visited yet, or the one that was is in the course no more."""
    gone = view.row.last_segment and view.row.last_segment not in view.plan.by_key
    return Obeyed(action, reason="gone" if gone else "nothing_yet")


def _not_now(view: View, segment: Segment) -> Obeyed:
    _leave_probe_of(view, segment)
    if is_required(view, segment):
        return _still_required(view, "not_now", segment)
    view.row.mark_now(hash32(segment.id), NOT_NOW)
    return Obeyed("not_now", None, segment)


def _still_required(view: View, action: str, segment: Segment) -> Obeyed:
    can_test = _waivable(view, segment) and probe.can_start(view.course, segment)
    return Obeyed(action, None, segment, "testable" if can_test else "compulsory", [segment.id])


def _know(view: View, segment: Segment) -> Obeyed:
    if finished(view.row.segments.get(hash32(segment.id), 0)):
        return Obeyed("know", None, segment, "finished")
    if not prerequisites_met(view, segment):
        return Obeyed("know", None, segment, "prerequisite", ways_to(view, segment))
    if not _waivable(view, segment):
        return Obeyed("know", None, segment, "compulsory", [segment.id])
    if not probe.can_start(view.course, segment):
        return Obeyed("know", None, segment, "no_questions", [segment.id])
    key, row = hash32(segment.id), view.row
    if row.probe is not None and row.probe.segment == key:
        return Obeyed("know", segment, segment)
    _leave_probe(row)
    if key in row.tested and (row.visits - row.tested[key]) & 0xFFFF < NOT_NOW_FOR:
        return Obeyed("know", None, segment, "not_yet", [segment.id])
    probe.start(view, segment)
    return Obeyed("know", segment, segment)


def close_probe(view: View) -> Obeyed | None:
    """What the answers to a probe come to, if they come to something now: passed waives the segment."""
    under_way = view.row.probe
    if under_way is None:
        return None
    segment = probed(view)
    if segment is None:
        view.row.probe = None
        return None
    passed = probe.verdict(under_way, probe.left(view.course, under_way, segment))
    if passed is None:
        return None
    if not passed:
        _leave_probe(view.row)
        return Obeyed("know", None, segment, "not_yet", [segment.id])
    view.row.probe = None
    view.row.mark(under_way.segment, WAIVED)
    return Obeyed("know", None, segment, waived=segment, answers=probe.answers(view.course, under_way, segment))


def probed(view: View) -> Segment | None:
    """The segment that is tested out of; None when there is no probe, it is finished otherwise, or this version has it no
    more, forbids testing out of it or puts something before it."""
    under_way = view.row.probe
    if under_way is None or finished(view.row.segments.get(under_way.segment, 0)):
        return None
    entry = view.plan.by_key.get(under_way.segment)
    if entry is None or not _waivable(view, entry.segment) or not probe.can_start(view.course, entry.segment):
        return None
    return entry.segment if prerequisites_met(view, entry.segment) else None


def _waivable(view: View, segment: Segment) -> bool:
    """A probe may waive what is not compulsory, and what is where its author allows that."""
    return segment.test_out or segment.id not in view.course.required


def _leave_probe_of(view: View, segment: Segment) -> None:
    if view.row.probe is not None and view.row.probe.segment == hash32(segment.id):
        _leave_probe(view.row)


def _leave_probe(row: Row) -> None:
    """End a probe that is not passed. What was answered wrong is not to be forgotten by asking anew."""
    if row.probe is not None and row.probe.answered:
        row.tested[row.probe.segment] = row.visits
    row.probe = None


def _preferred(view: View, event: Event) -> Obeyed:
    row, course, done = view.row, view.course, Obeyed("preferred")
    if event.format is not None:
        if event.format == "any" or any(segment.format == event.format for segment in course.segments):
            row.format = 0 if event.format == "any" else hash32(event.format)
        else:
            done.reason, done.offers = "no_such_format", sorted({segment.format for segment in course.segments})
    if event.goal is not None:
        known = {skill for segment in course.segments for skill in segment.skills}
        if event.goal == "none" or event.goal in known:
            row.goal = 0 if event.goal == "none" else hash32(event.goal)
        elif done.reason:
            done.also = "no_such_skill"
        else:
            done.reason, done.offers = "no_such_skill", sorted(known)[:20]
    if event.pace is not None:
        row.pace_choice = PACES.index(event.pace)
    if event.feedback is not None:
        row.feedback_choice = FEEDBACK.index(event.feedback)
    return done


def _contextualised(view: View, event: Event) -> Obeyed:
    known = {skill for segment in view.course.segments for skill in segment.skills}
    named = [name for name in event.context or [] if name in known]
    view.row.context = tuple(dict.fromkeys(hash32(name) for name in named))[:MAX_CONTEXT]
    if event.context and not named:
        return Obeyed("contextualised", reason="no_such_skill", offers=sorted(known)[:20])
    return Obeyed("contextualised")


def _current(view: View) -> Segment | None:
    entry = view.plan.by_key.get(view.row.last_segment)
    return entry.segment if entry is not None else None


def _before(view: View) -> Segment | None:
    """The segment that was visited before the current one. What was put off since has that visit, too, so it comes last."""
    row, found = view.row, None
    for key, state in row.segments.items():
        if key != row.last_segment and row.visits_since_seen(key) == 1 and key in view.plan.by_key:
            if not state & NOT_NOW:
                return view.plan.by_key[key].segment
            found = view.plan.by_key[key].segment
    return found
