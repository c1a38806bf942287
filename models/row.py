"""The row: all that is kept of one learner in one run of a course, as one versioned binary struct.

Comes in as bytes, goes out as bytes. Numbers are rounded only when they are packed, and every step starts from packed
bytes, so a row kept in memory and a row read from a store behave alike, bit for bit.

Layout (little endian): a header, then counted skills (26 bytes each), items (12) and segments (6), then what few rows have
(work context, a probe under way, what is proven, what was tested), then a CRC-32 of all of it. Ids are 32-bit stable names
(`schemas.ids.hash32`), never positions in a course version. A reader takes the sizes of header and entries from the row
itself and ignores what it does not know, so rows of later versions load too; those of earlier formats load with what they
have (models.formats).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import starmap
from math import isnan
from struct import Struct, error
from typing import Any, Final
from zlib import crc32

from models.entries import ITEM, NONE_YET, SKILL, Items, Skills
from models.formats import FORMAT, HEADER, items_now, layout, skills_now
from schemas.errors import SegueError

MAGIC: Final = 0x53
MAX_BYTES: Final = 512 * 1024
RESIDUALS: Final = 32
START_VARIANCE: Final = 0.5
UNKNOWN: Final = -1

_PREFIX: Final = Struct("<BBBBBBHHH")
_SEGMENT: Final = Struct("<IH")
_PROBE: Final = Struct("<IBBHB")
_TESTED: Final = Struct("<IH")

SEEN_MASK: Final = 0x000F
COMPLETED: Final = 0x0010
WAIVED: Final = 0x0020
SKIPPED: Final = 0x0040
NOT_NOW: Final = 0x0080
SHOWN_SHIFT: Final = 8
AGED: Final = 64
"""Visits after which nothing counts any more that a visit marked."""

DO_NOT_PERSONALISE: Final = 0x01


class CorruptRow(SegueError):
    """The bytes are not a row, or not the row that was written."""


@dataclass
class Probe:
    """A test-out under way: of which segment, how likely it was mastered before (in 255ths), items asked, how many of them
    are answered, and which of those rightly (bits, first lowest)."""

    segment: int
    prior: int
    answered: int = 0
    right: int = 0
    items: list[int] = field(default_factory=list)


NO_PROBE: Final = Probe(0, 0)


@dataclass
class Row:
    """A learner in a course. Times are milliseconds since the epoch, `UNKNOWN` where none was told.

    `offset` is the record of the log that changed the row last; `evidence` counts the row's evidence records, and `head` is
    the hash of the last. `course` is the stable name of the course version that it met last, 0 where it is not known.
    `proven`: segments whose completion or waiver is in evidence. `tested`: at
    which visit a probe of a segment ended that was not passed.
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
    course: int = 0
    context: tuple[int, ...] = ()
    probe: Probe | None = None
    proven: tuple[int, ...] = ()
    tested: dict[int, int] = field(default_factory=dict)
    skills: Skills = field(default_factory=Skills)
    items: Items = field(default_factory=Items)
    segments: dict[int, int] = field(default_factory=dict)

    def pack(self) -> bytes:
        """The row as bytes, checksum last."""
        parts = [
            _PREFIX.pack(
                MAGIC, FORMAT, HEADER.size, SKILL.size, ITEM.size, _SEGMENT.size,
                len(self.skills), len(self.items), len(self.segments),
            ),
            HEADER.pack(
                self.engine, self.seq, self.events, self.offset, self.run_start_ms, self.last_at_ms, self.wins, self.tries,
                self.theta, self.v, self.residual_fast, self.residual_slow, self.streak,
                self.last_outcome, self.flags, self.pace_choice, self.struggle, self.ew_residual_time, self.timed,
                self.tau, self.feedback_choice, min(self.late_events, 255), self.format, self.goal,
                self.last_segment, self.time_residuals, len(self.time_residuals),
                self.last_item, self.last_skills, self.last_answer, self.run, self.recent, self.expected_right,
                self.cycling, self.visits, self.evidence, self.head, self.course,
            ),
        ]  # fmt: skip
        parts.append(self.skills.pack())
        parts.append(self.items.pack())
        parts += starmap(_SEGMENT.pack, self.segments.items())
        if self.context or self.probe is not None or self.proven or self.tested:
            parts.append(_packed_rest(self))
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
        if magic != MAGIC or form < 1:
            raise CorruptRow("not a row")
        head, per_skill, per_item = layout(form)
        if header < head.size or skill < per_skill.size or item < per_item.size or segment < _SEGMENT.size:
            raise CorruptRow("not a row of a version that this release can read")
        row = cls()
        row._take_header(head.unpack_from(body, _PREFIX.size))
        if form < 3:  # 0 stood for slower and less, and for who never said
            row.pace_choice, row.feedback_choice = row.pace_choice & 2, row.feedback_choice & 2
        at = _PREFIX.size + header
        practised = _cut(body[at : at + skills * skill], skill, per_skill.size)
        row.skills = Skills(skills_now(practised, form))
        at += skills * skill
        met = _cut(body[at : at + items * item], item, per_item.size)
        row.items = Items(items_now(met, form))
        at += items * item
        row.segments = dict(_SEGMENT.iter_unpack(_cut(body[at : at + segments * segment], segment, _SEGMENT.size)))
        at += segments * segment
        if len(body) > at:
            _unpack_rest(row, body[at:])
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
            self.evidence, self.head = values[35:37]
        if len(values) > 37:
            self.course = values[37]

    def visit(self, key: int) -> None:
        """Something happened in a segment: going to another one than the last is a visit, counted here and there."""
        state = self.segments.get(key, 0) & 0x00FF
        if key != self.last_segment:
            self.visits = (self.visits + 1) & 0xFFFF
            if self.visits % AGED == 0:
                self._forget_marks()
            state = (state & ~SEEN_MASK) | min((state & SEEN_MASK) + 1, SEEN_MASK)
        self.segments[key] = state & ~NOT_NOW | (self.visits & 0xFF) << SHOWN_SHIFT
        self.last_segment = key

    def _forget_marks(self) -> None:
        """Let "not now" and tests of long ago go, before the counts of visits come round."""
        for key, state in self.segments.items():
            if state & NOT_NOW and self.visits_since_mark(key) >= AGED:
                self.segments[key] = state & ~NOT_NOW
        self.tested = {key: visit for key, visit in self.tested.items() if (self.visits - visit) & 0xFFFF < AGED}

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


