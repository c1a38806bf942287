"""`make bench-policy`: our policy beside others and an oracle, in worlds of simulated learners that disagree with it.

The same learners with the same luck meet every policy. Minutes to 80 % of the skills (the horizon for who never gets
there), skills after 150 minutes and after a delay, compulsory segments, what was left out as known and was not. The last
line printed is JSON; benchmarks/results/policy.json and .png have it all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.policy_cost import decide_us
from benchmarks.policy_plots import plot
from benchmarks.policy_rivals import KNOWN, RIVALS, Policy
from benchmarks.policy_segue import Segue
from benchmarks.policy_worlds import MASTERED, WORLDS, Learner, course_of
from models.policy import COMPULSORY_EVERY, UNIFORM_SHARE
from runtime.compiled import form
from schemas.course import Course

RESULTS = Path(__file__).parent / "results"
HORIZON, LOOK_AT, GOAL = 600.0, 150.0, 0.8
LEARNERS, QUICK_LEARNERS = 200, 40
ROUNDS = 2_000


@dataclass
class Passage:
    """What one learner came to under one policy."""

    minutes: float = HORIZON
    mastered: float = 0.0
    delayed: float = 0.0
    left_out: int = 0
    falsely: int = 0
    compulsory: float = 0.0
    done: bool = False


def run(policy: Policy, learners: list[Learner], course: Course) -> list[Passage]:
    """All learners side by side, one segment each in turn, until everybody is past the goal or the horizon."""
    passages = [Passage() for _ in learners]
    required = {segment.id for segment in course.segments if segment.compulsory}
    looked = [False] * len(learners)
    while not all(passage.done for passage in passages):
        for learner, passage in zip(learners, passages, strict=True):
            if passage.done:
                continue
            segment = _due(policy, learner, required) or policy.choose(learner)
            policy.told(learner, segment, learner.work(segment))
            if passage.minutes == HORIZON and learner.mastered() >= GOAL:
                passage.minutes = min(HORIZON, learner.minutes)
            if not looked[learner.number] and learner.minutes >= LOOK_AT:
                looked[learner.number] = True
                _look(policy, learner, passage)
            owing = required - set(learner.shown)
            if learner.minutes >= HORIZON or (looked[learner.number] and passage.minutes < HORIZON and not owing):
                passage.compulsory = len(required & set(learner.shown)) / len(required)
                passage.done = True
    return passages


def _due(policy: Policy, learner: Learner, required: set[str]) -> str | None:
    """Every policy owes what is compulsory as often as ours does; ours has a queue of its own."""
    if isinstance(policy, Segue) or sum(learner.shown.values()) % COMPULSORY_EVERY != COMPULSORY_EVERY - 1:
        return None
    return min(required - set(learner.shown), default=None)


def _look(policy: Policy, learner: Learner, passage: Passage) -> None:
    """After LOOK_AT minutes: what is mastered, what would stay, and what was left out as known."""
    passage.mastered = learner.mastered()
    passage.delayed = deepcopy(learner).delayed()
    for segment in policy.course.segments:
        skill = policy.skill_of[segment.id]
        known = policy.estimate(learner, skill)
        if segment.id not in learner.shown and known is not None and known >= KNOWN:
            passage.left_out += 1
            passage.falsely += learner.mastery(skill) < MASTERED


def summary(passages: list[Passage], exposure_ok: bool | None) -> dict[str, Any]:
    """The figures of the contract."""
    segments = 48 * len(passages)
    return {
        "minutes_to_80": round(median(p.minutes for p in passages), 1),
        "mastered": round(mean(p.mastered for p in passages), 4),
        "delayed": round(mean(p.delayed for p in passages), 4),
        "false_skips": round(sum(p.falsely for p in passages) / segments, 4),
        "left_out": round(sum(p.left_out for p in passages) / segments, 4),
        "compulsory": round(mean(p.compulsory for p in passages), 4),
        "exposure_ok": exposure_ok,
    }


def exposure(policy: Segue) -> tuple[bool, list[float]]:
    """Whether no free choice was less likely than its floor, and the interval of the logging policy's value on itself."""
    free = [d for d in policy.decisions if not d.forced]
    ok = all(d.propensity >= UNIFORM_SHARE / int(d.eligible, 16).bit_count() - 1e-12 for d in free)
    weights = np.array([1.0 / (d.propensity * int(d.eligible, 16).bit_count()) for d in free])
    generator = np.random.default_rng(1)
    means = [float(weights[generator.integers(0, len(weights), len(weights))].mean()) for _ in range(400)]
    return ok, [round(float(q), 3) for q in np.quantile(means, (0.025, 0.975))]


def compare(ours: list[Passage], theirs: list[Passage], seed: int) -> list[float]:
    """95 % interval of our mean minutes to 80 % minus theirs, learner by learner."""
    differences = np.array([a.minutes - b.minutes for a, b in zip(ours, theirs, strict=True)])
    generator = np.random.default_rng(seed)
    means = differences[generator.integers(0, len(differences), (ROUNDS, len(differences)))].mean(axis=1)
    return [round(float(q), 1) for q in np.quantile(means, (0.025, 0.975))]


def world(name: str, seed: int, count: int) -> dict[str, Any]:
    """All policies in one world."""
    course, passed, found = course_of(seed), dict[str, list[Passage]](), dict[str, Any]()
    extra: dict[str, Any] = {}
    makers: dict[str, type[Policy]] = {"segue": Segue, **RIVALS}
    for policy_name, made in makers.items():
        policy, begin = made(course, seed), time.perf_counter()
        passages = passed[policy_name] = run(policy, [WORLDS[name](course, seed, n) for n in range(count)], course)
        exposure_ok = None
        if isinstance(policy, Segue):
            exposure_ok, extra["inverse_propensity_of_itself"] = exposure(policy)
            extra["arms"] = dict(Counter(decision.arm for decision in policy.decisions))
        found[policy_name] = summary(passages, exposure_ok)
        print(f"  {name} {policy_name:13} {found[policy_name]}  {time.perf_counter() - begin:4.0f} s", flush=True)
    for policy_name in RIVALS:
        found[policy_name]["segue_minus_this_minutes"] = compare(passed["segue"], passed[policy_name], seed)
    fixed, oracle = found["fixed"]["minutes_to_80"], found["oracle"]["minutes_to_80"]
    if fixed > oracle:
        found["segue"]["share_of_oracle_gain"] = round((fixed - found["segue"]["minutes_to_80"]) / (fixed - oracle), 3)
    found["segue"] |= extra
    return found


def main() -> int:
    """All worlds."""
    quick, seed = bool(os.environ.get("QUICK")), int(os.environ.get("SEED", "0") or 0) or 1
    report: dict[str, Any] = {"quick": quick, "models": form(), "seed": seed, "worlds": {}}
    count = QUICK_LEARNERS if quick else LEARNERS
    print(
        f"{count} learners in each of {len(WORLDS)} worlds{' (QUICK=1: less certain)' if quick else ''}, seed {seed}",
        flush=True,
    )
    for name in WORLDS:
        report["worlds"][name] = world(name, seed, count)
    report["decide_us"] = decide_us()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ("policy-quick.json" if quick else "policy.json")).write_text(json.dumps(report, indent=1) + "\n")
    plot(report, RESULTS)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
