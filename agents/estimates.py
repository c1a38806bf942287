"""Numbers with their uncertainty: differences between groups, and what another policy would have been worth.

All intervals are percentile bootstraps over learners (Efron 1979), with a fixed seed: the same data, the same numbers.
Off-policy values from logged propensities: IPS (Horvitz & Thompson 1952), SNIPS (Swaminathan & Joachims 2015), and doubly
robust (Dudik et al. 2011) with the mean reward of each segment, shrunken, as the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

ROUNDS = 1_000
SEED = 20
FEWEST = 5
"""Fewer learners than these in a group: no interval, and nothing is claimed."""

SHRINK, LEAST_SAMPLE = 5.0, 30.0
Floats = NDArray[np.float64]


class Estimate(Struct, frozen=True):
    """A value with its 95 % interval (null: too few learners) and how many learners it rests on."""

    value: float | None
    low: float | None
    high: float | None
    learners: int

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


class Logged(Struct, frozen=True):
    """A free choice that was followed: whose, what was chosen with which probability, and the reward.

    `targets` gives for each other policy the probability with which it would have chosen the same; `models` for each the
    segments that it might have chosen.
    """

    learner: str
    segment: str
    propensity: float
    reward: float
    targets: Mapping[str, float]
    models: Mapping[str, Sequence[str]]


class Value(Struct, frozen=True):
    """What a policy would have been worth: by three estimators, and the effective sample size of the weights."""

    ips: Estimate
    snips: Estimate
    dr: Estimate
    effective_sample: float

    @property
    def trusted(self) -> bool:
        """Whether enough of the data speaks for it; with less, intervals are too narrow."""
        return self.effective_sample >= LEAST_SAMPLE


def mean_of(values: Sequence[float]) -> Estimate:
    """A mean over learners."""
    return _bootstrap([np.array(values, dtype=float)], lambda groups: float(groups[0].mean()))


def difference(ones: Sequence[float], others: Sequence[float]) -> Estimate:
    """Mean of `ones` minus mean of `others`, learners drawn within each group."""
    groups = [np.array(ones, dtype=float), np.array(others, dtype=float)]
    return _bootstrap(groups, lambda drawn: float(drawn[0].mean() - drawn[1].mean()))


def values_of(logged: Sequence[Logged], policies: Sequence[str]) -> dict[str, Value]:
    """What each policy would have been worth, and under `logging` what was chosen."""
    model = _segment_means(logged)
    found = {"logging": _value(logged, [(1.0, model.get(each.segment, 0.0)) for each in logged], model)}
    for policy in policies:
        pairs = []
        for each in logged:
            expected = [model.get(segment, 0.0) for segment in each.models[policy]]
            pairs.append((each.targets[policy] / each.propensity, sum(expected) / len(expected) if expected else 0.0))
        found[policy] = _value(logged, pairs, model)
    return found


def _value(logged: Sequence[Logged], pairs: Sequence[tuple[float, float]], model: Mapping[str, float]) -> Value:
    weights = np.array([weight for weight, _ in pairs])
    expected = np.array([value for _, value in pairs])
    rewards = np.array([each.reward for each in logged])
    residuals = rewards - np.array([model.get(each.segment, 0.0) for each in logged])
    names = {name: number for number, name in enumerate(dict.fromkeys(each.learner for each in logged))}
    owner = np.array([names[each.learner] for each in logged], dtype=int)
    sums = np.zeros((len(names), 4))
    for column, each in enumerate((weights * rewards, weights, expected + weights * residuals, np.ones(len(logged)))):
        np.add.at(sums[:, column], owner, each)
    squares = float((weights**2).sum())
    return Value(
        _bootstrap([sums], lambda drawn: float(drawn[0][:, 0].sum() / drawn[0][:, 3].sum())),
        _bootstrap([sums], lambda drawn: _ratio(drawn[0][:, 0].sum(), drawn[0][:, 1].sum())),
        _bootstrap([sums], lambda drawn: float(drawn[0][:, 2].sum() / drawn[0][:, 3].sum())),
        float(weights.sum() ** 2 / squares) if squares else 0.0,
    )


def _segment_means(logged: Sequence[Logged]) -> dict[str, float]:
    """Mean reward by segment, shrunken towards that of all."""
    everything = sum(each.reward for each in logged) / len(logged) if logged else 0.0
    sums: dict[str, tuple[float, int]] = {}
    for each in logged:
        whole, count = sums.get(each.segment, (0.0, 0))
        sums[each.segment] = whole + each.reward, count + 1
    return {name: (whole + SHRINK * everything) / (count + SHRINK) for name, (whole, count) in sums.items()}


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else 0.0


def _bootstrap(groups: Sequence[Floats], statistic: Callable[[list[Floats]], float]) -> Estimate:
    """The statistic of all, and its interval over learners drawn with replacement within each group."""
    learners = sum(len(group) for group in groups)
    if any(len(group) == 0 for group in groups):
        return Estimate(None, None, None, learners)
    value = statistic(list(groups))
    if any(len(group) < FEWEST for group in groups):
        return Estimate(value, None, None, learners)
    generator = np.random.default_rng(SEED)
    drawn = [statistic([group[generator.integers(0, len(group), len(group))] for group in groups]) for _ in range(ROUNDS)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value, float(low), float(high), learners)
