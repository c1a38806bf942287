"""Bytes in, structs or a typed rejection out; nothing else, whatever the bytes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import body_hash, decode_course, decode_event, decode_interaction, split_batch
from schemas.errors import Code, Rejection
from schemas.interaction import LogRecord
from tests.factories import HEADERS, course_json, event_json, interaction, record


def body(**fields: Any) -> bytes:
    return json.dumps(event_json(**fields)).encode()


def code_of(raw: bytes) -> Code:
    with pytest.raises(Rejection) as caught:
        decode_event(raw)
    assert caught.value.detail, "a rejection says what to change"
    return caught.value.code


def test_a_valid_event_is_decoded() -> None:
    event, extra = decode_event(body(at="2026-01-02T03:04:05.678+01:00", attempt=2, hints=1))
    assert (event.type, event.correct, event.latency_ms, extra) == ("answered", True, 5_000, None)
    assert event.at is not None and event.at.timestamp() == 1767319445.678


def test_unknown_fields_are_kept() -> None:
    _, extra = decode_event(body(mood="good", nested={"a": [1, 2]}))
    assert extra == {"mood": "good", "nested": {"a": [1, 2]}}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"id": "', Code.MALFORMED),
        (b"", Code.MALFORMED),
        (b"\xff\xfe", Code.MALFORMED),
        (body().replace(b"5000", b"1e999"), Code.MALFORMED),
        (body()[:-1] + b', "x": 1e999}', Code.MALFORMED),
        (body()[:-1] + b', "x": "\\ud800"}', Code.MALFORMED),
        (body()[:-1] + b', "x": "\xed\xa0\x80"}', Code.MALFORMED),
        (b"null", Code.INVALID),
        (b"[]", Code.INVALID),
        (b"7", Code.INVALID),
        (body().replace(b"5000", b"NaN"), Code.MALFORMED),
        (body().replace(b"5000", b"Infinity"), Code.MALFORMED),
        (body(latency_ms=2**64), Code.INVALID),
        (body(latency_ms=-1), Code.INVALID),
        (body(latency_ms="soon"), Code.INVALID),
        (body(latency_ms=1.5), Code.INVALID),
        (body(correct=1), Code.INVALID),
        (body(correct="yes"), Code.INVALID),
        (body(type="danced"), Code.UNKNOWN_TYPE),
        (body(type=None), Code.INVALID),
        (body(id="7"), Code.INVALID),
        (body(learner=""), Code.INVALID),
        (body(learner="x" * 129), Code.INVALID),
        (body(item=None), Code.INVALID),
        (body(correct=None), Code.INVALID),
        (body(at="yesterday"), Code.INVALID),
        (body(at="2026-01-02T03:04:05"), Code.INVALID),
        (body(rating=9), Code.INVALID),
        (body()[:-1] + b', "learner": "eve"}', Code.DUPLICATE_KEY),
        (body(deep=json.loads("[" * 40 + "]" * 40)), Code.TOO_DEEP),
        (b'{"deep": ' + b"[" * 1_000 + b"]" * 1_000 + b"}", Code.TOO_DEEP),
        (b"[" * 50_000, Code.TOO_DEEP),
        (body(response="x" * 70_000), Code.TOO_LARGE),
        (body(response="x" * 9_000), Code.INVALID),
    ],
)
def test_what_cannot_be_used_is_rejected_by_a_code(raw: bytes, code: Code) -> None:
    assert code_of(raw) == code


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_rejected(raw: bytes) -> None:
    for decode in (decode_event, decode_course, split_batch, lambda b: decode_interaction(LogRecord(0, b"k", b, HEADERS))):
        with suppress(Rejection):
            decode(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(event_json())), json_values)
def test_any_value_in_any_field_is_decoded_or_rejected(field: str, value: Any) -> None:
    with suppress(Rejection):
        decode_event(json.dumps(event_json() | {field: value}).encode())


def test_a_batch_is_split_without_decoding_its_events() -> None:
    assert split_batch(b' [{"a": 1}, {"b": NaN2}]'.replace(b"NaN2", b"2")) == ([b'{"a": 1}', b'{"b": 2}'], True)
    assert split_batch(b'{"a": 1}') == ([b'{"a": 1}'], False)
    with pytest.raises(Rejection):
        split_batch(b'[{"a": 1}, {"b"')


def test_an_interaction_comes_back_as_it_was() -> None:
    said = interaction(1, at="2026-01-02T03:04:05Z")
    assert decode_interaction(record(3, said)) == said


def test_a_record_under_a_key_that_is_not_its_rows_is_rejected() -> None:
    good = record(0, interaction(1))
    with pytest.raises(Rejection) as caught:
        decode_interaction(good._replace(key=b"default/tiny/1/eve"))
    assert caught.value.code == Code.INVALID


def test_a_course_error_names_the_field() -> None:
    broken = course_json()
    broken["segments"][0]["minutes"] = -1
    with pytest.raises(Rejection, match=r"segments\[0\]\.minutes|minutes"):
        decode_course(json.dumps(broken).encode())


def test_the_same_unknown_fields_in_another_order_are_the_same_body() -> None:
    one, other, third = (
        replace(interaction(1), extra=extra)
        for extra in ({"x": 1, "y": {"a": 1, "b": 2}}, {"y": {"b": 2, "a": 1}, "x": 1}, {"x": 1, "y": {"a": 1, "b": 3}})
    )
    assert body_hash(one) == body_hash(other) != body_hash(third)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"type": "preferred", "pace": "fast"}, "faster, normal, slower"),
        ({"type": "overridden", "action": "jump"}, "not_now"),
        ({"type": "preferred"}, "one of format, pace, feedback, goal"),
    ],
)
def test_a_refusal_names_what_may_stand_there(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Rejection, match=said):
        decode_event(json.dumps(event_json(item=None, correct=None, latency_ms=None, **fields)).encode())
