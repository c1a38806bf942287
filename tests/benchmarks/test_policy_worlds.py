"""The simulated worlds are fair to policies: valid courses, luck that no order of segments changes, gains that are real; and
the log of ours is weighed by what chance there was."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from authoring.check import check
from benchmarks.policy import EVERYWHERE, Logged
from benchmarks.policy_worlds import Answer, Learner
from schemas.course import Course

everywhere = pytest.mark.parametrize("world", EVERYWHERE.values(), ids=EVERYWHERE.keys())
World = tuple[Callable[[int], Course], type[Learner]]


@everywhere
def test_a_course_has_no_errors_and_owes_something(world: World) -> None:
    course = world[0](7)
    assert [finding for finding in check(course) if finding.error] == []
    assert any(segment.compulsory for segment in course.segments)


@everywhere
def test_how_long_a_visit_takes_and_how_much_is_asked_depends_on_no_policy(world: World) -> None:
    make, learner = world
    course = make(7)
    names = [segment.id for segment in course.segments]
    forwards, backwards = learner(course, 7, 3), learner(course, 7, 3)
    told = {name: _outside(forwards, name) for name in names}
    again = {name: _outside(backwards, name) for name in reversed(names)}
    assert {name: count for name, (count, _) in told.items()} == {name: count for name, (count, _) in again.items()}
    assert all(abs(told[name][1] - again[name][1]) < 1e-6 for name in names)


@everywhere
def test_working_where_the_oracle_sees_gain_brings_mastery(world: World) -> None:
    make, learner = world
    course, before, after = make(7), 0.0, 0.0
    for number in range(20):
        each = learner(course, 7, number)
        before += sum(map(each.mastery, each.skills))
        for _ in range(40):
            best = max(course.segments, key=lambda segment: _gain(each, course, segment.id) / segment.minutes)
            each.work(best.id)
        after += sum(map(each.mastery, each.skills))
    assert after > before + 20.0


def _outside(learner: Learner, segment: str) -> tuple[int, float]:
    """Answers given and minutes taken."""
    before = learner.minutes
    answers: list[Answer] = learner.work(segment)
    return len(answers), learner.minutes - before


def _gain(learner: Learner, course: Course, segment: str) -> float:
    return sum(learner.gain(skill, segment) for skill in course.by_id[segment].skills)


def drawn(courses: int) -> Logged:
    """A log in which the same 400 chances decided once in each course; an even draw is worth 1 in the mean."""
    logged, random = Logged(), Random(1)
    once = {f"d{number}": (random.choice((0.5, 1.5)), 1) for number in range(400)}
    for _ in range(courses):
        logged.join(Logged(weights=once))
    return logged


def test_one_chance_that_decides_in_several_courses_is_evidence_once() -> None:
    low, high = drawn(1).value_of_itself()
    assert low < 1.0 < high and high - low == pytest.approx(4 * 0.5 / 20, rel=0.15)
    assert drawn(3).value_of_itself() == [low, high]
