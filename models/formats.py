"""Rows of older formats: how their parts were laid out, and what this release makes of them.

Format 1 had no last outcomes and no last item, 2 no evidence, 3 no beliefs, 4 no course
version. What a row does not have starts as new.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from models.entries import ITEM, MOST_MET, NO_BELIEF, NONE_YET, SKILL, ItemState

FORMAT: Final = 5
HEADER: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sBIIIBBBeHI16sI")
_HEADER_1: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sB")
_HEADER_2: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sBIIIBBBeH")
_HEADER_4: Final = Struct("<HIIqqqIIffffhBBBffHfBBIII32sBIIIBBBeHI16s")
_SKILL_1: Final = Struct("<IfffHHIH")
_SKILL_3: Final = Struct("<IfeeHHIHB")
_ITEM_1: Final = Struct("<IBBHI")
_ITEM_3: Final = Struct("<IBBHIB")


_LAYOUTS: Final = {
    1: (_HEADER_1, _SKILL_1, _ITEM_1),
    2: (_HEADER_2, _SKILL_3, _ITEM_3),
    3: (_HEADER_4, _SKILL_3, _ITEM_3),
    4: (_HEADER_4, SKILL, ITEM),
    FORMAT: (HEADER, SKILL, ITEM),
}


def layout(form: int) -> tuple[Struct, Struct, Struct]:
    """Header, skill and item of a format, as far as this release knows them; later ones begin like the newest known."""
    return _LAYOUTS[min(form, FORMAT)]


def skills_now(entries: bytes, form: int) -> bytes:
    """Entries with what those of their format did not have: last outcomes (1), beliefs (up to 3)."""
    if form > 3:
        return entries
    if form > 1:
        return b"".join(SKILL.pack(*values, NO_BELIEF) for values in _SKILL_3.iter_unpack(entries))
    return b"".join(SKILL.pack(*values, NONE_YET, NO_BELIEF) for values in _SKILL_1.iter_unpack(entries))


def items_now(entries: bytes, form: int) -> bytes:
    """Entries with fewer meetings counted where there were more, and last outcomes (none in 1)."""
    if form > 3:
        return entries
    return b"".join(_item_now(*values) for values in (_ITEM_3 if form > 1 else _ITEM_1).iter_unpack(entries))


def _item_now(key: int, wins: int, tries: int, last_try: int, last: int, recent: int = NONE_YET) -> bytes:
    if tries > MOST_MET:
        wins, tries = wins * MOST_MET // tries, MOST_MET
    return ITEM.pack(key, *ItemState(wins, tries, last_try, last, recent).values())
