"""What a test needs of the machine. Outside CI a lack is a named skip; where SEGUE_REQUIRE names it, a failure."""

from __future__ import annotations

import os

import pytest


def need(what: str, lack: str | None) -> None:
    """Go on when `lack` is None; otherwise skip, or fail where `what` is required."""
    if lack is None:
        return
    if what in os.environ.get("SEGUE_REQUIRE", "").split(","):
        pytest.fail(f"{what} is required here: {lack}")
    pytest.skip(f"{what}: {lack}")
