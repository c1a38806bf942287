"""AdaGrad (Duchi et al. 2011) on the log loss: the inner loop of calibrate.

Weights as `river.optim.AdaGrad` moves them, which a test compares; cells at two rates side by side.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

from models.features import sigmoid
from models.sums import total
from schemas.population import CellValues

WEIGHTS: Final = 0.05
SLOW: Final = 0.03
QUICK: Final = 0.06
TINY: Final = 1e-8


def descend(weights: list[float], squares: list[float], features: list[float], e: float) -> None:
    """Move weights, in place, by one step for an error `e` = y - p. `squares` are the gradients' sums of squares.

    Features without a weight are those of a newer release.
    """
    for place in range(min(len(weights), len(features))):
        x = features[place]
        if x:
            slope = -e * x
            squares[place] += slope * slope
            weights[place] -= WEIGHTS / sqrt(squares[place] + TINY) * slope


def predicted(cells: list[CellValues], z: float) -> tuple[float, float]:
    """What the slow and the quick rate say, for a logit `z` without cells."""
    return sigmoid(z + total([cell[0] for cell in cells])), sigmoid(z + total([cell[2] for cell in cells]))


def stepped(cells: list[CellValues], e: float, f: float) -> list[CellValues]:
    """The cells after one step of each rate. `e` and `f` are the errors of the slow and of the quick one."""
    ee, ff = e * e, f * f
    after: list[CellValues] = []
    for slow, slow_squares, quick, quick_squares in cells:
        g, h = slow_squares + ee, quick_squares + ff
        after.append((slow + SLOW * e / sqrt(g), g, quick + QUICK * f / sqrt(h), h))
    return after
