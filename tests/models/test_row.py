"""The row: exact there and back, small, bounded, and never guessed."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.entries import MAX_ITEMS, Items, ItemState, Skills, SkillState
from models.row import COMPLETED, CorruptRow, Probe, Row
from schemas.ids import hash32

floats = st.floats(-100, 100, width=32)
u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
u8, halves = st.integers(0, 255), st.floats(-100, 100, width=16)
sixty = st.integers(0, 63)
practised = st.tuples(
    u32, st.builds(SkillState, halves, halves, halves, u16, u16, u32, u16, u8, st.binary(min_size=5, max_size=5))
)
met = st.tuples(u32, sixty, sixty, u16, u32, st.integers(0, 7))


@st.composite
def skills(draw: st.DrawFn) -> Skills:
    return Skills(b"".join(Skills.struct.pack(key, *state.values()) for key, state in draw(st.lists(practised, max_size=5))))


@st.composite
def items(draw: st.DrawFn) -> Items:
    made = Items()
    for key, *values in draw(st.lists(met, max_size=5)):
        state = made.touch(key)
        state.wins, state.tries, state.last_try, state.last, state.recent = values
    return made


rows = st.builds(
    Row,
    engine=u16,
    seq=u32,
    events=u32,
    offset=st.integers(-1, 2**62),
    run_start_ms=st.integers(-1, 2**52),
    wins=u32,
    tries=u32,
    theta=floats,
    v=floats,
    streak=st.integers(-1000, 1000),
    time_residuals=st.binary(max_size=32),
    skills=skills(),
    items=items(),
    segments=st.dictionaries(u32, u16, max_size=5),
    course=u32,
    context=st.lists(u32, max_size=8).map(tuple),
    probe=st.none() | st.builds(Probe, st.integers(1, 2**32 - 1), u8, u8, u16, st.lists(u32, max_size=8)),
    proven=st.lists(u32, max_size=5).map(tuple),
    tested=st.dictionaries(u32, u16, max_size=5),
)


@given(rows)
def test_a_row_comes_back_exactly(row: Row) -> None:
    packed = row.pack()
    assert Row.unpack(packed) == row
    assert Row.unpack(packed).pack() == packed


@given(rows, st.data())
def test_a_flipped_bit_is_found(row: Row, data: st.DataObject) -> None:
    packed = bytearray(row.pack())
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CorruptRow):
        Row.unpack(bytes(packed))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_row_are_refused(raw: bytes) -> None:
    with pytest.raises(CorruptRow):
        Row.unpack(raw)


def _said_to_be(form: int, row: Row) -> bytes:
    body = bytearray(row.pack()[:-4])
    body[1] = form
    return bytes(body) + crc32(body).to_bytes(4, "little")


def test_a_row_of_a_later_format_is_read_as_far_as_it_is_known() -> None:
    row = Row(events=3)
    row.skills.touch(5).tries = 7
    assert Row.unpack(_said_to_be(9, row)) == row


def test_a_row_of_no_format_is_refused() -> None:
    with pytest.raises(CorruptRow, match="not a row"):
        Row.unpack(_said_to_be(0, Row()))


def test_a_row_of_a_course_of_normal_size_stays_under_a_kilobyte() -> None:
    row = Row(time_residuals=bytes(32))
    for n in range(12):
        row.skills.touch(n)
    for number in range(24):
        row.items.touch(number)
    row.segments = dict.fromkeys(range(40), COMPLETED)
    assert len(row.pack()) <= 1024


def test_only_the_items_met_most_recently_are_kept() -> None:
    row = Row()
    for number in range(MAX_ITEMS + 10):
        row.items.touch(number)
        row.items.touch(3)
        row = Row.unpack(row.pack())
    assert len(row.items) == MAX_ITEMS and 3 in row.items and 0 not in row.items and MAX_ITEMS + 9 in row.items


def test_marks_survive_being_shown_again() -> None:
    row, key = Row(seq=300), hash32("s")
    row.mark(key, COMPLETED)
    for _ in range(20):
        row.visit(key)
    assert row.segments[key] & COMPLETED
    assert row.visits_since_seen(key) == 0
    row.visits += 5
    assert row.visits_since_seen(key) == 5


def test_items_stay_in_the_order_in_which_they_were_met_last() -> None:
    row = Row()
    for number in (5, 6, 7, 5):
        row.items.touch(number).tries += 1
    again = Row.unpack(row.pack())
    assert (again.items.get(5), again.items.get(9)) == (ItemState(tries=2), None)
    again.items.touch(6)
    assert [key for (key, *_) in struct.iter_unpack("<IHHI", again.items.pack())] == [7, 5, 6]


def test_an_item_is_found_only_where_an_entry_begins() -> None:
    row = Row()
    state = row.items.touch(1)
    state.last = 2
    assert 2 not in Row.unpack(row.pack()).items
