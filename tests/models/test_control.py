"""A learner's own choices: honoured in the very next decision, or answered with a reason and what is possible."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert, to_builtins
from msgspec.structs import replace

from agents.step import step
from models.explain import TEMPLATES
from models.population import Population
from models.probe import LEAST_PRIOR, MOST, MOST_PRIOR, verdict
from models.row import Probe, Row
from schemas.codec import decode_decision
from schemas.course import LANGUAGES, Course
from schemas.decision import Decision
from schemas.evidence import EvidenceRecord
from schemas.ids import hash32
from tests.factories import course, interaction

ITEMS = [{"id": f"q{n}"} for n in range(9)]
FIELDS = {"item": None, "correct": None, "latency_ms": None}


def probed_course(**fields: Any) -> Course:
    """Six segments: a1 a2 a3, b1 (after a1) b2 b3 (compulsory); `p` and `c` have nine questions, `c` is compulsory."""
    given = course()
    segments = [
        *given.segments,
        replace(given.segments[0], id="p", items=[{"id": f"p{n}"} for n in range(9)]),
        replace(given.segments[0], id="c", compulsory=True, items=[{"id": f"c{n}"} for n in range(9)], **fields),
    ]
    return convert(to_builtins(replace(given, segments=segments)), Course)


@dataclass
class Learner:
    """Somebody who sends events and reads decisions."""

    course: Course
    row: bytes | None = None
    sent: int = 0

    def __post_init__(self) -> None:
        self.evidence: list[EvidenceRecord] = []

    def tell(self, **fields: Any) -> Decision:
        said = interaction(self.sent, **{**FIELDS, "segment": None, **fields})
        outcome = step(self.row, said, 0, self.sent, self.course, Population.empty())
        self.row, self.sent = outcome.row, self.sent + 1
        self.evidence += outcome.evidence
        assert outcome.decision is not None
        return decode_decision(outcome.decision)

    def override(self, action: str, segment: str | None = None) -> Decision:
        return self.tell(type="overridden", action=action, segment=segment)

    def answer(self, segment: str, item: str, correct: bool, **fields: Any) -> Decision:
        return self.tell(type="answered", segment=segment, item=item, correct=correct, latency_ms=9_000, **fields)

    def test_out(self, segment: str, rights: list[bool]) -> Decision:
        """Say "I know this" and answer its questions until the probe is over."""
        decision = self.override("know", segment)
        for correct in rights:
            assert decision.probe is not None, "the probe is over"
            assert (decision.segment, decision.arm) == (segment, "probe")
            decision = self.answer(segment, decision.probe.item, correct)
        return decision

    @property
    def state(self) -> Row:
        assert self.row is not None
        return Row.unpack(self.row)


@pytest.fixture
def ana() -> Learner:
    return Learner(probed_course())


def reason(decision: Decision) -> tuple[bool, str]:
    assert decision.reply is not None
    return decision.reply.honoured, decision.reply.reason


def test_an_override_is_reflected_in_the_very_next_decision(ana: Learner) -> None:
    ana.answer("a1", "i1", True)
    given = ana.override("again", "a1")
    assert (given.segment, given.arm, reason(given)) == ("a1", "requested", (True, ""))
    ana.answer("a2", "i2", True)
    assert ana.override("back").segment == "a1"
    assert ana.override("again").segment == "a2"
    assert ana.override("restart").segment == "a1"
    skipped = ana.override("skip", "a3")
    assert reason(skipped) == (True, "") and not int(skipped.eligible, 16) & 1 << 2
    later = ana.override("not_now", "a2")
    assert reason(later) == (True, "") and not int(later.eligible, 16) & 1 << 1
    authored = ana.override("do_not_personalise")
    assert (authored.segment, authored.arm) == (authored.next_authored, "authored")
    assert ana.override("personalise").arm in ("best", "explore", "compulsory")


def test_what_breaks_a_prerequisite_is_refused_with_the_way_to_it(ana: Learner) -> None:
    refused = ana.tell(type="requested", segment="b1")
    assert refused.segment != "b1" and reason(refused) == (False, "prerequisite")
    assert refused.reply is not None and refused.reply.offers == ["a1"] and "B1" in refused.reply.words


def test_what_is_compulsory_cannot_be_skipped_put_off_or_tested_out(ana: Learner) -> None:
    for action in ("skip", "not_now", "know"):
        refused = ana.override(action, "b3")
        assert reason(refused) == (False, "compulsory") and refused.reply is not None
        assert refused.reply.offers == ["b3"] and int(refused.eligible, 16) & 1 << 5


def test_a_passed_probe_takes_a_segment_off_the_list(ana: Learner) -> None:
    decision = ana.test_out("p", [True] * 5)
    assert decision.probe is None and reason(decision) == (True, "")
    assert ana.state.segments[hash32("p")] & 0x0020 and not int(decision.eligible, 16) & 1 << 6
    assert reason(ana.override("know", "p")) == (False, "finished")
    assert not [each for each in ana.evidence if each.kind == "waived"], "p is not compulsory"


def test_a_failed_probe_leaves_everything_as_it_was(ana: Learner) -> None:
    decision = ana.test_out("p", [False, False, False])
    assert decision.probe is None and reason(decision) == (False, "not_yet")
    assert not ana.state.segments[hash32("p")] & 0x0020 and ana.state.probe is None


def test_who_was_doubted_must_show_more(ana: Learner) -> None:
    for n in range(12):
        ana.answer("a1", f"i{n}", False)
    decision = ana.test_out("p", [True] * 5)
    assert decision.probe is not None, "five right answers are not enough after twelve wrong ones"
    assert reason(ana.answer("p", decision.probe.item, True)) == (True, "")


@given(st.floats(0.0, 1.0), st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_probe_is_over_after_three_to_eight_questions(prior: float, rights: list[bool]) -> None:
    under_way = Probe(1, round(255 * max(LEAST_PRIOR, min(MOST_PRIOR, prior))))
    for number, correct in enumerate(rights, 1):
        under_way.right |= int(correct) << under_way.answered
        under_way.answered = number
        if (passed := verdict(under_way, MOST - number)) is not None:
            break
    assert passed is not None and 3 <= number <= 8
    assert passed or not all(rights), "eight right answers are enough for everybody"
    assert not passed or sum(rights[:number]) >= 3


def test_questions_differ_and_only_the_one_asked_counts_unaided(ana: Learner) -> None:
    first = ana.override("know", "p")
    assert first.probe is not None
    other = ana.answer("p", "p8" if first.probe.item != "p8" else "p7", True)
    assert other.probe is not None and other.probe.item == first.probe.item and other.probe.number == 1
    helped = ana.answer("p", first.probe.item, True, hints=1)
    assert helped.probe is not None and helped.probe.item != first.probe.item
    assert ana.state.probe is not None and (ana.state.probe.answered, ana.state.probe.right) == (1, 0)


def test_a_compulsory_segment_is_waived_only_where_its_author_allows_it() -> None:
    bob = Learner(probed_course(test_out=True))
    refused = bob.override("skip", "c")
    assert reason(refused) == (False, "testable")
    decision = bob.test_out("c", [True] * 5)
    assert reason(decision) == (True, "") and decision.segment != "c"
    (waived,) = [each for each in bob.evidence if each.kind == "waived"]
    assert waived.segment == "c" and len(waived.answers) == 5 and all(right for _, right in waived.answers)
    assert {name for name, _ in waived.answers} <= {f"c{n}" for n in range(9)}


def test_leaving_a_probe_ends_it(ana: Learner) -> None:
    ana.override("know", "p")
    assert ana.tell(type="requested", segment="a2").segment == "a2"
    assert ana.state.probe is None
    ana.override("know", "p")
    assert ana.override("skip", "p").probe is None


def test_a_segment_with_too_few_questions_is_not_probed() -> None:
    bob = Learner(course())
    assert reason(bob.override("know", "a1")) == (False, "no_questions")


def test_work_context_and_goal_raise_what_they_need_and_say_so(ana: Learner) -> None:
    plain = dict(ana.tell(type="resumed").terms)
    raised = ana.tell(type="contextualised", context=["b"])
    assert reason(raised) == (True, "") and ana.state.context == (hash32("b"),)
    assert plain and raised.segment is not None
    assert reason(ana.tell(type="contextualised", context=["cooking"])) == (False, "no_such_skill")
    assert not ana.state.context
    aiming = ana.tell(type="preferred", goal="b")
    assert reason(aiming) == (True, "") and ana.state.goal == hash32("b")
    assert reason(ana.tell(type="preferred", goal="cooking")) == (False, "no_such_skill")
    assert reason(ana.tell(type="preferred", format="opera")) == (False, "no_such_format")


STEERING: list[dict[str, Any]] = [
    {"type": "preferred", "goal": "b"},
    {"type": "preferred", "pace": "faster"},
    {"type": "preferred", "format": "video"},
    {"type": "contextualised", "context": ["b"]},
    {"type": "overridden", "action": "personalise"},
]


@pytest.mark.parametrize("said", STEERING)
def test_who_is_held_out_is_told_that_what_would_steer_the_choice_does_not(said: dict[str, Any]) -> None:
    given = probed_course()
    given = replace(given, segments=[replace(each, format="video") for each in given.segments])
    eva, ana = Learner(replace(given, holdout=1.0)), Learner(given)
    before = eva.tell(type="resumed")
    refused = eva.tell(**said)
    assert reason(refused) == (False, "holdout") and (refused.arm, refused.segment) == ("holdout", before.segment)
    assert refused.reply is not None and "the author's order" in refused.reply.words
    assert reason(ana.tell(**said)) == (True, "")


def test_who_is_held_out_is_obeyed_in_all_else() -> None:
    eva = Learner(replace(probed_course(), holdout=1.0))
    first = eva.tell(type="resumed")
    assert eva.tell(type="preferred", feedback="less").feedback == "less"
    assert reason(eva.tell(type="preferred", pace="normal", goal="none", format="any")) == (True, "")
    skipped = eva.override("skip", first.segment)
    assert reason(skipped) == (True, "") and skipped.segment != first.segment


def test_feedback_and_pace_are_kept(ana: Learner) -> None:
    assert ana.tell(type="resumed").feedback == "normal"
    assert ana.tell(type="preferred", feedback="less", pace="slower").feedback == "less"
    assert (ana.state.pace_choice, ana.state.feedback_choice) == (1, 1)


def test_a_control_without_anything_to_act_on_says_so(ana: Learner) -> None:
    assert reason(ana.override("again")) == (False, "nothing_yet")


def test_replies_speak_the_language_of_the_course() -> None:
    eva = Learner(replace(probed_course(), language="de-AT"))
    refused = eva.override("skip", "b3")
    assert refused.reply is not None and "verpflichtend" in refused.reply.words


def test_every_language_has_every_sentence_with_the_same_places() -> None:
    assert tuple(TEMPLATES) == LANGUAGES
    first = TEMPLATES[LANGUAGES[0]]
    for words in TEMPLATES.values():
        assert words.keys() == first.keys()
        assert all(set(re.findall(r"{(\w+)}", words[kind])) == set(re.findall(r"{(\w+)}", first[kind])) for kind in first)


def test_what_is_finished_and_repeatable_comes_again_when_its_skill_is_no_longer_mastered() -> None:
    bob = Learner(
        course(segments=[{"id": "r", "repeatable": True, "skills": {"a": 1.0}}, {"id": "s", "skills": {"a": 1.0}}])
    )
    done = bob.tell(type="completed", segment="r")
    bob.tell(type="completed", segment="s")
    assert int(done.eligible, 16) == 0b10, "just seen"
    assert bob.tell(type="resumed").segment == "r"
    mastered = Row.unpack(bob.row or b"")
    mastered.theta = 5.0
    bob.row = mastered.pack()
    assert bob.tell(type="resumed").segment is None
