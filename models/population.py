"""What all learners of a course share: one immutable version of it, for predicting.

Versions share structure: a version is a base plus a small overlay of what changed since. Applying a change to a version is
assignment, so it is exact. `models.population_learner` makes the changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from models.adagrad import QUICK, SLOW
from models.familiarity import NOTHING_KNOWN
from models.features import BIN_KINDS, BINS, NAMES, cell
from models.sums import total
from models.timing import NOT_QUICK
from schemas.population import (
    CellValues,
    ItemValues,
    PassValues,
    PopulationChange,
    SegmentValues,
    SkillValues,
)

NEW_ITEM: ItemValues = (0.0, 0.5, 2.3, 1.0, 0)
NEW_SKILL: SkillValues = (0.0, 0.5)
NEW_CELL: CellValues = (0.0, 1.0, 0.0, 1.0)
NEW_SEGMENT: SegmentValues = (0, 0)
NO_PASSES: PassValues = (0, 0)
STEEPNESS: Final = (2.0, 2.0)
"""How steep levels are before anything is known, and how much information that is worth."""
NEWNESS: Final = (0.0, 4.0)
"""The same of what is added to the logit of a skill not practised yet."""
SPREAD: Final = (1.0, 8.0)
"""The same of how far apart predictions for such skills are: 1 as predicted, less nearer to one another."""
LEAST_SPREAD: Final = 0.2
DISCRIMINATION: Final = (1.0, 20.0)
"""The same of how far an answer depends on the level of its skills: 1 wholly, 0 on the item's own luck (models.belief)."""
EFFORTS: Final = ((0.3, 30.0), *((1.0, 100.0),) * (NOT_QUICK - 1))
"""The same of each sort of quick answers: how many are tries (models.timing)."""
SHORTFALL: Final = (0.0, 200.0)
"""The same of what answers of who practised much fall short of beliefs by (models.shortfall)."""

CELL_RATES = (SLOW, QUICK)
NO_LOSSES: Final = (0.0, 0.0)

_OVERLAY_LIMIT: Final = 4_096


