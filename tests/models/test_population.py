"""What a version of the population says of segments and levels: counted once, bounded, the same for whoever applies it."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import pytest

from models.population import NEW_ITEM, Population, full_change, leading
from models.population_learner import MAX_ITEMS, PopulationLearner
from models.timing import NOT_QUICK
from schemas.decision import LearningRecord
from schemas.population import PopulationChange


def answer(number: int, **fields: Any) -> LearningRecord:
    """The learning record at an offset."""
    given: dict[str, Any] = {
        "tenant": "", "course": "", "partition": 0, "offset": number, "segment": "", "item": "i", "skills": ["a"],
        "features": [1.0], "ability": 0.0, "correct": True, "log_seconds": None, "pace": 0.0, "guessed": False,
        "population": (0, ""), "logged_ms": 0,
    }  # fmt: skip
    return LearningRecord(**given | fields)


def change(version: int, **fields: Any) -> PopulationChange:
    """A change that says what is told."""
    return PopulationChange(tenant="", course="", version=version, parent="", weights=[], gradients=[], items={}, skills={},
                            watermark={}, responses=60, **fields)  # fmt: skip


def test_a_version_counts_the_answers_of_a_visit_and_how_steep_levels_are() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(6):
        learner.learn_one(answer(number, segment="s", pull=(0.5, 1.0)))
    learner.learn_one(answer(6, segment="s", passed=True))
    learner.learn_one(answer(7, segment="s", guessed=True, pull=(9.0, 9.0)))
    change, name = learner.cut()
    version = Population.empty().apply(change, name)
    assert version == learner.version and dict(version.passes.whole()) == {"s": (7, 1)}
    assert version.steepness == (2.0 + 3.0 / 8.0, 8.0), "a rapid guess says nothing of levels"
    whole = Population.full(full_change("", "", version), name)
    assert (whole.passes.whole(), whole.steepness) == ({"s": (7, 1)}, version.steepness)
    later = PopulationLearner("", "", version)
    later.learn_one(answer(8, pull=(2.0, 2.0)))
    assert later.cut()[0].steepness == [2.375 + 2.0 / 10.0, 10.0], "who goes on knows as much as who went on"
    learner.learn_one(answer(8, segment="s"))
    assert learner.cut()[0].steepness == [2.375, 8.0], "what was learned before a version is not learned again"


def test_a_version_says_how_much_better_skills_are_known_before_any_practice() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(8):
        learner.learn_one(answer(number, first=(-0.5, 0.25)))
    learner.learn_one(answer(8, guessed=True, first=(9.0, 9.0)))
    change, name = learner.cut()
    version = Population.empty().apply(change, name)
    assert version.newness == (-4.0 / 6.0, 6.0)
    assert Population.full(full_change("", "", version), name).newness == version.newness
    assert PopulationLearner("", "", version).cut()[0].newness == [-4.0 / 6.0, 6.0]
    learner.learn_one(answer(9, first=(-500.0, 0.0)))
    assert learner.cut()[0].newness == [-2.0, 6.0], "however wrong it was, within bounds"
    learner.learn_one(answer(10, first=(500.0, 0.0)))
    assert learner.cut()[0].newness == [0.0, 6.0], "what some happened to know is not what all know"


def test_a_version_says_how_far_apart_predictions_of_new_skills_are_to_be() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(40):
        high = number % 2 == 0
        learner.learn_one(answer(number, first=(-0.2 if high else 0.2, 0.2), apart=2.0 if high else -2.0))
    learner.learn_one(answer(40, guessed=True, first=(-9.0, 9.0), apart=9.0))
    change, name = learner.cut()
    version = Population.empty().apply(change, name)
    assert version.spread == pytest.approx((1.0 - 40 * 0.4 / (8.0 + 40 * 0.8), 40.0 * 0.8 + 8.0))
    assert Population.full(full_change("", "", version), name).spread == version.spread
    assert PopulationLearner("", "", version).cut()[0].spread == pytest.approx(list(version.spread))
    for number, error, end in ((41, -900.0, 0.2), (42, 900.0, 1.0)):
        learner.learn_one(answer(number, first=(error, 0.0), apart=1.0))
        assert learner.cut()[0].spread[0] == end, "within bounds"


def test_levels_are_never_steeper_than_anything_nor_upside_down() -> None:
    for pull, end in ((500.0, 12.0), (-500.0, 0.0)):
        learner = PopulationLearner("", "", Population.empty())
        learner.learn_one(answer(0, pull=(pull, 1.0)))
        assert learner.cut()[0].steepness == [end, 3.0]


def test_segments_without_end_are_not_counted() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(MAX_ITEMS + 5):
        learner.learn_one(answer(number, segment=f"s{number}", passed=True))
    assert len(learner.cut()[0].passes) == MAX_ITEMS


def test_ratings_of_segments_without_end_are_not_counted_either() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(MAX_ITEMS + 5):
        learner.learn_one(answer(number, segment=f"s{number}", rating=4))
    learner.learn_one(answer(number + 1, segment="s0", rating=2))
    learner.cut()
    assert len(learner.version.segments.whole()) == MAX_ITEMS and learner.version.segments.get("s0", (0, 0)) == (6, 2)
    again = PopulationLearner("", "", learner.version)
    again.learn_one(answer(number + 2, segment="new", rating=4))
    assert again.cut()[0].segments == {}


def test_what_an_older_release_does_not_say_is_unknown_to_who_follows_and_to_who_begins() -> None:
    known = Population.empty().apply(change(1, steepness=[5.0, 9.0], newness=[-1.0, 9.0], losses=[5.0, 3.0]), "x")
    older = change(2)
    assert known.steepness == (5.0, 9.0) and known.apply(older, "y") == Population.full(older, "y")


def test_more_sorts_of_quick_answers_than_are_known_here_are_passed_over() -> None:
    later = Population.empty().apply(change(1, efforts=[(0.5, 200.0)] * (NOT_QUICK + 2)), "x")
    assert later.efforts == ((0.5, 200.0),) * NOT_QUICK
    assert len(PopulationLearner("", "", later).cut()[0].efforts) == NOT_QUICK


def test_how_long_an_item_takes_is_the_mean_of_what_it_took_less_the_pace_of_who_answered() -> None:
    learner, times = PopulationLearner("", "", Population.empty()), [3.0, 3.4, 2.6, 4.2, 3.3]
    for number, (log_seconds, pace) in enumerate(zip(times, (0.5, -0.5, 0.2, 0.9, 0.0), strict=True)):
        learner.learn_one(answer(number, log_seconds=log_seconds + pace, pace=pace))
        told = times[: number + 1]
        assert learner.item("i")[2] == pytest.approx(sum(told) / len(told)) and learner.item("i")[4] == number + 1
    learner.learn_one(answer(9, log_seconds=-2.0, guessed=True))
    assert learner.item("i")[2] == pytest.approx(3.3) and learner.item("i")[4] == 5, "rapid guesses tell nothing of it"
    for number in range(10, 400):
        learner.learn_one(answer(number, log_seconds=5.0))
    assert learner.item("i")[2] == pytest.approx(5.0, abs=0.01), "and what changes is followed"


def test_a_page_left_open_for_a_day_counts_as_four_deviations_from_the_first_answer_on() -> None:
    learner, day = PopulationLearner("", "", Population.empty()), log(86_400.0)
    learner.learn_one(answer(0, log_seconds=day))
    assert learner.item("i")[2] == pytest.approx(NEW_ITEM[2] + 4.0 * sqrt(NEW_ITEM[3]))
    for number in range(1, 60):
        learner.learn_one(answer(number, log_seconds=3.0 + 0.3 * (-1) ** number))
    _, _, mean, variance, seen = learner.item("i")
    learner.learn_one(answer(60, log_seconds=day))
    rate, away = 0.05, 4.0 * sqrt(variance)
    assert learner.item("i")[2:] == pytest.approx(
        (mean + rate * away, (1.0 - rate) * (variance + rate * away * away), seen + 1)
    )


def test_an_effect_is_never_taken_to_be_known_for_good() -> None:
    learner = PopulationLearner("", "", Population.empty())
    for number in range(4_000):
        learner.learn_one(answer(number, correct=number % 2 == 0, item="even"))
    before = learner.item("even")[0]
    for number in range(4_000, 4_300):
        learner.learn_one(answer(number, item="even"))
    assert learner.item("even")[0] - before > 0.15


def test_what_an_answer_says_is_shared_by_its_skills() -> None:
    one, two = (PopulationLearner("", "", Population.empty()) for _ in range(2))
    one.learn_one(answer(0, skills=["a"]))
    two.learn_one(answer(0, skills=["a", "b"]))
    for learner in (one, two):
        learner.cut()
    alone, shared = one.version.skills.whole()["a"][0], two.version.skills.whole()
    assert shared["a"] == shared["b"] and shared["a"][0] == pytest.approx(alone / 2.0)


def test_the_slow_rate_leads_until_the_quick_one_has_lost_less() -> None:
    assert [leading(losses) for losses in ((0.0, 0.0), (2.0, 1.9), (1.9, 2.0))] == [0, 1, 0]
