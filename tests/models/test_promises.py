"""What is promised about compulsory content, probes and choices where courses change, time is short or nobody tells it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert
from msgspec.structs import replace

from agents.step import step
from models.explain import runner_up
from models.gain import View
from models.policy import choose, is_held_out
from models.population import Population
from models.row import Row
from schemas.codec import decode_decision
from schemas.course import Course
from schemas.decision import Decision
from tests.factories import LOGGED_MS, course, course_json, interaction
from tests.models.test_control import FIELDS, Learner, probed_course

DAY_MS = 86_400_000


def owing(count: int, days: float | None) -> Course:
    """A course in which so many segments are compulsory until a deadline, and forty are worth more."""
    owed = [
        {"id": f"c{n}", "skills": {"a": 0.2}, "minutes": 8, "compulsory": True, "deadline_days": days} for n in range(count)
    ]
    free = [{"id": f"o{n}", "skills": {"b": 1.0}, "minutes": 2} for n in range(40)]
    return course(segments=[*owed, *free])


class Reader(Learner):
    """Somebody who looks at segments, too, and knows all answers."""

    def view(self, *segments: str) -> None:
        for name in segments:
            fields: dict[str, Any] = {**FIELDS, "type": "viewed", "segment": name}
            said = interaction(self.sent, **fields)
            self.row = step(self.row, said, 0, self.sent, self.course, Population.empty()).row
            self.sent += 1

    def know(self, segment: str) -> None:
        decision = self.override("know", segment)
        while decision.probe is not None:
            decision = self.answer(segment, decision.probe.item, correct=True)


class Visitor(Learner):
    """Somebody whose events the log has on some day; they tell no time."""

    day = 0.0

    def tell(self, **fields: Any) -> Decision:
        said = interaction(self.sent, version=self.course.version, **{**FIELDS, "segment": None, **fields})
        said = replace(said, stamp=replace(said.stamp, logged_ms=LOGGED_MS + int(self.day * DAY_MS)))
        outcome = step(self.row, said, 0, self.sent, self.course, Population.empty())
        self.row, self.sent = outcome.row, self.sent + 1
        self.evidence += outcome.evidence
        assert outcome.decision is not None
        return decode_decision(outcome.decision)

    def done(self, segment: str) -> Decision:
        return self.tell(type="completed", segment=segment)


TIMES = [(6, 10, 1.0), (6, 14, 1.0), (12, 30, 1.0), (10, 30, 2.4), (2, 14, 3.0), (3, 1, 0.2)]


@pytest.mark.parametrize(("count", "deadline", "every"), TIMES)
def test_all_that_is_due_is_shown_before_its_deadline_where_there_are_visits_enough(
    count: int, deadline: float, every: float
) -> None:
    ana, shown = Visitor(owing(count, deadline)), []
    decision = ana.tell(type="requested")
    while (ana.day + every) <= deadline:
        assert decision.segment is not None
        shown.append(decision.segment)
        ana.day += every
        decision = ana.done(decision.segment)
    assert sum(name.startswith("c") for name in shown) == count


def test_without_a_deadline_nobody_is_hurried() -> None:
    ana = Visitor(owing(6, None))
    ana.tell(type="requested")
    ana.day = 300.0
    assert ana.tell(type="requested").arm != "compulsory"


def versions() -> tuple[Course, Course]:
    """A segment `p` with questions, and a version in which it is compulsory and may not be tested out of."""
    first = probed_course()
    segments = [replace(each, compulsory=True) if each.id == "p" else each for each in first.segments]
    return first, convert(replace(first, version="2", segments=segments), Course)


def test_what_was_tested_out_of_before_it_became_compulsory_comes_back() -> None:
    first, second = versions()
    ana = Reader(first)
    ana.know("p")
    assert ana.override("know", "p").reply.reason == "finished"  # type: ignore[union-attr]
    ana.course = second
    for name in ("a1", "a2", "a3", "b1", "b2", "b3", "c"):
        decision = ana.tell(type="completed", segment=name)
    assert (decision.segment, decision.compulsory) == ("p", True)


def test_what_was_completed_before_it_became_compulsory_is_put_in_evidence_once() -> None:
    first, second = versions()
    ana = Learner(first)
    ana.tell(type="completed", segment="p")
    assert [each for each in ana.evidence if each.segment == "p"] == []
    ana.course = second
    for _ in range(3):
        ana.tell(type="requested")
    assert [(each.kind, each.course_version) for each in ana.evidence if each.segment == "p"] == [("completed", "2")]


def test_a_waiver_that_is_in_evidence_stays_in_force() -> None:
    ana = Reader(probed_course(test_out=True))
    ana.know("c")
    ana.course = replace(ana.course, version="2")
    ana.tell(type="requested")
    assert [each.kind for each in ana.evidence if each.segment == "c" and each.kind != "decided"] == ["waived"]
    assert ana.override("know", "c").reply.reason == "finished"  # type: ignore[union-attr]


def test_wrong_answers_are_not_forgotten_by_asking_anew() -> None:
    ana = Reader(probed_course())
    decision = ana.override("know", "p")
    assert decision.probe is not None
    ana.answer("p", decision.probe.item, correct=False)
    assert ana.override("know", "p").probe.number == 2  # type: ignore[union-attr]
    ana.override("know", "a2")
    again = ana.override("know", "p")
    assert again.reply is not None and (again.reply.honoured, again.reply.reason) == (False, "not_yet")
    ana.view("a1", "a2", "a3", "b1", "b2")
    assert ana.override("know", "p").probe.number == 1  # type: ignore[union-attr]


def test_a_probe_ends_where_its_segment_is_completed_or_waits_for_another() -> None:
    ana = Learner(probed_course())
    ana.override("know", "p")
    assert ana.tell(type="completed", segment="p").probe is None
    ana.override("know", "c")
    bob = Learner(probed_course(test_out=True))
    assert bob.override("know", "c").probe is not None
    gated = convert({**course_json(), "version": "2", "segments": [
        *course_json()["segments"], {"id": "c", "skills": {"a": 1.0}, "test_out": True, "compulsory": True,
                                     "items": [{"id": f"c{n}"} for n in range(9)], "prerequisites": [{"segment": "a1"}]},
    ]}, Course)  # fmt: skip
    bob.course = gated
    decision = bob.tell(type="requested")
    assert decision.probe is None and decision.segment != "c"


class Named(Learner):
    """Somebody with another name."""

    def __init__(self, course: Course, name: str) -> None:
        super().__init__(course)
        self.name = name

    def tell(self, **fields: Any) -> Decision:
        return super().tell(learner=self.name, **fields)


def held_out(given: Course) -> Learner:
    """Somebody who is held out of a course."""
    names = (f"learner-{number}" for number in range(100))
    held = replace(given, holdout=0.5)
    return Named(held, next(name for name in names if is_held_out(held, "default", name)))


@pytest.mark.parametrize("steered", ["held out", "not personalised"])
def test_what_is_put_off_stays_away_in_the_authored_order(steered: str) -> None:
    ana = held_out(course()) if steered == "held out" else Learner(course())
    if steered == "not personalised":
        ana.override("do_not_personalise")
    decision = ana.override("not_now", "a1")
    assert decision.reply is not None and decision.reply.honoured and decision.segment == "a2"


def test_a_format_is_obeyed_in_the_authored_order_and_changes_nothing_for_who_is_held_out() -> None:
    segments = [{"id": "t1"}, {"id": "t2"}, {"id": "v1", "format": "video"}, {"id": "m", "compulsory": True}]
    ana = Learner(course(segments=segments))
    ana.override("do_not_personalise")
    assert ana.tell(type="preferred", format="video").segment == "v1"
    ana.tell(type="completed", segment="v1")
    none_left = ana.tell(type="preferred", format="video")
    assert none_left.segment == "m" and none_left.reply is not None and none_left.reply.reason == "compulsory"
    ana.tell(type="completed", segment="m")
    none_left = ana.tell(type="preferred", format="video")
    assert none_left.segment == "t1" and none_left.reply is not None and none_left.reply.reason == "none_left"
    held = held_out(course(segments=segments)).tell(type="preferred", format="video")
    assert (held.segment, held.arm) == ("t1", "holdout") and held.reply is not None and held.reply.reason == "holdout"


def test_a_refused_wish_leaves_the_one_before_and_both_refusals_are_told() -> None:
    segments = [{"id": "t", "skills": {"a": 1.0}}, {"id": "v", "skills": {"a": 1.0}, "format": "video"}]
    ana = Learner(course(segments=segments))
    ana.tell(type="preferred", format="video", goal="a")
    before = ana.state
    refused = ana.tell(type="preferred", format="hologram", goal="zzz")
    assert (ana.state.format, ana.state.goal) == (before.format, before.goal)
    assert refused.reply is not None and refused.reply.reason == "no_such_format" and "skill" in refused.reply.words


def test_back_leads_to_where_the_learner_was_whatever_was_put_off() -> None:
    ana = Reader(course())
    assert ana.override("back").reply.reason == "nothing_yet"  # type: ignore[union-attr]
    ana.view("a1", "a2", "a3")
    ana.override("not_now", "a1")
    ana.view("b2")
    assert ana.override("back").segment == "a3"


def test_the_end_is_said_only_where_nothing_is_left_and_what_waits_for_mastery_is_led_to() -> None:
    segments: list[dict[str, Any]] = [{"id": "x", "skills": {"a": 1.0}},
                {"id": "y", "skills": {"a": 1.0}, "prerequisites": [{"skill": "a", "mastery": 0.9}]}]  # fmt: skip
    ana = Learner(course(segments=segments))
    again = ana.tell(type="completed", segment="x")
    assert (again.segment, again.fallback) == ("x", True) and "once more" in again.why
    segments[1]["prerequisites"] = [{"skill": "b", "mastery": 0.9}]
    bob = Learner(course(segments=segments))
    closed = bob.tell(type="completed", segment="x")
    assert closed.segment is None and "finished" not in closed.why


def test_a_completion_counts_whenever_it_arrives_and_a_late_wish_is_answered() -> None:
    ana = Learner(course())
    ana.tell(type="requested", at="2026-03-05T00:00:00Z")
    done = ana.tell(type="completed", segment="b3", at="2026-03-01T00:00:00Z")
    assert [each.kind for each in ana.evidence if each.segment == "b3"][-1] == "completed"
    assert done.segment != "b3" and ana.override("skip", "b3").reply.honoured  # type: ignore[union-attr]
    late = ana.tell(type="overridden", action="skip", segment="a1", at="2026-03-01T00:00:00Z")
    assert late.reply is not None and (late.reply.honoured, late.reply.reason) == (False, "late")


def test_not_now_does_not_come_round_with_the_count_of_visits() -> None:
    row = Row()
    row.mark_now(7, 0x0080)
    for number in range(300):
        row.visit(100 + number % 2)
        assert number < 64 or not row.segments[7] & 0x0080


@given(st.integers(0, 2**32), st.lists(st.integers(1, 40), min_size=6, max_size=6), st.text("fgh", min_size=6, max_size=6))
def test_what_is_said_of_the_runner_up_is_so(seed: int, minutes: list[int], formats: str) -> None:
    """In a course in which it takes as long as said it does come first; and never is it to take no time at all."""
    segments = [
        {"id": f"s{n}", "skills": {"ab"[n % 2]: 1.0}, "minutes": each / 4, "format": form}
        for n, (each, form) in enumerate(zip(minutes, formats, strict=True))
    ]
    first = choose(fresh(segments), f"d/{seed}")
    told = runner_up(fresh(segments), first)
    if first.arm != "best" or told is None or first.best is None:
        return
    if told.score == first.best.value:
        assert "as much" in told.needs
        return
    needed = re.search(r"took ([0-9.]+) minutes", told.needs)
    assert (needed is None) == ("next in line" in told.needs)
    if needed is not None:
        assert float(needed[1]) > 0.0
        changed = [{**each, "minutes": float(needed[1])} if each["id"] == told.segment else each for each in segments]
        place = fresh(changed)
        assert max(place.worth) == place.worth[place.course.places[told.segment]]
        assert place.worth[place.course.places[told.segment]] > place.worth[place.course.places[first.best.segment.id]]


def fresh(segments: list[dict[str, Any]]) -> View:
    return View(Row(seq=1), course(segments=segments), Population.empty(), -1)
