"""States of behaviour: named when the row shows them, gone when it no longer does."""

from __future__ import annotations

from random import Random
from typing import Any

from models.behaviour import residuals, shifted, states
from models.population import Population
from models.population_learner import PopulationLearner
from models.response import Response, at_offset, hear, lesson
from models.row import Row


def heard(answers: list[dict[str, Any]], population: PopulationLearner | None = None) -> Row:
    row, shared = Row(run_start_ms=0), population or PopulationLearner("", "", Population.empty())
    for number, fields in enumerate(answers):
        response = Response(**{"item": f"i{number % 3}", "skills": ["a"], "correct": True, **fields})
        told = hear(row, response, shared)
        shared.learn_one(lesson(response, told, at_offset(shared.responses)))
        row.events += 1
        row.last_at_ms = max(row.last_at_ms, response.at_ms)
    return row


def names(row: Row, mastery: dict[str, tuple[int, float]] | None = None) -> set[str]:
    return {state.name for state in states(row, mastery or {})}


def test_a_new_learner_shows_nothing() -> None:
    assert names(Row()) == set()


def test_retries_and_hints_mean_struggling_and_it_passes() -> None:
    hard = [{"correct": False, "attempt": 2, "hints": 1}] * 6
    assert "struggling" in names(heard(hard))
    assert "struggling" not in names(heard([*hard, *[{"correct": True}] * 8]))


def test_wrong_answers_within_seconds_on_one_item_are_cycling() -> None:
    quick = [{"item": "x", "correct": False, "at_ms": 1_000 * n, "latency_ms": 500} for n in range(1, 9)]
    slow = [{**answer, "at_ms": 60_000 * n} for n, answer in enumerate(quick, 1)]
    assert "answer_cycling" in names(heard(quick)) and "answer_cycling" not in names(heard(slow))


def test_many_tries_without_mastery_are_wheel_spinning() -> None:
    assert "wheel_spinning" in names(Row(), {"a": (12, 0.4)})
    assert "wheel_spinning" not in names(Row(), {"a": (12, 0.9), "b": (5, 0.1)})


def test_a_shift_is_found_and_steadiness_is_not_one() -> None:
    random = Random(5)
    steady = [random.gauss(0.0, 0.6) for _ in range(32)]
    assert shifted(steady) is None and shifted(steady[:8]) is None
    found = [shifted([*steady[:20], *(value - 2.5 for value in steady[20 : 20 + n])]) for n in range(4, 13)]
    assert any(shift is not None and shift < 0 for shift in found)


def test_expected_quick_right_answers_mean_ready_to_move_on() -> None:
    shared = PopulationLearner("", "", Population.empty())
    heard([{"latency_ms": 20_000 + 40 * n} for n in range(60)], shared)
    ready = heard([{"latency_ms": 20_000}] * 12 + [{"latency_ms": 2_400}] * 6, shared)
    assert "ready_to_move_on" in names(ready)
    assert len(residuals(ready)) == 18 and min(residuals(ready)) < -0.7
