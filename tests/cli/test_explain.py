"""What `segue explain` says that a mastery is made of adds up to it."""

from __future__ import annotations

import math

from cli.explain import _parts
from models.gain import View
from models.population import Population
from models.row import Row
from schemas.population import PopulationChange
from tests.factories import course


def test_the_parts_of_a_mastery_before_practice_add_up_to_it() -> None:
    change = PopulationChange(tenant="t", course="c", version=1, parent="", weights=[], gradients=[], items={},
                              skills={"a": (0.5, 0.2)}, watermark={}, responses=60, newness=[-1.0, 50.0])  # fmt: skip
    view = View(Row(theta=0.25), course(), Population.empty().apply(change, "x"), -1)
    mastery = view.mastery("a")
    parts = _parts(view, "a")
    assert math.isclose(math.fsum(part.value for part in parts), math.log(mastery / (1.0 - mastery)), abs_tol=1e-9)
    assert parts[0].name == "first answers in a skill, of everybody"
