"""Logs become courses and events: every response once, in order, and valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pytest
from msgspec import convert, json
from pyarrow import parquet

from authoring.check import check
from schemas.codec import decode_event
from schemas.course import Course
from schemas.errors import Rejection
from simulator.logs import read_log


def write(folder: Path, rows: list[dict[str, Any]], name: str = "some log") -> Path:
    file = folder / f"{name}.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file


def row(learner: Any, seq: int, ts: int | None = None, **fields: Any) -> dict[str, Any]:
    skill = "add~carry" if seq % 2 else "add"
    return {"learner": learner, "seq": seq, "ts": ts, "item": f"i{seq}", "skill": skill, "correct": seq % 2,
            "latency_ms": 900.0, "attempt": 1, "hints": None, **fields}  # fmt: skip


def test_events_are_valid_and_ordered_by_clock_where_there_is_one(tmp_path: Path) -> None:
    log = read_log(write(tmp_path, [row("a", 0, 5_000), row("a", 1, 9_000), row("b", 0, 6_000)]), None, "r")
    assert [(learner, event["item"]) for learner, event in log.events] == [("a", "i0"), ("b", "i0"), ("a", "i1")]
    for _, event in log.events:
        assert decode_event(json.encode(event))[1] is None
    course = convert(log.course, Course)
    assert not [finding for finding in check(course) if finding.error]
    assert {segment.id: set(segment.skills) for segment in course.segments} == {
        "add": {"add"},
        "add~carry": {"add", "carry"},
    }


def test_without_a_clock_learners_come_one_after_the_other(tmp_path: Path) -> None:
    rows = [row(7, 1), row(3, 0), row(7, 0), row(3, 1)]
    log = read_log(write(tmp_path, rows), None, "r")
    assert [(learner, event["item"]) for learner, event in log.events] == [
        ("7", "i0"),
        ("7", "i1"),
        ("3", "i0"),
        ("3", "i1"),
    ]
    assert [learner for learner, _ in read_log(write(tmp_path, rows), 1, "r").events] == ["7", "7"]


def test_odd_values_become_nothing_rather_than_wrong(tmp_path: Path) -> None:
    (_, event), *_ = read_log(
        write(tmp_path, [row("a", 0, latency_ms=float("nan"), attempt=0, skill="x" * 300)]), None, "r"
    ).events
    assert "latency_ms" not in event and event["attempt"] == 1 and len(event["segment"]) <= 128


@pytest.mark.parametrize("broken", [{"correct": None}, {"correct": 7}])
def test_a_response_without_an_outcome_is_refused_by_its_row(tmp_path: Path, broken: dict[str, Any]) -> None:
    with pytest.raises(Rejection, match="row 1"):
        read_log(write(tmp_path, [row("a", 0), row("a", 1, **broken)]), None, "r")


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nonsense")
    with pytest.raises(Rejection, match="not a parquet file"):
        read_log(tmp_path / "x.parquet", None, "r")
    with pytest.raises(Rejection, match="lacks the columns"):
        read_log(write(tmp_path, [{"learner": 1}]), None, "r")
