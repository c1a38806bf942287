"""How what all learners of a course share is learned: from responses, one by one, and cut into versions.

Weights learn by AdaGrad (Duchi et al. 2011) on the log loss; an effect of an item or skill with variance v, error e = y - p
and curvature h = p(1-p) moves by k e with k = v / (1 + h v), and v becomes max(k, .002) (scalar Laplace steps). Cells learn
by AdaGrad at two rates side by side; each course predicts with the rate of less log loss so far, always counted before
learning (prequential; Dawid 1984). Small courses want the slow one, large ones the quick one.
Of segments the ratings "time well spent" are counted, and the answers of a visit. How steep a course's levels are (the
author's difficulties, in models.belief), how well skills are known before any practice, and how far answers fall short of
beliefs after much of it are learned by Newton steps on the log likelihood, one a version; likewise how far answers depend on
their skills, and how many quick ones are tries (docs/decisions/0035-what-answers-say.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import mul
from typing import Final

from models import familiarity
from models.adagrad import descend, predicted, stepped
from models.belief import GUESSED, LEAST_SHARE
from models.population import (
    DISCRIMINATION,
    EFFORTS,
    LEAST_SPREAD,
    NEW_CELL,
    NEW_ITEM,
    NEW_SEGMENT,
    NEW_SKILL,
    NO_PASSES,
    Population,
    leading,
)
from models.sums import total
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

MOST_STEEP: Final = 12.0
LEAST_NEW: Final = -2.0
"""Newness never raises: nobody is to skip what others happened to know."""
MOST_SHORT: Final = 2.0
LEAST_DISCRIMINATION: Final = LEAST_SHARE
MOST_DISCRIMINATION: Final = 1.4
"""More than 1 counts as 1; it is how sure a course may become of that."""
KEPT: Final = 0.9999
"""What each response of a course leaves of the information about what the course is like, above what there was before any:
so about the last ten thousand count, and who answers nonsense is forgotten."""
NOTHING: Final = (0.0, 0.0)
"""What most answers say of new skills, and of those practised much."""
LEAST_VARIANCE: Final = 0.002
TIME_RATE: Final = 0.05
MAX_EFFECT: Final = 8.0
MAX_ITEMS: Final = 100_000
"""Items and segments of a course beyond these are not learned: whoever names them without end must not fill every worker."""


class Newton:
    """One number, with the information about it, that each version moves by one step of Newton's method within bounds. An
    answer speaks of where the number stood when the answer was read; else it would be pushed on and on by who is many
    versions behind."""

    __slots__ = ("_highest", "_information", "_kept", "_least", "_lowest", "_said", "_slope", "value")

    def __init__(
        self, start: tuple[float, ...], lowest: float, highest: float, least: float = 0.0, kept: float = 1.0
    ) -> None:
        self.value, self._information = start
        self._lowest, self._highest = lowest, highest
        self._least, self._kept = least, kept
        self._slope = self._said = 0.0

    def learn_one(self, said: tuple[float, float], at: float) -> None:
        """Take what an answer says: slope of its log likelihood where the number was `at`, information."""
        self._slope += said[0] + (at - self.value) * said[1]
        self._said += said[1]

    def cut(self, responses: int) -> tuple[float, float]:
        """Make the step. Each of the responses since the last one leaves the share `kept` of what was known above `least`.
        Returns the number, and the information about it."""
        known: float = self._least + self._kept**responses * (self._information - self._least)
        self._information = known + self._said
        self.value = max(self._lowest, min(self._highest, self.value + self._slope / self._information))
        self._slope = self._said = 0.0
        return self.value, self._information


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
        self._steepness = Newton(start.steepness, 0.0, MOST_STEEP)
        self._newness = Newton(start.newness, LEAST_NEW, 0.0)
        self._spread = Newton(start.spread, LEAST_SPREAD, 1.0)
        self._shortfall = Newton(start.shortfall, -MOST_SHORT, MOST_SHORT)
        self._discrimination = Newton(
            start.discrimination, LEAST_DISCRIMINATION, MOST_DISCRIMINATION, DISCRIMINATION[1], KEPT
        )
        self._efforts = [
            Newton(values, 0.0, 1.0, prior[1], KEPT) for values, prior in zip(start.efforts, EFFORTS, strict=True)
        ]
        self._practice: Sequence[float] = familiarity.NOTHING_TOLD
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
            self._learn_course(response)
        self._learn_effort(response)
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
            steepness=list(self._steepness.cut(self.pending)),
            newness=list(self._newness.cut(self.pending)),
            shortfall=list(self._shortfall.cut(self.pending)),
            spread=list(self._spread.cut(self.pending)),
            discrimination=list(self._discrimination.cut(self.pending)),
            efforts=[effort.cut(self.pending) for effort in self._efforts],
            familiarity=familiarity.joined(self._version.familiarity, KEPT**self.pending, self._practice),
            watermark=dict(self._watermark),
            responses=self.responses,
        )
        name = change_hash(change)
        self._version = self._version.apply(change, name)
        self._items, self._skills, self._cells, self._segments, self._passes = {}, {}, {}, {}, {}
        self._practice = familiarity.NOTHING_TOLD
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

    def _learn_course(self, response: LearningRecord) -> None:
        """What answers say beyond right and wrong, of a course that beliefs are held in."""
        steepness, newness, spread, discrimination = response.held or (
            self._steepness.value, self._newness.value, self._spread.value, self._discrimination.value
        )  # fmt: skip
        self._steepness.learn_one(response.pull, steepness)
        if response.first != NOTHING:
            self._newness.learn_one(response.first, newness)
            self._spread.learn_one(_times(response.first, response.apart), spread)
        if response.practised != NOTHING:
            self._shortfall.learn_one(response.practised, 0.0)
        if response.expected:
            p = response.expected
            error, variance = response.correct - p, p * (1.0 - p)
            self._discrimination.learn_one(_said(error, variance, response.sharper), discrimination)
            if response.practice:
                self._practice = familiarity.added(self._practice, error, variance, response.met, response.practice)

    def _learn_effort(self, response: LearningRecord) -> None:
        if response.expected and response.quick < len(self._efforts):
            effort, moved = self._efforts[response.quick], response.believed - GUESSED
            p = GUESSED + effort.value * moved
            effort.learn_one(_said(response.correct - p, p * (1.0 - p), moved), effort.value)

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
        difference = log_seconds - mean
        mean += rate * difference
        variance = max(0.05, (1 - rate) * variance + rate * difference * difference * (1 - rate)) if seen else 1.0
        self._keep(name, (effect, v, mean, variance, min(seen + 1, 1_000_000)))

    def _skill(self, name: str) -> SkillValues:
        return self._skills.get(name) or self._version.skills.get(name, NEW_SKILL)


def _said(error: float, variance: float, moved: float) -> tuple[float, float]:
    """What an answer says of a number that moves its probability: slope of its log likelihood, information."""
    return error * moved / variance, moved * moved / variance


def _times(said: tuple[float, float], factor: float) -> tuple[float, float]:
    """What is said of a number, as of what it is multiplied by `factor` to get."""
    return said[0] * factor, said[1] * factor * factor


def _laplace_step(effect: float, v: float, e: float, h: float) -> tuple[float, float]:
    k = v / (1.0 + h * v)
    return max(-MAX_EFFECT, min(MAX_EFFECT, effect + k * e)), max(k, LEAST_VARIANCE)