def _packed_rest(row: Row) -> bytes:
    probe = row.probe or NO_PROBE
    parts = [bytes([len(row.context)]), *(key.to_bytes(4, "little") for key in row.context)]
    parts.append(_PROBE.pack(probe.segment, probe.prior, probe.answered, probe.right, len(probe.items)))
    parts += (key.to_bytes(4, "little") for key in probe.items)
    parts.append(len(row.proven).to_bytes(2, "little"))
    parts += (key.to_bytes(4, "little") for key in row.proven)
    parts += starmap(_TESTED.pack, row.tested.items())
    return b"".join(parts)


def _unpack_rest(row: Row, rest: bytes) -> None:
    """Up to format 4 it ended after the context where no probe was under way, and after the probe otherwise."""
    at = 1 + 4 * rest[0]
    row.context = _keys(rest[1:at])
    if len(rest) < at + _PROBE.size:
        return
    segment, prior, answered, right, asked = _PROBE.unpack_from(rest, at)
    at += _PROBE.size
    items = list(_keys(rest[at : at + 4 * asked]))
    row.probe = Probe(segment, prior, answered, right, items) if segment or items else None
    at += 4 * asked
    if len(rest) > at:
        proven = at + 2 + 4 * int.from_bytes(rest[at : at + 2], "little")
        row.proven = _keys(rest[at + 2 : proven])
        row.tested = dict(_TESTED.iter_unpack(rest[proven:]))


def _keys(packed: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(packed[at : at + 4], "little") for at in range(0, len(packed), 4))


def _cut(entries: bytes, size: int, known: int) -> bytes:
    """Entries of `size` bytes with what a later version added cut off."""
    if size == known:
        return entries
    return b"".join(entries[at : at + known] for at in range(0, len(entries), size))


def bounded(value: float, limit: float) -> float:
    """`value` within +-`limit`; what is not a number becomes 0."""
    if -limit <= value <= limit:
        return value
    return 0.0 if isnan(value) else limit if value > 0.0 else -limit


def count(value: int, most: int = 65_535) -> int:
    """A counter that stops at what its field holds."""
    return value if value < most else most
