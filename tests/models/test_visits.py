"""Visits: what is counted when a learner goes from segment to segment, and what is not."""

from __future__ import annotations

from typing import Any

from agents.step import step
from models.population import Population
from models.row import SEEN_MASK, Row
from schemas.codec import decode_decision
from schemas.ids import hash32
from tests.factories import course, interaction

COURSE = course(segments=[{"id": f"s{n}", "skills": {"a": 1.0}, "repeatable": True, "compulsory": n == 5} for n in range(6)])


def after(*events: dict[str, Any]) -> tuple[Row, list[str | None]]:
    """The row after some events, and the segment of each decision."""
    packed, chosen = None, []
    for number, fields in enumerate(events):
        outcome = step(packed, interaction(number, **fields), 0, number, COURSE, Population.empty())
        packed = outcome.row
        if outcome.decision is not None:
            chosen.append(decode_decision(outcome.decision).segment)
    assert packed is not None
    return Row.unpack(packed), chosen


def in_segment(name: str, answers: int = 3) -> list[dict[str, Any]]:
    answered = [{"segment": name, "item": f"{name}-{n}", "at": None} for n in range(answers)]
    return [*answered, {"type": "completed", "segment": name, "item": None, "correct": None, "latency_ms": None}]


def test_many_answers_in_one_segment_are_one_visit() -> None:
    row, _ = after(*in_segment("s1"), *in_segment("s2"), *in_segment("s1"))
    assert row.visits == 3
    assert (row.segments[hash32("s1")] & SEEN_MASK, row.segments[hash32("s2")] & SEEN_MASK) == (2, 1)


def test_the_segment_that_the_learner_is_in_is_not_chosen_next() -> None:
    for events in range(1, 5):
        _, chosen = after(*in_segment("s1")[:events])
        assert "s1" not in chosen


def test_asking_for_a_segment_is_not_a_visit() -> None:
    row, _ = after({"type": "requested", "segment": "s3", "item": None, "correct": None, "latency_ms": None})
    assert row.visits == 0


def test_the_turn_of_compulsory_content_comes_whatever_number_of_answers_a_segment_has() -> None:
    for answers in (1, 2, 3, 4, 7):
        events: list[dict[str, Any]] = []
        for name in ("s1", "s2", "s3"):
            events += in_segment(name, answers)
        _, chosen = after(*events)
        assert chosen[-1] == "s5", answers
