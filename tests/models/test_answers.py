"""What answers say of a course beyond right and wrong: whether they depend on the skill, whether quick ones are tries,
whether practice stays with the items. Who tells it, and what changes then."""

from __future__ import annotations

from math import exp, log1p
from random import Random
from typing import Any

import numpy as np
import pytest

from agents.step import step
from models import timing
from models.belief import GUESSED, chances, heard, mastery, shares, sharper, start, tried
from models.course_learner import LEAST_DISCRIMINATION
from models.entries import NONE_YET
from models.familiarity import LEAST_SEEN, MOST_SEEN, NOTHING_KNOWN, SEEN, SEEN_LESS, added, familiarity, seen
from models.gain import View
from models.population import EFFORTS, Population
from models.row import Row
from models.timing import NOT_QUICK, QUICK, TRIED, Timing, quick
from schemas.decision import LearningRecord
from schemas.ids import hash32
from schemas.population import ItemValues, PopulationChange
from tests.factories import course, interaction
from tests.models.test_shortfall import practised

RIGHT = chances(0.0)
MOST_LIKELY = mastery(start(0.8), RIGHT)
TIMED: ItemValues = (0.0, 0.5, 3.0, 1.0, 50)
"""An item that takes e^3, twenty seconds."""


def population(**fields: Any) -> Population:
    """A version that knows what is told, and the times of item i1."""
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={"i1": TIMED},
                              skills={}, watermark={}, responses=60, **fields)  # fmt: skip
    return Population.empty().apply(change, str(fields))


def lesson(row: Row, learned: Population, **fields: Any) -> tuple[LearningRecord, Row]:
    """What one answer teaches, and the row after it."""
    outcome = step(row.pack(), interaction(1, **fields), 0, 0, course(), learned)
    assert outcome.learning is not None
    return outcome.learning, Row.unpack(outcome.row)


def _variance(known: bytes) -> float:
    """Of how likely a right answer is."""
    mean = mastery(known, RIGHT)
    return sum(share * (right - mean) ** 2 for share, right in zip(shares(known), RIGHT, strict=True))


def known_after(row: Row, learned: Population, **fields: Any) -> float:
    """What is believed of skill a after an answer, as a mastery."""
    state = lesson(row, learned, **fields)[1].skills.get(hash32("a"))
    assert state is not None
    return mastery(state.known, RIGHT)


def test_the_less_answers_depend_on_the_skill_the_less_one_changes_what_is_believed() -> None:
    usual, (little, most) = known_after(practised(6, start(0.6)), Population.empty(), correct=False), (
        known_after(practised(6, start(0.6)), population(discrimination=[each, 50.0]), correct=False) for each in (0.2, 1.4)
    )  # fmt: skip
    assert usual < little and most == usual, "and none counts for more than it says"


def test_a_quick_question_among_longer_ones_teaches_less_and_a_long_one_no_more_than_once() -> None:
    """Quizzes of a minute a question, alone, among films of four minutes a question, and among cards of a quarter."""
    quiz = {"id": "a1", "skills": {"a": 1.0}, "minutes": 1, "format": "quiz"}

    def after(*others: dict[str, Any]) -> float:
        given = course(segments=[quiz, *others])
        outcome = step(practised(6, start(0.6)).pack(), interaction(1), 0, 0, given, Population.empty())
        state = Row.unpack(outcome.row).skills.get(hash32("a"))
        assert state is not None
        return mastery(state.known, RIGHT)

    other = {"id": "b1", "skills": {"b": 1.0}}
    alone, films, cards = after(), after({**other, "format": "film", "minutes": 4}), after({**other, "minutes": 0.25})
    assert mastery(heard([start(0.6)], [1.0], [0.5**0.5], True, RIGHT)[0], RIGHT) == pytest.approx(films, abs=1e-9)
    assert films < alone == cards


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0], [1.0, 0.6, 0.3], [1.0, 0.1], [0.5] * 4])
@pytest.mark.parametrize("effort", [1.0, 0.8, 0.5, 0.2])
def test_however_little_an_answer_counts_nobody_is_taken_to_learn_by_being_wrong(
    weights: list[float], effort: float
) -> None:
    known, right = [start(0.55)] * len(weights), tried(RIGHT, effort)
    for _ in range(80):
        believed = sum(weight * mastery(each, RIGHT) for weight, each in zip(weights, known, strict=True)) / sum(weights)
        taught = timing.tried(effort, False, believed, GUESSED + effort * (believed - GUESSED))
        known = heard(known, weights, [taught * weight for weight in weights], False, right, LEAST_DISCRIMINATION)
    assert max(mastery(each, RIGHT) for each in known) <= mastery(start(0.55), RIGHT)
    assert mastery(known[0], RIGHT) < 0.55


