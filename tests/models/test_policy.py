"""The policy: what may be shown, what must be, and how likely each choice was."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.belief import GUESSED, MOST, rise, start
from models.control import Obeyed
from models.features import NAMES
from models.gain import FITS, FITTING_BY_PACE, View, bell, score
from models.levels import LEVEL_PRIOR, levels_of
from models.mask import finished, is_required, open_segments, prerequisites_met, removal
from models.plan import forms, questions
from models.policy import UNIFORM_SHARE, Choice, choose, draw, is_held_out, lottery
from models.population import NEW_ITEM, STEEPNESS, Population
from models.row import COMPLETED, Row
from schemas.course import Course
from schemas.ids import hash32
from schemas.population import PopulationChange
from tests.factories import course

COURSE = course()


def view(given: Course = COURSE, *, held_out: bool = False, **fields: Any) -> View:
    return View(Row(seq=1, **fields), given, Population.empty(), -1, held_out=held_out)


def ability(mastery: float) -> float:
    """Where a learner with this mastery stands among levels, by models.belief."""
    return math.log((mastery - GUESSED) / (MOST - mastery))


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
    held = [choose(view(held_out=True), f"d/{n}") for n in range(50)]
    assert {(choice.segment.id, choice.arm, choice.propensity) for choice in held if choice.segment} == {
        ("a1", "holdout", 1.0)
    }
    place = view(held_out=True)
    place.row.visits = 3
    due = choose(place, "d/1")
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


def test_in_a_course_of_one_level_growth_is_half_believed() -> None:
    levels = levels_of(COURSE, Population.empty())
    assert (levels.trust, levels.growth) == (0.0, 0.5)
    believed, taken = view(), view()
    taken.learned.growth = 0.0
    try:
        without = taken.left
    finally:
        taken.learned.growth = 0.5
    assert believed.known("a") < 0.42 and believed.learned is taken.learned
    assert believed.learned.counts == [3]
    assert 0.5 < believed.left[3][0] / without[3][0] < 1.0


def test_skills_that_others_build_on_count_more_as_far_as_those_are_not_known() -> None:
    """Chains a <- b <- c, and d on its own: as much is believed of a as of d."""
    skills = [{"id": "a"}, {"id": "b", "builds_on": ["a"]}, {"id": "c", "builds_on": ["b"]}, {"id": "d"}]
    given = course(skills=skills, segments=[{"id": name, "skills": {name: 1.0}} for name in "abcd"])

    def worth(later: float) -> float:
        place = view(given)
        for name in "abcd":
            state = place.row.skills.touch(hash32(name))
            state.tries, state.known = 5, start(later if name in "bc" else 0.4)
        return place.worth[0] / place.worth[3]

    assert worth(0.2) == pytest.approx(1.5) and worth(0.95) == pytest.approx(1.0, abs=0.02)
    assert 1.0 < worth(0.6) < 1.5


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


GATED = course(segments=[
    {"id": "p", "skills": {"a": 1.0}},
    {"id": "q", "skills": {"a": 0.5, "b": 1.0}, "format": "video", "repeatable": True},
    {"id": "r", "skills": {"b": 1.0}, "prerequisites": [{"segment": "p"}, {"segment": "q"}]},
    {"id": "s", "prerequisites": [{"skill": "a", "mastery": 0.5}, {"segment": "q"}], "compulsory": True},
    {"id": "t", "skills": {"a": 1.0}, "repeatable": True, "prerequisites": [{"skill": "b", "mastery": 0.9}]},
    {"id": "u", "compulsory": True, "format": "video", "repeatable": True},
])  # fmt: skip


@given(st.sampled_from([COURSE, GATED]), st.lists(st.integers(0, 2**16 - 1) | st.none(), min_size=9, max_size=9),
       st.sampled_from([0, hash32("text"), hash32("video"), 7]), st.integers(0, 300), st.floats(-3, 3))  # fmt: skip
def test_the_quick_way_to_what_is_open_agrees_with_the_reasons(
    given: Course, states: list[int | None], form: int, visits: int, theta: float
) -> None:
    told = {segment.id: state for segment, state in zip(given.segments, states, strict=False) if state is not None}
    place = view(given, format=form, theta=theta, segments={hash32(name): state for name, state in told.items()})
    place.row.visits = visits
    opened = open_segments(place)
    free = [segment for segment in given.segments if removal(place, segment) is None]
    assert [given.segments[at] for at in place.plan.places(opened.eligible)] == free
    assert [given.segments[at] for at in place.plan.places(opened.waiting)] == [s for s in free if is_required(place, s)]
    done = {name for name, state in told.items() if finished(state)}
    following = [s for s in given.segments if s.id not in done and prerequisites_met(place, s)]
    kept = [s for s in following if removal(place, s) in (None, "cool-down")]
    assert opened.authored is next(iter(kept or following), None)


@given(st.lists(st.floats(0, 5), min_size=9, max_size=9), st.booleans())
def test_a_score_is_the_sum_of_its_parts(abilities: list[float], wanted: bool) -> None:
    place = view(GATED, goal=hash32("a") if wanted else 0)
    for name, theta in zip(("a", "b"), abilities, strict=False):
        state = place.row.skills.touch(hash32(name))
        state.theta, state.tries, state.wins = theta, 3, 2
    for segment in GATED.segments:
        told = score(place, segment)
        assert math.isclose(told.value, math.fsum(part for _, part in told.terms), rel_tol=1e-12)


def test_more_is_gained_at_the_level_that_fits() -> None:
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 10} for n in range(11)]
    place = view(course(segments=segments), theta=0.6)
    worth = place.worth
    fitting = max(range(11), key=worth.__getitem__)
    away = ability(place.mastery("a")) - STEEPNESS[0] * (fitting / 10 - 0.5)
    assert abs(away - FITTING_BY_PACE[0]) <= 0.5 * 0.1 * STEEPNESS[0]
    assert worth == sorted(worth[: fitting + 1]) + sorted(worth[fitting + 1 :], reverse=True)
    for away in (-2.0, -0.7, -0.35, 0.0, 0.1, 0.6, 1.1):
        assert math.isclose(bell(away), math.exp(-((away / FITS) ** 2)), abs_tol=0.07)


values = st.lists(st.floats(0, 10), min_size=1, max_size=40)


@given(values, st.lists(st.floats(0, 0.2), min_size=40, max_size=40) | st.none())
def test_a_draw_is_as_likely_as_it_says(worth: list[float], floors: list[float] | None) -> None:
    said = lottery(worth, None if floors is None else floors[: len(worth)])
    assert math.isclose(math.fsum(said), 1.0, rel_tol=1e-9)
    steps = 4_000
    drawn = Counter(draw(said, (n + 0.5) / steps) for n in range(steps))
    for place, probability in enumerate(said):
        assert abs(drawn[place] / steps - probability) <= 1.5 / steps
        assert probability >= UNIFORM_SHARE / len(worth)


def levelled(slope: float, answered: int = 3) -> tuple[Course, Population]:
    """A course of five levels, and a population that learned that `slope` logits lie between the first and the last."""
    segments = [
        {"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 4, "items": [{"id": f"d{n}.{i}"} for i in range(4)]}
        for n in range(5)
    ]
    variance = NEW_ITEM[1] / (1 + answered)
    items = {f"d{n}.{i}": (slope * n / 4, variance, 2.3, 1.0, answered) for n in range(5) for i in range(4)}
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items=items, skills={},
                              watermark={}, responses=60)  # fmt: skip
    return course(segments=segments), Population.empty().apply(change, "x")


def test_levels_are_trusted_until_answers_say_that_they_mean_nothing() -> None:
    made, population = levelled(-3.0)
    before = levels_of(made, Population.empty())
    assert math.isclose(before.slope, LEVEL_PRIOR) and before.trust == 1.0
    steep, flat = levels_of(made, population), levels_of(made, levelled(0.0)[1])
    assert steep.trust == 1.0 and -3.0 < steep.slope < -2.7
    assert flat.trust == 0.0 and -0.15 < flat.slope < 0.0
    assert levels_of(made, levelled(2.0)[1]).trust == 0.0, "harder levels that are answered better are no levels"
    assert levels_of(course(), Population.empty()).trust == 0.0, "one level is none"
    unlisted = course(segments=[{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 4} for n in range(5)])
    assert levels_of(unlisted, population).trust == 0.5, "no item can tell"


def test_a_try_teaches_as_far_as_it_fits() -> None:
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 4, "items": [{"id": f"i{n}"}]} for n in range(5)]
    place, known = view(course(segments=segments)), start(0.6)
    fits = [place.teaches(known, 40, easier) for easier in (-4.0, -1.5, 0.0, 1.5, 4.0)]
    assert max(fits) == fits[2] and fits[2] > 0.9 and fits[0] < fits[1] and fits[4] < fits[3] and min(fits) < 0.11
    assert view(COURSE).teaches(known, 40, -4.0) == 1.0, "one level means nothing, and nothing is known of late tries"


def test_whoever_only_guesses_is_given_what_is_easiest() -> None:
    """The chance of a guess is no sign of ability: levels well below the learner's guesses still fit."""
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 10} for n in range(11)]
    row, given = Row(), course(segments=segments)
    state = row.skills.touch(hash32("a"))
    state.tries, state.known = 1, bytes([1, 1, 1, 1, 1])
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=60, steepness=[6.0, 50.0])  # fmt: skip
    place = View(row, given, Population.empty().apply(change, "x"), -1)
    assert 0.18 < place.mastery("a") < 0.25 and max(range(11), key=place.worth.__getitem__) == 0


