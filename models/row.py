"""The row: all that is kept of one learner in one run of a course, as one versioned binary struct.

Comes in as bytes, goes out as bytes. Numbers are rounded only when they are packed, and every step starts from packed
bytes, so a row kept in memory and a row read from a store behave alike, bit for bit.

Layout (little endian): a header, then counted skills (26 bytes each), items (12) and segments (6), then what few rows have
(work context, a probe under way), then a CRC-32 of all of it. Ids are 32-bit stable names (`schemas.ids.hash32`), never
positions in a course version. A reader takes the sizes of header and entries from the row itself and ignores what it does
not know, so rows of later versions load too; rows of format 1 (no last outcomes, no last item), 2 (no evidence) and 3 (no
beliefs) load with what they have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import starmap
from math import isnan
from struct import Struct, error
from typing import Any, ClassVar, Final
from zlib import crc32

from schemas.errors import SegueError

MAGIC: Final = 0x53
FORMAT: Final = 4
MAX_BYTES: Final = 512 * 1024
MAX_ITEMS: Final = 256
RESIDUALS: Final = 32
START_VARIANCE: Final = 0.5
NONE_YET: Final = 1
"""Last outcomes are bits behind a leading one."""

LEVELS: Final = 6
NO_BELIEF: Final = bytes(LEVELS - 1)
"""Of a skill of which models.belief has heard nothing."""

UNKNOWN: Final = -1

_PREFIX: Final = Struct("<BBBBBBHHH")
_HEADER_1: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sB")
_HEADER_2: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sBIIIBBBeH")
_HEADER: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sBIIIBBBeHI16s")
_SKILL_1: Final = Struct("<IfffHHIH")
_SKILL_3: Final = Struct("<IfeeHHIHB")
_SKILL: Final = Struct("<IeeeHHIHB5s")
_ITEM_1: Final = Struct("<IBBHI")
_ITEM_3: Final = Struct("<IBBHIB")
_ITEM: Final = Struct("<IHHI")
MOST_MET: Final = 63
"""Meetings with one item that are counted."""

_SEGMENT: Final = Struct("<IH")
_PROBE: Final = Struct("<IBBHB")

SEEN_MASK: Final = 0x000F
COMPLETED: Final = 0x0010
WAIVED: Final = 0x0020
SKIPPED: Final = 0x0040
NOT_NOW: Final = 0x0080
ANY_MARK: Final = 0x00F0
SHOWN_SHIFT: Final = 8

DO_NOT_PERSONALISE: Final = 0x01


class CorruptRow(SegueError):
    """The bytes are not a row, or not the row that was written."""


@dataclass
class SkillState:
    """Ability on one skill: mean `theta`, variance `v`, weighted residual, wins of tries, when last practised (as for
    items), last outcomes, and how likely each level is (models.belief)."""

    theta: float = 0.0
    v: float = 0.1
    residual: float = 0.0
    wins: int = 0
    tries: int = 0
    last: int = 0
    last_try: int = 0
    recent: int = NONE_YET
    known: bytes = NO_BELIEF

    def values(self) -> tuple[float | bytes, ...]:
        """As the row keeps them."""
        return self.theta, self.v, self.residual, self.wins, self.tries, self.last, self.last_try, self.recent, self.known


@dataclass
class ItemState:
    """Meetings with one item. `last` is in tenths of a second of the run, 0 unknown; `last_try` the learner's responses
    before it, modulo 65,536; `recent` the last outcomes."""

    wins: int = 0
    tries: int = 0
    last_try: int = 0
    last: int = 0
    recent: int = NONE_YET

    def values(self) -> tuple[int, ...]:
        """As the row keeps them."""
        return self.wins << 9 | self.tries << 3 | self.recent, self.last_try, self.last

    @classmethod
    def read(cls, counts: int, last_try: int, last: int) -> ItemState:
        """What `values` gave."""
        return cls(counts >> 9, counts >> 3 & MOST_MET, last_try, last, counts & 7)


@dataclass
class Probe:
    """A test-out under way: of which segment, how likely it was mastered before (in 255ths), items asked, how many of them
    are answered, and which of those rightly (bits, first lowest)."""

    segment: int
    prior: int
    answered: int = 0
    right: int = 0
    items: list[int] = field(default_factory=list)


Practised = tuple[int, float, float, float, int, int, int, int, int, bytes]
"""Name and values of a skill."""


class Entries:
    """Counted entries of a row by 32-bit name, least recently touched first.

    They stay packed until they are asked for: a step touches one or two of hundreds.
    """

    __slots__ = ("_packed", "_read", "_touched")
    struct: ClassVar[Struct]
    state: ClassVar[Callable[..., Any]]
    read: ClassVar[Callable[..., Any]]

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = packed
        self._touched: dict[int, Any] = {}
        self._read: dict[int, tuple[int, Any]] = {}

    def __len__(self) -> int:
        return len(self._packed) // self.struct.size + len(self._touched)

    def __contains__(self, key: int) -> bool:
        return key in self._touched or self._place(key) >= 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entries) and bool(self.pack() == other.pack())

    __hash__ = None  # type: ignore[assignment]  # it changes

    def pack(self) -> bytes:
        """All of them, as the row keeps them."""
        pack: Callable[..., bytes] = self.struct.pack
        return b"".join((self._packed, *[pack(key, *state.values()) for key, state in self._touched.items()]))

    def _get(self, key: int) -> Any:
        """The state of an entry; None when there is none."""
        return self._touched[key] if key in self._touched else self._find(key)

    def _touch(self, key: int) -> Any:
        """The state of an entry, a new one when there is none; moved to the end."""
        state = self._touched.pop(key) if key in self._touched else self._take(key)
        if state is None:
            state = self.state()
        self._touched[key] = state
        return state

    def _take(self, key: int) -> Any:
        state = self._find(key)
        if state is not None:
            place, _ = self._read[key]
            self._packed = self._packed[:place] + self._packed[place + self.struct.size :]
            self._read.clear()
        return state

    def _find(self, key: int) -> Any:
        """The state in the packed part; read once."""
        known = self._read.get(key)
        if known is not None:
            return known[1]
        place = self._place(key)
        if place < 0:
            return None
        state = self.read(*self.struct.unpack_from(self._packed, place)[1:])
        self._read[key] = place, state
        return state

    def _place(self, key: int) -> int:
        """Where an entry stands in the packed part; -1 when it does not."""
        name, size = key.to_bytes(4, "little"), self.struct.size
        place = self._packed.find(name)
        while place >= 0 and place % size:
            place = self._packed.find(name, place + 1)
        return place


class Skills(Entries):
    """The skills practised."""

    __slots__ = ()
    struct = _SKILL
    state = SkillState
    read = SkillState

    def get(self, key: int) -> SkillState | None:
        """The state of a skill, not to be changed; None when it was never practised."""
        state: SkillState | None = self._get(key)
        return state

    def touch(self, key: int) -> SkillState:
        """The state of a skill, to be changed; a new one when there is none. It moves to the end."""
        state: SkillState = self._touch(key)
        return state

    def every(self) -> list[Practised]:
        """Name and values of each skill, as the row keeps them."""
        found: list[Any] = list(_SKILL.iter_unpack(self._packed))
        found += [(key, *state.values()) for key, state in self._touched.items()]
        return found


class Items(Entries):
    """The items met."""

    __slots__ = ()
    struct = _ITEM
    state = ItemState
    read = ItemState.read

    def get(self, key: int) -> ItemState | None:
        """The state of an item, not to be changed; None when it was never met."""
        state: ItemState | None = self._get(key)
        return state

    def touch(self, key: int) -> ItemState:
        """The state of an item, to be changed; a new one when there is none. Beyond MAX_ITEMS the oldest goes."""
        state: ItemState = self._touch(key)
        if len(self) > MAX_ITEMS:
            if self._packed:
                self._packed = self._packed[_ITEM.size :]
                self._read.clear()
            else:
                del self._touched[next(iter(self._touched))]
        return state


@dataclass
class Row:
    """A learner in a course. Times are milliseconds since the epoch, `UNKNOWN` where none was told.

    `offset` is the record of the log that changed the row last; `evidence` counts the row's evidence records, and `head` is
    the hash of the last.
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
    v: float = START_VARIANCE
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
    last_item: int = 0
    last_skills: int = 0
    last_answer: int = 0
    run: int = 0
    recent: int = NONE_YET
    expected_right: int = 0
    cycling: float = 0.0
    visits: int = 0
    evidence: int = 0
    head: bytes = bytes(16)
    context: tuple[int, ...] = ()
    probe: Probe | None = None
    skills: Skills = field(default_factory=Skills)
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
                self.last_item, self.last_skills, self.last_answer, self.run, self.recent, self.expected_right,
                self.cycling, self.visits, self.evidence, self.head,
            ),
        ]  # fmt: skip
        parts.append(self.skills.pack())
        parts.append(self.items.pack())
        parts += starmap(_SEGMENT.pack, self.segments.items())
        if self.context or self.probe is not None:
            parts.append(_packed_rest(self.context, self.probe))
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
        magic, form, header, skill, item, segment, skills, items, segments = _PREFIX.unpack_from(body, 0)
        head = _HEADER if form > 2 else _HEADER_2 if form == 2 else _HEADER_1
        per_skill = _SKILL if form > 3 else _SKILL_3 if form > 1 else _SKILL_1
        per_item = _ITEM if form > 3 else _ITEM_3 if form > 1 else _ITEM_1
        if magic != MAGIC or header < head.size or skill < per_skill.size or item < per_item.size or segment < _SEGMENT.size:
            raise CorruptRow("not a row of a version that this release can read")
        row = cls()
        row._take_header(head.unpack_from(body, _PREFIX.size))
        if form < 3:  # 0 stood for slower and less, and for who never said
            row.pace_choice, row.feedback_choice = row.pace_choice & 2, row.feedback_choice & 2
        at = _PREFIX.size + header
        practised = _cut(body[at : at + skills * skill], skill, per_skill.size)
        row.skills = Skills(_later_skills(practised, form))
        at += skills * skill
        met = _cut(body[at : at + items * item], item, per_item.size)
        row.items = Items(_later_items(met, form))
        at += items * item
        row.segments = dict(_SEGMENT.iter_unpack(_cut(body[at : at + segments * segment], segment, _SEGMENT.size)))
        at += segments * segment
        if len(body) > at:
            row.context, row.probe = _unpacked_rest(body[at:])
        return row

    def _take_header(self, values: tuple[Any, ...]) -> None:
        """The fields of a header of any format, in the order of `pack`."""
        (
            self.engine, self.seq, self.events, self.offset, self.run_start_ms, self.last_at_ms, self.wins, self.tries,
            self.theta, self.v, self.residual_fast, self.residual_slow, self.streak,
            self.last_outcome, self.flags, self.pace_choice, self.struggle, self.ew_residual_time, self.timed,
            self.tau, self.feedback_choice, self.late_events, self.format, self.goal,
            self.last_segment, padded, kept,
        ) = values[:27]  # fmt: skip
        self.time_residuals = padded[:kept]
        if len(values) > 27:
            (
                self.last_item, self.last_skills, self.last_answer, self.run, self.recent, self.expected_right,
                self.cycling, self.visits,
            ) = values[27:35]  # fmt: skip
        if len(values) > 35:
            self.evidence, self.head = values[35:]

    def visit(self, key: int) -> None:
        """Something happened in a segment: going to another one than the last is a visit, counted here and there."""
        state = self.segments.get(key, 0) & 0x00FF
        if key != self.last_segment:
            self.visits = (self.visits + 1) & 0xFFFF
            state = (state & ~SEEN_MASK) | min((state & SEEN_MASK) + 1, SEEN_MASK)
        self.segments[key] = state & ~NOT_NOW | (self.visits & 0xFF) << SHOWN_SHIFT
        self.last_segment = key

    def mark(self, key: int, flag: int) -> None:
        """Set one of COMPLETED, WAIVED, SKIPPED, NOT_NOW on a segment."""
        self.segments[key] = self.segments.get(key, 0) | flag

    def mark_now(self, key: int, flag: int) -> None:
        """Set a flag and remember at which visit, in place of when the segment was visited."""
        state = self.segments.get(key, 0) & 0x00FF
        self.segments[key] = state | flag | (self.visits & 0xFF) << SHOWN_SHIFT

    def visits_since_mark(self, key: int) -> int:
        """How many visits ago a segment was visited or marked by `mark_now`, modulo 256."""
        return (self.visits - (self.segments.get(key, 0) >> SHOWN_SHIFT)) & 0xFF

    def visits_since_seen(self, key: int) -> int | None:
        """How many visits ago a segment was visited, modulo 256; None when it never was."""
        state = self.segments.get(key, 0)
        return (self.visits - (state >> SHOWN_SHIFT)) & 0xFF if state & SEEN_MASK else None


