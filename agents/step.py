"""The step: (row, record) -> (row', emitted). Pure and deterministic: the same bytes every time, on any worker.

Comes in: the packed row (None: no row yet), one decoded record, its place in the log, and the versions of course and
population that its stamp names. Goes out: the packed row and what is to be told. No clock, no global chance,
no I/O; whoever computes an offset again gets the same decision, so a repeated write is the same write.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from agents import chain
from models import control, policy, probe
from models.control import Obeyed
from models.entries import NO_BELIEF
from models.explain import reply, runner_up, sentence, top_terms
from models.features import states_of
from models.gain import View
from models.plan import plan_of
from models.population import Population
from models.response import Heard, Response, Where, hear, lesson, passed, rated
from models.row import COMPLETED, MAX_BYTES, UNKNOWN, WAIVED, Row
from schemas.codec import encode_json
from schemas.course import Course, Segment
from schemas.decision import Decision, LearningRecord, Question
from schemas.errors import Code, Rejection, RowAhead
from schemas.events import ASKS_FOR_DECISION, Event
from schemas.evidence import EvidenceRecord, Kind
from schemas.ids import decision_id, hash32
from schemas.interaction import Interaction

ENGINE = 15
"""Number of the function below. A change that gives other bytes for the same input raises it."""

HAPPENS_IN_SEGMENT = frozenset({"answered", "completed", "viewed", "rendered", "hinted", "paused"})
"""What is told of a segment by who is in it; a request for one, or skipping it, is not."""

EVIDENCE_OF: dict[str, Kind] = {"delivered": "delivered", "rendered": "rendered", "completed": "completed"}
LATE_MS = 24 * 3600 * 1000
"""How long before its run's start an event may have happened and still be obeyed."""


class Outcome(NamedTuple):
    """What one record does: the row after it, and perhaps a decision (encoded), a learning record, evidence."""

    row: bytes
    seq: int
    decision: bytes | None
    learning: LearningRecord | None
    evidence: list[EvidenceRecord]


@dataclass(slots=True)
class _Told:
    """What is worked out while one record is applied."""

    record: Interaction
    place: tuple[int, int]
    course: Course
    population: Population
    at_ms: int
    answer: Response | None = None
    heard: Heard | None = None
    obeyed: Obeyed | None = None
    passed: bool = False
    evidence: list[EvidenceRecord] = field(default_factory=list)


def step(packed: bytes | None, record: Interaction, partition: int, offset: int, course: Course,
         population: Population) -> Outcome:  # fmt: skip
    """Apply one record to its row.

    Raises Rejection when it cannot be applied (the row is then as it was), RowAhead when the row is ahead of the record,
    CorruptRow when the row is not what was written.
    """
    event = record.event
    row = Row(engine=ENGINE) if packed is None else Row.unpack(packed)
    if row.offset >= offset:
        raise RowAhead(f"row {record.key} has offset {row.offset} applied, ahead of {offset}")
    row.offset = offset
    told = _Told(record, (partition, offset), course, population, _moment(event, record.stamp.logged_ms))
    view = _update(row, told)
    decided = _decide(row, view, told) if event.type in ASKS_FOR_DECISION else None
    row.engine = ENGINE
    try:
        packed_after = row.pack()
    except struct.error as fault:
        raise Rejection(Code.ROW_TOO_LARGE, f"The row does not fit its format: {fault}.") from None
    if len(packed_after) > MAX_BYTES:
        raise Rejection(Code.ROW_TOO_LARGE, f"The row would have {len(packed_after)} bytes; {MAX_BYTES} are allowed.")
    return Outcome(packed_after, row.seq if decided else 0, encode_json(decided) if decided else None, _learning(told),
                   told.evidence)  # fmt: skip


def _moment(event: Event, logged_ms: int) -> int:
    """When the event happened: never later than a day after the log had it, so that a wrong clock cannot stop a run."""
    if event.at is None:
        return UNKNOWN
    at_ms = int(event.at.timestamp() * 1000)
    return min(at_ms, logged_ms + LATE_MS) if at_ms >= 0 else UNKNOWN


def _update(row: Row, told: _Told) -> View:
    """Everything that the event changes in the row. Late events are counted, not obeyed; what was completed is."""
    event, at_ms, logged_ms = told.record.event, told.at_ms, told.record.stamp.logged_ms
    row.events += 1
    if row.run_start_ms == UNKNOWN:
        row.run_start_ms = logged_ms if at_ms == UNKNOWN else min(at_ms, logged_ms)
    _meet(row, told)
    late = at_ms != UNKNOWN and at_ms < row.run_start_ms - LATE_MS
    if late:
        row.late_events += 1
    elif event.type == "answered":
        _hear(row, told)
    if event.type == "completed" and event.segment is not None:
        row.mark(hash32(event.segment), COMPLETED)
        told.passed = event.segment in told.course.by_id and not late
    if not late:
        if event.segment is not None and event.type in HAPPENS_IN_SEGMENT:
            row.visit(hash32(event.segment))
        row.last_at_ms = max(row.last_at_ms, at_ms)
    if event.type in EVIDENCE_OF:
        told.evidence += chain.add(row, told.course, told.record, told.place, EVIDENCE_OF[event.type], event.segment,
                                   event.decision)  # fmt: skip
    held_out = policy.is_held_out(told.course, told.record.stamp.tenant, event.learner)
    clock = logged_ms if at_ms == UNKNOWN else UNKNOWN
    view = View(row, told.course, told.population, max(at_ms, row.last_at_ms), clock, held_out=held_out)
    told.obeyed = control.refuse_late(event) if late else control.obey(view, event)
    return view


