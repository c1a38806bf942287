"""`make bench-policy`: our policy beside others and an oracle, in worlds of simulated learners that disagree with it.

The same learners with the same luck meet every policy, in several courses a world: how good a policy looks depends more on
the course drawn than on the learners. Minutes to 80 % of the skills (the horizon for who never gets there), skills after 150
minutes and after a delay, compulsory segments, what was left out as known and was not. The last line printed is JSON;
benchmarks/results/policy.json and .png have it all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.asked import number_from
from benchmarks.policy_cost import decide_us
from benchmarks.policy_plots import plot
from benchmarks.policy_rivals import KNOWN, RIVALS, Policy
from benchmarks.policy_segue import Segue
from benchmarks.policy_worlds import MASTERED, WORLDS, Learner, course_of
from benchmarks.policy_worlds_life import LIFE
from benchmarks.policy_worlds_minds import MINDS
from benchmarks.policy_worlds_practice import PRACTICE
from benchmarks.policy_worlds_schooling import SCHOOLING
from benchmarks.policy_worlds_shapes import SHAPES
from benchmarks.policy_worlds_states import STATES
from benchmarks.policy_worlds_teaching import TEACHING
from benchmarks.policy_worlds_trades import TRADES
from models.policy import COMPULSORY_EVERY, UNIFORM_SHARE
from runtime.compiled import form
from schemas.course import Course

RESULTS = Path(__file__).parent / "results"
HORIZON, LOOK_AT, GOAL = 600.0, 150.0, 0.8
LEARNERS, QUICK_LEARNERS = 200, 40
COURSES, QUICK_COURSES = 3, 1
ROUNDS = 2_000
EVERYWHERE: dict[str, tuple[Callable[[int], Course], type[Learner]]] = {
    **{name: (course_of, learner) for name, learner in WORLDS.items()}, **PRACTICE, **STATES,
    **TEACHING, **MINDS, **SCHOOLING, **TRADES, **LIFE, **SHAPES,
}  # fmt: skip
"""Worlds by name: the course of a seed, and its learners."""


@dataclass
class Passage:
    """What one learner came to under one policy, in a course of so many segments."""

    segments: int
    minutes: float = HORIZON
    mastered: float = 0.0
    delayed: float = 0.0
    left_out: int = 0
    falsely: int = 0
    compulsory: float = 0.0
    done: bool = False


def run(policy: Policy, learners: list[Learner], course: Course) -> list[Passage]:
    """All learners side by side, one segment each in turn, until everybody is past the goal or the horizon."""
    passages = [Passage(len(course.segments)) for _ in learners]
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
    segments = sum(p.segments for p in passages)
    return {
        "minutes_to_80": round(median(p.minutes for p in passages), 1),
        "mean_minutes": round(mean(p.minutes for p in passages), 1),
        "reached": round(mean(p.minutes < HORIZON for p in passages), 3),
        "mastered": round(mean(p.mastered for p in passages), 4),
        "delayed": round(mean(p.delayed for p in passages), 4),
        "false_skips": round(sum(p.falsely for p in passages) / segments, 4),
        "left_out": round(sum(p.left_out for p in passages) / segments, 4),
        "compulsory": round(mean(p.compulsory for p in passages), 4),
        "exposure_ok": exposure_ok,
    }


@dataclass
class Logged:
    """What the log of our own decisions says of exploration. `weights`: by the decision's id, how much more likely an even
    draw is than what was drawn, and of how many decisions that is the sum: one chance decides in all courses of a world."""

    arms: Counter[str] = field(default_factory=Counter)
    floors_met: bool = True
    weights: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, policy: Segue) -> None:
        """Take the decisions of one course: no free choice may be less likely than its floor."""
        self.arms.update(decision.arm for decision in policy.decisions)
        for decision in policy.decisions:
            if not decision.forced:
                eligible = int(decision.eligible, 16).bit_count()
                self.floors_met &= decision.propensity >= UNIFORM_SHARE / eligible - 1e-12
                self._weigh(decision.id, 1.0 / (decision.propensity * eligible), 1)

    def join(self, other: Logged) -> None:
        """Take what another course logged."""
        self.arms.update(other.arms)
        self.floors_met &= other.floors_met
        for name, weight in other.weights.items():
            self._weigh(name, *weight)

    def value_of_itself(self) -> list[float]:
        """95 % interval of the logging policy's value on itself, which is 1 where propensities are what they say. Drawn by
        chance, not by decision: where one chance decides several times they are no evidence of their own."""
        generator, weights = np.random.default_rng(1), np.array(list(self.weights.values()))
        draws = (weights[generator.integers(0, len(weights), len(weights))].sum(axis=0) for _ in range(400))
        return [round(float(q), 3) for q in np.quantile([whole / count for whole, count in draws], (0.025, 0.975))]

    def _weigh(self, name: str, whole: float, count: int) -> None:
        before = self.weights.get(name, (0.0, 0))
        self.weights[name] = before[0] + whole, before[1] + count


def compare(ours: list[Passage], theirs: list[Passage], seed: int) -> list[float]:
    """95 % interval of our mean minutes to 80 % minus theirs, learner by learner."""
    differences = np.array([a.minutes - b.minutes for a, b in zip(ours, theirs, strict=True)])
    generator = np.random.default_rng(seed)
    means = differences[generator.integers(0, len(differences), (ROUNDS, len(differences)))].mean(axis=1)
    return [round(float(q), 1) for q in np.quantile(means, (0.025, 0.975))]


@dataclass
class Part:
    """One policy in one course of a world."""

    world: str
    course: int
    policy: str
    passages: list[Passage]
    logged: Logged
    seconds: float


MAKERS: dict[str, type[Policy]] = {"segue": Segue, **RIVALS}


def part(world: str, course_seed: int, name: str, count: int) -> Part:
    """Send `count` learners through one course."""
    begin, (make, learner) = time.perf_counter(), EVERYWHERE[world]
    course = make(course_seed)
    policy = MAKERS[name](course, course_seed)
    passages = run(policy, [learner(course, course_seed, n) for n in range(count)], course)
    logged = Logged()
    if isinstance(policy, Segue):
        logged.add(policy)
    return Part(world, course_seed, name, passages, logged, time.perf_counter() - begin)


def share_of_gain(minutes: dict[str, float]) -> float | None:
    """Of what the oracle gains over the fixed order, how much ours does; None where the oracle gains nothing."""
    possible = minutes["fixed"] - minutes["oracle"]
    return round((minutes["fixed"] - minutes["segue"]) / possible, 3) if possible > 0 else None


def judged(parts: list[Part], seed: int) -> dict[str, Any]:
    """All policies of one world, all courses together, and the share of the oracle's gain in each."""
    passed: dict[str, list[Passage]] = {name: [] for name in MAKERS}
    by_course: dict[int, dict[str, float]] = {}
    logged = Logged()
    for each in parts:
        passed[each.policy] += each.passages
        by_course.setdefault(each.course, {})[each.policy] = median(p.minutes for p in each.passages)
        logged.join(each.logged)
    found = {name: summary(passages, logged.floors_met if name == "segue" else None) for name, passages in passed.items()}
    for name in RIVALS:
        found[name]["segue_minus_this_minutes"] = compare(passed["segue"], passed[name], seed)
    found["segue"] |= {
        "share_of_oracle_gain": share_of_gain({name: each["minutes_to_80"] for name, each in found.items()}),
        "share_of_oracle_gain_by_mean": share_of_gain({name: each["mean_minutes"] for name, each in found.items()}),
        "share_by_course": {course: share_of_gain(minutes) for course, minutes in by_course.items()},
        "inverse_propensity_of_itself": logged.value_of_itself(),
        "arms": dict(logged.arms),
    }
    return found