K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Table(Generic[K, V]):
    """An immutable mapping that is cheap to derive the next one from."""

    base: Mapping[K, V]
    overlay: Mapping[K, V]

    def get(self, key: K, default: V) -> V:
        """The value of `key`, the newer first."""
        found = self.overlay.get(key)
        return found if found is not None else self.base.get(key, default)

    def replace(self, changes: Mapping[K, V]) -> Table[K, V]:
        """The mapping with `changes` assigned; this one stays as it is."""
        overlay = {**self.overlay, **changes}
        if len(overlay) > max(_OVERLAY_LIMIT, len(self.base) // 4):
            return Table({**self.base, **overlay}, {})
        return Table(self.base, overlay)

    def whole(self) -> dict[K, V]:
        """Everything, in one dictionary."""
        return {**self.base, **self.overlay}


@dataclass(frozen=True, slots=True)
class Population:
    """One version. `stamp` is (number, hash); (0, "") is the empty prior.

    `losses` is the log loss of each of CELL_RATES so far. `steepness` says how steep levels are, in logits from the easiest
    to the hardest possible, and how much information there is about it; `newness` the same of what is added to the logit of
    a skill not practised yet, `spread` of what that logit is multiplied by before, and `shortfall` of what is to be taken
    from that of a skill practised much (models.shortfall). `discrimination` says how much an answer counts, `efforts` how
    many answers of each sort of models.timing.QUICK are tries, each with information; `familiarity` has the sums of
    models.familiarity.
    `bins` has the effects of the cells without a name, by kind and value.
    """

    stamp: tuple[int, str]
    weights: tuple[float, ...]
    items: Table[str, ItemValues]
    skills: Table[str, SkillValues]
    gradients: tuple[float, ...]
    cells: Table[int, CellValues]
    losses: tuple[float, ...]
    bins: tuple[tuple[float, ...], ...]
    watermark: Mapping[int, int]
    responses: int
    segments: Table[str, SegmentValues]
    passes: Table[str, PassValues]
    steepness: tuple[float, ...]
    newness: tuple[float, ...]
    shortfall: tuple[float, ...]
    spread: tuple[float, ...]
    discrimination: tuple[float, ...]
    efforts: tuple[SkillValues, ...]
    familiarity: tuple[float, ...]

    @classmethod
    def empty(cls) -> Population:
        """Version 0: nothing is known."""
        zeros = (0.0,) * len(NAMES)
        none: Table[int, CellValues] = Table({}, {})
        return cls((0, ""), zeros, Table({}, {}), Table({}, {}), zeros, none, NO_LOSSES, _bins(none, 0),
                   {}, 0, Table({}, {}), Table({}, {}), STEEPNESS, NEWNESS, SHORTFALL, SPREAD,
                   DISCRIMINATION, EFFORTS, NOTHING_KNOWN)  # fmt: skip

    @classmethod
    def full(cls, change: PopulationChange, stamp_hash: str) -> Population:
        """The version that a full change describes."""
        return cls.empty().apply(change, stamp_hash)

    def apply(self, change: PopulationChange, stamp_hash: str) -> Population:
        """The next version."""
        cells, losses = self.cells.replace(change.cells), tuple(change.losses) or NO_LOSSES
        return Population(
            (change.version, stamp_hash),
            _padded(change.weights),
            self.items.replace(change.items),
            self.skills.replace(change.skills),
            _padded(change.gradients),
            cells,
            losses,
            _bins(cells, leading(losses)),
            dict(change.watermark),
            change.responses,
            self.segments.replace(change.segments) if change.segments else self.segments,
            self.passes.replace(change.passes) if change.passes else self.passes,
            tuple(change.steepness) or STEEPNESS,
            tuple(change.newness) or NEWNESS,
            tuple(change.shortfall) or SHORTFALL,
            tuple(change.spread) or SPREAD,
            tuple(change.discrimination) or DISCRIMINATION,
            (*change.efforts[:NOT_QUICK], *EFFORTS[len(change.efforts) :]),
            tuple(change.familiarity) or NOTHING_KNOWN,
        )

    def item(self, name: str) -> ItemValues:
        """What is known of an item; NEW_ITEM when nothing is."""
        return self.items.get(name, NEW_ITEM)

    def skill_effect(self, names: Sequence[str]) -> float:
        """Mean effect of some skills on the logit; 0 for none."""
        if len(names) == 1:
            return self.skills.get(names[0], NEW_SKILL)[0]
        return total(self.skills.get(name, NEW_SKILL)[0] for name in names) / len(names) if names else 0.0

    def cells_effect(self, numbers: Iterable[int]) -> float:
        """Sum of the effects of some cells."""
        overlay, base, place = self.cells.overlay, self.cells.base, 2 * leading(self.losses)
        whole = 0.0
        for number in numbers:
            values = overlay.get(number) or base.get(number)
            if values is not None:
                whole += values[place]
        return whole


def leading(losses: Sequence[float]) -> int:
    """Which of CELL_RATES has lost least."""
    return 1 if losses[1] < losses[0] else 0


def _bins(cells: Table[int, CellValues], leader: int) -> tuple[tuple[float, ...], ...]:
    return tuple(
        tuple(cells.get(cell(kind, 0, value), NEW_CELL)[2 * leader] for value in range(BINS)) for kind in range(BIN_KINDS)
    )


def full_change(tenant: str, course: str, version: Population, parent: str = "") -> PopulationChange:
    """Everything that a version holds, for those who have nothing to apply a change to."""
    return PopulationChange(
        tenant=tenant,
        course=course,
        version=version.stamp[0],
        parent=parent,
        weights=list(version.weights),
        gradients=list(version.gradients),
        items=version.items.whole(),
        skills=version.skills.whole(),
        cells=version.cells.whole(),
        losses=list(version.losses),
        segments=version.segments.whole(),
        passes=version.passes.whole(),
        steepness=list(version.steepness),
        newness=list(version.newness),
        shortfall=list(version.shortfall),
        spread=list(version.spread),
        discrimination=list(version.discrimination),
        efforts=list(version.efforts),
        familiarity=list(version.familiarity),
        watermark=dict(version.watermark),
        responses=version.responses,
    )


def _padded(values: Sequence[float]) -> tuple[float, ...]:
    """Values of a version that knew fewer features, with zeros for the others."""
    if not all(math.isfinite(value) for value in values):
        raise ValueError("a population with values that are not finite")
    return tuple(values) + (0.0,) * (len(NAMES) - len(values))
