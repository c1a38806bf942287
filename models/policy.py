"""Which segment comes next:  candidates -> mask -> compulsory queue -> score -> explore -> choice.

The same row, course version, population version and decision id always give the same choice: all chance comes from a
generator seeded by the decision's id, and the exact probability of the choice is part of it. Nothing here can drop a
compulsory segment: it leaves the queue only by being completed or waived.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from models.control import Obeyed
from models.gain import Score, View, score
from models.mask import Open, open_segments, prerequisites_met, way_back
from models.row import DO_NOT_PERSONALISE
from schemas.course import Course, Segment
from schemas.ids import chance_of

POLICY = "gain-per-minute/12"
SHARPNESS: Final = 24
"""Half the best score is drawn 2^-24 times as often as the best, 95 % of it .29 times: nearly a softmax over shares of the
best at temperature .04."""

UNIFORM_SHARE: Final = 0.02
MOST_FLOORS: Final = 0.5
COMPULSORY_EVERY: Final = 4
DAY_MS: Final = 86_400_000
SPARE_DAYS: Final = 2.0
"""How long before a deadline all that is due by it is to be finished."""


class Choice(NamedTuple):
    """What was chosen among what, and how likely that was. `segment` None: there is nothing left to show, though perhaps
    something `unfinished` that is not open."""

    segment: Segment | None
    arm: str
    propensity: float
    forced: bool
    fallback: bool
    best: Score | None
    runner_up: Score | None
    eligible: int
    next_authored: Segment | None
    unfinished: bool = False


def choose(view: View, decision: str, obeyed: Obeyed | None = None, probing: Segment | None = None) -> Choice:
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
    if view.held_out and opened.authored is not None:
        return _forced(view, opened.authored, "holdout", opened)
    if view.row.flags & DO_NOT_PERSONALISE:
        return _forced(view, opened.authored or _first(view, opened), "authored", opened)
    return _explore(view, decision, opened)


@lru_cache(maxsize=1 << 16)
def _held_out_at(name: str) -> float:
    """A number in [0, 1): who is below a course's share is held out."""
    return chance_of(f"holdout/{name}")


def is_held_out(course: Course, tenant: str, learner: str) -> bool:
    """Whether a learner belongs to a course's hold-out: a hash of the names, the same in every run and version."""
    return _held_out_at(f"{tenant}/{course.id}/{learner}") < course.holdout


def _forced(view: View, segment: Segment, arm: str, opened: Open) -> Choice:
    return Choice(segment, arm, 1.0, True, False, score(view, segment), None, opened.eligible, opened.authored)


def _authored(view: View, opened: Open) -> Choice:
    """Everything is masked: the authored next one, or what opens the way to the rest, or the end of the course."""
    segment = opened.authored or (way_back(view, opened) if opened.unfinished else None)
    if segment is None:
        return Choice(None, "finished", 1.0, True, False, None, None, 0, None, opened.unfinished != 0)
    return Choice(segment, "authored", 1.0, True, True, score(view, segment), None, 0, segment)


def _first(view: View, opened: Open) -> Segment:
    segment = view.plan.first(opened.eligible)
    assert segment is not None, "something is eligible"
    return segment


def _due_required(view: View, opened: Open) -> Segment | None:
    """The required segment whose turn has come: every COMPULSORY_EVERY visits, where deadlines ask for it, or at the end."""
    if not opened.waiting:
        return None
    first = next(entry.segment for entry in view.plan.by_deadline if entry.bit & opened.waiting)
    turn = view.row.visits % COMPULSORY_EVERY == COMPULSORY_EVERY - 1
    return first if turn or opened.waiting == opened.eligible or _is_behind(view, opened) else None


def _is_behind(view: View, opened: Open) -> bool:
    """Whether less is finished of what is due by some deadline than there should be by now: all of it SPARE_DAYS before, and
    as large a share of it as of the time until then."""
    days, finished = _days(view), 0
    for number, entry in enumerate(view.plan.by_deadline, 1):
        finished += not entry.bit & opened.unfinished
        time: float = view.course.required[entry.segment.id] - SPARE_DAYS
        if finished < (number if days >= time else int(number * days / time + 0.5)):
            return True
    return False


def _days(view: View) -> float:
    """Since the run began; 0 where that is not known."""
    start, now = view.row.run_start_ms, max(view.now_ms, view.logged_ms)
    return (now - start) / DAY_MS if start >= 0 and now >= start else 0.0


def _explore(view: View, decision: str, opened: Open) -> Choice:
    """By score, with an even share and floors for all that is eligible, drawn with the decision's own seed."""
    plan, worth = view.plan, view.worth
    places = plan.places(opened.eligible)
    values = worth if opened.eligible == plan.everything else [worth[place] for place in places]
    probabilities = lottery(values, [plan.floors[place] for place in places] if plan.floors is not None else None)
    drawn = draw(probabilities, chance_of(decision))
    best = _largest(values, -1)
    second = _largest(values, best) if drawn == best else best
    chosen = score(view, plan.entries[places[drawn]].segment)
    runner_up = score(view, plan.entries[places[second]].segment) if second != drawn else None
    arm = "best" if drawn == best else "explore"
    return Choice(chosen.segment, arm, probabilities[drawn], False, False, chosen, runner_up, opened.eligible,
                  opened.authored)  # fmt: skip


def _largest(values: list[float], but: int) -> int:
    """The place of the largest value, the first of equals, leaving out place `but`; `but` if there is no other."""
    best = but
    for place, value in enumerate(values):
        if place != but and (best == but or value > values[best]):
            best = place
    return best


def lottery(values: list[float], floors: list[float] | None = None) -> list[float]:
    """How likely each place is drawn: every place has an even share and its floor (floors together at most MOST_FLOORS);
    the rest goes by value to the power of SHARPNESS, which is softmax over the logarithms of values.

    Sums are running sums, in the order of places.
    """
    top, even, rest = values[_largest(values, -1)], UNIFORM_SHARE / len(values), 1.0 - UNIFORM_SHARE
    weights = [_sharpened(value / top) for value in values] if top > 0.0 else [1.0] * len(values)
    asked = _running(floors) if floors is not None else 0.0
    scaled = min(1.0, MOST_FLOORS / asked) if asked > 0.0 else 0.0
    rest -= asked * scaled
    share = rest / _running(weights)
    if floors is None or not scaled:
        return [weight * share + even for weight in weights]
    return [weight * share + even + floor * scaled for weight, floor in zip(weights, floors, strict=True)]


def draw(probabilities: list[float], u: float) -> int:
    """The place that chance `u` in [0, 1) falls on."""
    target, end = u * _running(probabilities), 0.0
    for place, probability in enumerate(probabilities):
        end += probability
        if end > target:
            return place
    return len(probabilities) - 1


def _running(values: list[float]) -> float:
    whole = 0.0
    for value in values:
        whole += value
    return whole


def _sharpened(share: float) -> float:
    """To the power of SHARPNESS, by multiplication alone."""
    eighth = share * share
    eighth *= eighth
    eighth *= eighth
    return eighth * eighth * eighth
