"""What calibrate has learned and not yet published, course by course. Synchronous and without I/O, so that it can live in a
process of its own (`cli.beside`).

Comes in: an `Ask`. Goes out: versions that were cut, as records for topic `population`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from models.population import Population, full_change
from models.population_learner import PopulationLearner
from schemas.codec import decode_learning
from schemas.errors import Rejection
from schemas.population import PopulationChange, PopulationRecord, encode_population

EVERY_RESPONSES = 256
FULL_EVERY = 32
ITEMS_A_PIECE = 2_000
CELLS_A_PIECE = 4_000


class Ask(Struct, frozen=True, kw_only=True):
    """What to do, in this order: forget everything, begin courses where a version stands, learn records of topic
    `learning`, cut a version of every course that learned something since its last. `since` goes into what is cut."""

    forget: bool = False
    begin: list[PopulationRecord] = []
    values: list[bytes] = []
    cut: bool = False
    since: int = 0


class Cut(Struct, frozen=True):
    """A version that was cut: its course and number, and keys and values of its records."""

    course: str
    version: int
    records: list[tuple[bytes, bytes]]


class Lessons:
    """The learners of all courses that were begun."""

    def __init__(self) -> None:
        self._learners: dict[tuple[str, str], PopulationLearner] = {}

    def answer(self, ask: Ask) -> list[Cut]:
        """Versions cut on the way: one a course for every EVERY_RESPONSES, and what was asked for.

        What is no learning record, or of a course that was not begun, is passed over: no lane wrote it.
        """
        if ask.forget:
            self._learners.clear()
        for begun in ask.begin:
            name = begun.change.tenant, begun.change.course
            self._learners[name] = PopulationLearner(*name, Population.full(begun.change, begun.hash))
        cuts = self._learn(ask.values, ask.since)
        if ask.cut:
            cuts += [_cut(learner, ask.since) for learner in self._learners.values() if learner.pending]
        return cuts

    def _learn(self, values: Sequence[bytes], since: int) -> list[Cut]:
        cuts: list[Cut] = []
        for value in values:
            try:
                responses = decode_learning(value)
            except Rejection:
                continue
            for response in responses:
                learner = self._learners.get((response.tenant, response.course))
                if learner is None:
                    continue
                learner.learn_one(response)
                if learner.pending >= EVERY_RESPONSES:
                    cuts.append(_cut(learner, since))
        return cuts


def begun(tenant: str, course: str, version: Population) -> PopulationRecord:
    """Where a course is to begin."""
    change = full_change(tenant, course, version)
    return PopulationRecord(hash=version.stamp[1], full=True, piece=0, pieces=1, change=change)


def full_records(tenant: str, course: str, version: Population, since: int) -> list[tuple[bytes, bytes]]:
    """Keys and values of a whole version."""
    return _records(full_change(tenant, course, version), version.stamp[1], since, full=True)


def _cut(learner: PopulationLearner, since: int) -> Cut:
    change, name = learner.cut()
    records = _records(change, name, since, full=False)
    if change.version % FULL_EVERY == 0:
        records += full_records(learner.tenant, learner.course, learner.version, since)
    return Cut(learner.course, change.version, records)


def _records(change: PopulationChange, name: str, since: int, *, full: bool) -> list[tuple[bytes, bytes]]:
    key = f"{change.tenant}/{change.course}/{change.version}/{name}{'/full' if full else ''}".encode()
    pieces = in_pieces(change)
    return [
        (
            key,
            encode_population(
                PopulationRecord(hash=name, full=full, piece=n, pieces=len(pieces), change=piece, since=since)
            ),
        )
        for n, piece in enumerate(pieces)
    ]


def in_pieces(change: PopulationChange) -> list[PopulationChange]:
    """A change in pieces that fit a record whatever items are called; the first has all but the later items and cells."""
    items, cells = list(change.items.items()), list(change.cells.items())
    count = max(1, -(-len(items) // ITEMS_A_PIECE), -(-len(cells) // CELLS_A_PIECE))
    return [
        replace(
            change,
            items=dict(items[n * ITEMS_A_PIECE : (n + 1) * ITEMS_A_PIECE]),
            cells=dict(cells[n * CELLS_A_PIECE : (n + 1) * CELLS_A_PIECE]),
            skills=change.skills if not n else {},
            segments=change.segments if not n else {},
            passes=change.passes if not n else {},
        )
        for n in range(count)
    ]
