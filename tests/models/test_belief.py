"""What is believed of a skill: bounded, moved the right way by answers, and calibrated where its assumptions hold."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from models.belief import CLIMBED, MOST_TRIES, STAYED, _levels, _packed, chances, heard, mastery, pull, rise, shares, start
from models.entries import LEVELS

parts = st.floats(0.0, 1.0)
eases = st.floats(-6.0, 6.0)
beliefs = st.lists(st.floats(0.001, 1.0), min_size=LEVELS, max_size=LEVELS).map(_packed)
RIGHT = chances(0.0)


@given(beliefs, eases, st.booleans(), st.floats(0.1, 1.0), parts, parts)
def test_a_belief_never_rules_a_level_out(
    known: bytes, easier: float, correct: bool, weight: float, taught: float, damping: float
) -> None:
    (after,) = heard([known], [weight], [taught], correct, chances(easier), damping)
    assert len(after) == LEVELS - 1 and min(_levels(after)) >= 1.0 and 0.18 <= mastery(after, RIGHT) <= 0.95


@given(beliefs, eases)
def test_who_answers_right_is_believed_to_know_more_than_who_answers_wrong(known: bytes, easier: float) -> None:
    right, wrong = (mastery(heard([known], [1.0], [1.0], correct, chances(easier))[0], RIGHT) for correct in (True, False))
    assert right >= wrong


@given(st.floats(0.3, 0.85))
def test_a_belief_starts_where_mastery_stands(known: float) -> None:
    assert abs(mastery(start(known), RIGHT) - known) < 0.06


def test_a_belief_starts_anywhere() -> None:
    assert [len(start(known)) for known in (0.0, 1e-9, 0.999999, 1.0)] == [LEVELS - 1] * 4


@given(st.floats(0.5, 0.85), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_more_was_shown_by_a_right_answer_to_a_harder_item(mastered: float, one: float, other: float) -> None:
    harder, easier = (heard([start(mastered)], [1.0], [1.0], True, chances(each))[0] for each in sorted((one, other)))
    assert mastery(harder, RIGHT) >= mastery(easier, RIGHT) - 0.02


def test_a_rapid_guess_says_little_and_an_item_of_two_skills_most_of_the_heavier() -> None:
    known = start(0.5)
    (whole,), (guessed,) = heard([known], [1.0], [1.0], False, RIGHT), heard([known], [1.0], [1.0], False, RIGHT, 0.3)
    assert mastery(whole, RIGHT) < mastery(guessed, RIGHT)
    heavy, light = heard([known, known], [1.0, 0.2], [1.0, 0.2], False, RIGHT)
    assert mastery(heavy, RIGHT) < mastery(light, RIGHT)


@given(beliefs, eases, st.booleans())
def test_the_more_a_try_may_have_taught_the_more_is_believed_known(known: bytes, easier: float, correct: bool) -> None:
    nothing, half, all_of_it = (
        mastery(heard([known], [1.0], [taught], correct, chances(easier))[0], RIGHT) for taught in (0.0, 0.5, 1.0)
    )
    assert nothing <= half + 0.01 and half <= all_of_it + 0.01, "but for rounding"


def test_it_is_calibrated_where_learners_are_as_it_assumes() -> None:
    """Learners drawn from the model itself: of answers expected with about p, about p are right."""
    chance, told, came = Random(5), [0.0] * 4, [0] * 4
    counts = [0] * 4
    for _ in range(1_500):
        first = start(chance.choice((0.3, 0.5, 0.7)))
        level, known = chance.choices(range(LEVELS), _levels(first))[0], first
        for _ in range(8):
            each = chances(2.0 * (chance.random() - 0.5))
            p = mastery(known, each)
            correct = chance.random() < each[level]
            bin_ = min(3, int((p - 0.18) / 0.2))
            told[bin_], came[bin_], counts[bin_] = told[bin_] + p, came[bin_] + correct, counts[bin_] + 1
            (known,) = heard([known], [1.0], [1.0], correct, each)
            up = [STAYED, *CLIMBED[: LEVELS - 1 - level]]
            level += chance.choices(range(len(up)), up)[0]
    for expected, right, count in zip(told, came, counts, strict=True):
        assert count > 400 and abs(expected - right) / count < 0.03


@given(beliefs)
def test_more_tries_are_expected_to_bring_more_but_each_one_less(known: bytes) -> None:
    rises = [rise(known, tries) for tries in range(MOST_TRIES + 1)]
    assert rises[0] == 0.0 and rises == sorted(rises) and mastery(known, RIGHT) + rises[-1] < 0.95
    steps = [later - sooner for sooner, later in pairwise(rises)]
    assert steps[-1] < steps[0]


def test_the_expected_rise_is_what_comes_of_tries() -> None:
    """Learners drawn from the model itself, three tries each."""
    chance, known, after = Random(3), start(0.4), 0.0
    for _ in range(20_000):
        level = chance.choices(range(LEVELS), shares(known))[0]
        for _ in range(3):
            up = [STAYED, *CLIMBED[: LEVELS - 1 - level]]
            level += chance.choices(range(len(up)), up)[0]
        after += RIGHT[level]
    assert abs(after / 20_000 - mastery(known, RIGHT) - rise(known, 3)) < 0.006


def test_how_steep_levels_are_is_found_where_harder_items_are_given_to_who_knows_more() -> None:
    """Learners drawn from the model with levels of 5 logits; a regression over items would see next to no slope."""
    chance, steep, information = Random(4), 2.0, 2.0
    for _ in range(40):
        slope = 0.0
        for _ in range(256):
            known = start(chance.choice((0.3, 0.5, 0.7)))
            below = 0.4 - 0.8 * mastery(known, RIGHT)
            level = chance.choices(range(LEVELS), shares(known))[0]
            correct = chance.random() < chances(5.0 * below)[level]
            _, (told, more) = pull([known], [1.0], correct, chances(steep * below), below)
            slope, information = slope + told, information + more
        steep += slope / information
    assert 3.5 < steep < 6.5
