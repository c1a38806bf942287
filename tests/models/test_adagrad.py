"""AdaGrad: weights as River's move; cells within the table, and effects that a course's own data choose the rate of."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from river.optim import AdaGrad

from models.adagrad import WEIGHTS, descend
from models.features import CELLS, SKILL_AFTER_ITEM, cell
from models.population import CELL_RATES, Population, leading
from models.population_learner import PopulationLearner
from schemas.decision import LearningRecord
from schemas.ids import hash32


def test_weights_move_as_rivers_do() -> None:
    random, ours, squares = Random(2), [0.0] * 6, [0.0] * 6
    rivers, optimizer = dict.fromkeys(range(6), 0.0), AdaGrad(WEIGHTS)
    for _ in range(500):
        features, e = [random.choice((0.0, random.gauss(0, 1))) for _ in range(6)], random.uniform(-1, 1)
        descend(ours, squares, features, e)
        optimizer.step(rivers, {place: -e * x for place, x in enumerate(features) if x})
    assert ours == pytest.approx(list(rivers.values()), rel=1e-12)
    assert squares == pytest.approx([optimizer.g2[place] for place in range(6)], rel=1e-12)


def test_features_of_a_newer_release_have_no_weight() -> None:
    weights, squares = [0.0], [0.0]
    descend(weights, squares, [1.0, 1.0], 0.5)
    assert weights == [pytest.approx(WEIGHTS)] and squares == [0.25]


@given(st.integers(0, SKILL_AFTER_ITEM), st.integers(0, 2**32 - 1), st.integers(0, 2**34))
def test_a_cell_is_within_the_table(kind: int, of: int, value: int) -> None:
    assert 0 <= cell(kind, of, value) < CELLS


def test_cells_keep_their_numbers_for_ever() -> None:
    assert [cell(6, hash32("i1"), 3), cell(12, hash32("fractions"), hash32("decimals"))] == [180342, 165136]


def test_few_combinations_share_a_number() -> None:
    names = {cell(kind, hash32(f"item-{n}"), value) for n in range(300) for kind in (6, 7, 8) for value in range(10)}
    assert len(names) > 9_000 * 0.97


def record(number: int, correct: bool, cells: list[int]) -> LearningRecord:
    return LearningRecord(
        tenant="", course="", partition=0, offset=number, segment="", item="i", skills=["a"], features=[1.0], ability=0.0,
        correct=correct, log_seconds=None, pace=0.0, guessed=False, population=(0, ""), logged_ms=0, cells=cells,
    )  # fmt: skip


def learned(share: dict[int, float], count: int) -> PopulationLearner:
    random, learner = Random(1), PopulationLearner("", "", Population.empty())
    for number in range(count):
        name = random.choice(list(share))
        learner.learn_one(record(number, random.random() < share[name], [name]))
    return learner


def test_a_cell_learns_what_its_combination_does() -> None:
    learner = learned({7: 0.9, 8: 0.3}, 2_000)
    assert learner.cells_effect([7]) > 0.3 > 0.0 > learner.cells_effect([8])


def test_strong_cells_want_the_quick_rate_and_the_version_says_so() -> None:
    learner = learned({7: 0.95, 8: 0.05}, 600)
    learner.cut()
    assert CELL_RATES[leading(learner.version.losses)] == 0.06
    assert learner.version.cells_effect([7]) == learner.cells_effect([7])


def test_a_version_predicts_what_its_learner_predicted_when_it_was_cut() -> None:
    learner = learned({7: 0.8, 8: 0.4, 9: 0.6}, 500)
    learner.cut()
    for numbers in ([7], [7, 8, 9], [10]):
        assert learner.version.cells_effect(numbers) == learner.cells_effect(numbers)
