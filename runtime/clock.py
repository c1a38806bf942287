"""The wall clock. It is handed to whoever needs it; nothing in the core reads time by itself."""

from __future__ import annotations

import time


def wall_clock() -> int:
    """Now, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
