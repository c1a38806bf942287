"""Skills practised and items met in a row: counted entries of one size by 32-bit name, packed until they are asked for.

Comes in as bytes, goes out as bytes (models.row says in what order); what was touched stands at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Final

MAX_ITEMS: Final = 256
NONE_YET: Final = 1
"""Last outcomes are bits behind a leading one."""

LEVELS: Final = 6
NO_BELIEF: Final = bytes(LEVELS - 1)
"""Of a skill of which models.belief has heard nothing."""

MOST_MET: Final = 63
"""Meetings with one item that are counted."""

SKILL: Final = Struct("<IeeeHHIHB5s")
ITEM: Final = Struct("<IHHI")


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
    struct = SKILL
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
        found: list[Any] = list(SKILL.iter_unpack(self._packed))
        found += [(key, *state.values()) for key, state in self._touched.items()]
        return found


class Items(Entries):
    """The items met."""

    __slots__ = ()
    struct = ITEM
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
                self._packed = self._packed[ITEM.size :]
                self._read.clear()
            else:
                del self._touched[next(iter(self._touched))]
        return state