def test_an_answer_that_was_right_was_rather_a_try_than_one_that_was_wrong() -> None:
    believed, effort = 0.7, 0.5
    expected = GUESSED + effort * (believed - GUESSED)
    right, wrong = (timing.tried(effort, correct, believed, expected) for correct in (True, False))
    assert right == pytest.approx(0.35 / 0.44) and wrong == pytest.approx(0.15 / 0.56)
    assert expected * right + (1.0 - expected) * wrong == pytest.approx(effort)
    assert [timing.tried(each, True, 0.7, GUESSED + each * 0.52) for each in (0.0, 1.0)] == [0.0, 1.0]


def test_of_an_items_skills_each_has_a_share_in_what_an_answer_says_but_never_more_than_its_own() -> None:
    known = [start(0.6), start(0.3)]
    even, little = (heard(known, [1.0, 1.0], [0.0, 0.0], True, RIGHT, damping) for damping in (1.0, 0.3))
    least = heard(known, [1.0, 1.0], [0.0, 0.0], True, RIGHT, 0.01)
    assert mastery(even[0], RIGHT) > mastery(little[0], RIGHT) and little == least
    small = [heard(known, [1.0, 0.1], [0.0, 0.0], True, RIGHT, damping)[1] for damping in (1.0, 0.01)]
    before, quarter, eleventh = (mastery(each, RIGHT) for each in (known[1], little[1], small[0]))
    assert small[0] == small[1] and before < eleventh < before + 0.6 * (quarter - before), "an eleventh, whatever counts"


def test_right_answers_lately_say_that_answers_should_have_counted_more_when_one_more_is_right() -> None:
    known = start(0.5)
    assert sharper([start(0.8)], [1.0], [0b1110], RIGHT) == pytest.approx(
        _variance(start(0.8)) * (2.0 - 3.0 * MOST_LIKELY) / (MOST_LIKELY * (1.0 - MOST_LIKELY))
    )
    right, wrong, mixed, none = (sharper([known], [1.0], [recent], RIGHT) for recent in (0b1111, 0b1000, 0b1010, NONE_YET))
    assert right > 0.0 > wrong and wrong < mixed < right and none == 0.0
    assert sharper([known, known], [1.0, 1.0], [0b1111, NONE_YET], RIGHT) == pytest.approx(right / 4.0), (
        "half, to half of it"
    )


@pytest.mark.parametrize(
    ("seconds", "sort"),
    [
        (1.99, 0),
        (2.01, 1),
        (2.99, 1),
        (3.01, 2),
        (3.99, 2),
        (4.01, 3),
        (5.39, 3),
        (5.41, 4),
        (7.39, 4),
        (7.41, 5),
        (9.9, 5),
        (10.1, NOT_QUICK),
    ],
)
def test_quick_answers_are_sorted_by_their_share_of_the_typical_time(seconds: float, sort: int) -> None:
    timed = Timing(float(np.log(seconds * exp(3.0) / 20.0)), 0.0, sort == 0)
    assert quick(TIMED, timed) == sort and len(QUICK) == len(EFFORTS) == NOT_QUICK
    assert quick(TIMED, timed._replace(guessed=False)) == max(1, sort), "not a rapid guess where it took ten seconds"
    assert quick((*TIMED[:4], timing.LEAST_SEEN - 1), timed) == NOT_QUICK, "nobody knows yet what is typical"
    assert quick((*TIMED[:4], timing.LEAST_SEEN), timed) == sort, "as many are enough"
    assert quick(TIMED, timing.UNTIMED) == NOT_QUICK