def _meet(row: Row, told: _Told) -> None:
    """Meet a version of the course. What it makes compulsory and the learner has completed is put in evidence; what they
    have only tested out of, while it was not compulsory, is to be completed."""
    course, version = told.course, plan_of(told.course).version
    if row.course == version:
        return
    known, row.course = row.course != 0, version
    for name in course.required:
        key = hash32(name)
        state = row.segments.get(key, 0)
        if key in row.proven or not state & (COMPLETED | WAIVED):
            continue
        if not known:  # a row of an older release, which did not keep what is proven
            row.proven += (key,)
        elif state & COMPLETED:
            told.evidence += chain.add(row, course, told.record, told.place, "completed", name)
        else:
            row.segments[key] = state & ~WAIVED


def _hear(row: Row, told: _Told) -> None:
    event = told.record.event
    assert event.segment is not None and event.item is not None and event.correct is not None
    segment = told.course.by_id.get(event.segment)  # one of an older version teaches about learner and item only
    skills = told.course.skills_of(event.segment, event.item) if segment is not None else []
    said = event.item, skills, event.correct, told.at_ms, event.latency_ms, event.attempt, event.hints
    if segment is None:
        told.answer = Response(*said)
    else:
        view = View(row, told.course, told.population, max(told.at_ms, row.last_at_ms))
        states = states_of(row, skills)
        known, tries = [state.known for state in states], [state.tries for state in states]
        weights, beliefs = [segment.skills.get(name, 1.0) for name in skills], _beliefs(view, skills, known)
        below, steep = view.learned.middle - segment.difficulty, view.learned.steep
        form = min(1.0, view.learned.forms[told.course.places[segment.id]])
        taught = [
            weight * form * view.teaches(each, tried, steep * below)
            for weight, each, tried in zip(weights, beliefs, tries, strict=True)
        ]
        first, practised = not any(tries), view.tells(skills, known, tries)
        apart = view.apart(skills) if first and skills else 0.0
        told.answer = Response(*said, weights, below, steep, beliefs, taught, first, practised, apart, tries,
                               [state.recent for state in states], view.learned.discrimination,
                               view.learned.efforts, view.learned.held)  # fmt: skip
    told.heard = hear(row, told.answer, told.population)
    probe.hear(row, event.item, correct=event.correct and told.answer.unaided)


def _beliefs(view: View, skills: list[str], known: list[bytes]) -> list[bytes]:
    """What is believed of each skill: as the row has it (`known`), or as a belief starts."""
    return [view.believed(name) if each == NO_BELIEF else each for name, each in zip(skills, known, strict=True)]


def _decide(row: Row, view: View, told: _Told) -> Decision:
    record, course = told.record, told.course
    event = record.event
    closed = control.close_probe(view) if row.probe is not None else None
    if closed is not None:
        told.obeyed = told.obeyed or closed
        if closed.waived is not None:
            told.evidence += chain.add(row, course, record, told.place, "waived", closed.waived.id,
                                       answers=closed.answers)  # fmt: skip
    probing = control.probed(view)
    question = _question(view, probing) if probing is not None else None
    row.seq += 1
    name = decision_id(record.key, row.seq)
    if view.held_out and told.obeyed is not None:
        control.hold_out(told.obeyed, event)
    choice = policy.choose(view, name, told.obeyed, probing)
    if told.obeyed is not None:
        control.keep_format(told.obeyed, event, row, choice.segment, choice.arm)
    segment = choice.segment.id if choice.segment else None
    told.evidence += chain.add(row, course, record, told.place, "decided", segment, row.seq)
    return Decision(
        id=name,
        seq=row.seq,
        tenant=record.stamp.tenant,
        learner=event.learner,
        course=event.course,
        run=event.run,
        segment=segment,
        format=choice.segment.format if choice.segment else None,
        why=sentence(view, choice, question),
        terms=top_terms(choice.best),
        runner_up=runner_up(view, choice),
        eligible=f"{choice.eligible:x}",
        next_authored=choice.next_authored.id if choice.next_authored else None,
        propensity=choice.propensity,
        arm=choice.arm,
        forced=choice.forced,
        fallback=choice.fallback,
        for_event=str(event.id),
        predicted=told.heard.predicted.p if told.heard else None,
        policy=policy.POLICY,
        population=record.stamp.population,
        course_version=course.version,
        engine=ENGINE,
        decided_at=record.stamp.logged_ms,
        compulsory=segment in course.required,
        feedback=control.FEEDBACK[row.feedback_choice],
        reply=reply(view, told.obeyed),
        probe=question,
    )


def _question(view: View, segment: Segment) -> Question:
    under_way = view.row.probe
    assert under_way is not None
    item = probe.ask(view, under_way, segment)
    return Question(item, under_way.answered + 1, probe.MOST)


def _learning(told: _Told) -> LearningRecord | None:
    """What calibrate may learn: a response, a completed segment, or a rating."""
    event, stamp = told.record.event, told.record.stamp
    where = Where(stamp.tenant, event.course, event.segment or "", *told.place, stamp.population, stamp.logged_ms)
    if told.answer is not None and told.heard is not None:
        return lesson(told.answer, told.heard, where)
    if told.passed:
        return passed(where)
    if event.type == "rated" and event.rating is not None:
        return rated(event.rating, where)
    return None
