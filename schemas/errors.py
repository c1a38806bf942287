"""The tree of errors. They carry data, so that whoever catches one can answer, route or retry without parsing text.

SegueError
+-- Rejection            an input that cannot be used: a value to route (HTTP 4xx, topic `rejects`), never a crash
+-- Doubt                what a worker believes of its partition may be wrong: drop caches and recover
+-- Halt                 going on would lose or double something: stop this partition, keep its offsets, tell a human
+-- Unavailable          a part we depend on does not answer: retried where it arises, 503 at the edge
+-- Misconfigured        the operator must change something; says what
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why an input was rejected; stable words that clients may match on."""

    MALFORMED = "malformed"
    DUPLICATE_KEY = "duplicate_key"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_COURSE = "unknown_course"
    UNKNOWN_SEGMENT = "unknown_segment"
    UNKNOWN_SCHEMA = "unknown_schema"
    ID_REUSED = "id_reused"
    ROW_TOO_LARGE = "row_too_large"
    VERSION_TAKEN = "version_taken"


class SegueError(Exception):
    """Root of everything that Segue raises on purpose."""


class Rejection(SegueError):
    """An input that cannot be used. `detail` is one sentence that says what to change."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Doubt(SegueError):
    """The view refused a write, or its answer was lost. The lane recovers before it does anything else."""


class RowAhead(Doubt):
    """A row has seen offsets that the view has not: the view's rows cannot be trusted and are rebuilt."""


class Halt(SegueError):
    """A partition must not go on. `remedy` says how a human gets it going again."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


class Unavailable(SegueError):
    """`part` (log, store, engine ...) does not answer now."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part} is unavailable: {detail}")
        self.part = part


class Misconfigured(SegueError):
    """Settings, topics or keys that do not fit together; the text says which and how to mend it."""