def test_a_guess_says_nothing_of_the_learner_or_of_the_course() -> None:
    guesses = [(1.0, 30.0)] * 3 + [(0.0, 90.0)] + [(1.0, 30.0)] * 2
    row, quickly = practised(6, start(0.6)), {"item": "i1", "latency_ms": 4_500, "correct": False}
    slowly = quickly | {"latency_ms": 20_000}
    believed = population(), population(efforts=guesses)
    assert known_after(row, believed[0], **slowly) == known_after(row, believed[1], **slowly)
    assert known_after(row, believed[0], **quickly) < known_after(row, believed[1], **quickly)
    said, guessed = (lesson(row, each, **quickly)[0] for each in believed)
    assert said.quick == guessed.quick == 3 and said.believed == guessed.believed == said.expected
    assert guessed.expected == pytest.approx(GUESSED) and (guessed.sharper, guessed.practice, guessed.pull) == (
        0.0,
        0.0,
        (0, 0),
    )
    assert said.practice > 0.0 and guesses[3][0] <= TRIED


def test_a_guess_says_nothing_of_levels() -> None:
    given = course(segments=[{"id": f"a{n}", "skills": {"a": 1.0}, "difficulty": n / 4} for n in (1, 3)])
    learned = population(efforts=[(1.0, 30.0)] * 3 + [(0.0, 90.0)] + [(1.0, 30.0)] * 2)
    pulls = []
    for latency_ms in (20_000, 4_500):
        answered = interaction(1, item="i1", latency_ms=latency_ms, correct=False)
        told = step(practised(6, start(0.6)).pack(), answered, 0, 0, given, learned).learning
        assert told is not None
        pulls.append(told.pull)
    assert pulls[0] != (0.0, 0.0) == pulls[1]


@pytest.mark.parametrize(("effort", "tells"), [(0.89, False), (0.9, True), (0.95, True)])
def test_what_is_mostly_tried_tells_of_the_course_what_a_try_does(effort: float, *, tells: bool) -> None:
    learned = population(efforts=[(1.0, 30.0)] * 3 + [(effort, 90.0)] + [(1.0, 30.0)] * 2)
    quickly = {"item": "i1", "latency_ms": 4_500, "correct": False}
    row, fresh = practised(20, start(0.9)), practised(0, start(0.9))
    row.skills.touch(hash32("a")).recent = 0b1110
    told, first = lesson(row, learned, **quickly)[0], lesson(fresh, learned, **quickly)[0]
    if tells:
        p = told.believed
        assert told.practised == pytest.approx((p, p * (1.0 - p))), "by what a try would have come to"
        assert first.first == pytest.approx((-first.believed, first.believed * (1.0 - first.believed)))
        assert told.sharper != 0.0 != told.practice
    else:
        assert told.practised == first.first == (0.0, 0.0) and told.sharper == told.practice == 0.0


@pytest.mark.parametrize("helped", [{"hints": 1}, {"attempt": 2}])
def test_who_was_helped_or_tries_once_more_tells_nothing_of_what_answers_count(helped: dict[str, int]) -> None:
    row = practised(6, start(0.6))
    row.skills.touch(hash32("a")).recent = 0b1111
    alone, told = lesson(row, Population.empty())[0], lesson(row, Population.empty(), **helped)[0]
    assert alone.sharper > 0.0 < alone.practice and told.sharper == told.practice == 0.0 < told.expected


def test_an_item_of_two_skills_tells_of_familiarity_where_both_were_practised() -> None:
    given, row = course(segments=[{"id": "a1", "skills": {"a": 1.0, "b": 1.0}}]), practised(5, start(0.6))
    for tries, practice in ((1, 0.0), (4, (log1p(5) + log1p(4)) / 2.0)):
        state = row.skills.touch(hash32("b"))
        state.tries, state.known = tries, start(0.6)
        outcome = step(row.pack(), interaction(1), 0, 0, given, Population.empty())
        assert outcome.learning is not None and outcome.learning.practice == pytest.approx(practice)


def test_a_slow_answer_goes_back_with_the_pace_of_who_gave_it_as_it_was_before() -> None:
    row = practised(3, start(0.6))
    row.tau, row.timed = 0.5, 20
    told, after = lesson(row, population(), item="i1", latency_ms=60_000)
    assert told.pace == pytest.approx(0.5, abs=1e-3) and after.tau > 0.5


