"""Probes: "I know this" is put to the test with a few questions, and stops as soon as the answer is clear.

A Bayesian sequential test (Wald 1945) of "mastered" against "not": who has mastered the segment's skills answers a question
right with 1 - SLIP, who has not with UNMASTERED. It starts from what the model believes, within bounds, so that eight right
answers are enough for everybody. Passed at a posterior of .95 after at least three questions; over when that is out of
reach. Hints and second attempts count as wrong. The question asked next is the one whose answer is least certain by
the model: p(1 - p), its Fisher information on the logit scale, is highest.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.gain import View
from models.knowledge import predict
from models.row import UNKNOWN, Probe, Row
from schemas.course import FEWEST_QUESTIONS, Course, Segment
from schemas.ids import Hash32, hash32

FEWEST, MOST = FEWEST_QUESTIONS, 8
SLIP, UNMASTERED = 0.1, 0.4
PASS = 0.95
LEAST_PRIOR, MOST_PRIOR = 0.2, 0.8


def questions(course: Course, segment: Segment) -> Sequence[str]:
    """Items that show the skills of `segment`: its own first, then others', in the authored order."""
    known: dict[str, tuple[str, ...]] = course.__dict__.setdefault("_questions", {})
    if segment.id not in known:
        own = [item.id for item in segment.items]
        wanted = set(segment.skills)
        others = [item for item, skills in _all_questions(course) if wanted and wanted.issuperset(skills)]
        known[segment.id] = tuple(dict.fromkeys([*own, *others]))
    return known[segment.id]


def _all_questions(course: Course) -> list[tuple[str, list[str]]]:
    """Every item and the skills that it shows, in the authored order; worked out once for a course."""
    known: list[tuple[str, list[str]]] | None = course.__dict__.get("_all_questions")
    if known is None:
        known = course.__dict__["_all_questions"] = [
            (item.id, course.skills_of(segment.id, item.id)) for segment in course.segments for item in segment.items
        ]
    return known


def can_start(course: Course, segment: Segment) -> bool:
    """Whether there are questions enough."""
    return len(questions(course, segment)) >= FEWEST


def start(view: View, segment: Segment) -> None:
    """Begin, in place of any probe under way."""
    prior = min((view.known(skill) for skill in segment.skills), default=0.5)
    prior = max(LEAST_PRIOR, min(MOST_PRIOR, prior))
    view.row.probe = Probe(hash32(segment.id), round(255 * prior))


def hear(row: Row, item: str, *, correct: bool) -> bool:
    """Let an answer count if it is to the question that was asked; whether it was."""
    probe = row.probe
    if probe is None or len(probe.items) == probe.answered or probe.items[-1] != hash32(item):
        return False
    probe.right |= int(correct) << probe.answered
    probe.answered += 1
    return True


def verdict(probe: Probe, left: int) -> bool | None:
    """Passed or not; None while it is open. `left` is how many questions there are still to ask."""
    right = probe.right.bit_count()
    posterior = _posterior(probe.prior / 255.0, right, probe.answered - right)
    if probe.answered >= FEWEST and posterior >= PASS:
        return True
    more = min(MOST - probe.answered, left)
    if probe.answered < FEWEST and more > 0:
        return None
    within_reach = _posterior(probe.prior / 255.0, right + more, probe.answered - right) >= PASS
    return None if more > 0 and within_reach else False


def ask(view: View, probe: Probe, segment: Segment) -> str:
    """The question to ask now: the one that waits for its answer, or the most informative of the others."""
    course = view.course
    names = questions(course, segment)
    if len(probe.items) > probe.answered:
        waiting = next((name for name in names if hash32(name) == probe.items[-1]), None)
        if waiting is not None:
            return waiting
        probe.items.pop()
    best = max(_unasked(names, probe), key=lambda name: _information(view, segment, name))
    probe.items.append(hash32(best))
    return best


def left(course: Course, probe: Probe, segment: Segment) -> int:
    """How many questions there are still to ask."""
    return len(_unasked(questions(course, segment), probe))


def answers(course: Course, probe: Probe, segment: Segment) -> list[tuple[str, bool]]:
    """The questions answered so far, and whether each was answered rightly, in their order."""
    names = {hash32(name): name for name in questions(course, segment)}
    answered = enumerate(probe.items[: probe.answered])
    return [(names.get(Hash32(key), ""), bool(probe.right >> place & 1)) for place, key in answered]


def _unasked(names: Sequence[str], probe: Probe) -> list[str]:
    asked = set(probe.items[: probe.answered])
    return [name for name in names if hash32(name) not in asked]


def _information(view: View, segment: Segment, item: str) -> float:
    skills = view.course.skills_of(segment.id, item)
    p = predict(view.row, view.population, item, skills, UNKNOWN).p
    return p * (1.0 - p)


def _posterior(prior: float, right: int, wrong: int) -> float:
    mastered = prior * (1.0 - SLIP) ** right * SLIP**wrong
    other = (1.0 - prior) * UNMASTERED ** (right + wrong)
    return mastered / (mastered + other)
