"""What a course is like, as it is learned from how answers come out: it is right, stays within bounds, and is said whole."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.belief import CLIMBED, GUESSED, STAYED, heard, mastery, sharper, start
from models.course_learner import KEPT, MOST_DISCRIMINATION
from models.entries import LEVELS, NONE_YET
from models.familiarity import LEAST_SEEN, MOST_SEEN, NOTHING_KNOWN, familiarity, seen
from models.gain import View
from models.knowledge import recent_with
from models.population import DISCRIMINATION, EFFORTS, Population, full_change
from models.population_learner import PopulationLearner
from models.row import Row
from models.timing import NOT_QUICK
from schemas.population import PopulationChange
from tests.factories import course
from tests.models.test_answers import RIGHT, population
from tests.models.test_population import answer


def lives(luck: float, learner: PopulationLearner, count: int) -> None:
    """Learners whose answers depend on their skill, but for a share of `luck`, when any item is as likely answered right."""
    chance, number = Random(f"{luck}"), 0
    for _ in range(count):
        known, level, recent = start(0.5), chance.randrange(LEVELS), NONE_YET
        for tries in range(10):
            correct = chance.random() < (0.6 if chance.random() < luck else RIGHT[level])
            expected = mastery(known, RIGHT)
            told = answer(number, correct=correct, believed=expected, expected=expected,
                          sharper=sharper([known], [1.0], [recent], RIGHT) if tries else 0.0)  # fmt: skip
            learner.learn_one(told)
            number += 1
            if learner.pending == 256:
                learner.cut()
            (known,) = heard([known], [1.0], [1.0], correct, RIGHT, min(1.0, learner.version.discrimination[0]))
            recent = recent_with(recent, correct, 3)
            up = [STAYED, *CLIMBED[: LEVELS - 1 - level]]
            level += chance.choices(range(len(up)), up)[0]


def test_it_is_learned_how_far_answers_depend_on_their_skill() -> None:
    ends = []
    for luck in (0.0, 0.4, 0.8):
        learner = PopulationLearner("", "", Population.empty())
        lives(luck, learner, 900)
        ends.append(learner.version.discrimination[0])
    assert ends[0] > 0.8 and 0.1 <= ends[2] < 0.45 and ends[0] > ends[1] > ends[2]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_it_stays_within_bounds_whatever_is_told(error: float, variance: float) -> None:
    learner = PopulationLearner("", "", Population.empty())
    p = 0.5
    learner.learn_one(answer(0, expected=p, believed=0.9, sharper=error, quick=2, practice=1.0))
    learner.learn_one(answer(1, expected=p, believed=0.2, sharper=-variance, quick=2, practice=1.0, met=True, correct=False))
    learner.cut()
    version = learner.version
    assert 0.1 <= version.discrimination[0] <= MOST_DISCRIMINATION and 0.0 <= version.efforts[2][0] <= 1.0
    assert LEAST_SEEN <= seen(familiarity(version.familiarity)) <= MOST_SEEN


def test_it_is_learned_which_quick_answers_are_guesses() -> None:
    learner = PopulationLearner("", "", Population.empty())
    chance = Random(3)
    for number in range(3_000):
        sort, believed = chance.choice((1, 3, NOT_QUICK)), chance.choice((0.5, 0.7, 0.9))
        effort = learner.version.efforts[sort][0] if sort < NOT_QUICK else 1.0
        correct = chance.random() < (GUESSED if sort == 3 else believed)
        expected = GUESSED + effort * (believed - GUESSED)
        learner.learn_one(answer(number, correct=correct, quick=sort, believed=believed, expected=expected))
        if learner.pending == 256:
            learner.cut()
    efforts = [effort for effort, _ in learner.version.efforts]
    assert efforts[3] < 0.15 and efforts[1] > 0.9 and [efforts[n] for n in (0, 2, 4, 5)] == [0.3, 1.0, 1.0, 1.0]


def test_a_version_says_all_of_it_and_who_goes_on_knows_as_much() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(40):
        learner.learn_one(
            answer(number, expected=0.6, believed=0.7, sharper=-0.1, quick=4, practice=2.0, met=number % 2 == 0)
        )
    for number in range(41, 51):  # what the last tries say too little of says nothing of familiarity
        learner.learn_one(answer(number, expected=0.6, believed=0.7, quick=1, correct=False))
    learner.learn_one(answer(51, expected=0.6, believed=0.7, sharper=99.0, practice=2.0, guessed=True))
    change, name = learner.cut()
    version = Population.empty().apply(change, name)
    assert version == learner.version != Population.empty()
    told = 20.0 + 40 * 0.01 / 0.24
    assert version.discrimination == pytest.approx((1.0 - 40 * 0.4 * 0.1 / 0.24 / told, told))
    told = 100.0 + 10 * 0.52**2 / 0.21  # by what is held of the sort now: all are tries
    assert version.efforts[1] == pytest.approx((1.0 - 10 * 0.7 * 0.52 / 0.21 / told, told))
    whole = Population.full(full_change("", "", version), name)
    assert version.familiarity[:3] == pytest.approx((30.0 + 40 * 0.24, 20 * 0.24, 80 * 0.24))
    assert version.familiarity[6:] == pytest.approx((40 * 0.4, 20 * 0.4, 80 * 0.4))
    assert whole == replace(version, cells=whole.cells, items=whole.items, skills=whole.skills), "but for how it is kept"
    again = PopulationLearner("", "", version).cut()[0]
    assert tuple(again.discrimination) == version.discrimination and tuple(again.efforts) == version.efforts
    assert tuple(again.familiarity) == version.familiarity
    older = PopulationChange(tenant="", course="", version=2, parent="", weights=[], gradients=[], items={}, skills={},
                             watermark={}, responses=41)  # fmt: skip
    for read in (version.apply(older, "x"), Population.full(older, "x")):
        assert (read.discrimination, read.efforts, read.familiarity) == (DISCRIMINATION, EFFORTS, NOTHING_KNOWN)


def test_the_last_ten_thousand_answers_count_and_what_was_known_before_any_stays() -> None:
    learner = PopulationLearner("", "", Population.empty())
    worst = met = 0.0
    for number in range(60_000):
        nonsense = number < 20_000
        said = {"sharper": -0.1 if nonsense else 0.1, "met": nonsense, "correct": not nonsense}
        learner.learn_one(answer(number, expected=0.6, believed=0.7, quick=2, practice=2.0, **said))
        if number % 5_000 == 0 or number in (19_999, 59_999):
            learner.cut()
            if number == 19_999:
                worst, met = learner.version.efforts[2][0], learner.version.familiarity[3]
    assert worst < 0.1 and learner.version.efforts[2][0] > 0.9, "a course recovers from who answers nonsense"
    assert 30.0 < learner.version.familiarity[3] < 0.05 * met, "and of what they met nothing is left"
    assert learner.version.discrimination[0] == MOST_DISCRIMINATION
    assert learner.version.discrimination[1] == pytest.approx(20.0 + 10_000 * 0.01 / 0.24, rel=0.3), "ten thousand of them"
    for number in range(60_000, 200_000):  # in which nothing is said of it
        learner.learn_one(answer(number))
        if number % 10_000 == 0:
            learner.cut()
    assert learner.version.discrimination[1] == pytest.approx(DISCRIMINATION[1], rel=1e-3)
    assert [information for _, information in learner.version.efforts] == pytest.approx(
        [each[1] for each in EFFORTS], rel=1e-3
    )
    assert learner.version.familiarity == pytest.approx(NOTHING_KNOWN, abs=0.1)


def test_a_course_may_become_surer_than_sure_that_answers_count() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(400):
        learner.learn_one(answer(number, expected=0.6, believed=0.6, sharper=0.2))
    learner.cut()
    for number in range(400, 410):
        learner.learn_one(answer(number, expected=0.6, believed=0.6, sharper=-0.2))
    learner.cut()
    assert 1.0 < learner.version.discrimination[0] < MOST_DISCRIMINATION
    assert View(Row(), course(), learner.version, -1).learned.discrimination == 1.0, (
        "a few that speak against it change nothing"
    )


def test_what_an_answer_says_is_said_of_where_the_course_stood_when_it_was_read() -> None:
    now = {"steepness": (3.0, 9.0), "newness": (-0.5, 9.0), "spread": (0.7, 9.0), "discrimination": (0.8, 29.0)}
    learned = population(**{name: list(values) for name, values in now.items()})
    learner, then = PopulationLearner("", "", learned), (2.0, 0.0, 1.0, 1.0)
    learner.learn_one(
        answer(70, pull=(0.2, 0.5), first=(-0.1, 0.25), apart=1.5, expected=0.6, believed=0.6, sharper=0.3, held=then)
    )
    learner.cut()
    said = (0.2, 0.5), (-0.1, 0.25), (-0.15, 0.5625), (0.4 * 0.3 / 0.24, 0.09 / 0.24)
    for (name, (value, information)), (slope, told), at in zip(now.items(), said, then, strict=True):
        known = information if name != "discrimination" else 20.0 + KEPT * (information - 20.0)
        expected = value + (slope + (at - value) * told) / (known + told)
        assert getattr(learner.version, name) == pytest.approx((expected, known + told)), name


@pytest.mark.parametrize("behind", [3_000, 10_000])
def test_who_is_many_versions_behind_does_not_overshoot(behind: int) -> None:
    """All was read when nothing was known of the course, and versions are cut while calibrate catches up."""
    learner, chance = PopulationLearner("", "", Population.empty()), Random(behind)
    held = Population.empty()
    steep, new, apart = 3.0, -0.4, 0.7
    for number in range(behind):
        tries, right = chance.random() < 0.5, chance.random()
        below, ability = chance.choice((-0.4, 0.4)), chance.choice((-1.0, 1.0))
        p = 0.5 + 0.1 * below * (held.steepness[0] - 2.0)  # of a right answer, as it was read: .5
        q = 0.5 + 0.1 * below * (steep - 2.0)
        first = 0.5 + 0.1 * (new + ability * (apart - 1.0))
        learner.learn_one(answer(
            number, correct=right < (0.7 if tries else GUESSED), quick=3, believed=0.7, expected=0.7,
            pull=(((chance.random() < q) - p) * 0.1 * below / 0.25, (0.1 * below) ** 2 / 0.25),
            first=(((chance.random() < first) - 0.5) * 0.1 / 0.25, 0.01 / 0.25), apart=ability,
            held=(held.steepness[0], held.newness[0], held.spread[0], 1.0),
        ))  # fmt: skip
        if learner.pending == 256:
            learner.cut()
    learner.cut()
    version = learner.version
    assert abs(version.efforts[3][0] - 0.5) < 0.12 and abs(version.newness[0] - new) < 0.2
    assert abs(version.spread[0] - apart) < 0.2 and abs(version.steepness[0] - steep) < 1.0


def test_a_rapid_guess_says_whether_such_answers_are_tries_and_nothing_else() -> None:
    learner = PopulationLearner("", "", Population.empty())
    learner.learn_one(answer(0, expected=0.4, believed=0.9, quick=0, guessed=True, sharper=0.3, practice=2.0))
    learner.cut()
    assert learner.version.efforts[0][0] > EFFORTS[0][0] and learner.version.familiarity == NOTHING_KNOWN
    assert learner.version.discrimination == DISCRIMINATION


def test_what_was_answered_without_a_course_says_nothing_of_one() -> None:
    learner = PopulationLearner("", "", Population.empty())
    learner.learn_one(answer(0, sharper=5.0, practice=3.0, quick=1, believed=0.9))
    learner.cut()
    assert (learner.version.efforts, learner.version.familiarity) == (EFFORTS, NOTHING_KNOWN)
    assert learner.version.discrimination[0] == DISCRIMINATION[0]
