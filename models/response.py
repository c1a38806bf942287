"""A response and what it does to a row: predicted first, then counted, by knowledge, behaviour and timing together."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from typing import NamedTuple

from models import behaviour, belief, familiarity, knowledge, timing
from models.features import tenths
from models.row import UNKNOWN, Row
from models.sums import total
from models.timing import NOT_QUICK
from schemas.decision import LearningRecord
from schemas.ids import hash32


class Response(NamedTuple):
    """One answer to one item. `at_ms` is when it was complete, UNKNOWN when nobody told.

    What only a course can say: the skills' `weights`, how far the item's difficulty is `below` the course's middle (-1 to
    1), how `steep` levels are, and of each skill `beliefs`, what is believed of it before the answer, how far the try
    may have `taught` it (models.belief), its `tries` before and last outcomes (`recents`); whether none was practised before
    (`first`), and then the logit that was predicted of them (`apart`); whether all were, much, and are believed to be known
    (`practised`, see models.shortfall). `discrimination` says how much an answer counts, 0 to 1, and `efforts` how many
    answers of each sort of models.timing.QUICK are tries; `held` is for calibrate (models.plan). Without a course nothing is
    believed.
    """

    item: str
    skills: list[str]
    correct: bool
    at_ms: int = UNKNOWN
    latency_ms: int | None = None
    attempt: int | None = None
    hints: int | None = None
    weights: Sequence[float] = ()
    below: float = 0.0
    steep: float = 0.0
    beliefs: Sequence[bytes] = ()
    taught: Sequence[float] = ()
    first: bool = False
    practised: bool = False
    apart: float = 0.0
    tries: Sequence[int] = ()
    recents: Sequence[int] = ()
    discrimination: float = 1.0
    efforts: Sequence[float] = ()
    held: tuple[float, float, float, float] | None = None

    @property
    def unaided(self) -> bool:
        """Whether it was the first attempt, without hints."""
        return not self.hints and (self.attempt or 1) == 1

    @property
    def shown_ms(self) -> int:
        """When the item was shown; UNKNOWN when the end or the latency is."""
        return UNKNOWN if self.at_ms == UNKNOWN or self.latency_ms is None else self.at_ms - self.latency_ms


class Heard(NamedTuple):
    """What counting a response told: for `predicted` and for calibrate. `pace` is the learner's before it; `pull` is what
    models.belief has from it of how steep levels are, `first` of how well skills are known that were not practised,
    `practised` by how much it was worse than expected of those that were, with the variance. `believed` is how likely a
    right answer was, had it been tried, `expected` as it came (0: nothing was believed); `quick` is its sort of
    models.timing.QUICK; `sharper`: see models.belief; `met` whether the item was met before, and `practice` the
    log of one and the tries so far, 0 where it tells nothing of that (models.familiarity)."""

    predicted: knowledge.Prediction
    timing: timing.Timing
    skills: list[str]
    pace: float
    pull: tuple[float, float]
    first: tuple[float, float]
    practised: tuple[float, float]
    believed: float = 0.0
    expected: float = 0.0
    quick: int = NOT_QUICK
    sharper: float = 0.0
    met: bool = False
    practice: float = 0.0


def hear(row: Row, response: Response, shared: knowledge.Shared) -> Heard:
    """Predict, then let the response count in `row`. Nothing of the response but its item and start is seen before."""
    item = shared.item(response.item)
    predicted = knowledge.predict(row, shared, response.item, response.skills, response.shown_ms)
    timed = timing.read(row, item, response.latency_ms)
    pace, met = row.tau, row.items.get(hash32(response.item)) is not None
    at_ms = max(response.at_ms, row.last_at_ms)
    behaviour.learn(
        row, predicted.p, correct=response.correct, attempt=response.attempt, hints=response.hints, timing=timed,
        same_item_ms=_since_same_item(row, response.item, at_ms),
    )  # fmt: skip
    timing.learn(row, item, timed)
    knowledge.learn(row, predicted, response.item, response.skills, response.correct, at_ms, guessed=timed.guessed)
    nothing = 0.0, 0.0
    if not response.beliefs:
        return Heard(predicted, timed, response.skills, pace, nothing, nothing, nothing)
    sort = timing.quick(item, timed)
    effort = response.efforts[sort] if sort < len(response.efforts) else 1.0
    right = belief.chances(response.steep * response.below)
    believed, pull = belief.pull(response.beliefs, response.weights, response.correct, right, response.below)
    expected = belief.GUESSED + effort * (believed - belief.GUESSED)
    _believe(row, response, belief.tried(right, effort), timing.tried(effort, response.correct, believed, expected))
    if effort < timing.TRIED:
        return Heard(predicted, timed, response.skills, pace, nothing, nothing, nothing, believed, expected, sort)
    error, variance = response.correct - believed, believed * (1.0 - believed)
    first = (error, variance) if response.first else nothing
    practised = (-error, variance) if response.practised else nothing
    tells = response.unaided and all(tried >= familiarity.LEAST_TRIES for tried in response.tries)
    return Heard(
        predicted, timed, response.skills, pace, pull, first, practised, believed, expected, sort,
        belief.sharper(response.beliefs, response.weights, response.recents, right) if response.unaided else 0.0,
        met, total(map(log1p, response.tries)) / len(response.tries) if tells else 0.0,
    )  # fmt: skip


def _believe(row: Row, response: Response, right: belief.Six, tried: float) -> None:
    """Let the answer count for what is believed of its skills: `tried` is how likely it was a try, which may have taught."""
    taught = [tried * each for each in response.taught]
    after = belief.heard(response.beliefs, response.weights, taught, response.correct, right, response.discrimination)
    for name, known in zip(response.skills, after, strict=True):
        row.skills.touch(hash32(name)).known = known


def _since_same_item(row: Row, item: str, at_ms: int) -> int | None:
    if not row.last_answer or row.last_item != hash32(item):
        return None
    return max(0, tenths(row, at_ms) - row.last_answer) * 100


class Where(NamedTuple):
    """Whose record it was, and where in the log: partition and offset."""

    tenant: str
    course: str
    segment: str
    partition: int
    offset: int
    population: tuple[int, str]
    logged_ms: int


def at_offset(offset: int) -> Where:
    """A place in a log of its own, where there is no service around the model."""
    return Where("", "", "", 0, offset, (0, ""), 0)


def lesson(response: Response, heard: Heard, where: Where) -> LearningRecord:
    """What calibrate learns from a response."""
    return LearningRecord(
        tenant=where.tenant,
        course=where.course,
        segment=where.segment,
        partition=where.partition,
        offset=where.offset,
        population=where.population,
        logged_ms=where.logged_ms,
        item=response.item,
        skills=heard.skills,
        features=heard.predicted.features,
        ability=heard.predicted.ability,
        correct=response.correct,
        log_seconds=heard.timing.log_seconds,
        pace=heard.pace,
        guessed=heard.timing.guessed,
        cells=heard.predicted.cells,
        pull=heard.pull,
        first=heard.first,
        practised=heard.practised,
        apart=response.apart,
        believed=heard.believed,
        expected=heard.expected,
        quick=heard.quick,
        sharper=heard.sharper,
        met=heard.met,
        practice=heard.practice,
        held=response.held,
    )


def rated(stars: int, where: Where) -> LearningRecord:
    """What calibrate learns from a rating of 1 to 5."""
    return _of_segment(where, rating=stars)


def passed(where: Where) -> LearningRecord:
    """What calibrate learns from a completed segment: that its questions so far were those of one more visit."""
    return _of_segment(where, passed=True)


def _of_segment(where: Where, *, rating: int = 0, passed: bool = False) -> LearningRecord:
    return LearningRecord(
        **where._asdict(), item="", skills=[], features=[], ability=0.0, correct=False, log_seconds=None, pace=0.0,
        guessed=False, rating=rating, passed=passed,
    )  # fmt: skip
