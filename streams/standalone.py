"""The standalone log: topics as Valkey streams beside the view, entry id = offset + 1.

`StandaloneLog` is the log of events, for lanes and for ingest; `StandaloneShared` the topics that everybody reads whole.
`Follower` hands a topic's partitions to lanes in batches, as the Kafka transport does: whatever arrived while the last
batch was in flight is the next one.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from agents.ports import Batch
from delivery.ports import Arrival
from schemas import topics
from schemas.errors import Misconfigured, Unavailable
from schemas.interaction import LogRecord, Outgoing
from streams.archive import Archive
from streams.entries import encode_headers, record_of
from streams.keys import PARTITIONS, REMEMBER_SECONDS, SHARED_ENDS, PartitionKeys, remembered_id, shared_topic
from streams.wire import Scripts, Wire, xread

READ_COUNT = 512


class StandaloneLog:
    """Topics in one Valkey, and what is older in the archive."""

    def __init__(self, wire: Wire, partitions: int, archive: Archive) -> None:
        self._wire = wire
        self._archive = archive
        self._scripts = Scripts(wire)
        self._keys = [PartitionKeys.of(partition) for partition in range(partitions)]

    async def check_partitions(self) -> None:
        """Write the partition count at the first start; refuse any other later."""
        await self._wire.call("SET", PARTITIONS, len(self._keys), "NX")
        there = int(await self._wire.call("GET", PARTITIONS) or 0)
        if there != len(self._keys):
            raise Misconfigured(
                f"This store was made with {there} partitions, the settings say {len(self._keys)}. "
                f"Set SEGUE_PARTITIONS={there}, or start with another data folder."
            )

    # -- EventLog -----------------------------------------------------------------------------------------------------

    async def begin(self, partition: int) -> int:
        return await self.begin_topic(topics.INTERACTIONS, partition)

    async def begin_topic(self, topic: str, partition: int) -> int:
        """The first offset of a topic that is still there."""
        kept = await asyncio.to_thread(self._archive.begin, topic, partition)
        if kept is not None:
            return kept
        first = await self._wire.call("XRANGE", self._keys[partition].topic(topic), "-", "+", "COUNT", 1)
        return record_of(*first[0]).offset if first else 0

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        return await self.read_topic(topics.INTERACTIONS, partition, start, limit)

    async def read_topic(self, topic: str, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """Records of any partitioned topic from offset `start` on."""
        stream = self._keys[partition].topic(topic)
        entries = await self._wire.call("XRANGE", stream, f"{start + 1}-0", "+", "COUNT", limit)
        found = [record_of(name, fields) for name, fields in entries]
        if found and found[0].offset == start:
            return found
        return await asyncio.to_thread(self._archive.read, topic, partition, start, limit) or found

    async def end(self, partition: int) -> int:
        return int(await self._wire.call("HGET", self._keys[partition].ends, topics.INTERACTIONS) or 0)

    async def committed(self, partition: int) -> int:
        high = await self._wire.call("HGET", self._keys[partition].state, "high")
        return int(high) + 1 if high is not None else 0

    # -- the gateway's side -------------------------------------------------------------------------------------------

    async def append(self, records: Sequence[Outgoing]) -> Sequence[int]:
        """Append to topic `interactions` and the like; the offsets in the order of `records`."""
        by_place: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, record in enumerate(records):
            by_place[record.topic, record.partition].append(index)
        offsets = [0] * len(records)

        async def one(topic: str, partition: int, places: list[int]) -> None:
            args: list[Any] = [topic]
            for index in places:
                args += (records[index].key, records[index].value, encode_headers(records[index].headers))
            keys = self._keys[partition]
            first = await self._scripts.run("append", [keys.ends, keys.topic(topic)], args)
            for place, index in enumerate(places):
                offsets[index] = first + place

        await asyncio.gather(*(one(topic, partition, places) for (topic, partition), places in by_place.items()))
        return offsets

    async def take(self, events: Sequence[Arrival]) -> Sequence[int | None]:
        """Append events, but for ids that clash: one script a partition."""
        places: dict[int, list[int]] = defaultdict(list)
        for index, event in enumerate(events):
            places[event.record.partition].append(index)
        found: list[int | None] = [None] * len(events)

        async def one(partition: int, indexes: list[int]) -> None:
            args: list[Any] = [topics.INTERACTIONS, REMEMBER_SECONDS]
            for index in indexes:
                record, name, body = events[index]
                key = remembered_id(record.key.decode(), name.hex())
                args += (key, body, record.key, record.value, encode_headers(record.headers))
            keys = self._keys[partition]
            offsets = await self._scripts.run("take", [keys.ends, keys.topic(topics.INTERACTIONS)], args)
            for index, offset in zip(indexes, offsets, strict=True):
                found[index] = offset if offset >= 0 else None

        await asyncio.gather(*(one(partition, indexes) for partition, indexes in places.items()))
        return found


class StandaloneTopic:
    """One partitioned topic, read by offset."""

    def __init__(self, log: StandaloneLog, topic: str) -> None:
        self._log = log
        self._topic = topic

    async def begin(self, partition: int) -> int:
        """The first offset that is still there."""
        return await self._log.begin_topic(self._topic, partition)

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        """Records from offset `start` on."""
        return await self._log.read_topic(self._topic, partition, start, limit)


class StandaloneShared:
    """SharedLog over Valkey streams."""

    def __init__(self, wire: Wire, reader_of: Callable[[], Wire]) -> None:
        self._wire = wire
        self._reader_of = reader_of
        self._readers: dict[str, Wire] = {}
        self._scripts = Scripts(wire)

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        await self._scripts.run("append", [SHARED_ENDS, shared_topic(topic)], [topic, key, value, encode_headers(())])

    async def read(self, topic: str, start: int, wait_seconds: float) -> tuple[Sequence[LogRecord], int]:
        after = {shared_topic(topic): start}
        found = await xread(self._wire, after, READ_COUNT)
        if not found:  # only who has to wait gets in the way of others who wait
            if topic not in self._readers:
                self._readers[topic] = self._reader_of()
            found = await xread(self._readers[topic], after, READ_COUNT, wait_seconds)
        records = [record_of(name, fields) for _, entries in found for name, fields in entries]
        return records, records[-1].offset + 1 if records else start

    async def end(self, topic: str) -> int:
        return int(await self._wire.call("HGET", SHARED_ENDS, topic) or 0)

    async def close(self) -> None:
        """Close the connections that block."""
        for reader in self._readers.values():
            await reader.aclose()


class Follower:
    """Reads the partitions of a topic from where `start` says and hands out batches; one read for all partitions.

    Who takes them says whether there is room for more of a partition. `store_positions` keeps how far a group has come;
    lanes keep that themselves.
    """

    def __init__(self, reader: Wire, wire: Wire, topic: str, partitions: Sequence[int]) -> None:
        self._reader = reader
        self._wire = wire
        self._topic = topic
        self._keys = {partition: PartitionKeys.of(partition) for partition in partitions}
        self._by_stream = {keys.topic(topic): partition for partition, keys in self._keys.items()}
        self._acked: dict[int, int] = {}

    async def run(
        self,
        start: Mapping[int, int],
        offer: Callable[[int, Batch], None],
        room: Callable[[int], bool],
        group: str | None = None,
        pause_seconds: float = 0.0,
    ) -> None:
        """Follow for ever. `start` gives the first offset wanted of each partition.

        `pause_seconds` between reads gathers records, where nobody waits for them.
        """
        position = dict(start)
        while True:
            wanted = {keys.topic(self._topic): position[p] for p, keys in self._keys.items() if room(p)}
            if not wanted:
                await asyncio.sleep(0.002)
                continue
            if group is not None and self._acked:
                with suppress(Unavailable):
                    await self.store_positions(group)
            everyone = len(wanted) == len(self._keys)
            for partition, records in await self._read(wanted, 1.0 if everyone else 0.02):
                position[partition] = records[-1].offset + 1
                offer(partition, Batch(records, self._ack(partition, records[-1].offset, group)))
            await asyncio.sleep(pause_seconds)  # 0, too: lanes compute what they got before the next read is asked for

    async def positions(self, group: str) -> dict[int, int]:
        """The first offset that a group has not acknowledged, by partition."""
        name = f"{group}:{self._topic}"
        found = {p: await self._wire.call("HGET", keys.positions, name) for p, keys in self._keys.items()}
        return {partition: int(value or 0) for partition, value in found.items()}

    async def _read(self, wanted: Mapping[str, int], wait_seconds: float) -> list[tuple[int, list[LogRecord]]]:
        try:
            found = await xread(self._reader, wanted, READ_COUNT, wait_seconds)
        except Unavailable:
            await asyncio.sleep(0.2)
            return []
        return [(self._by_stream[s.decode()], [record_of(*entry) for entry in entries]) for s, entries in found]

    def _ack(self, partition: int, last: int, group: str | None) -> Callable[[], None]:
        if group is None:
            return _nothing
        return lambda: self._acked.update({partition: last})

    async def store_positions(self, group: str) -> None:
        """Store how far a group has come. A lost position only means that records are handed over again."""
        acked, self._acked = self._acked, {}
        for partition, last in acked.items():
            await self._wire.call("HSET", self._keys[partition].positions, f"{group}:{self._topic}", last + 1)


def _nothing() -> None:
    return None
