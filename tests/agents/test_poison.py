"""When bad records are a flood: by their share of the window, or by standing in a row."""

from __future__ import annotations

import pytest

from agents.poison import PoisonWatch
from schemas.errors import Halt


def watch_after(good: int) -> PoisonWatch:
    watch = PoisonWatch(3)
    watch.see([True] * good)
    return watch


def test_a_few_never_halt_however_large_their_share() -> None:
    watch = watch_after(0)
    for _ in range(19):
        watch.see([False, True])


def test_twenty_halt_above_a_hundredth_and_not_below_it() -> None:
    few, many = watch_after(1_950), watch_after(4_000)
    for _ in range(19):
        few.see([False, True])
        many.see([False, True])
    many.see([False])
    with pytest.raises(Halt, match="Partition 3: 20 of the last 1989 records were unusable"):
        few.see([False])


def test_ten_in_a_row_halt_even_across_batches() -> None:
    watch = watch_after(9_000)
    watch.see([False] * 4)
    watch.see([False] * 5)
    with pytest.raises(Halt, match="restart the worker"):
        watch.see([False])


def test_the_share_is_one_of_the_window_not_of_all_there_ever_was() -> None:
    watch = watch_after(100_000)
    for _ in range(100):
        watch.see([False, True])
    with pytest.raises(Halt, match="101 of the last 10000"):
        watch.see([False])
