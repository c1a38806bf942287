"""The learner model as a River classifier: one row a learner, one population, both learning from every response.

Made for evaluation (`river.evaluate`, `river.metrics`, `make bench-knowledge`); the service runs the same functions with
the row from its store and the population version stamped into the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from river.base import Classifier

from models import knowledge
from models.population import Population
from models.population_learner import PopulationLearner
from models.response import Heard, Response, at_offset, hear, lesson
from models.row import UNKNOWN, Row


class KnowledgeModel(Classifier):  # type: ignore[misc]  # River has no types
    """Probability of a right answer by learner and item, learned online.

    `x` may hold `learner`, `item`, `skills` (a list, or one string joined by "~"), `at_ms` (when it was answered),
    `latency_ms`, `attempt`, `hints`; what is missing is unknown. The latency of `x` itself moves only the moment when the
    item was shown.

    >>> model = KnowledgeModel()
    >>> x = {"learner": "ana", "item": "i1", "skills": "fractions"}
    >>> for _ in range(5):
    ...     model.learn_one(x, True)
    >>> model.predict_proba_one(x)[True] > 0.6
    True
    """

    def __init__(self) -> None:
        self._rows: dict[str, bytes] = {}
        self._population = PopulationLearner("", "", Population.empty())

    def predict_proba_one(self, x: Mapping[Any, Any], **_: Any) -> dict[bool, float]:
        """Probabilities of a wrong and of a right answer. Changes nothing."""
        response = _response(x, False)
        row = self._row(x)
        p = knowledge.predict(row, self._population, response.item, response.skills, response.shown_ms).p
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: Mapping[Any, Any], y: bool) -> None:
        """Let a response count, for the learner and for everybody."""
        response, row = _response(x, bool(y)), self._row(x)
        heard = step(row, response, self._population)
        self._rows[str(x.get("learner", ""))] = row.pack()
        self._population.learn_one(lesson(response, heard, at_offset(self._population.responses)))

    def _row(self, x: Mapping[Any, Any]) -> Row:
        packed = self._rows.get(str(x.get("learner", "")))
        return Row() if packed is None else Row.unpack(packed)


def step(row: Row, response: Response, shared: knowledge.Shared) -> Heard:
    """The learner's half of one response, as the service does it for an event of type `answered`."""
    if row.run_start_ms == UNKNOWN:
        row.run_start_ms = response.at_ms
    row.events += 1
    heard = hear(row, response, shared)
    row.last_at_ms = max(row.last_at_ms, response.at_ms)
    return heard


def _response(x: Mapping[Any, Any], correct: bool) -> Response:
    skills = x.get("skills", [])
    return Response(
        str(x.get("item", "")), skills.split("~") if isinstance(skills, str) else list(skills), correct,
        x.get("at_ms", UNKNOWN), x.get("latency_ms"), x.get("attempt"), x.get("hints"),
    )  # fmt: skip
