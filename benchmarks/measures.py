"""How good probabilities are, on arrays: area under the curve, log loss, calibration, and paired bootstrap over learners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def auc(p: Floats, y: Floats, weights: Floats | None = None) -> float:
    """Area under the ROC curve, ties counting half; weighted where weights are given."""
    return Ranked(p, y).auc(np.ones_like(p) if weights is None else weights)


class Ranked:
    """Predictions in order, for asking for their weighted area again and again."""

    def __init__(self, p: Floats, y: Floats) -> None:
        self._order = np.argsort(p, kind="stable")
        _, self._starts = np.unique(p[self._order], return_index=True)
        self._y = y[self._order]

    def auc(self, weights: Floats) -> float:
        """Area with these weights, one a prediction."""
        w = weights[self._order]
        right = np.add.reduceat(w * self._y, self._starts)
        wrong = np.add.reduceat(w * (1.0 - self._y), self._starts)
        below = np.cumsum(wrong) - wrong
        return float(np.sum(right * (below + 0.5 * wrong)) / (right.sum() * wrong.sum()))


def log_loss(p: Floats, y: Floats) -> float:
    """Mean negative log likelihood."""
    held = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-np.mean(y * np.log(held) + (1 - y) * np.log(1 - held)))


def reliability(p: Floats, y: Floats, bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean predicted, share right and count in bins of equal mass."""
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return [(float(p[part].mean()), float(y[part].mean()), len(part)) for part in parts if len(part)]


def ece(p: Floats, y: Floats) -> float:
    """Expected calibration error over ten bins of equal mass."""
    return sum(abs(told - was) * n for told, was, n in reliability(p, y)) / len(p)


def difference(ours: Floats, theirs: Floats, y: Floats, learner: Ints, rounds: int, seed: int) -> tuple[float, float]:
    """95 % interval of our area minus theirs: learners drawn with replacement, the same for both."""
    generator, people = np.random.default_rng(seed), int(learner.max()) + 1
    ranked, found = (Ranked(ours, y), Ranked(theirs, y)), []
    for _ in range(rounds):
        weights = np.bincount(generator.integers(0, people, people), minlength=people).astype(np.float64)[learner]
        if 0 < (weights * y).sum() < weights.sum():
            found.append(ranked[0].auc(weights) - ranked[1].auc(weights))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