def all_parts(worlds: list[str], courses: list[int], count: int) -> Iterator[Part]:
    """Every policy in every course of every world, in the order of worlds, then policies."""
    wanted = [(world, course, name, count) for world in worlds for name in MAKERS for course in courses]
    with ProcessPoolExecutor() as pool:
        yield from pool.map(part, *zip(*wanted, strict=True))


def main() -> int:
    """All worlds, or those that WORLDS names."""
    worlds = [name for name in os.environ.get("WORLDS", "").split(",") if name] or list(EVERYWHERE)
    if unknown := [name for name in worlds if name not in EVERYWHERE]:
        print(f"There is no world {unknown[0]!r}; there are {', '.join(EVERYWHERE)}.", file=sys.stderr)
        return 2
    quick, seed = bool(os.environ.get("QUICK")), number_from("SEED", 1)
    count, drawn = (QUICK_LEARNERS, QUICK_COURSES) if quick else (LEARNERS, COURSES)
    courses = [COURSES * (seed - 1) + n + 1 for n in range(drawn)]
    report: dict[str, Any] = {"quick": quick, "models": form(), "seed": seed, "courses": courses, "worlds": {}}
    print(
        f"{count} learners in each of {drawn} courses in {len(worlds)} worlds"
        f"{' (QUICK=1: less certain)' if quick else ''}, seed {seed}",
        flush=True,
    )
    report["decide_us"] = decide_us()
    parts: dict[str, list[Part]] = {world: [] for world in worlds}
    for each in all_parts(worlds, courses, count):
        parts[each.world].append(each)
        told = f"minutes to 80 % {median(p.minutes for p in each.passages):5.0f}"
        print(f"  {each.world} course {each.course} {each.policy:13} {told}  {each.seconds:4.0f} s", flush=True)
    for world in worlds:
        report["worlds"][world] = judged(parts[world], seed)
        for name, found in report["worlds"][world].items():
            print(f"{world} {name:13} {found}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ("policy-quick.json" if quick else "policy.json")).write_text(json.dumps(report, indent=1) + "\n")
    plot(report, RESULTS)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
