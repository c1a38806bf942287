"""One lane over memory, with everything it stands on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from agents.books import TopicBooks
from agents.lane import Lane
from agents.ports import Batch
from agents.wiring import Ports
from runtime.tasks import cancel_all
from schemas import topics
from schemas.interaction import Interaction, Outgoing
from tests.factories import outgoing
from tests.fakes import MemoryCheckpoints, MemoryLog, MemoryShared, MemorySink, MemoryStore, Notes
from tests.reference import reference_run


@dataclass
class World:
    """Everything a lane stands on."""

    log: MemoryLog = field(default_factory=MemoryLog)
    store: MemoryStore = field(default_factory=MemoryStore)
    sink: Any = field(default_factory=MemorySink)
    checkpoints: MemoryCheckpoints = field(default_factory=MemoryCheckpoints)
    shared: MemoryShared = field(default_factory=MemoryShared)
    notes: Notes = field(default_factory=Notes)
    acked: list[int] = field(default_factory=list)

    async def write(self, *said: Interaction) -> None:
        """Append to the log, as a gateway would."""
        await self.log.append([outgoing(each) for each in said])

    def batch(self, start: int, end: int) -> Batch:
        """Records as the transport hands them over."""
        records = self.log.partitions[topics.INTERACTIONS, 0][start:end]
        return Batch(records, lambda: self.ack(records[-1].offset))

    def ack(self, last: int) -> None:
        """Take an acknowledgement."""
        self.acked.append(last)
        self.log.acked[0] = last + 1

    @asynccontextmanager
    async def lane(
        self, checkpoint_seconds: float = 1000.0, *, partition: int = 0, partitions: int = 1
    ) -> AsyncIterator[Lane]:
        """A running lane; cancelled like a killed worker when the block ends."""
        books = TopicBooks(self.shared)
        await books.tail.start()
        ports = Ports(self.log, self.store, books, self.sink, self.checkpoints, self.notes, partitions, checkpoint_seconds)
        lane = Lane(partition, ports)
        running = asyncio.create_task(lane.run())
        try:
            yield lane
        finally:
            await cancel_all([running])
            await books.tail.stop()

    async def until_acked(self, last: int) -> None:
        """Wait until `last` is acknowledged."""
        await until(lambda: bool(self.acked) and self.acked[-1] >= last)

    async def work(self, start: int, end: int) -> None:
        """Let a lane of its own take these records as one batch, until they are acknowledged."""
        async with self.lane() as lane:
            lane.offer(self.batch(start, end))
            await self.until_acked(end - 1)

    def sent(self, topic: str) -> list[Outgoing]:
        """What was sent to a topic."""
        return [record for record in self.sink.records if record.topic == topic]

    async def check_against_reference(self) -> None:
        """Rows and decisions are those of a pure in-order run, bit for bit, and nothing is missing or doubled."""
        pure = await reference_run(self.log, self.shared, 1)
        assert {key: row.packed for key, row in self.store.parts[0].rows.items()} == pure.rows
        told: dict[bytes, bytes] = {}
        for record in self.sent(topics.DECISIONS):
            assert told.setdefault(record.key, record.value) == record.value, "one seq, two stories"
        assert told == {f"{row}/{seq}".encode(): body for (row, seq), body in pure.decisions.items()}


async def until(holds: Any, seconds: float = 5.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0)
