"""What the log `interactions` holds: the event, what the gateway stamped on it, and the fields we did not know.

The stamp is all that the step needs from outside the record: whoever computes a record, whenever, uses the versions
named here, and so gets the same decision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from schemas.events import Event
from schemas.ids import RowKey, row_key

SCHEMA = b"1"
"""Version of the value's layout, in the header `schema` of every record."""

PLAIN_KEY_ID = b"plain"
"""Header `kid` of records whose learner ids are stored as they came."""

NO_POPULATION = (0, "")
"""The stamp that means: the empty prior."""


class Stamp(Struct, frozen=True, kw_only=True):
    """`logged_ms`: the gateway's clock when it took the event. `population`: version and content hash."""

    tenant: str
    logged_ms: int
    course_version: str
    population: tuple[int, str] = NO_POPULATION


class Interaction(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record of the log, decoded."""

    stamp: Stamp
    event: Event
    extra: dict[str, Any] | None = None

    @property
    def key(self) -> RowKey:
        """The key of the row that this record changes."""
        return row_key(self.stamp.tenant, self.event.course, self.event.run, self.event.learner)


Headers = tuple[tuple[str, bytes], ...]


class LogRecord(NamedTuple):
    """A record as it stands in a log, undecoded. `offset` counts from 0 in its partition."""

    offset: int
    key: bytes
    value: bytes
    headers: Headers = ()


class Outgoing(NamedTuple):
    """A record on its way to a topic. `partition` is always ours, never a client library's choice."""

    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: Headers = ()
