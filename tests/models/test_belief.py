"""What is believed of a skill: bounded, moved the right way by answers, and calibrated where its assumptions hold."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from models.belief import CLIMBED, STAYED, _levels, _packed, chances, heard, mastery, start
from models.entries import LEVELS

shares = st.floats(0.0, 1.0)
beliefs = st.lists(st.floats(0.001, 1.0), min_size=LEVELS, max_size=LEVELS).map(_packed)
RIGHT = chances(0.5)


@given(beliefs, shares, st.booleans(), st.floats(0.1, 1.0), shares)
def test_a_belief_never_rules_a_level_out(
    known: bytes, difficulty: float, correct: bool, weight: float, damping: float
) -> None:
    (after,) = heard([known], [weight], correct, difficulty, damping)
    assert len(after) == LEVELS - 1 and min(_levels(after)) >= 1.0 and 0.18 <= mastery(after, RIGHT) <= 0.95


@given(beliefs, shares)
def test_who_answers_right_is_believed_to_know_more_than_who_answers_wrong(known: bytes, difficulty: float) -> None:
    right, wrong = (mastery(heard([known], [1.0], correct, difficulty)[0], RIGHT) for correct in (True, False))
    assert right >= wrong


@given(st.floats(0.3, 0.85), st.floats(0.2, 0.8))
def test_a_belief_starts_where_mastery_stands(known: float, middle: float) -> None:
    assert abs(mastery(start(known, middle), chances(middle)) - known) < 0.06


@given(st.floats(0.5, 0.85), shares, shares)
def test_more_was_shown_by_a_right_answer_to_a_harder_item(mastered: float, one: float, other: float) -> None:
    easier, harder = (heard([start(mastered, 0.5)], [1.0], True, each)[0] for each in sorted((one, other)))
    assert mastery(harder, RIGHT) >= mastery(easier, RIGHT) - 0.02


def test_a_rapid_guess_says_little_and_an_item_of_two_skills_most_of_the_heavier() -> None:
    known = start(0.5, 0.5)
    (whole,), (guessed,) = heard([known], [1.0], False, 0.5), heard([known], [1.0], False, 0.5, 0.3)
    assert mastery(whole, RIGHT) < mastery(guessed, RIGHT)
    heavy, light = heard([known, known], [1.0, 0.2], False, 0.5)
    assert mastery(heavy, RIGHT) < mastery(light, RIGHT)


def test_it_is_calibrated_where_learners_are_as_it_assumes() -> None:
    """Learners drawn from the model itself: of answers expected with about p, about p are right."""
    chance, told, came = Random(5), [0.0] * 4, [0] * 4
    counts = [0] * 4
    for _ in range(1_500):
        first = start(chance.choice((0.3, 0.5, 0.7)), 0.5)
        level, known = chance.choices(range(LEVELS), _levels(first))[0], first
        for _ in range(8):
            difficulty = chance.random()
            p = mastery(known, chances(difficulty))
            correct = chance.random() < chances(difficulty)[level]
            bin_ = min(3, int((p - 0.18) / 0.2))
            told[bin_], came[bin_], counts[bin_] = told[bin_] + p, came[bin_] + correct, counts[bin_] + 1
            (known,) = heard([known], [1.0], correct, difficulty)
            up = [STAYED, *CLIMBED[: LEVELS - 1 - level]]
            level += chance.choices(range(len(up)), up)[0]
    for expected, right, count in zip(told, came, counts, strict=True):
        assert count > 400 and abs(expected - right) / count < 0.03
