"""Why the model believes what it believes: the signed parts of a prediction's logit z, largest first.

For explanations only; what decides is `models.knowledge.predict`, and the parts add up to what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import NamedTuple

from models.features import NAMES, states_of
from models.knowledge import predict
from models.population import Population
from models.row import Row
from models.sums import total

TOP = 5
WORDS = {
    "bias": "everybody, everything",
    "skill_wins": "right answers on the skill",
    "skill_fails": "wrong answers on the skill",
    "all_wins": "right answers in all",
    "all_fails": "wrong answers in all",
    "item_wins": "right answers to this question",
    "item_fails": "wrong answers to this question",
    "skill_log_ratio": "right against wrong on the skill",
    "all_log_ratio": "right against wrong in all",
    "skill_residual": "lately better than expected on the skill",
    "all_residual_fast": "lately better than expected",
    "all_residual_slow": "better than expected for some time",
    "skill_gap": "time since the skill was practised",
    "item_gap": "time since this question",
    "item_first_seen": "never asked before",
    "streak": "answers of one kind in a row",
    "last_outcome": "the last answer",
    "last_gap": "time since the last answer",
    "run": "questions of one kind in a row",
}


class Term(NamedTuple):
    """A part of z, in words. Positive: makes a right answer likelier."""

    name: str
    value: float


def terms(row: Row, population: Population, item: str | None, skills: Sequence[str], shown_ms: int,
          typical: float = 0.0, newness: float = 0.0, spread: float = 1.0) -> list[Term]:  # fmt: skip
    """All parts of what `predict` says of an item (None: a typical, never met item of `skills`) that are not 0.

    `typical`: what such an item of the course adds (models.levels). `newness` and `spread`: what first answers in a skill
    told, for one that is not practised yet (models.mastery).
    """
    predicted = predict(row, population, item, skills, shown_ms)
    dense = map(mul, population.weights, predicted.features)
    of_skills = [state.theta for state in states_of(row, skills)]
    found = [
        Term("this learner", row.theta),
        Term("this learner on the skill", total(of_skills) / len(of_skills) if of_skills else 0.0),
        Term("the skill", population.skill_effect(skills)),
        Term("what is usual in the course", typical),
        Term("the question", population.item(item)[0] if item is not None else 0.0),
        Term("patterns of the last answers and gaps", population.cells_effect(predicted.cells)),
        *(Term(WORDS[name], value) for name, value in zip(NAMES, dense, strict=True)),
    ]
    said = newness + (spread - 1.0) * total(term.value for term in found)
    found.append(Term("first answers in a skill, of everybody", said))
    return sorted((term for term in found if term.value), key=lambda term: (-abs(term.value), term.name))