def test_a_page_left_open_for_hours_makes_nobody_slow() -> None:
    row = practised(3, start(0.6))
    row.timed = 20
    _, after = lesson(row, population(), item="i1", latency_ms=86_400_000)
    assert after.tau == pytest.approx(4.0 / (21 + 8), rel=1e-3)


def test_an_answer_goes_back_with_what_was_held_of_the_course() -> None:
    learned = population(steepness=[3.0, 9.0], newness=[-0.5, 9.0], spread=[0.7, 9.0], discrimination=[1.3, 9.0])
    assert lesson(practised(3, start(0.6)), learned)[0].held == (3.0, -0.5, 0.7, 1.3)


def test_an_answer_says_what_was_expected_of_it_and_whether_its_item_was_met() -> None:
    row = practised(3, start(0.6))
    first, after = lesson(row, Population.empty())
    outcome = step(after.pack(), interaction(2), 0, 1, course(), Population.empty())
    assert outcome.learning is not None
    assert first.expected == first.believed == pytest.approx(mastery(start(0.6), RIGHT))
    right, none = practised(3, start(0.6)), practised(3, start(0.6))
    right.skills.touch(hash32("a")).recent = 0b1111
    said = [lesson(each, Population.empty())[0].sharper for each in (right, none)]
    assert said == pytest.approx([sharper([start(0.6)], [1.0], [0b1111], RIGHT), 0.0]) and said[0] > 0.0
    assert (first.met, outcome.learning.met) == (False, True)
    assert (first.practice, outcome.learning.practice) == pytest.approx((log1p(3), log1p(4))), "tries before"
    assert lesson(practised(2, start(0.6)), Population.empty())[0].practice == 0.0, "too few to tell"


def test_familiarity_is_what_least_squares_say_beside_practice() -> None:
    chance, sums, rows = Random(1), list(NOTHING_KNOWN), []
    for _ in range(12_000):
        tries = log1p(chance.randrange(3, 30))
        met = float(chance.random() < tries / 4.0)
        error = 0.2 * (0.1 + 0.5 * met - 0.4 * tries) + chance.gauss(0.0, 0.4)
        sums = added(sums, error, 0.2, met, tries)
        rows.append((1.0, met, tries, error))
    x, y = np.array(rows)[:, :3], np.array(rows)[:, 3]
    expected = np.linalg.solve(0.2 * x.T @ x + 30.0 * np.eye(3), x.T @ y)
    assert familiarity(sums) == pytest.approx(expected[1]) and abs(familiarity(sums) - 0.5) < 0.12
    assert familiarity(NOTHING_KNOWN) == 0.0 and seen(0.0) == SEEN and seen(0.5) == pytest.approx(0.599, abs=5e-4)


def test_what_was_seen_is_worth_less_the_more_practice_stays_with_its_items() -> None:
    row = Row()
    row.visit(hash32("a1"))
    row.visit(hash32("b3"))
    shares = []
    for familiar in (-0.1, 0.0, 0.5, 9.0, -9.0):
        sums = [1e9, 0.0, 0.0, 1e9, 0.0, 1e9, 0.0, 1e9 * familiar, 0.0]
        view = View(row, course(), population(familiarity=sums), -1)
        fresh = View(Row(), course(), population(familiarity=sums), -1)
        place = course().places["a1"]
        shares.append(view.worth[place] / fresh.worth[place])
    assert shares == pytest.approx([SEEN * exp(0.1 * SEEN_LESS), SEEN, SEEN * exp(-0.5 * SEEN_LESS), LEAST_SEEN, MOST_SEEN])


def test_who_guesses_is_not_taken_to_learn_by_it() -> None:
    learned, row = population(efforts=[(0.0, 900.0)] + [(1.0, 100.0)] * 5), practised(6, start(0.6))
    before = mastery(start(0.6), RIGHT)
    for number in range(1, 41):
        guess = interaction(number, item="i1", latency_ms=500, correct=number % 4 == 0)
        row = Row.unpack(step(row.pack(), guess, 0, number, course(), learned).row)
    state = row.skills.get(hash32("a"))
    assert state is not None and mastery(state.known, RIGHT) == pytest.approx(before, abs=0.01)
