"""The row: all that is kept of one learner in one run of a course, as one versioned binary struct.

Comes in as bytes, goes out as bytes. Numbers are rounded only when they are packed, and every step starts from packed
bytes, so a row kept in memory and a row read from a store behave alike, bit for bit.

Layout (little endian): a header, then counted skills (26 bytes each), items (12) and segments (6), then a CRC-32 of all
of it. Ids are 32-bit stable names (`schemas.ids.hash32`), never positions in a course version. A reader takes the sizes
of header and entries from the row itself and ignores what it does not know, so rows of later versions load too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from math import isnan
from struct import Struct, error
from zlib import crc32

from schemas.errors import SegueError

MAGIC = 0x53
FORMAT = 1
MAX_BYTES = 512 * 1024
MAX_ITEMS = 256
RESIDUALS = 32
UNKNOWN = -1

_PREFIX = Struct("<BBBBBBHHH")
_HEADER = Struct("<HIIqqqIIffffhBBBffHfBBIII32sB")
_SKILL = Struct("<IfffHHIH")
_ITEM = Struct("<IBBHI")
_SEGMENT = Struct("<IH")

SEEN_MASK, COMPLETED, WAIVED, SKIPPED, NOT_NOW = 0x000F, 0x0010, 0x0020, 0x0040, 0x0080
ANY_MARK = COMPLETED | WAIVED | SKIPPED | NOT_NOW
SHOWN_SHIFT = 8

DO_NOT_PERSONALISE = 0x01


class CorruptRow(SegueError):
    """The bytes are not a row, or not the row that was written."""


@dataclass(slots=True)
class SkillState:
    """Ability on one skill: mean `theta`, variance `v`, weighted residual, wins of tries, when last practised."""

    theta: float = 0.0
    v: float = 0.1
    residual: float = 0.0
    wins: int = 0
    tries: int = 0
    last: int = 0
    last_event: int = 0


@dataclass(slots=True)
class ItemState:
    """Meetings with one item. `last` is in tenths of a second of the run, 0 unknown."""

    wins: int = 0
    tries: int = 0
    last_event: int = 0
    last: int = 0


class Items:
    """The items met, least recent first. They stay packed until they are asked for: a step touches one of hundreds."""

    __slots__ = ("_met", "_packed")

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._met: dict[int, ItemState] = {}

    def __len__(self) -> int:
        return len(self._packed) // _ITEM.size + len(self._met)

    def __contains__(self, key: int) -> bool:
        return key in self._met or self._place(key) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Items) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def get(self, key: int) -> ItemState | None:
        """The state of an item, not to be changed; None when it was never met."""
        state = self._met.get(key)
        if state is None and (place := self._place(key)) >= 0:
            state = ItemState(*_ITEM.unpack_from(self._packed, place)[1:])
        return state

    def meet(self, key: int) -> ItemState:
        """The state of an item, moved to the end as the most recently met; beyond MAX_ITEMS the least recent goes."""
        state = self._met.pop(key, None) or self._take(key) or ItemState()
        self._met[key] = state
        if len(self) > MAX_ITEMS:
            if self._packed:
                self._packed = self._packed[_ITEM.size :]
            else:
                del self._met[next(iter(self._met))]
        return state

    def pack(self) -> bytes:
        """All of them, as the row keeps them."""
        met = [_ITEM.pack(key, i.wins, i.tries, i.last_event, i.last) for key, i in self._met.items()]
        return b"".join((self._packed, *met))

    def _take(self, key: int) -> ItemState | None:
        place = self._place(key)
        if place < 0:
            return None
        state = ItemState(*_ITEM.unpack_from(self._packed, place)[1:])
        self._packed = self._packed[:place] + self._packed[place + _ITEM.size :]
        return state

    def _place(self, key: int) -> int:
        """Where an item stands in the packed part; -1 when it does not."""
        name = key.to_bytes(4, "little")
        place = self._packed.find(name)
        while place >= 0 and place % _ITEM.size:
            place = self._packed.find(name, place + 1)
        return place


@dataclass(slots=True)
class Row:
    """A learner in a course. Times are milliseconds since the epoch, `UNKNOWN` where none was told.

    `offset` is the record of the log that changed the row last.
    """

    engine: int = 0
    seq: int = 0
    events: int = 0
    offset: int = UNKNOWN
    run_start_ms: int = UNKNOWN
    last_at_ms: int = UNKNOWN
    wins: int = 0
    tries: int = 0
    theta: float = 0.0
    v: float = 0.3
    residual_fast: float = 0.0
    residual_slow: float = 0.0
    streak: int = 0
    last_outcome: int = 2
    flags: int = 0
    pace_choice: int = 0
    struggle: float = 0.0
    ew_residual_time: float = 0.0
    timed: int = 0
    tau: float = 0.0
    feedback_choice: int = 0
    late_events: int = 0
    format: int = 0
    goal: int = 0
    last_segment: int = 0
    time_residuals: bytes = b""
    skills: dict[int, SkillState] = field(default_factory=dict)
    items: Items = field(default_factory=Items)
    segments: dict[int, int] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The row as bytes, checksum last."""
        parts = [
            _PREFIX.pack(
                MAGIC, FORMAT, _HEADER.size, _SKILL.size, _ITEM.size, _SEGMENT.size,
                len(self.skills), len(self.items), len(self.segments),
            ),
            _HEADER.pack(
                self.engine, self.seq, self.events, self.offset, self.run_start_ms, self.last_at_ms, self.wins, self.tries,
                self.theta, self.v, self.residual_fast, self.residual_slow, self.streak,
                self.last_outcome, self.flags, self.pace_choice, self.struggle, self.ew_residual_time, self.timed,
                self.tau, self.feedback_choice, min(self.late_events, 255), self.format, self.goal,
                self.last_segment, self.time_residuals, len(self.time_residuals),
            ),
        ]  # fmt: skip
        parts += [
            _SKILL.pack(key, s.theta, s.v, s.residual, s.wins, s.tries, s.last, s.last_event)
            for key, s in self.skills.items()
        ]
        parts.append(self.items.pack())
        parts += starmap(_SEGMENT.pack, self.segments.items())
        body = b"".join(parts)
        return body + crc32(body).to_bytes(4, "little")

    @classmethod
    def unpack(cls, packed: bytes) -> Row:
        """The row that `pack` made. Raises CorruptRow when the checksum or the layout does not fit."""
        body = packed[:-4]
        if crc32(body).to_bytes(4, "little") != packed[-4:]:
            raise CorruptRow("checksum does not fit")
        try:
            return cls._unpack_checked(body)
        except (error, IndexError) as fault:
            raise CorruptRow(str(fault)) from fault

    @classmethod
    def _unpack_checked(cls, body: bytes) -> Row:
        magic, _, header, skill, item, segment, skills, items, segments = _PREFIX.unpack_from(body, 0)
        if magic != MAGIC or header < _HEADER.size or skill < _SKILL.size or item < _ITEM.size or segment < _SEGMENT.size:
            raise CorruptRow("not a row of a version that this release can read")
        *values, kept = _HEADER.unpack_from(body, _PREFIX.size)
        row = cls(*values)
        row.time_residuals = row.time_residuals[:kept]
        at = _PREFIX.size + header
        unpack = _SKILL.unpack_from
        for place in range(at, at + skills * skill, skill):
            key, theta, v, residual, wins, tries, last, last_event = unpack(body, place)
            row.skills[key] = SkillState(theta, v, residual, wins, tries, last, last_event)
        at += skills * skill
        row.items = Items(_cut(body[at : at + items * item], item, _ITEM.size))
        at += items * item
        row.segments = dict(_SEGMENT.iter_unpack(_cut(body[at : at + segments * segment], segment, _SEGMENT.size)))
        return row

    def show(self, key: int) -> None:
        """Count one more showing of a segment, at decision `seq`."""
        flags = self.segments.get(key, 0) & 0x00FF
        flags = (flags & ~SEEN_MASK) | min((flags & SEEN_MASK) + 1, SEEN_MASK)
        self.segments[key] = flags & ~NOT_NOW | (self.seq & 0xFF) << SHOWN_SHIFT

    def mark(self, key: int, flag: int) -> None:
        """Set one of COMPLETED, WAIVED, SKIPPED, NOT_NOW on a segment."""
        self.segments[key] = self.segments.get(key, 0) | flag

    def mark_now(self, key: int, flag: int) -> None:
        """Set a flag and remember at which decision, in place of when the segment was shown."""
        state = self.segments.get(key, 0) & 0x00FF
        self.segments[key] = state | flag | (self.seq & 0xFF) << SHOWN_SHIFT

    def decisions_since_mark(self, key: int) -> int:
        """How many decisions ago a segment was shown or marked by `mark_now`, modulo 256."""
        return (self.seq - (self.segments.get(key, 0) >> SHOWN_SHIFT)) & 0xFF

    def decisions_since_shown(self, key: int) -> int | None:
        """How many decisions ago a segment was shown, modulo 256; None when it never was."""
        flags = self.segments.get(key, 0)
        return (self.seq - (flags >> SHOWN_SHIFT)) & 0xFF if flags & SEEN_MASK else None


def _cut(entries: bytes, size: int, known: int) -> bytes:
    """Entries of `size` bytes with what a later version added cut off."""
    if size == known:
        return entries
    return b"".join(entries[at : at + known] for at in range(0, len(entries), size))


def bounded(value: float, limit: float) -> float:
    """`value` within +-`limit`; what is not a number becomes 0."""
    return max(-limit, min(limit, value)) if not isnan(value) else 0.0


def count(value: int, most: int = 65_535) -> int:
    """A counter that stops at what its field holds."""
    return value if value < most else most
