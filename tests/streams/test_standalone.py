"""Following a topic: who got records works on them before the next read is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agents.ports import Batch
from runtime.tasks import cancel_all
from schemas import topics
from schemas.interaction import Outgoing
from streams.archive import Archive
from streams.engine import Engine
from streams.standalone import Follower, StandaloneLog
from streams.wire import Wire


class Noting(Wire):
    """A wire that writes down when somebody reads."""

    def __init__(self, url: str, said: list[str]) -> None:
        super().__init__(url)
        self.said = said

    async def call(self, *command: str | bytes | int | float, patience: float = 5.0) -> Any:
        self.said.append(str(command[0]))
        return await super().call(*command, patience=patience)


async def test_a_lane_computes_what_it_got_before_the_next_read(empty_valkey: Engine, tmp_path: Path) -> None:
    said: list[str] = []
    wire, reader, arrived = Wire(empty_valkey.url), Noting(empty_valkey.url, said), asyncio.Event()
    await StandaloneLog(wire, 1, Archive(tmp_path)).append([Outgoing(topics.INTERACTIONS, 0, b"k", b"v", ())])

    async def lane() -> None:
        await arrived.wait()
        said.append("compute")

    def offer(partition: int, batch: Batch) -> None:
        said.append(f"offer {len(batch.records)}")
        arrived.set()

    follower = Follower(reader, wire, topics.INTERACTIONS, [0])
    tasks = [asyncio.create_task(lane()), asyncio.create_task(follower.run({0: 0}, offer, lambda _: True))]
    async with asyncio.timeout(5):
        while len(said) < 4:
            await asyncio.sleep(0.001)
    assert said == ["XREAD", "offer 1", "compute", "XREAD"]
    await cancel_all(tasks)
    await wire.aclose()
    await reader.aclose()
