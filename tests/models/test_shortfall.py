"""Whether later tries teach as believed: whose answers tell it, what is learned of them, and what changes then."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agents.step import step
from models.belief import GUESSED, chances, heard, mastery, start
from models.belief import MOST as MOST_RIGHT
from models.features import NAMES
from models.gain import HARDEST, View
from models.population import Population, full_change
from models.population_learner import PopulationLearner
from models.row import Row
from models.shortfall import KNOWN, MOST, MOST_HARDER, MUCH, harder, slowing
from schemas.course import Course
from schemas.decision import LearningRecord
from schemas.ids import hash32
from schemas.population import PopulationChange
from tests.factories import course, interaction
from tests.models.test_population import answer

NOTHING = (0.0, 0.0)
RIGHT = chances(0.0)
LADDER = course(segments=[{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 10} for n in range(11)])
"""In steps of .6 logits."""


def population(shortfall: float) -> Population:
    """A version that knows of steep levels, and of such a shortfall."""
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=60, steepness=[6.0, 50.0], shortfall=[shortfall, 900.0])  # fmt: skip
    return Population.empty().apply(change, str(shortfall))


def practised(tries: int, known: bytes, *, skill: str = "a", last: int = 0) -> Row:
    """The row of somebody who practised one skill."""
    row = Row()
    state = row.skills.touch(hash32(skill))
    state.tries, state.wins, state.known, state.last = tries, tries, known, last
    return row


def lesson(row: Row, given: Course, learned: Population, **fields: Any) -> LearningRecord:
    """What one answer teaches."""
    outcome = step(row.pack(), interaction(1, **fields), 0, 0, given, learned)
    assert outcome.learning is not None
    return outcome.learning


def test_nothing_follows_from_beliefs_that_are_too_modest_and_not_everything_from_others() -> None:
    for none in (0.0, -0.3, -math.inf, math.nan):
        assert (slowing(none), harder(none)) == NOTHING
    assert slowing(0.2) == 2.0 * slowing(0.1) > 0.0 and harder(0.04) == 2.0 * harder(0.02) > 0.0
    assert slowing(9.0) == 0.5 and (MUCH, KNOWN) == (8, 0.75)
    assert slowing(9.0) == slowing(math.inf) == slowing(MOST) and harder(9.0) == MOST_HARDER


@pytest.mark.parametrize(
    ("tries", "believed", "tells"), [(MUCH, KNOWN + 0.02, True), (MUCH - 1, 0.9, False), (40, KNOWN - 0.02, False)]
)
def test_only_who_practised_much_and_is_believed_to_know_tells_it(tries: int, believed: float, tells: bool) -> None:
    known = min((start(n / 100) for n in range(20, 95)), key=lambda each: abs(mastery(each, RIGHT) - believed))
    expected = mastery(known, RIGHT)
    for correct in (True, False):
        told = lesson(practised(tries, known), course(), Population.empty(), correct=correct).practised
        assert told == (pytest.approx((expected - correct, expected * (1.0 - expected))) if tells else NOTHING)


def test_an_item_of_two_skills_tells_it_only_where_both_were_practised() -> None:
    given = course(segments=[{"id": "a1", "skills": {"a": 1.0, "b": 0.5}}])
    row = practised(20, start(0.9))
    assert lesson(row, given, Population.empty()).practised == NOTHING
    other = row.skills.touch(hash32("b"))
    other.tries, other.wins, other.known = 20, 20, start(0.9)
    assert lesson(row, given, Population.empty()).practised != NOTHING
    other.known = start(0.5)
    assert lesson(row, given, Population.empty()).practised == NOTHING


def test_what_was_forgotten_is_no_sign_that_tries_did_not_teach() -> None:
    forgets = [-2.0 * (name == "skill_gap") for name in NAMES]
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=forgets, gradients=[], items={},
                              skills={}, watermark={}, responses=60)  # fmt: skip
    learned, given = Population.empty().apply(change, "x"), course()
    first = step(practised(20, start(0.9)).pack(), interaction(1, at="2026-01-02T03:00:00Z"), 0, 0, given, learned)
    for day, tells in (("02T03:15", True), ("27T03:00", False)):
        later = step(first.row, interaction(2, at=f"2026-01-{day}:00Z"), 0, 1, given, learned)
        assert later.learning is not None and (later.learning.practised != NOTHING) == tells


def test_it_is_what_is_most_likely_however_often_versions_are_cut() -> None:
    """Three in four were right where nine in ten were expected: linear in the error, so .15 / .09 logits."""
    values = []
    for every in (20, 500, 20_000):
        learner = PopulationLearner("", "", Population.empty())
        for number in range(20_000):
            learner.learn_one(answer(number, practised=(0.9 - (number % 4 != 0), 0.9 * 0.1)))
            if learner.pending == every:
                learner.cut()
        values.append(learner.version.shortfall[0])
    assert values == pytest.approx([1.5] * 3, abs=0.1)
    version = learner.version
    assert Population.full(full_change("", "", version), "x").shortfall == version.shortfall
    assert PopulationLearner("", "", version).cut()[0].shortfall == pytest.approx(list(version.shortfall))
    learner.learn_one(answer(20_000, guessed=True, practised=(900.0, 9.0)))
    assert learner.cut()[0].shortfall == pytest.approx(list(version.shortfall)), "a rapid guess says nothing"


def test_a_version_without_it_is_one_that_knows_nothing_of_it_for_all_who_read_it() -> None:
    change = PopulationChange(tenant="t", course="c", version=2, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=61)  # fmt: skip
    assert population(0.2).apply(change, "x").shortfall == Population.full(change, "x").shortfall


def test_the_more_tries_the_less_one_more_teaches_in_belief_and_score() -> None:
    known = start(0.6)
    rises, scores = [], []
    for tries in (0, 10, 30):
        row = practised(tries, known) if tries else practised(1, known)
        worth = View(row, course(), population(0.1), -1).worth[0]
        (least, most) = (heard([known], [1.0], [taught], True, RIGHT)[0] for taught in (0.0, 1.0))
        after = Row.unpack(step(row.pack(), interaction(1), 0, 0, course(), population(0.1)).row).skills.get(hash32("a"))
        assert after is not None
        rises.append((mastery(after.known, RIGHT) - mastery(least, RIGHT)) / (mastery(most, RIGHT) - mastery(least, RIGHT)))
        scores.append(worth)
    assert rises == pytest.approx([1.0 / 1.1, 0.5, 0.25], abs=0.06)
    assert [scores[0] / each for each in scores] == pytest.approx([1.0, 2.0 / 1.1, 4.0 / 1.1])


@pytest.mark.parametrize(("pace", "usual", "hardest"), [(0, 0.3, HARDEST), (1, 1.4, 0.5), (2, -0.3, HARDEST)])
def test_harder_questions_fit_at_every_pace_and_never_much_harder(pace: int, usual: float, hardest: float) -> None:
    row = practised(1, start(0.6))
    row.pace_choice = pace
    share = (mastery(start(0.6), RIGHT) - GUESSED) / (MOST_RIGHT - GUESSED)
    for shortfall, expected in ((-0.2, usual), (0.0, usual), (0.04, max(usual - 0.64, HARDEST)), (0.4, hardest)):
        view = View(row, LADDER, population(shortfall), -1)
        best = max(range(len(view.fits)), key=view.fits.__getitem__)
        above = math.log(share / (1.0 - share)) + view.learned.easier[best]
        assert above == pytest.approx(expected, abs=0.31)
        if pace == 0:
            fits = max(range(-400, 400), key=lambda n: view.teaches(start(0.6), 0, n / 100)) / 100
            assert math.log(share / (1.0 - share)) + fits == pytest.approx(expected, abs=0.02)
