"""Laws of the step and its models: pure, bounded, finite, and blind to the answer that is being predicted."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.step import Outcome, step
from models.belief import chances, heard, mastery, start
from models.entries import NO_BELIEF
from models.gain import View
from models.knowledge import predict
from models.mastery import SkillEffects, masteries
from models.population import NEWNESS, SPREAD, Population
from models.population_learner import PopulationLearner
from models.row import Row
from models.terms import terms
from schemas.codec import decode_decision
from schemas.decision import Decision, LearningRecord
from schemas.ids import hash32
from schemas.population import PopulationChange
from tests.factories import course, interaction

COURSE = course()
answers = st.fixed_dictionaries(
    {
        "segment": st.sampled_from([segment.id for segment in COURSE.segments]),
        "item": st.sampled_from(["i1", "i2", "i3"]),
        "correct": st.booleans(),
        "latency_ms": st.none() | st.integers(0, 86_400_000),
        "attempt": st.none() | st.integers(1, 65_535),
        "hints": st.none() | st.integers(0, 65_535),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)).map(lambda d: d.isoformat()),
    }
)


def run(history: list[dict[str, Any]], population: Population | None = None) -> list[Outcome]:
    """Steps over a history; rows from bytes to bytes."""
    row, outcomes = None, []
    for number, fields in enumerate(history):
        outcome = step(row, interaction(number, **fields), 0, number, COURSE, population or Population.empty())
        outcomes.append(outcome)
        row = outcome.row
    return outcomes


def decision(outcome: Outcome) -> Decision:
    assert outcome.decision is not None
    return decode_decision(outcome.decision)


def learned(history: list[dict[str, Any]]) -> Population:
    learner = PopulationLearner("default", "tiny", Population.empty())
    for outcome in run(history):
        if outcome.learning is not None:
            learner.learn_one(outcome.learning)
    learner.cut()
    return learner.version


@settings(max_examples=60)
@given(st.lists(answers, min_size=1, max_size=12))
def test_any_history_gives_finite_rows_that_come_back_and_the_same_bytes_again(history: list[dict[str, Any]]) -> None:
    first, second = run(history), run(history)
    assert first == second
    for outcome in first:
        row = Row.unpack(outcome.row)
        assert row.pack() == outcome.row
        numbers = (
            row.theta,
            row.v,
            row.residual_fast,
            row.struggle,
            row.tau,
            *(s.theta for s in map(row.skills.get, (hash32(name) for name in "ab")) if s),
        )
        assert all(math.isfinite(number) for number in numbers)
        told = decision(outcome)
        assert 0.0 < told.propensity <= 1.0
        assert told.predicted is None or 0.0 < told.predicted < 1.0


@settings(max_examples=40)
@given(st.lists(answers, min_size=1, max_size=8), answers, answers)
def test_a_prediction_does_not_see_its_own_answer(history: list[dict[str, Any]], one: dict[str, Any],
                                                  other: dict[str, Any]) -> None:  # fmt: skip
    population = learned(history)
    shown = {"segment": one["segment"], "item": one["item"], "at": None}
    told = [decision(run([*history, {**answer, **shown}], population)[-1]).predicted for answer in (one, other)]
    assert told[0] == told[1], "outcome, latency, attempt and hints of the answer itself must not count"


def test_the_gap_ends_where_the_item_was_shown() -> None:
    """A slow answer ends later, but was shown at the same moment: its prediction is the same."""
    history = [{"correct": n % 2 == 0, "item": f"i{n % 3}", "at": f"2026-01-01T10:0{n}:00Z"} for n in range(8)]
    population = learned(history * 3)
    quick = {"latency_ms": 1_000, "at": "2026-01-01T10:30:01Z"}
    slow = {"latency_ms": 61_000, "at": "2026-01-01T10:31:01Z"}
    late = {"latency_ms": 1_000, "at": "2026-01-02T10:31:01Z"}
    told = [decision(run([*history, answer], population)[-1]).predicted for answer in (quick, slow, late)]
    assert told[0] == told[1] != told[2]


def test_without_a_latency_the_time_of_answering_tells_nothing() -> None:
    history = [{"correct": n % 2 == 0, "item": f"i{n % 3}", "at": f"2026-01-01T10:0{n}:00Z"} for n in range(8)]
    population = learned(history * 3)
    moments = [{"latency_ms": None, "at": f"2026-01-0{day}T00:00:00Z"} for day in (2, 5)]
    told = [decision(run([*history, answer], population)[-1]).predicted for answer in moments]
    assert told[0] == told[1]


def test_a_wrong_clock_cannot_stop_a_run() -> None:
    wrong = {"at": "2099-01-01T00:00:00Z"}
    first, second = run([wrong, {"at": "2026-09-21T14:14:00Z"}])
    assert second.learning is not None and Row.unpack(second.row).tries == 2
    assert Row.unpack(first.row).last_at_ms < 1_790_100_000_000


def test_predicting_changes_nothing_and_works_before_any_learning() -> None:
    row = Row()
    before = row.pack()
    assert predict(row, Population.empty(), "i1", ["a"], -1).p == 0.5
    assert row.pack() == before


@settings(max_examples=30)
@given(st.lists(answers, min_size=1, max_size=12), st.sampled_from(["a", "b", "never met"]), st.booleans())
def test_mastery_is_what_the_model_predicts_for_a_typical_item_until_there_is_a_belief(
    history: list[dict[str, Any]], skill: str, believed: bool
) -> None:
    population, row = replace(learned(history), newness=NEWNESS, spread=SPREAD), Row.unpack(run(history)[-1].row)
    if believed and skill in "ab":
        row.skills.touch(hash32(skill)).known = known = start(0.3)
        before, after = mastery(known, chances(0.0)), masteries(row, SkillEffects([skill], population), -1)[0]
        assert math.isclose(before, after, rel_tol=1e-12) or not row.skills.touch(hash32(skill)).tries
        return
    for name in "ab":
        if row.skills.get(hash32(name)) is not None:
            row.skills.touch(hash32(name)).known = NO_BELIEF
    expected = predict(row, population, None, (skill,), 1_790_000_000_000).p
    (told,) = masteries(row, SkillEffects([skill], population), 1_790_000_000_000)
    assert math.isclose(told, expected, rel_tol=1e-12)


def test_an_item_may_ask_for_a_skill_that_nothing_else_in_the_course_names() -> None:
    made = course(segments=[{"id": "x", "skills": {"a": 1.0}, "items": [{"id": "q", "skills": ["only here"]}]}])
    outcome = step(None, interaction(1, segment="x", item="q"), 0, 0, made, Population.empty())
    believed = Row.unpack(outcome.row).skills.get(hash32("only here"))
    assert believed is not None and believed.known != NO_BELIEF


def test_an_old_event_is_counted_not_obeyed() -> None:
    new, old = {"at": "2026-05-01T00:00:00Z"}, {"at": "2026-01-01T00:00:00Z", "correct": False}
    first, second = run([new, old])
    assert second.learning is None
    before, after = Row.unpack(first.row), Row.unpack(second.row)
    assert (after.theta, after.tries, after.late_events) == (before.theta, before.tries, 1)


def test_a_learner_who_is_always_right_is_expected_to_be_right() -> None:
    def last(correct: bool) -> float:
        history = [{"correct": correct, "item": f"i{n % 3}"} for n in range(15)]
        return decision(run(history, learned(history))[-1]).predicted or 0.0

    assert last(True) > 0.8 and last(False) < 0.2


class TestPopulation:
    @settings(max_examples=30)
    @given(st.lists(answers, min_size=1, max_size=10), st.integers(1, 5))
    def test_applying_changes_gives_the_version_that_was_cut(self, history: list[dict[str, Any]], every: int) -> None:
        learner, follower = PopulationLearner("default", "tiny", Population.empty()), Population.empty()
        for number, outcome in enumerate(run(history)):
            if outcome.learning is not None:
                learner.learn_one(outcome.learning)
            if number % every == 0:
                follower = follower.apply(*learner.cut())
        assert follower.items.whole() == learner.version.items.whole()
        assert (follower.weights, follower.stamp) == (learner.version.weights, learner.version.stamp)

    def test_learning_goes_on_bit_for_bit_from_a_published_version(self) -> None:
        records = [o.learning for o in run([{"correct": n % 3 > 0, "item": f"i{n % 4}"} for n in range(40)])]
        whole, cut = (PopulationLearner("default", "tiny", Population.empty()) for _ in range(2))
        for number, response in enumerate(records):
            assert isinstance(response, LearningRecord)
            whole.learn_one(response)
            cut.learn_one(response)
            if number in (9, 23):
                whole.cut()
                cut.cut()
                cut = PopulationLearner("default", "tiny", cut.version)
        assert whole.cut() == cut.cut()

    def test_a_response_is_learned_once(self) -> None:
        (outcome,) = run([{}])
        learner = PopulationLearner("default", "tiny", Population.empty())
        assert outcome.learning is not None
        assert learner.learn_one(outcome.learning)
        assert not learner.learn_one(outcome.learning)
        assert learner.responses == 1


@pytest.mark.parametrize("latency", [0, 1, 86_400_000])
def test_extreme_latencies_stay_in_bounds(latency: int) -> None:
    history = [{"latency_ms": latency, "correct": n % 2 == 0, "item": "i1"} for n in range(60)]
    row = Row.unpack(run(history, learned(history))[-1].row)
    assert abs(row.tau) <= 3.0 and len(row.time_residuals) == 32


def test_a_completed_segment_tells_calibrate_that_a_visit_is_over() -> None:
    over: dict[str, Any] = {"type": "completed", "item": None, "correct": None, "latency_ms": None}
    told = step(None, interaction(1, segment="a1", **over), 0, 0, course(), Population.empty()).learning
    assert told is not None and (told.segment, told.passed, told.item) == ("a1", True, "")
    gone = step(None, interaction(1, segment="of another version", **over), 0, 0, course(), Population.empty())
    assert gone.learning is None, "what the course does not have is not counted"


def test_an_answer_tells_how_steep_levels_are_only_where_there_are_levels() -> None:
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": 0.2 + 0.3 * n} for n in range(3)]
    said = [
        step(None, interaction(1, segment=f"d{n}"), 0, 0, course(segments=segments), Population.empty()) for n in range(3)
    ]
    easy, middle, hard = (outcome.learning.pull for outcome in said if outcome.learning is not None)
    assert easy[0] > 0.0 > hard[0] and easy[1] > 0.0 and hard[1] > 0.0, "a right answer to a hard item speaks against levels"
    assert middle == (0.0, 0.0)


def test_a_try_far_too_hard_is_not_believed_to_have_taught() -> None:
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 4, "items": [{"id": f"i{n}"}]} for n in range(5)]
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=60, steepness=[8.0, 50.0])  # fmt: skip
    given, learned = course(segments=segments), Population.empty().apply(change, "x")
    before, shares = View(Row(), given, learned, -1).believed("a"), []
    for n in (4, 2):
        outcome = step(None, interaction(1, segment=f"d{n}", item=f"i{n}", correct=False), 0, 0, given, learned)
        after = Row.unpack(outcome.row).skills.get(hash32("a"))
        assert after is not None
        right = chances(8.0 * (0.5 - n / 4))
        least, most = (heard([before], [1.0], [taught], False, right)[0] for taught in (0.0, 1.0))
        low, told, high = (mastery(known, chances(0.0)) for known in (least, after.known, most))
        shares.append((told - low) / (high - low))
    assert shares[0] < 0.3 and 0.7 < shares[1] < 0.95, "of what a try that fits wholly teaches"


def test_only_a_first_answer_in_a_skill_tells_how_well_skills_are_known_before_practice() -> None:
    first = step(None, interaction(1, correct=False), 0, 0, course(), Population.empty())
    second = step(first.row, interaction(2), 0, 1, course(), Population.empty())
    assert first.learning is not None and second.learning is not None
    slope, information = first.learning.first
    assert -1.0 < slope < 0.0 and math.isclose(information, -slope * (1.0 + slope)), "expected, and did not come"
    assert second.learning.first == (0.0, 0.0)


def test_what_first_answers_told_moves_what_is_not_practised() -> None:
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=60, newness=[-1.0, 50.0])  # fmt: skip
    row, learned = Row(), Population.empty().apply(change, "x")
    state = row.skills.touch(hash32("a"))
    state.tries, state.known = 1, start(0.6)
    before, after = (masteries(row, SkillEffects(["a", "b"], each), -1) for each in (Population.empty(), learned))
    parts = terms(row, learned, None, ["b"], -1, 0.0, learned.newness[0])
    assert math.isclose(math.fsum(part.value for part in parts), math.log(after[1] / (1.0 - after[1])), abs_tol=1e-12)
    assert before[0] == after[0]
    assert math.isclose(math.log(after[1] / (1.0 - after[1])), math.log(before[1] / (1.0 - before[1])) - 1.0)


def test_what_is_not_practised_is_less_far_apart_where_first_answers_say_so() -> None:
    skills = {"a": (2.0, 0.1), "b": (-1.0, 0.1)}
    usual, nearer = (
        Population.empty().apply(
            PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills=skills,
                             watermark={}, responses=60, newness=[-0.5, 9.0], spread=[spread, 9.0]), str(spread)
        )
        for spread in (1.0, 0.25)
    )  # fmt: skip
    wild = [SkillEffects(["a"], replace(usual, spread=(value, 9.0))).spread for value in (0.0, 9.0, math.nan)]
    assert wild == [0.2, 1.0, 0.2]
    told = [
        [math.log(m / (1.0 - m)) for m in masteries(Row(), SkillEffects(["a", "b"], each), -1)] for each in (usual, nearer)
    ]
    assert told == [pytest.approx([1.5, -1.5]), pytest.approx([0.0, -0.75])]
    parts = terms(Row(), nearer, None, ["b"], -1, 0.0, *(value[0] for value in (nearer.newness, nearer.spread)))
    assert math.isclose(math.fsum(part.value for part in parts), -0.75)
    for learned in (usual, nearer):
        given = course(segments=[{"id": "a1", "skills": {"a": 1.0, "b": 1.0}}, {"id": "a2", "skills": {"a": 1.0}}])
        first = step(None, interaction(1), 0, 0, given, learned)
        again = step(first.row, interaction(2, segment="a2"), 0, 1, given, learned)
        assert first.learning is not None and again.learning is not None
        assert first.learning.apart == pytest.approx(0.5) and again.learning.apart == 0.0, "as predicted, without either"
    certain = replace(usual, skills=usual.skills.replace({"a": (8.0, 0.1)}))
    told_much = step(None, interaction(1), 0, 0, course(), certain).learning
    assert told_much is not None and told_much.apart == 4.0, "nobody's certainty outweighs what all others say"


def test_a_wrong_answer_to_a_hard_item_shows_less_where_levels_are_steep() -> None:
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": 0.2 + 0.3 * n} for n in range(3)]
    given, said, left = course(segments=segments), interaction(1, segment="d2", correct=False), []
    for steep in (0.0, 8.0):
        change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={},
                                  skills={}, watermark={}, responses=60, steepness=[steep, 50.0])  # fmt: skip
        outcome = step(None, said, 0, 0, given, Population.empty().apply(change, f"{steep}"))
        after = Row.unpack(outcome.row).skills.get(hash32("a"))
        assert after is not None
        left.append(mastery(after.known, chances(0.0)))
    assert left[1] > left[0] + 0.02
