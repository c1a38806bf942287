"""The evidence chain: whatever is changed, taken out, moved or cut off is found, and copies are not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.chain import Head, Verdict, verify
from agents.step import step
from models.population import Population
from models.row import Row
from schemas.evidence import EvidenceRecord, decode_evidence, encode_evidence, hash_of, sealed
from schemas.interaction import LogRecord
from tests.factories import course, interaction

COURSE = course()
NO_ANSWER: dict[str, Any] = {"item": None, "correct": None, "latency_ms": None}


def chain(learner: str = "ana", rounds: int = 4) -> tuple[list[LogRecord], dict[str, Head]]:
    """What one learner's passage through compulsory content leaves in the topic."""
    row: bytes | None = None
    found: list[EvidenceRecord] = []
    kinds = ["requested", "delivered", "rendered", "completed"] * rounds
    for number, kind in enumerate(kinds):
        fields = {"type": kind, "segment": "b3", "learner": learner, "decision": 1, "content_hash": "c0ffee", **NO_ANSWER}
        outcome = step(row, interaction(f"{learner}{number}", **fields), 0, number, COURSE, Population.empty())
        row, found = outcome.row, found + outcome.evidence
    assert row is not None
    state = Row.unpack(row)
    return [record(each) for each in found], {found[0].row: Head(state.evidence, state.head)}


def record(each: EvidenceRecord) -> LogRecord:
    return LogRecord(0, f"{each.row}/{each.number}".encode(), encode_evidence(each))


def whole(found: Verdict) -> bool:
    return not found.findings and not found.missing_ends


RECORDS, HEADS = chain()
places = st.integers(0, len(RECORDS) - 1)


def test_a_chain_tells_what_was_decided_delivered_rendered_and_completed() -> None:
    kinds = [decode_evidence(each.value).kind for each in RECORDS]
    assert kinds[:4] == ["decided", "delivered", "rendered", "completed"]
    rendered = decode_evidence(RECORDS[2].value)
    assert (rendered.segment, rendered.content, rendered.decision, rendered.course_version) == ("b3", "c0ffee", 1, "1")
    assert decode_evidence(RECORDS[0].value).content is None


def test_two_rows_and_copies_of_records_are_fine() -> None:
    others, heads = chain("bob")
    found = verify([*RECORDS, *others, *RECORDS[2:5]], HEADS | heads)
    assert whole(found) and (found.records, found.copies, found.rows) == (len(RECORDS) + len(others), 3, 2)


def test_what_is_not_compulsory_leaves_no_evidence() -> None:
    outcome = step(None, interaction(type="completed", segment="a1", **NO_ANSWER), 0, 0, COURSE, Population.empty())
    assert [each.kind for each in outcome.evidence if each.segment == "a1"] == []


@given(places, st.sampled_from(["segment", "kind", "event", "course_version", "logged_at", "decision", "offset"]))
def test_an_edit_is_found_whatever_is_edited(place: int, name: str) -> None:
    edits: dict[str, Any] = {"segment": "a1", "kind": "waived", "event": "x", "course_version": "9", "logged_at": 1,
                             "decision": 77, "offset": 99}  # fmt: skip
    edited = record(replace(decode_evidence(RECORDS[place].value), **{name: edits[name]}))
    found = verify([*RECORDS[:place], edited, *RECORDS[place + 1 :]], HEADS)
    assert [(each.number, each.what.split(":")[0]) for each in found.findings][:1] == [(place + 1, "edited")]


@given(places)
def test_an_edit_with_a_new_hash_is_found(place: int) -> None:
    edited = record(sealed(replace(decode_evidence(RECORDS[place].value), segment="a1")))
    assert not whole(verify([*RECORDS[:place], edited, *RECORDS[place + 1 :]], HEADS))


def test_a_chain_forged_from_an_edit_to_its_end_is_found_by_the_row() -> None:
    forged: list[LogRecord] = []
    before = bytes(16)
    for each in RECORDS:
        made = sealed(replace(decode_evidence(each.value), segment="a1", previous=before.hex()))
        before = hash_of(made)
        forged.append(record(made))
    assert [each.what for each in verify(forged, HEADS).findings] == ["the row's last hash is another"]


@given(places)
def test_a_deletion_is_found(place: int) -> None:
    assert not whole(verify([*RECORDS[:place], *RECORDS[place + 1 :]], HEADS))


@given(places, places)
def test_a_reorder_is_found(one: int, other: int) -> None:
    moved = list(RECORDS)
    moved[one], moved[other] = moved[other], moved[one]
    assert whole(verify(moved, HEADS)) == (one == other)


@given(places, places)
def test_records_that_change_numbers_are_found(one: int, other: int) -> None:
    swapped = [decode_evidence(each.value) for each in RECORDS]
    first, second = swapped[one], swapped[other]
    swapped[one] = sealed(replace(second, number=first.number, previous=first.previous))
    swapped[other] = sealed(replace(first, number=second.number, previous=second.previous))
    assert whole(verify([record(each) for each in swapped], HEADS)) == (one == other)


@given(st.integers(0, len(RECORDS) - 1))
def test_an_end_cut_off_is_found(kept: int) -> None:
    found = verify(RECORDS[:kept], HEADS)
    assert [(each.number, each.what.split(":")[0]) for each in found.missing_ends] == [(kept + 1, "cut off")]


@pytest.mark.parametrize("number", [0, -1, 10**12])
def test_a_record_with_a_number_of_its_own_is_found(number: int) -> None:
    forged = record(sealed(replace(decode_evidence(RECORDS[0].value), number=number, kind="completed")))
    assert not whole(verify([forged, *RECORDS], HEADS)) and not whole(verify([*RECORDS, forged], HEADS))
    if number < 1:
        assert {each.number for each in verify([forged, *RECORDS], HEADS).findings} == {number}, (
            "it blames the right one alone"
        )


def test_another_key_and_a_name_given_twice_are_found() -> None:
    first = RECORDS[0]
    twice = first.value.replace(b'{"row"', b'{"kind":"waived","row"', 1)
    assert decode_evidence(twice) == decode_evidence(first.value)
    for edited in (first._replace(key=RECORDS[1].key), first._replace(value=twice)):
        assert [each.what.split(":")[0] for each in verify([edited, *RECORDS[1:]], HEADS).findings] == ["edited"]


def test_a_row_put_back_is_found() -> None:
    earlier, heads = chain(rounds=1)
    assert earlier == RECORDS[: len(earlier)]
    assert [each.what for each in verify(RECORDS, heads).findings] == ["more records than the row knows of"]


def test_bytes_that_are_no_evidence_and_rows_that_know_of_none_are_found() -> None:
    assert verify([*RECORDS, LogRecord(0, b"x", b"{")], HEADS).findings
    assert verify(RECORDS, {}).findings


@pytest.mark.parametrize("kind", ["decided", "completed"])
def test_the_fields_of_a_record_are_what_the_log_says(kind: str) -> None:
    (found,) = [decode_evidence(each.value) for each in RECORDS[:4] if decode_evidence(each.value).kind == kind]
    assert (found.row, found.partition) == ("default/tiny/1/ana", 0)
    assert found.offset == (0 if kind == "decided" else 3)
