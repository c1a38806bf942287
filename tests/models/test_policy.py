"""The policy: what may be shown, what must be, and how likely each choice was."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.control import Obeyed
from models.gain import View, score
from models.mask import removal
from models.policy import UNIFORM_SHARE, Choice, choose, is_held_out, ranked
from models.population import Population
from models.row import COMPLETED, Row
from schemas.course import Course
from schemas.ids import hash32
from tests.factories import course

COURSE = course()


def view(given: Course = COURSE, **fields: Any) -> View:
    return View(Row(seq=1, **fields), given, Population.empty(), -1)


def chosen(place: View, times: int = 400) -> list[Choice]:
    return [choose(place, f"default/tiny/1/ana/{n}") for n in range(times)]


def test_the_same_decision_is_chosen_again_bit_for_bit() -> None:
    assert choose(view(), "default/tiny/1/ana/1") == choose(view(), "default/tiny/1/ana/1")


def test_choices_are_as_likely_as_they_say() -> None:
    drawn = chosen(view(), 4_000)
    counts = Counter(choice.segment.id for choice in drawn if choice.segment)
    said = {choice.segment.id: choice.propensity for choice in drawn if choice.segment}
    for segment, propensity in said.items():
        assert abs(counts[segment] / 4_000 - propensity) < 4 * (propensity / 4_000) ** 0.5 + 0.002


def test_every_eligible_segment_has_its_share_of_chance() -> None:
    drawn = chosen(view(), 3_000)
    eligible = [segment for segment in COURSE.segments if removal(view(), segment) is None]
    assert {choice.segment.id for choice in drawn if choice.segment} == {segment.id for segment in eligible}
    assert min(choice.propensity for choice in drawn) >= UNIFORM_SHARE / len(eligible)


def test_who_is_held_out_gets_the_authored_order_and_what_is_compulsory() -> None:
    held = [choose(view(), f"d/{n}", held_out=True) for n in range(50)]
    assert {(choice.segment.id, choice.arm, choice.propensity) for choice in held if choice.segment} == {
        ("a1", "holdout", 1.0)
    }
    place = view()
    place.row.visits = 3
    due = choose(place, "d/1", held_out=True)
    assert due.segment is not None and (due.segment.id, due.arm) == ("b3", "compulsory")


def test_the_hold_out_is_a_stable_share_of_the_learners() -> None:
    given = course(holdout=0.1)
    held = [is_held_out(given, "default", f"learner-{n}") for n in range(5_000)]
    assert abs(sum(held) / 5_000 - 0.1) < 0.015
    assert held == [is_held_out(given, "default", f"learner-{n}") for n in range(5_000)]
    assert not any(is_held_out(course(holdout=0.0), "default", f"learner-{n}") for n in range(500))


def test_an_unmet_prerequisite_is_never_chosen() -> None:
    assert removal(view(), COURSE.by_id["b1"]) == "prerequisite"
    assert all(choice.segment and choice.segment.id != "b1" for choice in chosen(view()))
    done = view(segments={hash32("a1"): COMPLETED})
    assert removal(done, COURSE.by_id["b1"]) is None


def test_a_skill_prerequisite_asks_for_mastery() -> None:
    segments = [{"id": "x", "skills": {"a": 1.0}}, {"id": "y", "prerequisites": [{"skill": "a", "mastery": 0.7}]}]
    given = course(segments=segments)
    assert removal(view(given), given.by_id["y"]) == "prerequisite"
    assert removal(view(given, theta=3.0), given.by_id["y"]) is None


def test_compulsory_content_passes_format_and_cool_down_masks() -> None:
    refusing = view(format=hash32("video"))
    assert removal(refusing, COURSE.by_id["b3"]) is None
    refusing.row.visit(hash32("b3"))
    assert removal(refusing, COURSE.by_id["b3"]) is None


def test_a_deadline_that_is_near_goes_first() -> None:
    segments = [{"id": "x"}, {"id": "late", "compulsory": True, "deadline_days": 10}]
    given = course(segments=segments)
    place = View(Row(seq=1, run_start_ms=0), given, Population.empty(), 9 * 86_400_000)
    assert {choice.segment.id for choice in chosen(place, 50) if choice.segment} == {"late"}


def test_what_the_learner_asks_for_is_given_if_it_may_be_shown() -> None:
    given = choose(view(), "d/1", Obeyed(segment=COURSE.by_id["a3"]))
    assert given.segment is not None and (given.segment.id, given.arm, given.propensity) == ("a3", "requested", 1.0)
    refused = choose(view(), "d/1", Obeyed(segment=COURSE.by_id["b1"]))
    assert refused.segment is not None and refused.segment.id != "b1"


def test_when_everything_is_done_the_course_is_finished() -> None:
    done = view(segments={hash32(segment.id): COMPLETED for segment in COURSE.segments})
    choice = choose(done, "d/1")
    assert (choice.segment, choice.arm) == (None, "finished")


def test_skills_that_others_build_on_count_more() -> None:
    assert COURSE.downstream == {"a": 1}


def test_what_stands_before_compulsory_content_cannot_be_skipped_for_ever() -> None:
    segments = [{"id": "p"}, {"id": "m", "compulsory": True, "prerequisites": [{"segment": "p"}]},
                *({"id": f"f{n}", "repeatable": True} for n in range(3))]  # fmt: skip
    given = course(segments=segments)
    place = view(given)
    place.row.mark(hash32("p"), 0x0040)
    assert removal(place, given.by_id["p"]) is None
    place.row.visits = 3
    due = choose(place, "d/4")
    assert due.segment is not None and (due.segment.id, due.arm) == ("p", "compulsory")


def test_a_repeatable_compulsory_segment_leaves_the_queue_when_completed() -> None:
    segments = [{"id": "r", "compulsory": True, "repeatable": True}, {"id": "m", "compulsory": True}]
    done = view(course(segments=segments), segments={hash32("r"): COMPLETED})
    assert {choice.segment.id for choice in chosen(done, 50) if choice.segment and choice.arm == "compulsory"} <= {"m"}
    done.row.visits = 3
    due = choose(done, "d/4")
    assert due.segment is not None and due.segment.id == "m"


def test_not_now_means_later() -> None:
    place = view()
    place.row.mark_now(hash32("a2"), 0x0080)
    assert removal(place, COURSE.by_id["a2"]) == "learner"
    place.row.visits += 5
    assert removal(place, COURSE.by_id["a2"]) is None


@given(st.dictionaries(st.sampled_from([s.id for s in COURSE.segments]), st.integers(0, 2**16 - 1)),
       st.sampled_from([0, hash32("text"), hash32("video")]), st.integers(0, 300))  # fmt: skip
def test_the_quick_way_to_what_is_eligible_agrees_with_the_reasons(states: dict[str, int], form: int, seq: int) -> None:
    place = view(format=form, segments={hash32(name): state for name, state in states.items()})
    place.row.visits = seq
    expected = [segment.id for segment in COURSE.segments if removal(place, segment) is None]
    places, worth, bitmap = ranked(place)
    assert [COURSE.segments[at].id for at in places] == expected
    assert worth == [score(place, COURSE.segments[at]).value for at in places]
    assert bitmap == sum(1 << at for at in places)