def _packed_rest(context: tuple[int, ...], probe: Probe | None) -> bytes:
    parts = [bytes([len(context)]), *(key.to_bytes(4, "little") for key in context)]
    if probe is not None:
        parts.append(_PROBE.pack(probe.segment, probe.prior, probe.answered, probe.right, len(probe.items)))
        parts += (key.to_bytes(4, "little") for key in probe.items)
    return b"".join(parts)


def _unpacked_rest(rest: bytes) -> tuple[tuple[int, ...], Probe | None]:
    after = 1 + 4 * rest[0]
    context = _keys(rest[1:after])
    if len(rest) < after + _PROBE.size:
        return context, None
    segment, prior, answered, right, asked = _PROBE.unpack_from(rest, after)
    start = after + _PROBE.size
    return context, Probe(segment, prior, answered, right, list(_keys(rest[start : start + 4 * asked])))


def _keys(packed: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4))


def _cut(entries: bytes, size: int, known: int) -> bytes:
    """Entries of `size` bytes with what a later version added cut off."""
    if size == known:
        return entries
    return b"".join(entries[at : at + known] for at in range(0, len(entries), size))


def _later_skills(entries: bytes, form: int) -> bytes:
    """Entries with what those of their format did not have: last outcomes (1), beliefs (up to 3)."""
    if form > 3:
        return entries
    if form > 1:
        return b"".join(_SKILL.pack(*values, NO_BELIEF) for values in _SKILL_3.iter_unpack(entries))
    return b"".join(_SKILL.pack(*values, NONE_YET, NO_BELIEF) for values in _SKILL_1.iter_unpack(entries))


def _later_items(entries: bytes, form: int) -> bytes:
    """Entries with fewer meetings counted where there were more, and last outcomes (none in 1)."""
    if form > 3:
        return entries
    return b"".join(_later_item(*values) for values in (_ITEM_3 if form > 1 else _ITEM_1).iter_unpack(entries))


def _later_item(key: int, wins: int, tries: int, last_try: int, last: int, recent: int = NONE_YET) -> bytes:
    if tries > MOST_MET:
        wins, tries = wins * MOST_MET // tries, MOST_MET
    return _ITEM.pack(key, *ItemState(wins, tries, last_try, last, recent).values())


def bounded(value: float, limit: float) -> float:
    """`value` within +-`limit`; what is not a number becomes 0."""
    if -limit <= value <= limit:
        return value
    return 0.0 if isnan(value) else limit if value > 0.0 else -limit


def count(value: int, most: int = 65_535) -> int:
    """A counter that stops at what its field holds."""
    return value if value < most else most
