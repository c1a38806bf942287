"""The dense features of a response: what the row knows of the learner before the answer counts.

Seventeen numbers, bounded, from the row, the item, its skills and the moment the item was shown. Sources: wins and fails
by skill and over all after PFA and best-LR (Pavlik, Cen & Koedinger 2009; Gervet et al. 2020); weighted residuals and
log-ratios after Pavlik & Eglington 2021 (LKT); gaps end where the item was shown, so that the latency of the answer that
is being predicted cannot leak into its own prediction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.row import Row, SkillState
from models.sums import total
from schemas.ids import hash32

NAMES = (
    "bias",
    "skill_wins",
    "skill_fails",
    "all_wins",
    "all_fails",
    "item_wins",
    "item_fails",
    "skill_log_ratio",
    "all_log_ratio",
    "skill_residual",
    "all_residual_fast",
    "all_residual_slow",
    "skill_gap",
    "item_gap",
    "item_first_seen",
    "streak",
    "last_outcome",
)
MAX_GAP = 20.0
_NEW = SkillState()


def sigmoid(z: float) -> float:
    """1 / (1 + e^-z), with z held within +-30."""
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))


def features(row: Row, item: str | None, skills: Sequence[str], shown_ms: int) -> list[float]:
    """Values in the order of NAMES. `item` None means a typical item never met; `shown_ms` -1 an unknown moment."""
    met = row.items.get(hash32(item)) if item is not None else None
    moment = tenths(row, shown_ms)
    log1p = math.log1p
    skill_wins, skill_fails, skill_residual, skill_gap = _of_skills(row, skills, moment)
    all_wins, all_fails = log1p(row.wins), log1p(row.tries - row.wins)
    return [
        1.0,
        skill_wins,
        skill_fails,
        all_wins,
        all_fails,
        log1p(met.wins) if met else 0.0,
        log1p(met.tries - met.wins) if met else 0.0,
        skill_wins - skill_fails,
        all_wins - all_fails,
        skill_residual,
        row.residual_fast,
        row.residual_slow,
        skill_gap,
        gap_since(moment, met.last) if met else 0.0,
        0.0 if met else 1.0,
        max(-10, min(10, row.streak)) / 10.0,
        row.last_outcome - 0.5 if row.last_outcome < 2 else 0.0,
    ]


def _of_skills(row: Row, skills: Sequence[str], moment: int) -> tuple[float, float, float, float]:
    """Wins, fails, residual and gap, each the mean over the skills; a skill never met counts as new."""
    if len(skills) == 1:
        state = row.skills.get(hash32(skills[0]), _NEW)
        wins, fails = math.log1p(state.wins), math.log1p(state.tries - state.wins)
        return wins, fails, state.residual, gap_since(moment, state.last)
    states = [row.skills.get(hash32(name), _NEW) for name in skills] or [_NEW]
    share = 1.0 / len(states)
    return (
        share * total(math.log1p(s.wins) for s in states),
        share * total(math.log1p(s.tries - s.wins) for s in states),
        share * total(s.residual for s in states),
        share * total(gap_since(moment, s.last) for s in states),
    )


def tenths(row: Row, at_ms: int) -> int:
    """A moment as rows keep it: tenths of a second since the run began, from 1; 0 when unknown."""
    if at_ms < 0 or row.run_start_ms < 0:
        return 0
    return max(1, min(0xFFFFFFFF, (at_ms - row.run_start_ms) // 100 + 1))


def gap_since(moment: int, last: int) -> float:
    """Log of the seconds between, 0 when either is unknown or they are out of order."""
    if moment <= last or last == 0:
        return 0.0
    return min(MAX_GAP, math.log1p((moment - last) / 10.0)) / 5.0
