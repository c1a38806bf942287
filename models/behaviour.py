"""How a learner is doing it: struggling or ready to move on. States are named, have evidence, and decay.

struggling: weighted mean (rate .2) of 1.5 retry + hint + max(r, 0)(1 - y), over a threshold.
"""

from __future__ import annotations

from models.row import Row
from models.timing import Timing

RATE = 0.2
STRUGGLING = 0.8


def learn(row: Row, *, correct: bool, attempt: int | None, hints: int | None, timing: Timing) -> None:
    """Let one response count."""
    retry = 1.5 if (attempt or 1) > 1 and not correct else 0.0
    slow_fail = max(timing.residual or 0.0, 0.0) * (not correct)
    row.struggle += RATE * (retry + min(hints or 0, 3) + slow_fail - row.struggle)


def is_struggling(row: Row) -> bool:
    """Whether retries, hints and slow failures have piled up lately."""
    return row.struggle > STRUGGLING
