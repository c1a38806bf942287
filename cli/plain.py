"""Text from outside as a terminal or a page may show it: nothing in it is a command."""

from __future__ import annotations

import re

from rich import markup

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """`text` with control characters written out, so that no name can move the cursor or end a page."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def escape(text: str) -> str:
    """The same for a console that reads markup."""
    return markup.escape(plain(text))
