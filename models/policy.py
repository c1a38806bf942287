"""Which segment comes next:  candidates -> mask -> compulsory queue -> score -> explore -> choice.

The same row, course version, population version and decision id always give the same choice: all chance comes from a
generator seeded by the decision's id, and the exact probability of the choice is part of it. Nothing here can drop a
compulsory segment: it leaves the queue only by being completed or waived.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from models.control import Obeyed
from models.gain import Score, View, score
from models.mask import Open, open_segments, prerequisites_met
from models.plan import Floats
from models.row import DO_NOT_PERSONALISE
from schemas.course import Course, Segment
from schemas.ids import chance_of

POLICY = "gain-per-minute/4"
SHARPNESS = 24
"""Half the best score is drawn 2^-24 times as often as the best, 95 % of it .29 times: nearly a softmax over shares of the
best at temperature .04."""

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
    opened = open_segments(view)
    given = obeyed.segment if obeyed is not None else None
    if probing is not None:
        return _forced(view, probing, "probe", opened)
    if given is not None and prerequisites_met(view, given):
        return _forced(view, given, "requested", opened)
    if not opened.eligible:
        return _authored(view, opened)
    due = _due_required(view, opened)
    if due is not None:
        return _forced(view, due, "compulsory", opened)
    if held_out and opened.authored is not None:
        return _forced(view, opened.authored, "holdout", opened)
    if view.row.flags & DO_NOT_PERSONALISE:
        return _forced(view, opened.authored or _first(view, opened), "authored", opened)
    return _explore(view, decision, opened)


def is_held_out(course: Course, tenant: str, learner: str) -> bool:
    """Whether a learner belongs to a course's hold-out: a hash of the names, the same in every run and version."""
    return chance_of(f"holdout/{tenant}/{course.id}/{learner}") < course.holdout


def _forced(view: View, segment: Segment, arm: str, opened: Open) -> Choice:
    return Choice(segment, arm, 1.0, True, False, score(view, segment), None, opened.eligible, opened.authored)


def _authored(view: View, opened: Open) -> Choice:
    """Everything is masked: the authored next one, or the end of the course."""
    segment = opened.authored
    if segment is None:
        return Choice(None, "finished", 1.0, True, False, None, None, 0, None)
    return Choice(segment, "authored", 1.0, True, True, score(view, segment), None, 0, segment)


def _first(view: View, opened: Open) -> Segment:
    segment = view.plan.first(opened.eligible)
    assert segment is not None, "something is eligible"
    return segment


def _due_required(view: View, opened: Open) -> Segment | None:
    """The required segment whose turn has come: every COMPULSORY_EVERY visits, near its deadline, or at the end."""
    if not opened.waiting:
        return None
    first = next(entry.segment for entry in view.plan.by_deadline if entry.bit & opened.waiting)
    turn = view.row.visits % COMPULSORY_EVERY == COMPULSORY_EVERY - 1
    return first if turn or opened.waiting == opened.eligible or _deadline_near(view, first) else None


def _deadline_near(view: View, segment: Segment) -> bool:
    if view.row.run_start_ms < 0 or view.now_ms < 0:
        return False
    return (view.now_ms - view.row.run_start_ms) / DAY_MS > view.course.required[segment.id] - DEADLINE_NEAR_DAYS


def _explore(view: View, decision: str, opened: Open) -> Choice:
    """By score, with an even share and floors for all that is eligible, drawn with the decision's own seed."""
    plan = view.plan
    places = plan.places(opened.eligible)
    worth = view.worth.take(places)
    lottery = Lottery(worth, plan.floors.take(places) if plan.floors is not None else None)
    drawn = lottery.draw(chance_of(decision))
    best = int(worth.argmax())
    second = best
    if drawn == best and len(worth) > 1:
        others = worth.copy()
        others[best] = -inf
        second = int(others.argmax())
    chosen = score(view, plan.entries[places[drawn]].segment)
    runner_up = score(view, plan.entries[places[second]].segment) if second != drawn else None
    arm = "best" if drawn == best else "explore"
    return Choice(chosen.segment, arm, float(lottery.probabilities[drawn]), False, False, chosen, runner_up, opened.eligible,
                  opened.authored)  # fmt: skip


class Lottery:
    """What is drawn, and how likely that was: every place has an even share and its floor (floors together at most
    MOST_FLOORS); the rest goes by score to the power of SHARPNESS, which is softmax over the logarithms of scores.

    Sums are running sums, whose order is fixed; numpy's own sums are not the same bits everywhere.
    """

    __slots__ = ("probabilities",)

    def __init__(self, values: Floats, floors: Floats | None = None) -> None:
        top, even = float(values[values.argmax()]), UNIFORM_SHARE / len(values)
        weights = _sharpened(values / top) if top > 0.0 else np.ones(len(values))
        rest, floored = 1.0 - UNIFORM_SHARE, None
        if floors is not None and (asked := float(floors.cumsum()[-1])) > 0.0:
            scaled = min(1.0, MOST_FLOORS / asked)
            rest, floored = rest - asked * scaled, floors * scaled
        self.probabilities = weights * (rest / float(weights.cumsum()[-1])) + even
        if floored is not None:
            self.probabilities += floored

    def draw(self, u: float) -> int:
        """The place that chance `u` in [0, 1) falls on."""
        ends = self.probabilities.cumsum()
        return min(int(ends.searchsorted(u * ends[-1], "right")), len(ends) - 1)


def _sharpened(share: Floats) -> Floats:
    """To the power of SHARPNESS, by multiplication alone."""
    eighth = share * share
    eighth *= eighth
    eighth *= eighth
    return eighth * eighth * eighth
