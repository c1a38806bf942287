"""How versions of the population travel: deltas that name their parent, and now and then a full one.

A version is (number, content hash). The hash covers the parent's hash and the change, so it names the whole history: a
version written twice is the same version, and two calibrates that ran at once made two versions that no stamp confuses.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec import Struct, msgpack

from schemas.errors import Code, Rejection

ItemValues = tuple[float, float, float, float, int]
"""Effect on the logit, its variance; mean and variance of log seconds; responses seen."""

SkillValues = tuple[float, float]
"""Effect on the logit and its variance."""


CellValues = tuple[float, float, float, float]
"""Of a cell, for the slow and for the quick rate: effect on the logit, sum of squared gradients."""


SegmentValues = tuple[int, int]
"""Sum and number of ratings (1 to 5)."""

PassValues = tuple[int, int]
"""Answers given in a segment, and how often it was completed."""


class PopulationChange(Struct, frozen=True, kw_only=True):
    """New values (not differences) of what changed since `parent`. A full change has everything and is its own parent.

    `weights` and `gradients` (AdaGrad's sums of squares) stand in the order of models.features.NAMES. `watermark` gives
    for each source partition the last interaction that has been learned from. `losses` is the log loss so far of the slow
    and of the quick rate, `steepness` how steep levels are (logits from the easiest to the hardest possible) and the
    information about it, `newness` what is added to the logit of a skill not practised yet, `spread` what that is
    multiplied by before, `shortfall` what is to be taken from that of a skill practised much and believed to be known, each
    with the information about it. `discrimination` is how far an answer depends on its skills (.25 to
    1.4; more than 1 counts as 1), `efforts` of each of six sorts of quick answers how many are tries (0 to 1), with
    information as well; `familiarity` has the nine sums of models.familiarity.
    """

    tenant: str
    course: str
    version: int
    parent: str
    weights: list[float]
    gradients: list[float]
    items: dict[str, ItemValues]
    skills: dict[str, SkillValues]
    watermark: dict[int, int]
    responses: int
    cells: dict[int, CellValues] = {}
    losses: list[float] = []
    segments: dict[str, SegmentValues] = {}
    passes: dict[str, PassValues] = {}
    steepness: list[float] = []
    newness: list[float] = []
    shortfall: list[float] = []
    spread: list[float] = []
    discrimination: list[float] = []
    efforts: list[SkillValues] = []
    familiarity: list[float] = []


class PopulationRecord(Struct, frozen=True, kw_only=True):
    """One record of topic `population`: piece `piece` of `pieces` of a change, under the hash of the whole version.

    `since`: who begins to read the topic at this offset learns the newest versions of every course that had one when this
    was written. 0 where nobody knew better.
    """

    hash: str
    full: bool
    piece: int
    pieces: int
    change: PopulationChange
    since: int = 0


class ChangeName(Struct, frozen=True):
    """Which version of which course a change leads to, and from which one."""

    tenant: str
    course: str
    version: int
    parent: str


class PopulationNotice(Struct, frozen=True):
    """A record without what it changes: for those who need to know only that the version is there."""

    hash: str
    full: bool
    piece: int
    pieces: int
    change: ChangeName
    since: int = 0


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(PopulationRecord).decode
_decode_notice = msgpack.Decoder(PopulationNotice).decode


def change_hash(change: PopulationChange) -> str:
    """Names the version that `change` leads to: 16 hexadecimal digits over parent and content."""
    return blake2b(_encode(change), digest_size=8).hexdigest()


def encode_population(record: PopulationRecord) -> bytes:
    """msgpack; deterministic for a given record."""
    return _encode(record)


def decode_population(value: bytes) -> PopulationRecord:
    """Raises Rejection when `value` is not a population record."""
    return _decoded(_decode, value)


def decode_notice(value: bytes) -> PopulationNotice:
    """What `decode_population` gives but for the values, which are passed over. Raises Rejection alike."""
    return _decoded(_decode_notice, value)


T = TypeVar("T")


def _decoded(decode: Callable[[bytes], T], value: bytes) -> T:
    try:
        return decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise Rejection(Code.MALFORMED, f"Not a population record: {fault}.") from None
