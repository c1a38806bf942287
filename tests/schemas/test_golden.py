"""Wire files that must be read and written the same for ever: what is stored in logs outlives every release."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import json

from agents.step import ENGINE, step
from models.entries import NO_BELIEF
from models.familiarity import NOTHING_KNOWN
from models.features import NAMES
from models.population import DISCRIMINATION, EFFORTS, NEWNESS, SHORTFALL, SPREAD, STEEPNESS, Population
from models.population_learner import PopulationLearner
from models.row import COMPLETED, Row
from models.timing import NOT_QUICK
from schemas.codec import decode_interaction, decode_learning, encode_interaction, encode_msgpack
from schemas.decision import Decision, Reject
from schemas.evidence import decode_evidence, encode_evidence, hash_of
from schemas.ids import hash32
from schemas.interaction import LogRecord
from schemas.population import PopulationChange, PopulationRecord, decode_population, encode_population
from tests.factories import HEADERS, course, interaction

GOLDEN = Path(__file__).parent / "golden"


def made() -> dict[str, bytes]:
    """Every wire form, from fixed input."""
    said = interaction(1, at="2026-01-02T03:04:05Z", attempt=2, hints=1)
    outcome = step(None, said, 0, 0, course(), Population.empty())
    assert outcome.decision is not None and outcome.learning is not None
    change = PopulationChange(
        tenant="default", course="tiny", version=1, parent="", weights=[0.5, -0.25], gradients=[1.0, 2.0],
        items={"i1": (0.5, 0.25, 2.0, 1.0, 3)}, skills={"a": (0.125, 1.0)}, watermark={0: 7}, responses=8,
        cells={3: (0.5, 1.5, 0.25, 2.0)}, losses=[2.0, 1.5], segments={"a1": (9, 2)},
        passes={"a1": (6, 2)}, steepness=[2.5, 8.0], newness=[-0.25, 6.0], shortfall=[0.125, 300.0], spread=[0.75, 40.0],
        discrimination=[0.5, 30.0], efforts=[(0.25, 40.0), (1.0, 30.0)],
        familiarity=[30.0, 1.0, 2.0, 31.0, 3.0, 32.0, 0.5, 0.25, 1.5],
    )  # fmt: skip
    population = PopulationRecord(hash="00112233", full=False, piece=0, pieces=1, change=change)
    reject = Reject(partition=0, offset=3, code="malformed", detail="no", value=b"\x00{", headers=[("schema", b"MQ==")])
    done = step(None, interaction(1, type="completed", segment="b3", item=None, correct=None, latency_ms=None), 0, 0,
                course(), Population.empty())  # fmt: skip
    evidence = done.evidence[0]
    return {
        "interaction.json": encode_interaction(said),
        "decision.json": outcome.decision,
        "row.bin": outcome.row,
        "learning.msgpack": encode_msgpack([outcome.learning]),
        "population.msgpack": encode_population(population),
        "reject.json": json.encode(reject),
        "evidence.json": encode_evidence(evidence),
    }


@pytest.mark.parametrize("name", sorted(made()))
def test_what_is_written_is_the_golden_file(name: str) -> None:
    assert made()[name] == (GOLDEN / name).read_bytes(), "a wire form changed: that needs a new schema or engine number"


def test_golden_files_are_read() -> None:
    said = decode_interaction(LogRecord(0, b"default/tiny/1/ana", (GOLDEN / "interaction.json").read_bytes(), HEADERS))
    assert said.event.learner == "ana"
    assert json.decode((GOLDEN / "decision.json").read_bytes(), type=Decision).seq == 1
    assert [each.correct for each in decode_learning((GOLDEN / "learning.msgpack").read_bytes())] == [True]
    assert decode_population((GOLDEN / "population.msgpack").read_bytes()).change.items["i1"][4] == 3
    evidence = decode_evidence((GOLDEN / "evidence.json").read_bytes())
    assert (evidence.kind, evidence.number, hash_of(evidence).hex()) == ("completed", 1, evidence.hash)
    assert json.decode((GOLDEN / "reject.json").read_bytes(), type=Reject).value == b"\x00{"


def test_what_the_first_release_wrote_is_still_read() -> None:
    row = Row.unpack((GOLDEN / "1" / "row.bin").read_bytes())
    assert (row.seq, row.wins, row.recent) == (1, 1, 1)
    skill = row.skills.get(hash32("a"))
    assert skill is not None and (skill.tries, skill.recent) == (1, 1)
    said = interaction(2, at="2026-01-02T03:05:05Z")
    after = Row.unpack(step(row.pack(), said, 0, 1, course(), Population.empty()).row)
    assert (after.seq, after.tries, after.engine) == (2, 2, ENGINE)
    (learned,) = decode_learning((GOLDEN / "1" / "learning.msgpack").read_bytes())
    learner = PopulationLearner("default", "tiny", Population.empty())
    assert learner.learn_one(learned) and learned.cells == []
    change = decode_population((GOLDEN / "1" / "population.msgpack").read_bytes()).change
    version = Population.empty().apply(change, "x")
    assert version.item("i1")[0] == 0.5 and len(version.weights) == len(NAMES)
    assert json.decode((GOLDEN / "1" / "decision.json").read_bytes(), type=Decision).engine == 1


def test_what_the_second_release_wrote_is_still_read() -> None:
    row = Row.unpack((GOLDEN / "2" / "row.bin").read_bytes())
    assert (row.seq, row.wins, row.evidence, row.head, row.probe) == (1, 1, 0, bytes(16), None)
    after = Row.unpack(step(row.pack(), interaction(2, at="2026-01-02T03:05:05Z"), 0, 1, course(), Population.empty()).row)
    assert (after.seq, after.tries, after.engine) == (2, 2, ENGINE)
    (learned,) = decode_learning((GOLDEN / "2" / "learning.msgpack").read_bytes())
    assert learned.rating == 0
    change = decode_population((GOLDEN / "2" / "population.msgpack").read_bytes()).change
    assert Population.empty().apply(change, "x").segments.whole() == {}
    assert json.decode((GOLDEN / "2" / "decision.json").read_bytes(), type=Decision).reply is None


def test_what_the_third_format_of_rows_held_is_still_read() -> None:
    row = Row.unpack((GOLDEN / "3" / "row.bin").read_bytes())
    skill = row.skills.get(hash32("a"))
    assert skill is not None and (skill.tries, skill.known) == (1, NO_BELIEF)
    after = Row.unpack(step(row.pack(), interaction(2, at="2026-01-02T03:05:05Z"), 0, 1, course(), Population.empty()).row)
    believed = after.skills.get(hash32("a"))
    assert believed is not None and (believed.tries, len(set(believed.known)) > 1, after.engine) == (2, True, ENGINE)
    assert json.decode((GOLDEN / "3" / "decision.json").read_bytes(), type=Decision).engine == 5


def test_what_was_learned_before_visits_and_levels_were_counted_is_still_read() -> None:
    (learned,) = decode_learning((GOLDEN / "4" / "learning.msgpack").read_bytes())
    assert (learned.pull, learned.passed, learned.first, learned.practised) == ((0.0, 0.0), False, (0.0, 0.0), (0.0, 0.0))
    version = Population.empty().apply(decode_population((GOLDEN / "4" / "population.msgpack").read_bytes()).change, "x")
    assert (version.passes.whole(), version.steepness) == ({}, STEEPNESS)
    assert (version.newness, version.shortfall, version.spread) == (NEWNESS, SHORTFALL, SPREAD)
    assert json.decode((GOLDEN / "4" / "decision.json").read_bytes(), type=Decision).engine == 6


def test_what_the_fourth_format_of_rows_held_is_still_read_and_taken_to_be_in_evidence() -> None:
    row = Row.unpack((GOLDEN / "5" / "row.bin").read_bytes())
    assert (row.seq, row.course, row.proven, row.tested) == (1, 0, (), {})
    row.mark(hash32("b3"), COMPLETED)
    outcome = step(row.pack(), interaction(2, at="2026-01-02T03:05:05Z"), 0, 1, course(), Population.empty())
    after = Row.unpack(outcome.row)
    assert (after.course, after.proven, outcome.evidence) == (hash32("1"), (hash32("b3"),), [])
    assert json.decode((GOLDEN / "5" / "decision.json").read_bytes(), type=Decision).engine == 11


def test_what_was_learned_before_answers_were_weighed_is_still_read() -> None:
    (learned,) = decode_learning((GOLDEN / "6" / "learning.msgpack").read_bytes())
    assert (learned.expected, learned.quick, learned.practice, learned.met) == (0.0, NOT_QUICK, 0.0, False)
    assert PopulationLearner("default", "tiny", Population.empty()).learn_one(learned)
    version = Population.empty().apply(decode_population((GOLDEN / "6" / "population.msgpack").read_bytes()).change, "x")
    assert (version.discrimination, version.efforts, version.familiarity) == (DISCRIMINATION, EFFORTS, NOTHING_KNOWN)
    assert json.decode((GOLDEN / "6" / "decision.json").read_bytes(), type=Decision).engine == 12


def test_what_was_learned_before_answers_said_what_was_held_is_still_read() -> None:
    (learned,) = decode_learning((GOLDEN / "7" / "learning.msgpack").read_bytes())
    assert learned.held is None and learned.expected > 0.0
    learner = PopulationLearner("default", "tiny", Population.empty())
    assert learner.learn_one(learned) and learner.cut()[0].steepness[0] == STEEPNESS[0], "as if said of what is held now"
    assert json.decode((GOLDEN / "7" / "decision.json").read_bytes(), type=Decision).engine == 13


if __name__ == "__main__":
    for file, content in made().items():
        (GOLDEN / file).write_bytes(content)
