"""How often the detectors of behaviour are wrong and right: on real latency series, as they are and with planted shifts."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from statistics import median
from typing import Any

from benchmarks.learner_logs import Log
from models.behaviour import LEAST_TIMED, shifted
from models.classifier import step
from models.population import Population
from models.population_learner import PopulationLearner
from models.response import at_offset, lesson
from models.row import RESIDUALS, Row

SHIFT = -1.5
"""Planted: answers quicker by one and a half standard deviations from some response on."""

WITHIN = 20
SERIES = 150


def detectors(log: Log, seed: int = 1) -> dict[str, Any] | None:
    """False alarms a hundred responses, planted shifts found within WITHIN; rapid guesses and how often they were right.

    None when the log has no latencies to speak of.
    """
    series, guesses, others = _residuals(log)
    random = Random(seed)
    long = [each for each in series if len(each) >= LEAST_TIMED + WITHIN + 5]
    if not long:
        return None
    chosen = random.sample(long, min(SERIES, len(long)))
    alarms = looked = 0
    delays: list[int | None] = []
    for each in chosen:
        raised = [n for n in range(LEAST_TIMED, len(each)) if _alarm(each, n)]
        alarms += sum(1 for before, now in zip([-99, *raised], raised, strict=False) if now - before > 1)
        looked += len(each) - LEAST_TIMED
        start = random.randrange(LEAST_TIMED, len(each) - WITHIN)
        moved = [value + SHIFT * (n >= start) for n, value in enumerate(each)]
        delays.append(next((n - start + 1 for n in range(start, start + WITHIN) if _alarm(moved, n)), None))
    found = [delay for delay in delays if delay is not None]
    return {
        "series": len(chosen),
        "false_alarms_per_100": round(100 * alarms / looked, 2),
        "found_within_20": round(len(found) / len(delays), 3),
        "median_delay": median(found) if found else None,
        "rapid_guess_share": round(len(guesses) / max(1, len(guesses) + len(others)), 4),
        "rapid_guess_right": round(sum(guesses) / len(guesses), 3) if guesses else None,
        "others_right": round(sum(others) / len(others), 3),
    }


def _alarm(values: list[float], n: int) -> bool:
    return shifted(values[max(0, n + 1 - RESIDUALS) : n + 1]) is not None


def _residuals(log: Log) -> tuple[list[list[float]], list[bool], list[bool]]:
    """Residuals by learner, and the outcomes of rapid guesses and of all other timed responses."""
    population, rows = PopulationLearner("", "", Population.empty()), defaultdict[str, Row](Row)
    series: dict[str, list[float]] = defaultdict(list)
    guesses: list[bool] = []
    others: list[bool] = []
    for number, place in enumerate(log.order("cold")):
        learner, response = log.learners[place], log.responses[place]
        heard = step(rows[learner], response, population)
        population.learn_one(lesson(response, heard, at_offset(number)))
        if heard.timing.residual is not None:
            series[learner].append(heard.timing.residual)
            (guesses if heard.timing.guessed else others).append(response.correct)
    return list(series.values()), guesses, others
