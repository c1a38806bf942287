"""Who has been shown what of the compulsory content: the compliance officer's report, from evidence records alone.

Comes in: evidence records, the learners of each course, the newest version of each course. Goes out: a line for each learner
and compulsory segment with the time of each kind of evidence, also where there is none yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from schemas.course import Course
from schemas.evidence import KINDS, EvidenceRecord
from schemas.ids import RowId

STATES = ("completed", "waived", "rendered", "delivered", "decided")
"""What a line may come to, the most telling first; "not yet" when there is nothing."""


class Line(Struct, frozen=True, kw_only=True):
    """One learner and one segment. Times are the log's, in milliseconds; null: there is no such evidence. Not `compulsory`:
    only what has to be completed before such a segment, or was compulsory in an older version."""

    course: str
    run: str
    learner: str
    segment: str
    state: str
    decided: int | None = None
    delivered: int | None = None
    rendered: int | None = None
    completed: int | None = None
    waived: int | None = None
    content: str | None = None
    record: int | None = None
    compulsory: bool = True


def coverage(records: Iterable[EvidenceRecord], learners: Iterable[str], courses: Mapping[str, Course]) -> list[Line]:
    """Lines in the order of course, learner and the authored order. `learners`: keys of rows; `courses` by id."""
    first: dict[str, dict[str, dict[str, EvidenceRecord]]] = {}
    for record in records:
        first.setdefault(record.row, {}).setdefault(record.segment, {}).setdefault(record.kind, record)
    owed = {name: [each.id for each in course.segments if each.compulsory] for name, course in courses.items()}
    found = []
    for key in sorted({*learners, *first}):
        row, told = RowId.parse(key), first.get(key, {})
        mine = owed.get(row.course, [])
        found += [_line(row, name, told.get(name, {}), name in mine) for name in dict.fromkeys([*mine, *told])]
    return found


def _line(row: RowId, segment: str, kinds: Mapping[str, EvidenceRecord], compulsory: bool) -> Line:
    state = next((kind for kind in STATES if kind in kinds), "not yet")
    times = {kind: kinds[kind].logged_at for kind in KINDS if kind in kinds}
    rendered = kinds.get("rendered")
    return Line(course=row.course, run=row.run, learner=row.learner, segment=segment, state=state,
                content=rendered.content if rendered else None,
                record=kinds[state].number if state in kinds else None, compulsory=compulsory, **times)  # fmt: skip
