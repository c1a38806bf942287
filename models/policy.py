"""Which segment comes next:  candidates -> mask -> compulsory queue -> score -> explore -> choice.

The same row, course version, population version and decision id always give the same choice: all chance comes from a
generator seeded by the decision's id, and the exact probability of the choice is part of it. Nothing here can drop a
compulsory segment: it leaves the queue only by being completed or waived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.control import Obeyed
from models.gain import SEEN_DISCOUNT, Score, View, score
from models.mask import COOL_DOWN, is_required, next_authored, prerequisites_met, removal
from models.row import ANY_MARK, DO_NOT_PERSONALISE, SEEN_MASK, SHOWN_SHIFT
from models.sums import total
from schemas.course import Course, Segment
from schemas.ids import chance_of

POLICY = "gain-per-minute/3"
TEMPERATURE = 0.04
UNIFORM_SHARE = 0.05
MOST_FLOORS = 0.5
COMPULSORY_EVERY = 4
DAY_MS = 86_400_000
DEADLINE_NEAR_DAYS = 2.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen among what, and how likely that was. `segment` None: there is nothing left to show."""

    segment: Segment | None
    arm: str
    propensity: float
    forced: bool
    fallback: bool
    best: Score | None
    runner_up: Score | None
    eligible: int
    next_authored: Segment | None


def choose(view: View, decision: str, obeyed: Obeyed | None = None, *, held_out: bool = False,
           probing: Segment | None = None) -> Choice:  # fmt: skip
    """Choose for the decision called `decision`. `obeyed`: what the learner asked for; `probing`: what is tested out of.

    Who is held out gets the authored order, with all else as it is for others.
    """
    places, worth, bitmap = ranked(view)
    allowed = [view.plan.entries[place].segment for place in places]
    authored = next_authored(view)
    given = obeyed.segment if obeyed is not None else None
    if probing is not None:
        return _forced(view, probing, "probe", bitmap, authored)
    if given is not None and prerequisites_met(view, given):
        return _forced(view, given, "requested", bitmap, authored)
    if not allowed:
        return _authored(view, bitmap, authored)
    due = _due_required(view, allowed)
    if due is not None:
        return _forced(view, due, "compulsory", bitmap, authored)
    if held_out and authored is not None:
        return _forced(view, authored, "holdout", bitmap, authored)
    if view.row.flags & DO_NOT_PERSONALISE:
        return _forced(view, authored or allowed[0], "authored", bitmap, authored)
    return _explore(view, decision, allowed, worth, bitmap, authored)


def is_held_out(course: Course, tenant: str, learner: str) -> bool:
    """Whether a learner belongs to a course's hold-out: a hash of the names, the same in every run and version."""
    return chance_of(f"holdout/{tenant}/{course.id}/{learner}") < course.holdout


def ranked(view: View) -> tuple[list[int], list[float], int]:
    """The segments that nothing removes: their places in the authored order, what each is worth, and their bitmap.

    The one loop over all segments of a course. Plain cases are seen without asking for reasons; what is worked out here
    is what `removal` and `models.gain.value` say of each segment.
    """
    row, plan, pace, gains, rates = view.row, view.plan, view.pace, view.gains, view.rates
    state_of, visits, plain = row.segments.get, row.visits, not row.format
    places, worth, bitmap = [], [], 0
    for place, (key, free, skills, bit) in enumerate(plan.lean):
        state = state_of(key, 0)
        rested = not state & SEEN_MASK or (visits - (state >> SHOWN_SHIFT)) & 0xFF >= COOL_DOWN
        if not (plain and free and rested and not state & ANY_MARK) and removal(view, plan.entries[place].segment):
            continue
        factor, whole = SEEN_DISCOUNT[state & SEEN_MASK] * rates[place] / pace, 0.0
        for skill, weight in skills:
            gain = gains.get(skill)
            whole += factor * weight * (view.gain(skill) if gain is None else gain)
        places.append(place)
        worth.append(whole)
        bitmap |= bit
    return places, worth, bitmap


def _forced(view: View, segment: Segment, arm: str, bitmap: int, authored: Segment | None) -> Choice:
    return Choice(segment, arm, 1.0, True, False, score(view, segment), None, bitmap, authored)


def _authored(view: View, bitmap: int, authored: Segment | None) -> Choice:
    """Everything is masked: the authored next one, or the end of the course."""
    if authored is None:
        return Choice(None, "finished", 1.0, True, False, None, None, bitmap, None)
    return Choice(authored, "authored", 1.0, True, True, score(view, authored), None, bitmap, authored)


def _due_required(view: View, allowed: Sequence[Segment]) -> Segment | None:
    """The required segment whose turn has come: every COMPULSORY_EVERY visits, near its deadline, or at the end."""
    if not view.course.required:
        return None
    queue = [segment for segment in allowed if is_required(view, segment)]
    if not queue:
        return None
    first = min(queue, key=lambda segment: view.course.required[segment.id])
    turn = view.row.visits % COMPULSORY_EVERY == COMPULSORY_EVERY - 1
    return first if turn or len(queue) == len(allowed) or _deadline_near(view, first) else None


def _deadline_near(view: View, segment: Segment) -> bool:
    if view.row.run_start_ms < 0 or view.now_ms < 0:
        return False
    return (view.now_ms - view.row.run_start_ms) / DAY_MS > view.course.required[segment.id] - DEADLINE_NEAR_DAYS


def _explore(view: View, decision: str, allowed: Sequence[Segment], worth: Sequence[float], bitmap: int,
             authored: Segment | None) -> Choice:  # fmt: skip
    """Softmax over scores as shares of the best, mixed with a uniform share, drawn with the decision's own seed."""
    probabilities = _probabilities(worth, [segment.floor for segment in allowed] if view.plan.floors else ())
    drawn = _draw(probabilities, chance_of(decision))
    best = worth.index(max(worth))
    second = best if best != drawn else _second(worth, best)
    runner_up = None if second is None else score(view, allowed[second])
    arm = "best" if drawn == best else "explore"
    chosen = score(view, allowed[drawn])
    return Choice(chosen.segment, arm, probabilities[drawn], False, False, chosen, runner_up, bitmap, authored)


def _second(values: Sequence[float], best: int) -> int | None:
    """The place of the highest value but that at `best`, the first of several; None when there is no other."""
    if len(values) < 2:
        return None
    others = [*values[:best], -math.inf, *values[best + 1 :]]
    return others.index(max(others))


def _probabilities(values: Sequence[float], floors: Sequence[float]) -> list[float]:
    """Floors first (together at most MOST_FLOORS), then the share that is spread evenly, then softmax for the rest."""
    top, exp = max(values), math.exp
    scale = 1.0 / (TEMPERATURE * max(top, 1e-9))
    weights = [exp((value - top) * scale) for value in values]
    whole = total(weights)
    share = UNIFORM_SHARE / len(values)
    if not floors:
        return [(1.0 - UNIFORM_SHARE) * weight / whole + share for weight in weights]
    asked = total(floors)
    scaled = min(1.0, MOST_FLOORS / asked) if asked else 0.0
    rest = (1.0 - UNIFORM_SHARE - asked * scaled) / whole
    return [rest * weight + share + floor * scaled for weight, floor in zip(weights, floors, strict=True)]


def _draw(probabilities: Sequence[float], u: float) -> int:
    for index, probability in enumerate(probabilities):
        u -= probability
        if u < 0.0:
            return index
    return len(probabilities) - 1
