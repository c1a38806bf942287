"""How long things take this learner: a pace `tau` on the log scale, and residuals of response times.

    r = (ln seconds - mean_item - tau) / sigma_item

A response quicker than 10 % of the item's typical time (and than 10 s) is a rapid guess (NT10, Wise & Ma 2012).

How quick is too quick depends on the course. So for beliefs (models.belief) quick answers are sorted by their share of the
item's typical time (QUICK), and of each sort it is learned how many are tries at all, the others being guesses, which
say nothing and teach nothing (effort-moderated response model, Wise & DeMars 2006). Predictions and typical times go by
rapid guesses alone.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from models.row import RESIDUALS, Row, bounded, count
from schemas.population import ItemValues

GUESS_SHARE: Final = 0.10
GUESS_MOST_SECONDS: Final = 10.0
LEAST_SEEN: Final = 10
QUICK: Final = [0.1, 0.15, 0.2, 0.27, 0.37, 0.5]
"""Each sort of quick answer took less than this share of the item's typical time, and no less than the share before."""
NOT_QUICK: Final = 6
_QUICK_LOGS: Final = [math.log(share) for share in QUICK]
TRIED: Final = 0.9
"""Answers of a sort of which fewer than this share are tries say nothing more of a course than that they are guesses."""
PACE_WEIGHT: Final = 8.0
MOST_AWAY: Final = 4.0
"""Deviations from what is typical by which a time counts at most: a page may be left open for hours."""


class Timing(NamedTuple):
    """One response time, read against item and learner. `residual` None when no time was told."""

    log_seconds: float | None
    residual: float | None
    guessed: bool


UNTIMED = Timing(None, None, False)


def read(row: Row, item: ItemValues, latency_ms: int | None) -> Timing:
    """How quick an answer was, compared with what was to be expected. Changes nothing."""
    if latency_ms is None:
        return UNTIMED
    _, _, mean, variance, seen = item
    seconds = max(latency_ms, 1) / 1000.0
    log_seconds = math.log(seconds)
    residual = bounded((log_seconds - mean - row.tau) / math.sqrt(variance), MOST_AWAY)
    limit = min(GUESS_MOST_SECONDS, GUESS_SHARE * math.exp(mean))
    return Timing(log_seconds, residual, seen >= LEAST_SEEN and seconds < limit)


def quick(item: ItemValues, timing: Timing) -> int:
    """Which sort of QUICK an answer is; NOT_QUICK where it is none, or nothing is known of its time or the item's. The first
    sort is of rapid guesses alone."""
    if timing.log_seconds is None or item[4] < LEAST_SEEN:
        return NOT_QUICK
    longer = timing.log_seconds - item[2]
    for sort, share in enumerate(_QUICK_LOGS):
        if longer < share:
            return sort if sort or timing.guessed else 1
    return NOT_QUICK


def tried(effort: float, correct: bool, believed: float, expected: float) -> float:
    """How likely an answer was a try and no guess, after what came of it, by Bayes' rule. `effort`: how likely before;
    `believed`: how likely a right answer was if it was tried, `expected` as it came."""
    if effort == 1.0:
        return 1.0
    return effort * (believed / expected if correct else (1.0 - believed) / (1.0 - expected))


def learn(row: Row, item: ItemValues, timing: Timing) -> None:
    """Let a response time count for the learner's pace, shrunken towards that of everybody."""
    if timing.log_seconds is None or timing.residual is None:
        return
    row.timed = count(row.timed + 1)
    weight = 1.0 / (min(row.timed, 50) + PACE_WEIGHT)
    away = bounded(timing.log_seconds - item[2] - row.tau, MOST_AWAY * math.sqrt(item[3]))
    row.tau = bounded(row.tau + weight * away, 3.0)
    row.ew_residual_time += 0.2 * (timing.residual - row.ew_residual_time)
    as_byte = round(timing.residual * 31) & 0xFF
    row.time_residuals = (row.time_residuals + bytes((as_byte,)))[-RESIDUALS:]


def expected_minutes(row: Row, authored: float) -> float:
    """Minutes that a segment of `authored` minutes will take this learner."""
    return authored * math.exp(0.5 * row.tau)
