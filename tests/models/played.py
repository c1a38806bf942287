"""A few thousand records through the step, told in one line: run with sources and with compiled code, it says the same.

python -m tests.models.played
"""

from __future__ import annotations

import gc
import hashlib
import json
import random
import sys
from dataclasses import replace
from typing import Any

from msgspec import convert

import models.row
from agents.step import Outcome, step
from models.population import Population
from models.population_learner import PopulationLearner
from schemas.codec import encode_msgpack
from schemas.course import Course
from tests.factories import course_json, interaction

LEARNERS, RECORDS, ROUNDS = 8, 600, 3
NOBODY: dict[str, Any] = {"item": None, "correct": None, "latency_ms": None}
SKILLS = [{"id": f"k{n}", "builds_on": [f"k{n - 1}"] if n % 3 else []} for n in range(24)]
SEGMENTS = [
    {"id": f"s{n}", "skills": {f"k{n % 24}": 1.0, f"k{n * 7 % 24}": 0.5}, "minutes": 2 + n % 5, "difficulty": n % 11 / 10,
     "floor": 0.01 if n % 9 == 0 else 0.0, "repeatable": n % 4 == 0, "compulsory": n % 13 == 0, "test_out": True,
     "prerequisites": [{"segment": f"s{n - 9}"}] if n % 10 == 9 else [], "items": [{"id": f"q{n}-{m}"} for m in range(9)]}
    for n in range(80)
]  # fmt: skip
COURSE = convert({**course_json(), "skills": SKILLS, "segments": SEGMENTS, "holdout": 0.0}, Course)


def told(chance: random.Random, number: int) -> dict[str, Any]:
    """One event, as fields of `tests.factories.interaction`."""
    segment = chance.randrange(80 if chance.random() < 0.3 else 3)
    fields: dict[str, Any] = {
        "learner": f"l{chance.randrange(LEARNERS)}",
        "segment": f"s{segment}",
        "at": f"2026-01-{1 + number // 100:02}T{number // 4 % 24:02}:{number % 60:02}:00Z",
    }
    kind = chance.choices(["answered", "completed", "overridden", "rated", "contextualised"], [80, 8, 8, 2, 2])[0]
    if kind == "answered":
        return {**fields, "type": kind, "item": f"q{segment}-{chance.randrange(9)}", "correct": chance.random() < 0.8,
                "latency_ms": chance.randrange(300, 60_000), "attempt": chance.randrange(1, 3)}  # fmt: skip
    extra: dict[str, dict[str, Any]] = {
        "overridden": {"action": chance.choice(["again", "not_now", "know"])},
        "rated": {"rating": 4},
        "contextualised": {"context": ["k3"]},
    }
    return {**fields, "type": kind, **NOBODY, **extra.get(kind, {})}


def play(population: Population, learner: PopulationLearner | None) -> list[Outcome]:
    """Every record in order, each learner from no row."""
    chance, rows, outcomes = random.Random(7), dict[str, bytes](), []
    for number in range(RECORDS):
        said = interaction(number, **told(chance, number))
        outcome = step(rows.get(said.event.learner), said, 0, number, COURSE, population)
        rows[said.event.learner] = outcome.row
        outcomes.append(outcome)
        if learner is not None and outcome.learning is not None:
            learner.learn_one(outcome.learning)
    return outcomes


def main() -> None:
    """Print what came of it: all bytes as one hash, and whether anything was kept that nobody needs."""
    gc.set_threshold(50, 5, 5)
    learner = PopulationLearner("default", "tiny", Population.empty())
    play(Population.empty(), learner)
    learner.cut()
    population, kept = (
        replace(
            learner.version, shortfall=(0.1, 300.0), discrimination=(0.4, 50.0), efforts=((0.5, 30.0),) * 6,
            familiarity=(30.0, 0.0, 1.0, 30.0, 2.0, 30.0, 0.0, 9.0, 1.0),
        ),
        [],
    )  # fmt: skip
    for _ in range(ROUNDS):
        digest, telling = hashlib.sha256(), 0
        for outcome in play(population, None):
            telling += outcome.learning is not None and outcome.learning.practised != (0.0, 0.0)
            digest.update(outcome.row + (outcome.decision or b"") + encode_msgpack(outcome.learning))
        gc.collect()
        kept.append((len(gc.get_objects()), sys.getrefcount(None)))
    compiled = not str(models.row.__file__).endswith(".py")
    print(json.dumps({"compiled": compiled, "digest": digest.hexdigest(), "kept": kept, "telling": telling}))


if __name__ == "__main__":
    main()
