"""Whatever a learner does, whichever course version comes in mid-run: what is compulsory is delivered, prerequisites hold.

The judge keeps its own book of what was completed and waived; it knows nothing of rows and masks.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from agents.step import step
from models.population import Population
from models.row import WAIVED, Row
from schemas.codec import decode_decision
from schemas.course import Course
from schemas.decision import Decision
from schemas.ids import hash32
from tests.factories import course_json, interaction

NOBODY: dict[str, Any] = {"item": None, "correct": None, "latency_ms": None}
ITEMS = [{"id": f"q{n}"} for n in range(9)]


def version(number: str, **changes: dict[str, Any]) -> Course:
    """A version of the small course: `changes` by segment; a segment changed to None is left out."""
    given = course_json(version=number)
    segments = [{**segment, **changes.get(segment["id"], {})} for segment in given["segments"]]
    return convert({**given, "segments": [each for each in segments if "gone" not in each]}, Course)


ONE = version(
    "1", a2={"items": ITEMS}, b2={"compulsory": True, "test_out": True, "items": [{"id": f"t{n}"} for n in range(9)]}
)
TWO = version("2", a1={"gone": True}, b1={"prerequisites": []}, b2={"gone": True}, a3={"prerequisites": [{"segment": "a2"}]})
THREE = version("3", a3={"compulsory": True, "prerequisites": [{"segment": "a2"}]}, b1={"repeatable": True})
HELD = convert({**course_json(version="4"), "holdout": 0.5}, Course)
VERSIONS = (ONE, TWO, THREE, HELD)
NAMES = sorted({segment.id for each in VERSIONS for segment in each.segments})

moves = st.lists(
    st.tuples(
        st.sampled_from(["completed", "skipped", "answered", "requested", "overridden", "preferred", "contextualised",
                         "rated", "resumed", "follow"]),
        st.sampled_from(NAMES),
        st.sampled_from(["skip", "not_now", "again", "back", "know", "restart", "do_not_personalise", "personalise"]),
        st.sampled_from(VERSIONS),
        st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


class Passage:
    """One learner, and the judge's own book."""

    def __init__(self, learner: str) -> None:
        self.learner, self.row, self.sent = learner, b"", 0
        self.done: set[str] = set()
        self.tested: set[str] = set()
        self.proven: set[str] = set()
        self.last: Decision | None = None

    def tell(self, course: Course, **fields: Any) -> None:
        self.tested -= course.required.keys()  # what was left out before it was compulsory is owed again
        said = interaction(self.sent, learner=self.learner, version=course.version, **fields)
        outcome = step(self.row or None, said, 0, self.sent, course, Population.empty())
        self.row, self.sent = outcome.row, self.sent + 1
        if said.event.type == "completed" and said.event.segment:
            self.done.add(said.event.segment)
        waived = {each.segment for each in outcome.evidence if each.kind == "waived"}
        assert all(course.by_id[name].test_out for name in waived), "waived what its author does not allow"
        self.done |= waived
        self.proven |= {each.segment for each in outcome.evidence if each.kind in ("completed", "waived")}
        if outcome.decision is not None:
            self.last = decode_decision(outcome.decision)
            self.judge(course, self.last)

    def judge(self, course: Course, decision: Decision) -> None:
        if decision.reply is not None and decision.reply.action == "know" and decision.reply.honoured and not decision.probe:
            self.tested |= {name for name in course.by_id if name not in course.required and self.waived(name)}
        if decision.segment is None:
            assert self.owed(course) == set(), "said that all is finished while something compulsory was not"
            return
        needs = {need.segment for need in course.by_id[decision.segment].prerequisites if need.segment}
        assert needs <= self.done | self.tested, f"{decision.segment} was served before {needs - self.done - self.tested}"
        assert 0.0 < decision.propensity <= 1.0

    def waived(self, name: str) -> bool:
        return bool(Row.unpack(self.row).segments.get(hash32(name), 0) & WAIVED)

    def owed(self, course: Course) -> set[str]:
        return {segment.id for segment in course.segments if segment.compulsory} - self.done

    def answer(self, course: Course, segment: str, item: str, correct: bool) -> None:
        self.tell(course, type="answered", segment=segment, item=item, correct=correct)


@settings(max_examples=150)
@given(moves, st.sampled_from(["ana", "bob", "eve"]), st.sampled_from(VERSIONS))
def test_nothing_drops_what_is_compulsory_or_serves_an_unmet_prerequisite(
    moves: list[Any], learner: str, end: Course
) -> None:
    passage = Passage(learner)
    for kind, segment, action, course, correct in moves:
        if kind == "follow":
            probe = passage.last.probe if passage.last is not None else None
            if passage.last is not None and passage.last.segment is not None:
                if probe is not None:
                    passage.answer(course, passage.last.segment, probe.item, correct)
                else:
                    passage.tell(course, type="completed", segment=passage.last.segment, **NOBODY)
        elif kind == "answered":
            passage.answer(course, segment, f"{segment}-item", correct)
        else:
            extra = {"overridden": {"action": action}, "preferred": {"format": "video" if correct else "any"},
                     "contextualised": {"context": ["a"] if correct else []}, "rated": {"rating": 2}}  # fmt: skip
            passage.tell(course, type=kind, segment=segment, **NOBODY, **extra.get(kind, {}))
    follow_to_the_end(passage, end)


def follow_to_the_end(passage: Passage, course: Course) -> None:
    """The last version published strands nobody: whoever follows the decisions comes to its end, and owes nothing."""
    passage.tell(course, type="resumed", segment=None, **NOBODY)
    for _ in range(80):
        assert passage.last is not None
        if passage.last.segment is None or (not passage.owed(course) and passage.sent > 200):
            break
        if passage.last.probe is not None:
            passage.answer(course, passage.last.segment, passage.last.probe.item, False)
        else:
            passage.tell(course, type="completed", segment=passage.last.segment, **NOBODY)
    assert passage.owed(course) == set(), f"compulsory and never delivered: {passage.owed(course)}"
    compulsory = {segment.id for segment in course.segments if segment.compulsory}
    assert compulsory <= passage.proven, f"delivered and not in evidence: {compulsory - passage.proven}"


def test_a_learner_in_a_segment_that_is_gone_goes_on_in_the_new_version() -> None:
    passage = Passage("ana")
    passage.tell(ONE, type="requested", segment="a1", **NOBODY)
    passage.answer(TWO, "a1", "i1", True)
    assert passage.last is not None and passage.last.segment in TWO.by_id and passage.last.course_version == "2"
    assert passage.last.predicted is not None, "the answer counts although its segment is gone"
    passage.tell(TWO, type="overridden", action="again", segment="a1", **NOBODY)
    assert passage.last.reply is not None and passage.last.reply.reason == "gone"
    passage.tell(TWO, type="completed", segment="a1", **NOBODY)
    passage.tell(THREE, type="resumed", segment=None, **NOBODY)
    assert passage.last.segment in THREE.by_id
    passage.tell(THREE, type="requested", segment="b1", **NOBODY)
    assert passage.last.segment == "b1", "what was completed in one version is completed in the next"


def test_a_probe_under_way_ends_when_its_segment_goes() -> None:
    passage = Passage("ana")
    passage.tell(ONE, type="overridden", action="know", segment="b2", **NOBODY)
    assert passage.last is not None and passage.last.probe is not None
    passage.tell(TWO, type="resumed", segment=None, **NOBODY)
    assert passage.last.probe is None and passage.last.segment in TWO.by_id
