"""A stored decision, computed again from what is stored: its row before, its record, and the versions that the stamp names.

The record of topic `decisions` carries the packed row before it, so no history is needed. The same engine number gives
the same bytes; that is what `segue explain ID --replay` checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from agents.books import TopicBooks
from agents.step import ENGINE, Outcome, step
from models.population import Population
from schemas.codec import decode_decision, decode_interaction
from schemas.course import Course
from schemas.decision import Decision
from schemas.errors import Code, Rejection
from schemas.ids import parse_decision_id, partition_of
from schemas.interaction import Interaction, LogRecord

PAGE = 500


class Records(Protocol):
    """A partitioned topic, read by offset."""

    async def begin(self, partition: int) -> int:
        """The first offset that is still there."""
        ...

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A decision as its topic has it, and the record of the log that it answers."""

    record: LogRecord
    decision: Decision
    said: Interaction
    offset: int
    partition: int


async def find(name: str, decisions: Records, log: Records, partitions: int) -> Stored:
    """The decision called `name`. Raises Rejection when the name is none, or nothing of that name is stored any more."""
    try:
        row, _ = parse_decision_id(name)
    except ValueError:
        raise Rejection(Code.INVALID, f"{name!r} is no decision id; one is tenant/course/run/learner/number.") from None
    partition = partition_of(row.tenant, row.learner, partitions)
    record = await _first(decisions, partition, lambda each: each.key == name.encode())
    if record is None:
        raise Rejection(Code.INVALID, f"There is no decision {name} (any more) in topic decisions, partition {partition}.")
    decision = decode_decision(record.value)
    wanted, key = decision.for_event.encode(), row.key.encode()
    answered = await _first(log, partition, lambda each: each.key == key and wanted in each.value)
    if answered is None:
        raise Rejection(Code.INVALID, f"The event {decision.for_event} of {name} is not in the log any more.")
    return Stored(record, decision, decode_interaction(answered), answered.offset, partition)


class Recomputed(NamedTuple):
    """What the step gave this time, and the versions that it used."""

    outcome: Outcome
    course: Course
    population: Population


async def recompute(stored: Stored, books: TopicBooks) -> Recomputed:
    """The step that made a decision, once more. Raises Rejection when another engine made it."""
    if stored.decision.engine != ENGINE:
        raise Rejection(
            Code.INVALID, f"Engine {stored.decision.engine} made this decision; this release has engine {ENGINE}."
        )
    stamp, event = stored.said.stamp, stored.said.event
    await books.wait(stamp.tenant, event.course, stamp.course_version, stamp.population)
    course = books.course(stamp.tenant, event.course, stamp.course_version)
    population = books.population(stamp.tenant, event.course, stamp.population)
    assert course is not None and population is not None
    before = dict(stored.record.headers).get("row") or None
    outcome = step(before, stored.said, stored.partition, stored.offset, course, population)
    return Recomputed(outcome, course, population)


async def _first(records: Records, partition: int, wanted: Callable[[LogRecord], bool]) -> LogRecord | None:
    offset = await records.begin(partition)
    while page := await records.read(partition, offset, PAGE):
        for record in page:
            if wanted(record):
                return record
        offset = page[-1].offset + 1
    return None
