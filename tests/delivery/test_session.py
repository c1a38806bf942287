"""Topics, cursors and what a subscriber is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.session import Session, read_cursor, row_of, topic_of
from delivery.waiting import wait_ms
from schemas.errors import Rejection
from schemas.ids import RowId

name = st.text(min_size=1, max_size=12).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))


@given(name, name, name)
def test_a_row_comes_back_from_its_topic(course: str, run: str, learner: str) -> None:
    row = RowId("default", course, run, learner)
    assert row_of(topic_of(row), "default") == row


def test_every_decision_is_told_once_and_in_order() -> None:
    session = Session()
    assert [session.take("r", seq) for seq in (1, 2, 2, 1, 3)] == [True, True, False, False, True]
    assert read_cursor(session.cursor()) == ({"r": 3}, 0)
    assert read_cursor(Session({"r": 3}, epoch=2).cursor()) == ({"r": 3}, 2)


@given(st.text(max_size=60))
def test_a_cursor_that_is_not_ours_is_none(text: str) -> None:
    assert all(0 <= seq < 1 << 53 for seq in read_cursor(text)[0].values())


@pytest.mark.parametrize("number", [-5, 2**53, 10**30])
def test_a_cursor_with_impossible_numbers_is_none(number: int) -> None:
    from base64 import urlsafe_b64encode

    forged = urlsafe_b64encode(b'{"r": %d}' % number).decode()
    assert read_cursor(forged) == ({}, 0)


def test_what_is_no_topic_is_rejected() -> None:
    for topic in ("", "/", "/courses/c", "/courses/c/learners//decisions", "courses/c/learners/l/decisions"):
        with pytest.raises(Rejection):
            row_of(topic, "default")


def test_a_name_that_no_event_can_have_is_rejected() -> None:
    """Keys of rows are kept, so whoever asks must not choose how long they are."""
    longest = RowId("default", "c" * 128, "r" * 128, "l" * 128)
    assert row_of(topic_of(longest), "default") == longest
    for course, run, learner in (("c" * 129, "r", "l"), ("c", "r" * 129, "l"), ("c", "r", "l" * 129)):
        with pytest.raises(Rejection, match="128"):
            row_of(topic_of(RowId("default", course, run, learner)), "default")


@pytest.mark.parametrize(
    ("header", "expected"),
    [("wait=250", 250), ("respond-async, wait=10", 10), ('wait="5"; foo', 5), ("wait=99999", 10_000), ("wait=\u00b2", None),
     ("wait=" + "9" * 5_000, None), ("wait", None), ("", None), (None, None), ("Wait=7", 7)],
)  # fmt: skip
def test_preferences_are_read_as_the_standard_has_them(header: str | None, expected: int | None) -> None:
    assert wait_ms(header) == expected
