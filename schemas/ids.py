"""Identity: who a row belongs to, where it lives, what a decision is called. Pure functions of their arguments.

A row is (tenant, course, run, learner); its key is those four, percent-encoded and joined by "/". A decision is a row
and a number: its id is the row's key, "/" and the number, and the seed of all its chance comes from that id.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, NewType
from urllib.parse import quote, unquote
from zlib import crc32

Partition = NewType("Partition", int)
Offset = NewType("Offset", int)
Seq = NewType("Seq", int)
RowKey = NewType("RowKey", str)
DecisionId = NewType("DecisionId", str)
Hash32 = NewType("Hash32", int)
"""A stable 32-bit name of an item, skill or segment inside a row."""

DEFAULT_TENANT = "default"
DEFAULT_RUN = "1"


class RowId(NamedTuple):
    """Whose state a row is."""

    tenant: str
    course: str
    run: str
    learner: str

    @property
    def key(self) -> RowKey:
        """The row's key in every topic and store."""
        return row_key(*self)

    @classmethod
    def parse(cls, key: str) -> RowId:
        """Inverse of `key`. Raises ValueError when `key` has not four parts."""
        tenant, course, run, learner = key.split("/")
        return cls(unquote(tenant), unquote(course), unquote(run), unquote(learner))


@lru_cache(maxsize=1 << 16)
def row_key(tenant: str, course: str, run: str, learner: str) -> RowKey:
    """`tenant/course/run/learner`, each percent-encoded, so that the parts may hold any character."""
    return RowKey("/".join(quote(part, safe="") for part in (tenant, course, run, learner)))


def partition_of(tenant: str, learner: str, partitions: int) -> Partition:
    """Where all rows of a learner live. Set explicitly on every write; never left to a client's partitioner."""
    return Partition(crc32(f"{tenant}\x1f{learner}".encode()) % partitions)


def decision_id(row: str, seq: int) -> DecisionId:
    """The name of the `seq`-th decision of a row."""
    return DecisionId(f"{row}/{seq}")


def parse_decision_id(name: str) -> tuple[RowId, Seq]:
    """Inverse of `decision_id`. Raises ValueError when `name` is not one."""
    row, _, seq = name.rpartition("/")
    return RowId.parse(row), Seq(int(seq))


def seed_of(name: str) -> int:
    """64 bits of chance that belong to the decision called `name`."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def chance_of(name: str) -> float:
    """A number in [0, 1), uniform over names, that belongs to the decision called `name`."""
    return (seed_of(name) >> 11) * 2.0**-53


@lru_cache(maxsize=1 << 17)
def hash32(name: str) -> Hash32:
    """The 32-bit name that rows use for items, skills and segments. Never 0, which rows use for "none"."""
    return Hash32(crc32(name.encode()) or 1)
