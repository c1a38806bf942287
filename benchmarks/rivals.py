"""What the learner model is compared with: Elo, online best-LR, and a plain logistic regression for each learner.

Each predicts a response and then learns from it: `model(learner, response) -> p`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import log1p

from river.linear_model import LogisticRegression
from river.optim import AdaGrad

from models.features import sigmoid
from models.response import Response

Model = Callable[[str, Response], float]


class Elo:
    """One ability a learner, one difficulty an item, steps 1/(1 + .05 n) (Pelanek 2016)."""

    def __init__(self) -> None:
        self._ability: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        self._difficulty: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))

    def __call__(self, learner: str, response: Response) -> float:
        """Predict, then learn."""
        ability, tries = self._ability[learner]
        difficulty, met = self._difficulty[response.item]
        p = sigmoid(ability - difficulty)
        e = response.correct - p
        self._ability[learner] = ability + e / (1 + 0.05 * tries), tries + 1
        self._difficulty[response.item] = difficulty - e / (1 + 0.05 * met), met + 1
        return p


class _Counts:
    """Wins and tries of a learner by skill, by item and over all, as log counts (Gervet et al. 2020)."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def read(self, learner: str, response: Response) -> dict[str, float]:
        found: dict[str, float] = {}
        for kind, name in (*(("s", s) for s in response.skills), ("i", response.item), ("a", "")):
            wins, tries = self._of[learner, kind + name]
            found[kind + "w"] = found.get(kind + "w", 0.0) + log1p(wins)
            found[kind + "n"] = found.get(kind + "n", 0.0) + log1p(tries)
        return found

    def learn(self, learner: str, response: Response) -> None:
        for name in (*("s" + s for s in response.skills), "i" + response.item, "a"):
            counted = self._of[learner, name]
            counted[0] += response.correct
            counted[1] += 1


class BestLR:
    """Item and skill intercepts and log counts in one logistic regression, online by AdaGrad .08 (Gervet et al. 2020)."""

    def __init__(self) -> None:
        self._counts, self._model = _Counts(), LogisticRegression(AdaGrad(0.08))

    def __call__(self, learner: str, response: Response) -> float:
        """Predict, then learn."""
        x = self._counts.read(learner, response)
        x |= {f"item={response.item}": 1.0} | {f"skill={skill}": 1.0 for skill in response.skills}
        p = float(self._model.predict_proba_one(x)[True])
        self._model.learn_one(x, response.correct)
        self._counts.learn(learner, response)
        return p


class PerLearnerLR:
    """River's logistic regression as it comes, one for each learner, on log counts and skills."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._models: dict[str, LogisticRegression] = defaultdict(LogisticRegression)

    def __call__(self, learner: str, response: Response) -> float:
        """Predict, then learn."""
        model, x = self._models[learner], self._counts.read(learner, response)
        x |= {f"skill={skill}": 1.0 for skill in response.skills}
        p = float(model.predict_proba_one(x)[True])
        model.learn_one(x, response.correct)
        self._counts.learn(learner, response)
        return p
