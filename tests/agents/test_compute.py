"""What a run of records emits: lessons by course, in order, in records that Kafka takes."""

from __future__ import annotations

from collections.abc import Sequence

from agents import compute as module
from agents.compute import CachedRow, RowCache, Versions, compute, decode, stamp_of
from agents.window import IdWindow
from models.population import Population
from schemas import topics
from schemas.codec import decode_learning
from schemas.errors import Rejection
from schemas.interaction import SCHEMA, Interaction, LogRecord, Outgoing
from tests.factories import course, interaction, outgoing


def lessons(said: Sequence[Interaction], kids: Sequence[bytes]) -> list[Outgoing]:
    """Records of topic `learning` out of one batch, whose records were written under these keys."""
    records = [
        LogRecord(offset, each.key.encode(), outgoing(each).value, (("schema", SCHEMA), ("kid", kid)))
        for offset, (each, kid) in enumerate(zip(said, kids, strict=True))
    ]
    decoded, rows, versions = decode(records, 0, 1), RowCache(), {}
    for row, heard in ((each.row, each.said) for each in decoded):
        assert not isinstance(heard, Rejection)
        rows.put(row, CachedRow(None, IdWindow(0, {})))
        versions[stamp_of(heard)] = Versions(course(), Population.empty())
    emitted = compute(0, 1, decoded, rows, versions).change.emitted
    return [record for record in emitted if record.topic == topics.LEARNING]


def offsets(records: Sequence[Outgoing]) -> list[tuple[bytes, list[int]]]:
    """Key and the lessons' offsets of each record."""
    return [(record.key, [each.offset for each in decode_learning(record.value)]) for record in records]


def test_lessons_of_a_course_share_a_record_under_its_name() -> None:
    said = [interaction(n, learner=f"l{n}", course=("tiny", "other")[n % 2]) for n in range(6)]
    assert offsets(lessons(said, [b"plain"] * 6)) == [(b"default/tiny", [0, 2, 4]), (b"default/other", [1, 3, 5])]


def test_lessons_stay_in_the_order_of_offsets_where_keys_change() -> None:
    """Calibrate drops what stands behind a later one."""
    found = lessons([interaction(n, learner=f"l{n}") for n in range(4)], [b"a", b"b", b"b", b"a"])
    assert offsets(found) == [(b"default/tiny", [0]), (b"default/tiny", [1, 2]), (b"default/tiny", [3])]
    assert [dict(record.headers)["kid"] for record in found] == [b"a", b"b", b"a"]


def test_a_record_takes_no_more_lessons_once_it_is_large() -> None:
    found = lessons([interaction(n, learner=f"l{n}") for n in range(120)], [b"plain"] * 120)
    largest = max(len(record.value) for record in found)
    assert module.LESSONS_BYTES < largest < module.LESSONS_BYTES + 1_024
    assert [offset for _, each in offsets(found) for offset in each] == list(range(120)) and len(found) > 1
