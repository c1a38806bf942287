"""How good predictions and latencies were: AUC with ties, log loss, percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence


def auc(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """Area under the ROC curve of (predicted, happened), ties counting half; None when only one outcome is there."""
    wins = sum(happened for _, happened in pairs)
    losses = len(pairs) - wins
    if not wins or not losses:
        return None
    ordered = sorted(pairs)
    rank_sum, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        middle = (start + 1 + end) / 2
        rank_sum += middle * sum(happened for _, happened in ordered[start:end])
        start = end
    return (rank_sum - wins * (wins + 1) / 2) / (wins * losses)


def log_loss(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """Mean negative log likelihood, probabilities held within 1e-9 of 0 and 1; None without pairs."""
    if not pairs:
        return None
    clipped = ((min(max(p, 1e-9), 1 - 1e-9), happened) for p, happened in pairs)
    return -sum(math.log(p if happened else 1 - p) for p, happened in clipped) / len(pairs)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` of them lie (nearest rank); None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float | None, digits: int = 4) -> float | None:
    """For reports."""
    return None if value is None else round(value, digits)