def test_levels_without_meaning_change_no_gain() -> None:
    made, population = levelled(0.0)
    row = Row()
    assert len(set(View(row, made, population, -1).worth)) == 1
    assert len(set(View(row, levelled(-3.0)[0], levelled(-3.0)[1], -1).worth)) > 1


def test_mastery_is_of_what_is_usual_in_the_course() -> None:
    made, population = levelled(-3.0, answered=40)
    typical = levels_of(made, population).typical
    assert -1.5 < typical < -1.0, "the mean item of the course takes 1.5 logits, a little less while it is not certain"
    given = course(segments=[{"id": "a1", "skills": {"a": 1.0}, "items": [{"id": "i1"}]}])
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], skills={},
                              watermark={}, items={"i1": (-1.0, 0.25, 2.3, 1.0, 4)}, responses=60)  # fmt: skip
    half_known = levels_of(given, Population.empty().apply(change, "x"))
    assert half_known.typical == pytest.approx(-1.0 * 0.5 / 5.5), "against five items of which nothing is known"
    asked, without = (View(Row(), *each, -1).mastery("a") for each in ((made, population), levelled(0.0)))
    assert math.isclose(math.log(asked / (1 - asked)) - math.log(without / (1 - without)), typical, abs_tol=0.02)


def test_who_knows_next_to_nothing_gains_less_only_where_levels_mean_something() -> None:
    def gained(slope: float, known: float) -> float:
        given, population = levelled(slope, answered=40)
        row = Row()
        state = row.skills.touch(hash32("a"))
        state.tries, state.known = 1, start(known)
        return max(View(row, given, population, -1).worth)

    assert gained(0.0, 0.25) > gained(0.0, 0.5) > gained(0.0, 0.8), "without levels the less is known, the more is gained"
    assert gained(-3.0, 0.25) < gained(-3.0, 0.5) > gained(-3.0, 0.8)


