"""What a prediction looks at: dense features and cells, from the row as it was before the answer counts.

Dense features are bounded numbers, in the order of NAMES. Sources: wins and fails by skill and over all after PFA and
best-LR (Pavlik, Cen & Koedinger 2009; Gervet et al. 2020); weighted residuals and log-ratios after Pavlik & Eglington
2021 (LKT). Cells are bends and interactions: a cell is one combination of values (this item and its last outcomes; this
skill after that one; a gap of this size), named by a number below CELLS, and has an effect of its own in the population.

Gaps end where the item was shown, so that the latency of the answer that is being predicted cannot leak into its own
prediction. `item` None asks about a typical item never met: then nothing that belongs to one item or to the moment's
transition takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log1p
from typing import TYPE_CHECKING, Final

from models.entries import SkillState
from models.row import Row
from models.sums import total
from schemas.ids import hash32

if TYPE_CHECKING:
    from mypy_extensions import i64

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
    "last_gap",
    "run",
)
MAX_GAP: Final = 20.0
CELLS: Final = 1 << 18
"""Cells of a course; two combinations that share a number share an effect."""

ITEM_RECENT: Final = 0
ITEM_LAG: Final = 1
ITEM_GAP: Final = 2
SKILL_GAP: Final = 3
LAST_GAP: Final = 4
ITEM_BY_RECENT: Final = 5
ITEM_BY_FORM: Final = 6
ITEM_BY_RUN: Final = 7
ITEM_BY_SKILL_LAG: Final = 8
SKILL_BY_RECENT: Final = 9
SKILL_BY_COUNT: Final = 10
SKILL_BY_ALL_RECENT: Final = 11
SKILL_AFTER_SKILL: Final = 12
SKILL_AFTER_ITEM: Final = 13
BIN_KINDS: Final = 5
"""The kinds below this one have no name, only a value below BINS."""

BINS: Final = 16
_MASK: Final = (1 << 18) - 1
_OF: Final = [0x9E3779B1 * (2 * kind + 1) & 0xFFFFFFFF for kind in range(14)]
_KIND: Final = 0x7FEB352D
_VALUE: Final = 0x846CA68B


def cell(kind: i64, of: i64, value: i64) -> i64:
    """The number of a cell: multiply-shift hashing of kind, 32-bit name and value (Dietzfelbinger et al. 1997).

    Only the low 32 bits of the sum count, and products of 16 and 32 bits never need more than a machine word.
    """
    return _low(of, _OF[kind]) + _low(value & 0xFFFFFFFF, _VALUE) + kind * _KIND >> 14 & _MASK


def _low(a: i64, b: i64) -> i64:
    """a x b, right in its low 32 bits."""
    return (a & 0xFFFF) * b + (((a >> 16) * b & 0xFFFF) << 16)


_BINS: Final = tuple(tuple(cell(kind, 0, value) for value in range(BINS)) for kind in range(BIN_KINDS))
_ITEM_RECENTS: Final = _BINS[ITEM_RECENT]
_ITEM_LAGS: Final = _BINS[ITEM_LAG]
_ITEM_GAPS: Final = _BINS[ITEM_GAP]
_SKILL_GAPS: Final = _BINS[SKILL_GAP]
_LAST_GAPS: Final = _BINS[LAST_GAP]
UNMET: Final = (_ITEM_RECENTS[1], _ITEM_LAGS[0], _ITEM_GAPS[0])
_NEW: Final = SkillState()
_COUNTS: Final = [int(log1p(n) * 2.2) for n in range(64)]
_LOGS: Final = [log1p(n) for n in range(256)]


def sigmoid(z: float) -> float:
    """1 / (1 + e^-z), with z held within +-30."""
    if z > 30.0:
        z = 30.0
    elif z < -30.0:
        z = -30.0
    return 1.0 / (1.0 + exp(-z))


def skills_key(skills: Sequence[str]) -> int:
    """One 32-bit name for a set of skills that an item asks for together."""
    return hash32(skills[0]) if len(skills) == 1 else hash32("~".join(skills))


def features(row: Row, item: str | None, skills: Sequence[str], states: Sequence[SkillState],
             shown_ms: int) -> tuple[list[float], list[int]]:  # fmt: skip
    """Dense values in the order of NAMES, and cells. `states` are those of `skills`; `shown_ms` -1 is an unknown moment."""
    moment = tenths(row, shown_ms)
    skill_wins, skill_fails, skill_residual, skill_gap, tries, recent, last_try = _of_skills(states, moment)
    all_wins, all_fails, streak, outcome, last_gap = of_learner(row, moment)
    dense = [1.0, skill_wins, skill_fails, all_wins, all_fails, 0.0, 0.0, skill_wins - skill_fails, all_wins - all_fails,
             skill_residual, row.residual_fast, row.residual_slow, skill_gap, 0.0, 1.0, streak, outcome, last_gap,
             0.0]  # fmt: skip
    name = skills_key(skills) if skills else 0
    cells = [
        _SKILL_GAPS[gap_bin(skill_gap)],
        _LAST_GAPS[gap_bin(last_gap)],
        cell(SKILL_BY_RECENT, name, recent),
        cell(SKILL_BY_COUNT, name, count_bin(tries)),
        cell(SKILL_BY_ALL_RECENT, name, row.recent),
    ]
    if item is None:
        cells += UNMET
    else:
        lag = row.tries - last_try & 0xFFFF if last_try >= 0 else 0
        _of_item(row, hash32(item), name, lag, moment, dense, cells)
    return dense, cells


def of_learner(row: Row, moment: int) -> tuple[float, float, float, float, float]:
    """Wins, fails, streak, last outcome and last gap as features: those in which no skill or item has a part."""
    streak, outcome = row.streak, row.last_outcome
    return (
        log_count(row.wins),
        log_count(row.tries - row.wins),
        streak / 10.0 if -10 < streak < 10 else (1.0 if streak > 0 else -1.0),
        outcome - 0.5 if outcome < 2 else 0.0,
        gap_since(moment, row.last_answer),
    )


def _of_item(row: Row, key: int, skills: int, skill_lag: int, moment: int, dense: list[float], cells: list[int]) -> None:
    """What belongs to the item and to what came before it."""
    met = row.items.get(key)
    run = min(row.run, 9) if row.last_skills == skills else 0
    dense[18] = run / 5.0
    if met is None:
        recent = 1
        cells += UNMET
    else:
        recent = met.recent
        gap = dense[13] = gap_since(moment, met.last)
        dense[5], dense[6], dense[14] = log_count(met.wins), log_count(met.tries - met.wins), 0.0
        cells += _ITEM_RECENTS[recent], _ITEM_LAGS[count_bin(row.tries - met.last_try & 0xFFFF)], _ITEM_GAPS[gap_bin(gap)]
    cells += (
        cell(ITEM_BY_RECENT, key, recent),
        cell(ITEM_BY_FORM, key, form_bin(dense[8])),
        cell(ITEM_BY_RUN, key, run),
        cell(ITEM_BY_SKILL_LAG, key, count_bin(skill_lag)),
    )
    if row.tries:
        cells += (
            cell(SKILL_AFTER_SKILL, skills, row.last_skills),
            cell(SKILL_AFTER_ITEM, skills, row.last_item << 2 | row.last_outcome),
        )


def states_of(row: Row, skills: Sequence[str]) -> list[SkillState]:
    """What the row knows of some skills, not to be changed; one never met counts as new."""
    return [row.skills.get(hash32(name)) or _NEW for name in skills]


def _of_skills(states: Sequence[SkillState], moment: int) -> tuple[float, float, float, float, int, int, int]:
    """Wins, fails, residual and gap, each the mean over the skills; tries, last outcomes and last try of the least
    practised one."""
    if len(states) == 1:
        state = states[0]
        wins, fails, last_try = (
            log_count(state.wins),
            log_count(state.tries - state.wins),
            state.last_try if state.tries else -1,
        )
        return wins, fails, state.residual, gap_since(moment, state.last), state.tries, state.recent, last_try
    states = states or (_NEW,)
    share = 1.0 / len(states)
    least = min(states, key=_tries)
    return (
        share * total(log_count(s.wins) for s in states),
        share * total(log_count(s.tries - s.wins) for s in states),
        share * total(s.residual for s in states),
        share * total(gap_since(moment, s.last) for s in states),
        least.tries,
        least.recent,
        least.last_try if least.tries else -1,
    )


def _tries(state: SkillState) -> int:
    return state.tries


def form_bin(logit: float) -> int:
    """A logit in steps of .3, from -2: at most 13."""
    return 0 if logit <= -2.0 else 13 if logit >= 1.9 else int((logit + 2.0) / 0.3)


def gap_bin(gap: float) -> int:
    """A gap as `gap_since` gives it in steps of a factor e, at most 14 (38 days)."""
    return int(gap * 5.0) if gap < 2.8 else 14


def count_bin(n: int) -> int:
    """A count on a log scale: 0, 1, 2, 3, 3, 3, 4 ... at most 13."""
    return _COUNTS[n] if n < 64 else min(13, int(log1p(n) * 2.2))


def log_count(n: int) -> float:
    """ln(1 + n)."""
    return _LOGS[n] if n < 256 else log1p(n)


def tenths(row: Row, at_ms: int) -> int:
    """A moment as rows keep it: tenths of a second since the run began, from 1; 0 when unknown."""
    if at_ms < 0 or row.run_start_ms < 0:
        return 0
    moment = (at_ms - row.run_start_ms) // 100 + 1
    return 1 if moment < 1 else moment if moment < 0xFFFFFFFF else 0xFFFFFFFF


def gap_since(moment: int, last: int) -> float:
    """Log of the seconds between, 0 when either is unknown or they are out of order."""
    if moment <= last or last == 0:
        return 0.0
    gap = log1p((moment - last) / 10.0)
    return (gap if gap < MAX_GAP else MAX_GAP) / 5.0
