"""The subscriber's side of a connection, without I/O: which topics, how far each was read, what may be told next.

Rule: a learner is told every decision once, in order of seq; a gap that cannot be closed is announced, never silent.
A cursor names each topic's last seq and the epoch in which it was told; clients send it back as `Last-Event-ID` and need
not understand it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from msgspec import DecodeError, ValidationError, json

from schemas.errors import Code, Rejection
from schemas.events import MOST_NAME
from schemas.ids import RowId

EPOCH = ""
"""Where a cursor has its epoch; no row is called so."""

_decode_cursor = json.Decoder(dict[str, int]).decode


def topic_of(row: RowId) -> str:
    """The adaptation topic of a row. Runs other than the first are named in the query."""
    path = f"/courses/{quote(row.course, safe='')}/learners/{quote(row.learner, safe='')}/decisions"
    return path if row.run == "1" else f"{path}?run={quote(row.run, safe='')}"


def row_of(topic: str, tenant: str) -> RowId:
    """The row that a topic is about. Raises Rejection when it is not an adaptation topic."""
    path, _, query = topic.partition("?")
    match path.split("/"):
        case ["", "courses", course, "learners", learner, "decisions"] if course and learner:
            run = unquote(query.removeprefix("run=")) if query.startswith("run=") else "1"
            return row_named(tenant, unquote(course), run, unquote(learner))
    raise Rejection(Code.INVALID, f"{topic[:200]!r} is not a topic; say /courses/COURSE/learners/LEARNER/decisions.")


def row_named(tenant: str, course: str, run: str, learner: str) -> RowId:
    """The row that somebody outside names. Raises Rejection for names that no event can have: keys of rows are kept."""
    if max(len(course), len(run), len(learner)) > MOST_NAME:
        raise Rejection(Code.INVALID, f"Courses, runs and learners have names of at most {MOST_NAME} characters.")
    return RowId(tenant, course, run, learner)


@dataclass(slots=True)
class Session:
    """One subscriber. `told` maps each row's key to the last seq that was handed to the connection, in `epoch`."""

    told: dict[str, int] = field(default_factory=dict)
    epoch: int = 0

    def take(self, row: str, seq: int) -> bool:
        """Whether decision `seq` of `row` is to be told now; it then counts as told."""
        if seq <= self.told.get(row, 0):
            return False
        self.told[row] = seq
        return True

    def cursor(self) -> str:
        """Where this subscriber stands, opaque to it."""
        told = {**self.told, EPOCH: self.epoch} if self.epoch else self.told
        return urlsafe_b64encode(json.encode(told)).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[dict[str, int], int]:
    """Row keys and seqs of a cursor, and its epoch; empty for one that we did not make, which then counts as none."""
    try:
        found = _decode_cursor(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, DecodeError, ValidationError):
        return {}, 0
    told = {row: seq for row, seq in found.items() if 0 <= seq < 1 << 53}
    return told, told.pop(EPOCH, 0)
