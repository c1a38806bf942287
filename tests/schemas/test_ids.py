"""Identity: keys come back, partitions spread and never move."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import RowId, decision_id, hash32, parse_decision_id, partition_of, seed_of

text = st.text(min_size=1, max_size=20).filter(lambda s: not any("\ud800" <= c <= "\udfff" for c in s))


@given(text, text, text, text)
def test_a_row_comes_back_from_its_key(tenant: str, course: str, run: str, learner: str) -> None:
    row = RowId(tenant, course, run, learner)
    assert RowId.parse(row.key) == row
    assert parse_decision_id(decision_id(row.key, 7)) == (row, 7)


def test_a_key_that_is_not_one_is_refused() -> None:
    with pytest.raises(ValueError):
        RowId.parse("a/b")


def test_partitions_are_fixed_for_ever_and_spread() -> None:
    assert [partition_of("default", f"learner-{n}", 8) for n in range(6)] == [5, 3, 1, 7, 4, 2]
    spread = Counter(partition_of("default", f"l{n}", 8) for n in range(8_000))
    assert min(spread.values()) > 800


def test_seeds_and_short_names_are_fixed_for_ever() -> None:
    assert seed_of("default/tiny/1/ana/1") == 12848220811119906153
    assert hash32("a1") == 1826703395
