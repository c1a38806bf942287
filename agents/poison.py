"""Records that nobody can use: one never stops a partition; a flood of them is a bad deploy, and must."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from schemas.errors import Halt

WINDOW: Final = 10_000
SHARE: Final = 0.01
LEAST: Final = 20
IN_A_ROW: Final = 10


class PoisonWatch:
    """Remembers of the last WINDOW records of a partition whether they could be used."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._fates: deque[bool] = deque(maxlen=WINDOW)

    def see(self, fates: Sequence[bool]) -> None:
        """Add the next records' fates, True for a record whose bytes made sense.

        Raises Halt when more than SHARE of the window, and no fewer than LEAST, were unusable, or the last IN_A_ROW.
        """
        self._fates.extend(fates)
        if all(fates):
            return
        bad = self._fates.count(False)
        latest = list(self._fates)[-IN_A_ROW:]
        flood = bad >= LEAST and bad > SHARE * len(self._fates)
        if flood or (len(latest) == IN_A_ROW and not any(latest)):
            raise Halt(
                f"Partition {self._partition}: {bad} of the last {len(self._fates)} records were unusable.",
                "Look at topic `rejects`, mend the producer, then restart the worker: it goes on where it stopped.",
            )
