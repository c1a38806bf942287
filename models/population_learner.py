"""How what all learners of a course share is learned: from responses, one by one, and cut into versions.

Weights learn by AdaGrad (Duchi et al. 2011) on the log loss; an effect of an item or skill with variance v, error e = y - p
and curvature h = p(1-p) moves by k e with k = v / (1 + h v), and v becomes max(k, .002) (scalar Laplace steps). Cells learn
by AdaGrad at two rates side by side; each course predicts with the rate of less log loss so far, always counted before
learning (prequential; Dawid 1984). Small courses want the slow one, large ones the quick one.
Of segments the ratings "time well spent" are counted, and the answers of a visit. What the course is like is learned in
models.course_learner.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

from models.adagrad import descend, predicted, stepped
from models.course_learner import CourseLearner
from models.population import NEW_CELL, NEW_ITEM, NEW_SEGMENT, NEW_SKILL, NO_PASSES, Population, leading
from models.row import bounded
from models.sums import total
from models.timing import MOST_AWAY
from schemas.decision import LearningRecord
from schemas.population import (
    CellValues,
    ItemValues,
    PassValues,
    PopulationChange,
    SegmentValues,
    SkillValues,
    change_hash,
)

LEAST_VARIANCE: Final = 0.002
TIME_RATE: Final = 0.05
MAX_EFFECT: Final = 8.0
MAX_ITEMS: Final = 100_000
"""Items and segments of a course beyond these are not learned: whoever names them without end must not fill every worker."""


class PopulationLearner:
    """Learns a course's population from responses, one by one, and cuts it into versions."""

    def __init__(self, tenant: str, course: str, start: Population) -> None:
        self.tenant = tenant
        self.course = course
        self._version = start
        self._weights = list(start.weights)
        self._squares = list(start.gradients)
        self._items: dict[str, ItemValues] = {}
        self._skills: dict[str, SkillValues] = {}
        self._cells: dict[int, CellValues] = {}
        self._segments: dict[str, SegmentValues] = {}
        self._passes: dict[str, PassValues] = {}
        self._segment_count, self._pass_count = len(start.segments.whole()), len(start.passes.whole())
        self._course_learner = CourseLearner(start)
        self._losses = list(start.losses)
        self._item_count = len(start.items.whole())
        self._watermark = dict(start.watermark)
        self.responses = start.responses

    @property
    def version(self) -> Population:
        """The version cut last (or started from)."""
        return self._version

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the dense features as they are now."""
        return tuple(self._weights)

    def item(self, name: str) -> ItemValues:
        """What is known of an item now; NEW_ITEM when nothing is."""
        return self._items.get(name) or self._version.item(name)

    def skill_effect(self, names: Sequence[str]) -> float:
        """Mean effect of some skills on the logit, now; 0 for none."""
        return total(self._skill(name)[0] for name in names) / len(names) if names else 0.0

    def cells_effect(self, numbers: Iterable[int]) -> float:
        """Sum of the effects of some cells, now."""
        mine, overlay, base = self._cells, self._version.cells.overlay, self._version.cells.base
        place, whole = 2 * leading(self._losses), 0.0
        for number in numbers:
            values = mine.get(number) or overlay.get(number) or base.get(number)
            if values is not None:
                whole += values[place]
        return whole

    @property
    def pending(self) -> int:
        """Responses learned since the last cut."""
        return self.responses - self._version.responses

    def learn_one(self, response: LearningRecord) -> bool:
        """Learn from a response, unless its source partition's watermark says that it was learned before."""
        if response.offset <= self._watermark.get(response.partition, -1):
            return False
        self._watermark[response.partition] = response.offset
        self.responses += 1
        if response.rating:
            self._learn_rating(response.segment, response.rating)
            return True
        self._learn_pass(response.segment, 0 if response.passed else 1, int(response.passed))
        if response.passed:
            return True
        if not response.guessed:
            self._learn_outcome(response)
        self._course_learner.learn_one(response)
        if response.log_seconds is not None and not response.guessed:
            self._learn_time(response.item, response.log_seconds - response.pace)
        return True

    def cut(self) -> tuple[PopulationChange, str]:
        """The change since the last version, and the hash of the version that it makes, which becomes the last."""
        change = PopulationChange(
            tenant=self.tenant,
            course=self.course,
            version=self._version.stamp[0] + 1,
            parent=self._version.stamp[1],
            weights=list(self._weights),
            gradients=list(self._squares),
            items=self._items,
            skills=self._skills,
            cells=self._cells,
            losses=list(self._losses),
            segments=self._segments,
            passes=self._passes,
            watermark=dict(self._watermark),
            responses=self.responses,
            **self._course_learner.cut(self.pending)._asdict(),
        )
        name = change_hash(change)
        self._version = self._version.apply(change, name)
        self._items, self._skills, self._cells, self._segments, self._passes = {}, {}, {}, {}, {}
        return change, name

    def _learn_outcome(self, response: LearningRecord) -> None:
        item = self.item(response.item)
        skills = [self._skill(name) for name in response.skills]
        z = total(map(mul, self._weights, response.features))
        z += item[0] + response.ability + (total(s[0] for s in skills) / len(skills) if skills else 0.0)
        p = self._learn_cells(response, z)
        e, h = response.correct - p, p * (1.0 - p)
        descend(self._weights, self._squares, response.features, e)
        self._keep(response.item, (*_laplace_step(item[0], item[1], e, h), *item[2:]))
        for name, (effect, v) in zip(response.skills, skills, strict=True):
            self._skills[name] = _laplace_step(effect, v, e / len(skills), h)

    def _learn_rating(self, segment: str, rating: int) -> None:
        known = self._segments.get(segment) or self._version.segments.get(segment, NEW_SEGMENT)
        if known is NEW_SEGMENT:
            if self._segment_count >= MAX_ITEMS:
                return
            self._segment_count += 1
        self._segments[segment] = (known[0] + rating, known[1] + 1)

    def _learn_pass(self, segment: str, answers: int, times: int) -> None:
        known = self._passes.get(segment) or self._version.passes.get(segment, NO_PASSES)
        if known is NO_PASSES:
            if not segment or self._pass_count >= MAX_ITEMS:
                return
            self._pass_count += 1
        self._passes[segment] = (known[0] + answers, known[1] + times)

    def _learn_cells(self, response: LearningRecord, z: float) -> float:
        """One step of both rates. Returns what the leading one predicted."""
        mine, overlay, base = self._cells, self._version.cells.overlay, self._version.cells.base
        cells = [mine.get(n) or overlay.get(n) or base.get(n) or NEW_CELL for n in response.cells]
        leader = leading(self._losses)
        p, r = predicted(cells, z)
        e, f = response.correct - p, response.correct - r
        self._losses[0] -= math.log(max(1e-12, 1.0 - abs(e)))
        self._losses[1] -= math.log(max(1e-12, 1.0 - abs(f)))
        mine.update(zip(response.cells, stepped(cells, e, f), strict=True))
        return r if leader else p

    def _keep(self, name: str, values: ItemValues) -> None:
        known = name in self._items or self._version.items.get(name, NEW_ITEM) is not NEW_ITEM
        if known or self._item_count < MAX_ITEMS:
            self._item_count += not known
            self._items[name] = values

    def _learn_time(self, name: str, log_seconds: float) -> None:
        effect, v, mean, variance, seen = self.item(name)
        rate = max(TIME_RATE, 1.0 / (seen + 1))
        difference = bounded(log_seconds - mean, MOST_AWAY * math.sqrt(variance))
        mean += rate * difference
        variance = max(0.05, (1 - rate) * variance + rate * difference * difference * (1 - rate)) if seen else 1.0
        self._keep(name, (effect, v, mean, variance, min(seen + 1, 1_000_000)))

    def _skill(self, name: str) -> SkillValues:
        return self._skills.get(name) or self._version.skills.get(name, NEW_SKILL)


def _laplace_step(effect: float, v: float, e: float, h: float) -> tuple[float, float]:
    k = v / (1.0 + h * v)
    return max(-MAX_EFFECT, min(MAX_EFFECT, effect + k * e)), max(k, LEAST_VARIANCE)
