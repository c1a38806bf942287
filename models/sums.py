"""Sums that are the same bits on every Python.

`sum` of floats is plain before 3.12 and compensated since, so the last bits of a decision would depend on the version.
"""

from __future__ import annotations

from math import fsum as total

__all__ = ["total"]
