"""Learner logs for measuring: parquet files of the documented columns, as responses in the order of a protocol.

`cold`: nothing is known beforehand, one pass over everybody, by time where there is a clock, else learner by learner,
training learners first. `heldout`: training learners first, then the others, each by time where there is a clock. Which
learners are held out is told by the file (`split`, `fold`) or by a hash of the learner, never by their results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import pyarrow.parquet as pq

from models.response import Response
from models.row import UNKNOWN

COLUMNS = ("learner", "seq", "ts", "item", "skill", "correct", "latency_ms", "attempt", "hints")
LEAST_HELD_OUT = 30
"""Fewer held-out learners say too little: such files are scored cold only."""


@dataclass(frozen=True)
class Log:
    """Responses of one file. `learners`, `held_out` and `seq` go with them, one for each."""

    name: str
    learners: list[str]
    responses: list[Response]
    held_out: list[bool]
    seq: list[int]
    clocked: bool

    def protocols(self) -> Iterator[str]:
        """Those that this file can be scored by."""
        if len({learner for learner, out in zip(self.learners, self.held_out, strict=True) if out}) >= LEAST_HELD_OUT:
            yield "heldout"
        yield "cold"

    def order(self, protocol: str) -> list[int]:
        """Places of the responses in the order of a protocol."""
        places = range(len(self.responses))
        number = {learner: n for n, learner in enumerate(dict.fromkeys(self.learners))}
        if self.clocked:
            apart = protocol == "heldout"
            return sorted(places, key=lambda p: (apart and self.held_out[p], self.responses[p].at_ms, self.seq[p]))
        return sorted(places, key=lambda p: (self.held_out[p], number[self.learners[p]], self.seq[p]))

    def scored(self, protocol: str, order: list[int]) -> list[bool]:
        """Which responses of an order count."""
        return [self.held_out[p] for p in order] if protocol == "heldout" else [True] * len(order)


def read_log(path: Path, most_learners: int | None = None) -> Log | None:
    """The log in a file; None when it has not the documented columns. `most_learners`: only so many, first come first."""
    file = pq.ParquetFile(path)
    names = set(file.schema_arrow.names)
    if not set(COLUMNS) <= names:
        return None
    table = file.read([*COLUMNS, *(names & {"split", "fold"})]).to_pydict()
    learners = [str(each) for each in table["learner"]]
    kept = range(len(learners))
    if most_learners is not None:
        chosen = set(list(dict.fromkeys(learners))[:most_learners])
        kept = [n for n, learner in enumerate(learners) if learner in chosen]  # type: ignore[assignment]
    columns = zip(*(table[name] for name in COLUMNS), strict=True)
    responses = [
        Response(str(item), str(skill).split("~") if skill is not None else [], bool(correct),
                 UNKNOWN if ts is None else int(ts), latency, attempt, hints)
        for _, _, ts, item, skill, correct, latency, attempt, hints in columns
    ]  # fmt: skip
    return Log(
        path.stem, [learners[n] for n in kept], [responses[n] for n in kept],
        [_held_out(table, learners, n) for n in kept], [int(table["seq"][n]) for n in kept],
        all(ts is not None for ts in table["ts"]),
    )  # fmt: skip


def _held_out(table: dict[str, list[object]], learners: list[str], n: int) -> bool:
    if "split" in table:
        return table["split"][n] == "test"
    if "fold" in table:
        return table["fold"][n] == 5
    return crc32(learners[n].encode()) % 5 == 4