def asked(passes: dict[str, tuple[int, int]], *listed: int) -> list[int]:
    """Questions of each segment of a course that lists so many."""
    segments = [{"id": f"s{n}", "items": [{"id": f"s{n}.{i}"} for i in range(count)]} for n, count in enumerate(listed)]
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={}, skills={},
                              watermark={}, responses=60, passes=passes)  # fmt: skip
    return questions(course(segments=segments), Population.empty().apply(change, "x"))


def test_questions_of_a_visit_are_those_listed_until_learners_are_asked_others() -> None:
    assert asked({}, 2, 5, 0) == [2, 5, 4], "what lists nothing is as the others are"
    assert asked({}, 0, 0) == [3, 3]
    assert asked({"s0": (3_000, 1_000)}, 20, 20) == [3, 12], "three of a bank of twenty; twelve are told apart"
    assert asked({"s0": (600, 100), "s1": (0, 100)}, 0, 0, 0) == [6, 1, 3], "and a video is still worth a try"
    assert asked({"s0": (9, 0)}, 0, 2) == [2, 2], "answers of a visit that is not over say nothing"
    assert asked({"s0": (3, 1)}, 6) == [5], "what is listed counts as two visits"


def test_a_segment_with_more_questions_is_worth_more_but_not_as_much_more() -> None:
    segments: list[dict[str, Any]] = [{"id": f"s{n}", "skills": {"a": 1.0}, "minutes": 5} for n in (1, 2, 4)]
    for segment, count in zip(segments, (1, 2, 4), strict=True):
        segment["items"] = [{"id": f"{count}.{n}"} for n in range(count)]
    one, two, four = view(course(segments=segments)).worth
    assert one < two < 2 * one and two < four < 2 * two


