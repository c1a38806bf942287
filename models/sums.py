"""Sums that are the same bits on every Python.

`sum` of floats is plain before 3.12 and compensated since, so the last bits of a decision would depend on the version.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add


def total(values: Iterable[float]) -> float:
    """Left to right, one rounding an addition."""
    return reduce(add, values, 0.0)
