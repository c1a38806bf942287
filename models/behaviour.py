"""How a learner is doing it. States are named, have evidence, and decay; they are never a judgement of a person.

`learn` keeps what is needed in the row, a few numbers a response. `states` reads the row and names what it shows:

- struggling: weighted mean (rate .2) of 1.5 retry + hint + max(r, 0)(1 - y) over a threshold.
- ready to move on: five right answers in a row that were expected (p > .85), and quick for this learner (EW(r) < -.7).
- disengaging: ADWIN (Bifet & Gavalda 2007) finds a shift in the last 32 residuals r of response times.
- wheel-spinning: ten tries at a skill without mastery (Beck & Gong 2013).
- answer cycling: wrong answers within seconds of one another on one item (Baker et al. 2004).

r is the residual of log response time, see models.timing. Boredom cannot be observed, so nothing here claims it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from river.drift import ADWIN

from models.row import Row
from models.timing import Timing

RATE: Final = 0.2
STRUGGLING: Final = 0.8
EXPECTED: Final = 0.85
QUICK: Final = -0.7
RIGHT_IN_A_ROW: Final = 5
CYCLE_MS: Final = 3_000
CYCLING: Final = 0.5
DELTA: Final = 0.2
FRESH: Final = 5
LEAST_TIMED: Final = 12
SPINNING_TRIES: Final = 10
MASTERED: Final = 0.8


class State(NamedTuple):
    """A named state and what it rests on, as numbers by name."""

    name: str
    evidence: Mapping[str, float]


def learn(row: Row, p: float, *, correct: bool, attempt: int | None, hints: int | None, timing: Timing,
          same_item_ms: int | None) -> None:  # fmt: skip
    """Let one response count. `p` was predicted; `same_item_ms` is the time since the last answer to the same item."""
    retry = 1.5 if (attempt or 1) > 1 and not correct else 0.0
    slow_fail = max(timing.residual or 0.0, 0.0) * (not correct)
    row.struggle += RATE * (retry + min(hints or 0, 3) + slow_fail - row.struggle)
    row.expected_right = min(row.expected_right + 1, 255) if correct and p > EXPECTED else 0
    cycled = not correct and same_item_ms is not None and same_item_ms < CYCLE_MS
    row.cycling += RATE * (cycled - row.cycling)


def is_struggling(row: Row) -> bool:
    """Whether retries, hints and slow failures have piled up lately."""
    return row.struggle > STRUGGLING


def states(row: Row, mastery: Mapping[str, tuple[int, float]]) -> list[State]:
    """What the row shows now. `mastery` gives tries and mastery by skill."""
    found = []
    if is_struggling(row):
        found.append(State("struggling", {"weighted_retries_hints_slow_fails": row.struggle}))
    if row.expected_right >= RIGHT_IN_A_ROW and row.timed >= RIGHT_IN_A_ROW and row.ew_residual_time < QUICK:
        found.append(State("ready_to_move_on", {"expected_right_in_a_row": row.expected_right,
                                                "weighted_residual_of_time": row.ew_residual_time}))  # fmt: skip
    shift = shifted(residuals(row))
    if shift is not None:
        found.append(State("disengaging", {"shift_of_residual_of_time": shift}))
    found += [
        State("wheel_spinning", {f"tries:{skill}": tries, f"mastery:{skill}": known})
        for skill, (tries, known) in mastery.items()
        if tries >= SPINNING_TRIES and known < MASTERED
    ]
    if row.cycling > CYCLING:
        found.append(State("answer_cycling", {"weighted_share_of_quick_wrong_repeats": row.cycling}))
    return found


def residuals(row: Row) -> list[float]:
    """The last residuals of response times, oldest first, in units of 1/31."""
    return [(byte - 256 if byte > 127 else byte) / 31.0 for byte in row.time_residuals]


def shifted(values: Iterable[float]) -> float | None:
    """How far the mean moved when ADWIN found a change within the last FRESH values; None when it did not.

    The detector is rebuilt from the values, so nothing of it is stored. A clock of 1 looks after every value (River's
    default of 32 never finds a shift in so short a window), and DELTA is for a window this short: docs/models.md has what it
    finds and how often it errs.
    """
    series = list(values)
    if len(series) < LEAST_TIMED:
        return None
    adwin = ADWIN(delta=DELTA, clock=1, grace_period=5, min_window_length=3)
    for number, value in enumerate(series):
        before = sum(series[:number]) / max(number, 1)
        adwin.update(value)
        if adwin.drift_detected and number >= len(series) - FRESH:
            return float(adwin.estimation) - before
    return None
