"""The last event ids of a row, so that a resend has one effect: sealed chunks of 64, and one that is still open.

Each id takes 16 bytes: 8 of the id's hash, 4 of the body's, 4 for the decision it caused (0: none). Chunks stand beside
the row in a ring of slots, so an event writes only the open chunk. At least the last 1,024 ids are kept.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

_ENTRY = Struct("<8s4sI")
CHUNK = 64
SEALED = 16
SLOTS = SEALED + 1


class Known(NamedTuple):
    """What an id was last seen with."""

    body: bytes
    seq: int


class IdWindow:
    """Event ids of one row, kept packed. `count` is how many were ever remembered, the row's number of applied events."""

    __slots__ = ("_count", "_slots")

    def __init__(self, count: int, slots: dict[int, bytes]) -> None:
        self._count = count
        self._slots = slots

    def find(self, name: bytes) -> Known | None:
        """What is known of an id (its 8-byte hash)."""
        for chunk in self._slots.values():
            at = chunk.find(name)
            while at >= 0 and at % _ENTRY.size:
                at = chunk.find(name, at + 1)
            if at >= 0:
                _, body, seq = _ENTRY.unpack_from(chunk, at)
                return Known(body, seq)
        return None

    def remember(self, name: bytes, body: bytes, seq: int) -> tuple[int, bytes]:
        """Add an id. Returns the slot that changed and its new content."""
        slot, place = (self._count // CHUNK) % SLOTS, self._count % CHUNK
        kept = self._slots.get(slot, b"") if place else b""
        self._slots[slot] = kept + _ENTRY.pack(name, body, seq)
        self._count += 1
        return slot, self._slots[slot]

    @property
    def slots(self) -> dict[int, bytes]:
        """All chunks, for a checkpoint."""
        return self._slots
