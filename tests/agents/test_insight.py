"""Insight: estimators find what is known to be true, effects are claimed only where there are some."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from msgspec import json

from agents.estimates import Logged, difference, mean_of, values_of
from agents.insight import Insight
from agents.reports import CourseReport
from agents.step import step
from cli.insight_page import page
from models.policy import is_held_out
from models.population import Population
from models.row import Row
from schemas.codec import decode_decision
from schemas.course import Course
from tests.factories import course, interaction

MEANS = {"x": 1.0, "y": 3.0, "z": 8.0}
NO_ANSWER: dict[str, Any] = {"item": None, "correct": None, "latency_ms": None}


def logged(seed: int, learners: int = 300, choices: int = 12) -> list[Logged]:
    """Choices of a logging policy among three segments of known worth, with rewards that vary."""
    random, found = Random(seed), []
    chances = {"x": 0.6, "y": 0.3, "z": 0.1}
    for learner in range(learners):
        luck = random.gauss(0.0, 1.0)
        for _ in range(choices):
            segment = random.choices(list(chances), list(chances.values()))[0]
            targets = {"always z": float(segment == "z"), "uniform": 1 / 3}
            models = {"always z": ["z"], "uniform": list(chances)}
            found.append(
                Logged(
                    str(learner), segment, chances[segment], MEANS[segment] + luck + random.gauss(0.0, 2.0), targets, models
                )
            )
    return found


@pytest.mark.parametrize(("policy", "worth"), [("logging", 2.3), ("always z", 8.0), ("uniform", 4.0)])
def test_every_estimator_finds_what_a_policy_is_worth(policy: str, worth: float) -> None:
    held, sums = {"ips": 0, "snips": 0, "dr": 0}, {"ips": 0.0, "snips": 0.0, "dr": 0.0}
    for seed in range(20):
        value = values_of(logged(seed), ["always z", "uniform"])[policy]
        for name in held:
            estimate = getattr(value, name)
            held[name] += estimate.low <= worth <= estimate.high
            sums[name] += estimate.value / 20
    assert min(held.values()) >= 16, f"95 % intervals hold the truth: {held} of 20"
    assert all(abs(mean - worth) < 0.3 for mean in sums.values()), sums


def test_weights_that_rest_on_few_choices_are_not_trusted() -> None:
    few = values_of(logged(1, learners=12, choices=2), ["always z", "uniform"])
    assert not few["always z"].trusted and few["logging"].effective_sample == 24


def test_differences_hold_the_truth_and_claim_nothing_from_nothing() -> None:
    random, claimed = np.random.default_rng(3), 0
    for _ in range(60):
        claimed += difference(list(random.normal(size=40)), list(random.normal(size=40))).shown
    assert claimed <= 9, "about one in twenty may be wrong"
    there = difference(list(random.normal(1.0, 1.0, 60)), list(random.normal(0.0, 1.0, 60)))
    assert there.shown and there.value is not None and abs(there.value - 1.0) < 0.6
    assert mean_of([1.0, 2.0]).low is None and mean_of([]).value is None


def lived(given: Course, learners: int, better: float = 0.0, events: int = 24, seed: int = 0) -> CourseReport:
    """Learners who follow their decisions; who is personalised answers better by `better`. Each also rates a1."""
    collecting, rows = Insight("default", given, Population.empty()), dict[str, Row]()
    for number in range(learners):
        name, row = f"l{number}", None
        random = Random(f"{name}/{better}/{seed}")
        segment, held = "a1", is_held_out(given, "default", name)
        chance = 0.5 + (0.0 if held else better) + random.gauss(0.0, 0.05)
        for n in range(events):
            minute = f"2026-01-02T0{n // 12}:{5 * (n % 12):02d}:00Z"
            kinds: list[dict[str, Any]] = [
                {"type": "answered", "item": f"{segment}{n}", "correct": random.random() < chance}
            ]
            if n == 0:
                kinds.append({"type": "rated", "rating": 4, "segment": "a1", **NO_ANSWER})
            for kind in kinds:
                said = interaction(f"{name}/{n}/{kind['type']}", at=minute, **{"learner": name, "segment": segment, **kind})
                outcome = step(row, said, 0, 2 * n + (kind["type"] == "rated"), given, Population.empty())
                decision = decode_decision(outcome.decision) if outcome.decision else None
                collecting.see(said, decision, row)
                row = outcome.row
                segment = decision.segment if decision is not None and decision.segment else segment
        rows[f"default/tiny/1/{name}"] = Row.unpack(row or b"")
    return collecting.report(rows, {f"l{n}": "even" if n % 2 == 0 else "odd" for n in range(learners)})


GIVEN = course(
    holdout=0.5, segments=[{"id": f"{s}{n}", "skills": {s: 1.0}, "repeatable": True} for s in "ab" for n in range(3)]
)


def test_no_effect_is_said_plainly() -> None:
    reports = [lived(GIVEN, 60, seed=seed) for seed in range(6)]
    silent = [report for report in reports if not report.effect_shown]
    assert len(silent) >= 5, "about one in twenty may be wrong"
    assert all("not shown" in report.summary for report in silent)
    report = reports[0]
    assert 15 <= report.held_out <= 45 and report.learners == 60
    assert report.arms["holdout"] > 100 and report.decisions == 60 * 24
    assert not any(cohort.alarms == ["decisions"] for cohort in report.cohorts.values())
    assert sum(cohort.learners for cohort in report.cohorts.values()) == 60


def test_an_effect_that_is_there_is_shown() -> None:
    report = lived(GIVEN, 80, better=0.4)
    effect = report.uplift["mastery_per_hour"]
    assert report.effect_shown and effect.low is not None and effect.low > 0 and "helps" in report.summary


def test_segments_tell_exposure_ratings_and_floors() -> None:
    report = lived(GIVEN, 40)
    first = next(each for each in report.segments if each.id == "a0")
    assert first.learners > 0 and first.least_propensity is not None and 0 < first.least_propensity <= 1 and first.floor_met
    rated = next(each for each in report.segments if each.id == "a1")
    assert (rated.rating, rated.ratings) == (4.0, 40)
    assert report.followed > 50 and set(report.values) == {"logging", "authored", "uniform", "greedy"}


def test_who_may_want_help_is_listed_by_name_with_the_evidence() -> None:
    report = lived(GIVEN, 30, better=-0.45)
    assert report.trouble, "half of them answer nearly everything wrong"
    names = [each.learner for each in report.trouble]
    assert names == sorted(names) and all(each.evidence for each in report.trouble)
    assert {each.state for each in report.trouble} <= {"struggling", "wheel_spinning"}


def test_waivers_that_do_not_hold_are_counted() -> None:
    items = [{"id": f"q{n}"} for n in range(9)]
    given = course(segments=[{"id": "p", "skills": {"a": 1.0}, "items": items}, {"id": "r", "skills": {"a": 1.0}}])
    collecting, rows = Insight("default", given, Population.empty()), dict[str, Row]()
    for number in range(8):
        name, packed, place = f"l{number}", None, 0

        def tell(**fields: Any) -> Any:
            nonlocal packed, place
            said = interaction(f"{name}/{place}", **{**NO_ANSWER, "learner": name, **fields})  # noqa: B023
            outcome = step(packed, said, 0, place, given, Population.empty())
            told = decode_decision(outcome.decision or b"")
            collecting.see(said, told, packed)
            packed, place = outcome.row, place + 1
            return told

        decision = tell(type="overridden", action="know", segment="p")
        while decision.probe is not None:
            decision = tell(type="answered", segment="p", item=decision.probe.item, correct=True, latency_ms=9_000)
        for n in range(5):
            tell(type="answered", segment="r", item=f"r{n}", correct=number < 2, latency_ms=9_000)
        rows[f"default/tiny/1/{name}"] = Row.unpack(packed or b"")
    report = collecting.report(rows, {})
    assert report.false_skips.value == 0.75 and report.segments[0].waived == 8


def test_a_decision_is_read_by_the_course_version_that_it_was_made_in() -> None:
    """Not by a newer one, with two segments in front and nobody held out."""
    new = course(
        version="2", holdout=0.0, segments=[{"id": name, "skills": {"a": 1.0}} for name in ("n1", "n2", "a0", "a1", "a2")]
    )
    old = course(holdout=0.5, segments=[{"id": f"a{n}", "skills": {"a": 1.0}, "repeatable": True} for n in range(3)])
    collecting = Insight("default", new, Population.empty(), {"1": old, "2": new})
    held = 0
    for number in range(40):
        row, segment, name = None, "a0", f"l{number}"
        held += is_held_out(old, "default", name)
        for n in range(8):
            fields: dict[str, Any] = {
                "learner": name,
                "segment": segment,
                "item": f"i{n}",
                "at": f"2026-01-02T00:{5 * n:02d}:00Z",
            }
            said = interaction(f"{name}/{n}", **fields)
            outcome = step(row, said, 0, n, old, Population.empty())
            decision = decode_decision(outcome.decision or b"")
            collecting.see(said, decision, row)
            row, segment = outcome.row, decision.segment or segment
    report = collecting.report({}, {})
    assert 0 < held == report.held_out
    assert {name for choice in collecting.logged for name in choice.models["uniform"]} <= {"a0", "a1", "a2"}


def test_the_page_is_one_file_without_scripts_and_escapes_what_others_wrote() -> None:
    report = lived(GIVEN, 40)
    told = page([json.decode(json.encode(report).replace(b'"tiny"', b'"<img src=x>"'), type=CourseReport)])
    assert "<script" not in told and "http" not in told and "<img" not in told and "&lt;img" in told
    assert report.summary.split(":")[0] in told and told.count("<svg") >= 2 and told.count("<caption>") >= 4
    assert told.count('tabindex="0"') == told.count('class="scroll"') and '<th scope="row">' in told
    assert "Nobody has begun" in page([])
