"""What a version of the population says of segments and levels: counted once, bounded, the same for whoever applies it."""

from __future__ import annotations

from typing import Any

import pytest

from models.population import Population, full_change
from models.population_learner import MAX_ITEMS, PopulationLearner
from schemas.decision import LearningRecord


def answer(number: int, **fields: Any) -> LearningRecord:
    """The learning record at an offset."""
    given: dict[str, Any] = {
        "tenant": "", "course": "", "partition": 0, "offset": number, "segment": "", "item": "i", "skills": ["a"],
        "features": [1.0], "ability": 0.0, "correct": True, "log_seconds": None, "pace": 0.0, "guessed": False,
        "population": (0, ""), "logged_ms": 0,
    }  # fmt: skip
    return LearningRecord(**given | fields)


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
