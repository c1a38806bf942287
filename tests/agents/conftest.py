"""What tests of lanes share."""

from __future__ import annotations

import pytest

from tests.agents.world import World
from tests.factories import publish


@pytest.fixture
async def world() -> World:
    made = World()
    await publish(made.shared)
    return made
