"""One suite of laws over every model of a learner: what each says is a function of what came before, bounded and finite;
looking changes nothing; a stored row says what the row said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import behaviour, belief, probe, timing
from models.classifier import step
from models.entries import NO_BELIEF
from models.features import states_of
from models.gain import View
from models.knowledge import predict
from models.mastery import SkillEffects, masteries
from models.population import Population
from models.population_learner import PopulationLearner
from models.response import Response, at_offset, lesson
from models.row import MAX_BYTES, Probe, Row
from models.terms import terms
from tests.factories import course

COURSE, SKILLS, NOW = course(), ["a", "b"], 1_790_000_000_000
START_MS = 1_780_000_000_000
Says = Callable[[Row, Population], list[float]]


@dataclass(frozen=True)
class Model:
    """One model: what it says of a row now, as numbers, and the least and the most that each may be."""

    name: str
    says: Says
    least: float
    most: float


def knowledge(row: Row, population: Population) -> list[float]:
    return [predict(row, population, item, ["a"], NOW).p for item in ("i0", "i1", "never met", None)]


def of_skills(row: Row, population: Population) -> list[float]:
    return masteries(row, SkillEffects(SKILLS, population), NOW)


def logit(row: Row, population: Population) -> list[float]:
    return [term.value for term in terms(row, population, "i0", ["a"], NOW)]


def times(row: Row, population: Population) -> list[float]:
    told = [timing.read(row, population.item("i0"), latency) for latency in (0, 900, 40_000, 86_400_000)]
    return [*(each.residual or 0.0 for each in told), timing.expected_minutes(row, 1.0)]


def states(row: Row, population: Population) -> list[float]:
    known = dict(zip(SKILLS, of_skills(row, population), strict=True))
    tries = {skill: (row.tries, known[skill]) for skill in SKILLS}
    return [value for state in behaviour.states(row, tries) for value in state.evidence.values()]


def worth(row: Row, population: Population) -> list[float]:
    return View(row, COURSE, population, NOW).worth


def verdicts(row: Row, population: Population) -> list[float]:
    view = View(row, COURSE, population, NOW)
    before = row.probe
    probe.start(view, COURSE.segments[0])
    prior = row.probe.prior if row.probe else 0
    row.probe = before
    passed = probe.verdict(Probe(0, prior, answered=4, right=0b1111), 4)
    return [prior / 255.0, {True: 1.0, False: 0.0, None: 0.5}[passed]]


MODELS = [
    Model("knowledge", knowledge, 0.0, 1.0),
    Model("mastery", of_skills, 0.0, 1.0),
    Model("logit", logit, -100.0, 100.0),
    Model("timing", times, -4.0, 5.0),
    Model("behaviour", states, -10.0, 70_000.0),
    Model("worth", worth, 0.0, 100.0),
    Model("probe", verdicts, 0.0, 1.0),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])

responses = st.lists(
    st.builds(
        Response,
        item=st.sampled_from(["i0", "i1", "i2"]),
        skills=st.sampled_from([["a"], ["b"], ["a", "b"], []]),
        correct=st.booleans(),
        at_ms=st.just(-1) | st.integers(START_MS, START_MS + 10**10),
        latency_ms=st.none() | st.integers(0, 86_400_000),
        attempt=st.none() | st.integers(1, 65_535),
        hints=st.none() | st.integers(0, 65_535),
        weights=st.just(()),
        below=st.floats(-1.0, 1.0),
        steep=st.floats(0.0, 12.0),
        beliefs=st.just(()),
        taught=st.just(()),
        tries=st.just(()),
        recents=st.just(()),
        discrimination=st.floats(0.1, 1.0),
        held=st.just((2.0, 0.0, 1.0, 1.0)),
        efforts=st.lists(st.floats(0.0, 1.0), min_size=timing.NOT_QUICK, max_size=timing.NOT_QUICK),
    ),
    max_size=20,
)


def believing(row: Row, response: Response) -> Response:
    """A response with what a course says of it."""
    practised = states_of(row, response.skills)
    known = [state.known for state in practised]
    beliefs = [belief.start(0.4) if each == NO_BELIEF else each for each in known]
    return response._replace(
        weights=[1.0, 0.4][: len(known)], beliefs=beliefs, taught=[0.7, 0.1][: len(known)],
        tries=[state.tries for state in practised], recents=[state.recent for state in practised],
    )  # fmt: skip


def lived(history: list[Response]) -> tuple[Row, Population]:
    """A row after a history, packed after each response as in the service, and the population of it."""
    learner, row = PopulationLearner("", "", Population.empty()), Row()
    for number, answer in enumerate(history):
        response = believing(row, answer)
        heard = step(row, response, learner.version)
        learner.learn_one(lesson(response, heard, at_offset(number)))
        row = Row.unpack(row.pack())
        if number % 5 == 4:
            learner.cut()
    return row, learner.version


@every_model
@settings(max_examples=25)
@given(history=responses)
def test_the_same_history_says_the_same_bit_for_bit(model: Model, history: list[Response]) -> None:
    assert model.says(*lived(history)) == model.says(*lived(history))


@every_model
@settings(max_examples=25)
@given(history=responses)
def test_looking_changes_nothing(model: Model, history: list[Response]) -> None:
    row, population = lived(history)
    before = row.pack()
    first = model.says(row, population)
    assert model.says(row, population) == first
    assert row.pack() == before


@every_model
@settings(max_examples=25)
@given(history=responses)
def test_a_stored_row_says_what_the_row_says(model: Model, history: list[Response]) -> None:
    row, population = lived(history)
    packed = row.pack()
    assert len(packed) < MAX_BYTES and Row.unpack(packed).pack() == packed
    assert model.says(Row.unpack(packed), population) == model.says(row, population)


@every_model
@settings(max_examples=25)
@given(history=responses)
def test_what_is_said_is_finite_and_in_bounds(model: Model, history: list[Response]) -> None:
    said = model.says(*lived(history))
    assert all(isfinite(value) and model.least <= value <= model.most for value in said), said


@every_model
@settings(max_examples=25)
@given(history=responses, last=responses.filter(bool))
def test_what_is_said_before_an_answer_does_not_know_it(model: Model, history: list[Response], last: list[Response]) -> None:
    row, population = lived(history)
    said = model.says(row, population)
    for response in last:
        again, learner = Row.unpack(row.pack()), PopulationLearner("", "", population)
        learner.learn_one(lesson(response, step(again, believing(again, response), learner), at_offset(10_000)))
        assert model.says(row, population) == said, "neither the row before nor the version changes by an answer"


@every_model
def test_a_learner_of_whom_nothing_is_known_is_the_same_for_everybody(model: Model) -> None:
    assert model.says(Row(), Population.empty()) == model.says(Row.unpack(Row().pack()), Population.empty())


@settings(max_examples=25)
@given(history=responses)
def test_the_parts_of_a_logit_add_up(history: list[Response]) -> None:
    row, population = lived(history)
    for item in ("i0", None):
        z = predict(row, population, item, ["a"], NOW).z
        assert abs(sum(term.value for term in terms(row, population, item, ["a"], NOW)) - z) < 1e-9