def test_questions_that_name_their_skills_are_practice_of_those_alone() -> None:
    """A mock exam of six questions, of which one is on b, is worth no more for b than one question on b would be."""
    on = ["a", "a", "a", "a", "a", "b"]
    given = course(skills=[{"id": name} for name in "abc"], segments=[
        {"id": "mock", "skills": {"a": 1.0, "b": 1.0, "c": 1.0}, "minutes": 6,
         "items": [{"id": f"m{n}", "skills": [skill]} for n, skill in enumerate(on)]},
        {"id": "both", "skills": {"a": 1.0, "b": 1.0}, "minutes": 6, "items": [{"id": f"b{n}"} for n in range(6)]},
        {"id": "one", "skills": {"b": 1.0}, "minutes": 6, "items": [{"id": "o"}]},
        {"id": "none", "skills": {"a": 1.0, "b": 1.0}, "minutes": 6},
    ])  # fmt: skip
    place = view(given)
    assert place.learned.tries == [[5, 1, 1], [6, 6], [1], [4, 4]], "and c, which the author names, is worth a try"
    mock, one = (dict(score(place, given.by_id[name]).terms) for name in ("mock", "one"))
    assert mock["gain:b"] == one["gain:b"] < mock["gain:a"]
    assert place.worth[0] == pytest.approx(sum(mock.values()))


def test_a_question_of_a_format_with_few_of_them_stands_for_more() -> None:
    """Films of eight minutes and one question, quizzes of four minutes and two: a question of a film for twice as much."""
    film = {"skills": {"a": 1.0}, "minutes": 8, "format": "film", "items": [{"id": "f"}]}
    quiz = {"skills": {"a": 1.0}, "minutes": 4, "format": "quiz", "items": [{"id": "q1"}, {"id": "q2"}]}
    given = course(segments=[{"id": "f", **film}, {"id": "q", **quiz}])
    assert forms(given, [1, 2]) == pytest.approx([2**0.5, 0.5**0.5]) == view(given).learned.forms
    alike = course(segments=[{"id": "s", **film}, {"id": "l", **film, "minutes": 80}])
    assert forms(alike, [1, 1]) == pytest.approx([1.0, 1.0]), "within a format minutes are what they are"
    assert forms(course(segments=[]), []) == []
    place = view(given)
    rises = [rise(place.believed("a"), tries) for tries in (1, 2)]
    told = [worth * minutes / form for worth, minutes, form in zip(place.worth, (8, 4), (2**0.5, 0.5**0.5), strict=True)]
    assert told[1] / told[0] == pytest.approx(rises[1] / rises[0])


def test_what_is_nearly_mastered_is_finished_before_more_is_begun() -> None:
    given = course(skills=[{"id": "a"}], segments=[{"id": "s", "skills": {"a": 1.0}, "items": [{"id": "i"}]}])

    def nearness(mastery: float) -> float:
        place = view(given)
        state = place.row.skills.touch(hash32("a"))
        state.tries, state.known = 5, start(mastery)
        place.learned.growth = 0.0
        assert place.left[1][0] == pytest.approx(rise(state.known, 1) * (0.75 + 0.5 * place.known("a")))
        return place.left[1][0] / rise(state.known, 1)

    assert 0.75 <= nearness(0.2) < nearness(0.5) < nearness(0.8) <= 1.25


def test_what_was_forgotten_is_worth_going_back_to() -> None:
    segments = [{"id": "x", "skills": {"a": 1.0}, "repeatable": True}]
    row = Row(run_start_ms=0)
    state = row.skills.touch(hash32("a"))
    state.tries, state.wins, state.known, state.last = 4, 4, start(0.85), 1
    weights = [0.0] * len(NAMES)
    weights[NAMES.index("skill_gap")] = -0.6
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=weights, gradients=[], items={},
                              skills={}, watermark={}, responses=60)  # fmt: skip
    learned = Population.empty().apply(change, "x")
    soon, late = (View(row, course(segments=segments), learned, ms) for ms in (60_000, 30 * 86_400_000))
    assert late.mastery("a") < soon.mastery("a") and late.worth[0] > 1.3 * soon.worth[0]


def test_the_level_that_fits_is_as_far_as_levels_are_steep() -> None:
    """Who is half a logit too good for the middle is best off half a logit higher, wherever that is."""
    segments = [{"id": f"d{n}", "skills": {"a": 1.0}, "difficulty": n / 10} for n in range(11)]
    row, given = Row(), course(segments=segments)
    state = row.skills.touch(hash32("a"))
    state.tries, state.known = 1, start(0.78)
    for steep in (2.0, 6.0):
        change = PopulationChange(tenant="t", course="c", version=int(steep), parent="", weights=[], gradients=[], items={},
                                  skills={}, watermark={}, responses=60, steepness=[steep, 50.0])  # fmt: skip
        place = View(row, given, Population.empty().apply(change, "x"), -1)
        higher = (ability(place.mastery("a")) - FITTING_BY_PACE[0]) / steep
        fitting = max(range(11), key=place.worth.__getitem__)
        assert higher > 0.0 and abs(fitting / 10 - 0.5 - higher) <= 0.05 + 1e-9
