"""Simulated learners: true skills, guessing, slips and a pace of their own; they learn from what they are shown.

Bayesian knowledge tracing turned round (Corbett & Anderson 1995): a skill is known or not, answers slip or are guessed,
and each try at an unknown skill may make it known. They know nothing of Segue's model, so that judging stays honest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random
from typing import Any

START_KNOWN, LEARN, GUESS, SLIP = 0.25, 0.3, 0.2, 0.08
TYPICAL_SECONDS = 12.0


@dataclass(slots=True)
class SimulatedLearner:
    """One learner. All chance comes from `random`."""

    name: str
    random: Random
    known: dict[str, bool] = field(default_factory=dict)
    pace: float = 0.0

    @classmethod
    def born(cls, name: str, seed: int, skills: list[str]) -> SimulatedLearner:
        """A learner who already knows some of `skills`."""
        random = Random(f"{seed}/{name}")
        able = random.betavariate(2, 5) + START_KNOWN / 2
        return cls(name, random, {skill: random.random() < able for skill in skills}, random.gauss(0.0, 0.35))

    def answer(self, segment: dict[str, Any], item: dict[str, Any]) -> tuple[bool, int]:
        """Whether the answer is right, and its latency in milliseconds; learns from having tried."""
        skills = item.get("skills") or list(segment.get("skills", {}))
        knows = all(self.known.get(skill, False) for skill in skills)
        hard = segment.get("difficulty", 0.5) - 0.5
        right = self.random.random() < (1 - SLIP - 0.2 * hard if knows else GUESS)
        for skill in skills:
            if not self.known.get(skill, False) and self.random.random() < LEARN:
                self.known[skill] = True
        seconds = TYPICAL_SECONDS * math.exp(self.pace + self.random.gauss(0.0, 0.4) + (0.0 if knows else 0.3))
        return right, max(300, int(seconds * 1000))
