"""The step: (row, record) -> (row', emitted). Pure and deterministic: the same bytes every time, on any worker.

Comes in: the packed row (None: no row yet), one decoded record, the versions of course and population that its stamp
names, and whether its id was seen before. Goes out: the packed row and what is to be told. No clock, no global chance,
no I/O; whoever computes an offset again gets the same decision, so a repeated write is the same write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from models import policy
from models.explain import runner_up, sentence, top_terms
from models.gain import View
from models.population import Population
from models.response import Heard, Response, hear, lesson
from models.row import COMPLETED, MAX_BYTES, UNKNOWN, Row
from schemas.codec import encode_json
from schemas.course import Course
from schemas.decision import Decision, LearningRecord
from schemas.errors import Code, Rejection, RowAhead
from schemas.events import ASKS_FOR_DECISION, Event
from schemas.ids import decision_id, hash32
from schemas.interaction import Interaction

ENGINE = 2
"""Number of the function below. A change that gives other bytes for the same input raises it."""

HAPPENS_IN_SEGMENT = frozenset({"answered", "completed", "viewed", "rendered", "hinted", "paused"})
"""What is told of a segment by who is in it; a request for one, or skipping it, is not."""

LATE_MS = 24 * 3600 * 1000
"""How long before its run's start an event may have happened and still be obeyed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one record does: the row after it, and perhaps a decision (encoded) and a learning record."""

    row: bytes
    seq: int
    decision: bytes | None
    learning: LearningRecord | None


def step(packed: bytes | None, record: Interaction, partition: int, offset: int, course: Course,
         population: Population) -> Outcome:  # fmt: skip
    """Apply one record to its row.

    Raises Rejection when it cannot be applied (the row is then as it was), RowAhead when the row is ahead of the record,
    CorruptRow when the row is not what was written.
    """
    event = record.event
    if event.segment is not None and event.segment not in course.by_id:
        raise Rejection(Code.UNKNOWN_SEGMENT, f"Course version {course.version} has no segment {event.segment!r}.")
    row = Row(engine=ENGINE) if packed is None else Row.unpack(packed)
    if row.offset >= offset:
        raise RowAhead(f"row {record.row.key} has offset {row.offset} applied, ahead of {offset}")
    row.offset = offset
    at_ms = _moment(event, record.stamp.logged_ms)
    answer = _answer(event, at_ms, course) if event.type == "answered" else None
    heard = _update(row, event, answer, at_ms, record.stamp.logged_ms, population)
    decided = _decide(row, record, course, population, heard, at_ms) if event.type in ASKS_FOR_DECISION else None
    row.engine = ENGINE
    try:
        packed_after = row.pack()
    except struct.error as fault:
        raise Rejection(Code.ROW_TOO_LARGE, f"The row does not fit its format: {fault}.") from None
    if len(packed_after) > MAX_BYTES:
        raise Rejection(Code.ROW_TOO_LARGE, f"The row would have {len(packed_after)} bytes; {MAX_BYTES} are allowed.")
    learning = _learning(record, partition, offset, answer, heard) if answer and heard else None
    return Outcome(packed_after, row.seq if decided else 0, encode_json(decided) if decided else None, learning)


def _moment(event: Event, logged_ms: int) -> int:
    """When the event happened: never later than a day after the log had it, so that a wrong clock cannot stop a run."""
    if event.at is None:
        return UNKNOWN
    at_ms = int(event.at.timestamp() * 1000)
    return min(at_ms, logged_ms + LATE_MS) if at_ms >= 0 else UNKNOWN


def _update(row: Row, event: Event, answer: Response | None, at_ms: int, logged_ms: int,
            population: Population) -> Heard | None:  # fmt: skip
    """Everything that the event changes in the row. Late events are counted, not obeyed."""
    row.events += 1
    if row.run_start_ms == UNKNOWN:
        row.run_start_ms = min(at_ms, logged_ms)
    if at_ms != UNKNOWN and at_ms < row.run_start_ms - LATE_MS:
        row.late_events += 1
        return None
    heard = None
    if answer is not None:
        heard = hear(row, answer, population)
    else:
        _other(row, event)
    if event.segment is not None and event.type in HAPPENS_IN_SEGMENT:
        row.visit(hash32(event.segment))
    row.last_at_ms = max(row.last_at_ms, at_ms)
    return heard


def _other(row: Row, event: Event) -> None:
    match event.type:
        case "completed" if event.segment is not None:
            row.mark(hash32(event.segment), COMPLETED)
        case "skipped" if event.segment is not None:
            policy.control(row, "skip", event.segment)
        case "overridden" if event.action is not None:
            policy.control(row, event.action, event.segment)
        case "preferred":
            _preferred(row, event)
        case _:
            pass


def _preferred(row: Row, event: Event) -> None:
    if event.format is not None:
        row.format = 0 if event.format == "any" else hash32(event.format)
    if event.goal is not None:
        row.goal = 0 if event.goal == "none" else hash32(event.goal)
    if event.pace is not None:
        row.pace_choice = ("slower", "normal", "faster").index(event.pace)
    if event.feedback is not None:
        row.feedback_choice = ("less", "normal", "more").index(event.feedback)


def _decide(row: Row, record: Interaction, course: Course, population: Population, heard: Heard | None,
            at_ms: int) -> Decision:  # fmt: skip
    event = record.event
    row.seq += 1
    name = decision_id(record.row.key, row.seq)
    view = View(row, course, population, max(at_ms, row.last_at_ms))
    held_out = policy.is_held_out(course, record.stamp.tenant, event.learner)
    choice = policy.choose(view, name, _asked_for(event), held_out=held_out)
    why = sentence(view, choice)
    return Decision(
        id=name,
        seq=row.seq,
        tenant=record.stamp.tenant,
        learner=event.learner,
        course=event.course,
        run=event.run,
        segment=choice.segment.id if choice.segment else None,
        format=choice.segment.format if choice.segment else None,
        why=why,
        terms=top_terms(choice.best),
        runner_up=runner_up(choice),
        eligible=f"{choice.eligible:x}",
        next_authored=choice.next_authored.id if choice.next_authored else None,
        propensity=choice.propensity,
        arm=choice.arm,
        forced=choice.forced,
        fallback=choice.fallback,
        for_event=str(event.id),
        predicted=heard.predicted.p if heard else None,
        policy=policy.POLICY,
        population=record.stamp.population,
        course_version=course.version,
        engine=ENGINE,
        decided_at=record.stamp.logged_ms,
    )


def _asked_for(event: Event) -> str | None:
    """The segment that the learner asked for by this event."""
    if event.type == "requested" or (event.type == "overridden" and event.action in ("again", "back")):
        return event.segment
    return None


def _answer(event: Event, at_ms: int, course: Course) -> Response:
    assert event.segment is not None and event.item is not None and event.correct is not None
    skills = course.skills_of(event.segment, event.item)
    return Response(event.item, skills, event.correct, at_ms, event.latency_ms, event.attempt, event.hints)


def _learning(record: Interaction, partition: int, offset: int, answer: Response, heard: Heard) -> LearningRecord:
    return lesson(
        answer,
        heard,
        tenant=record.stamp.tenant,
        course=record.event.course,
        segment=record.event.segment or "",
        partition=partition,
        offset=offset,
        population=record.stamp.population,
        logged_ms=record.stamp.logged_ms,
    )
