"""The agents' code among random faults: nothing is lost or doubled, and every planted bug is found."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import structlog

from tests.protocol.bugs import BUGS, DEADLY, FORGETFUL, HAUNTED, ROUGH, Bug, find
from tests.protocol.clock import run
from tests.protocol.world import Plan, World

TRIALS = int(os.environ.get("SEGUE_TRIALS", "40"))
"""Random runs of each plan; `make faults` asks for many more."""

PLANS = {"plain": Plan(), "rough": ROUGH, "deadly": DEADLY, "haunted": HAUNTED, "forgetful": FORGETFUL}

MOST = 60
"""Runs in which a bug must be found."""


@pytest.fixture(autouse=True)
def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@pytest.mark.parametrize(
    "plan", [Plan(), ROUGH, DEADLY, HAUNTED, FORGETFUL], ids=["plain", "rough", "deadly", "haunted", "forgetful"]
)
def test_no_schedule_of_faults_loses_or_doubles_anything(plan: Plan) -> None:
    for seed in range(TRIALS):
        world = World(seed, plan)
        run(world.run)
        world.judge()


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert find(bug, MOST) is not None


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.schedule], ids=lambda bug: bug.name)
def test_a_schedule_that_finds_a_bug_is_harmless_without_it(bug: Bug) -> None:
    assert find(replace(bug, patches=()), 5) is None
