"""What gateways read of the view: the live streams, and a row's last decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from delivery.ports import Tail
from schemas.decision import LiveEntry
from streams.keys import EPOCH, WORKERS, PartitionKeys
from streams.wire import Scripts, Wire, field, xread


class RedisLive:
    """LiveView over one Redis. `reader` blocks on the live streams, so it is a connection of its own."""

    def __init__(self, wire: Wire, reader: Wire, partitions: int) -> None:
        self._wire = wire
        self._reader = reader
        self._scripts = Scripts(wire)
        self._keys = [PartitionKeys.of(partition) for partition in range(partitions)]
        self._by_stream = {keys.live: partition for partition, keys in enumerate(self._keys)}

    async def newest(self) -> dict[int, int]:
        return await self._first("XREVRANGE", "+", "-")

    async def oldest(self) -> dict[int, int]:
        return await self._first("XRANGE", "-", "+")

    async def _first(self, command: str, start: str, end: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for partition, keys in enumerate(self._keys):
            entries = await self._wire.call(command, keys.live, start, end, "COUNT", 1)
            found[partition] = _number(entries[0][0]) if entries else 0
        return found

    async def workers(self, silent_ms: int) -> int:
        return int(await self._wire.call("ZCOUNT", WORKERS, await self._wire.now_ms() - silent_ms, "+inf"))

    async def read(self, after: Mapping[int, int], wait_seconds: float) -> Sequence[LiveEntry]:
        streams = {self._keys[partition].live: number for partition, number in after.items()}
        return [
            _entry(self._by_stream[stream.decode()], name, fields)
            for stream, entries in await xread(self._reader, streams, 1_000, wait_seconds)
            for name, fields in entries
        ]

    async def applied(self) -> dict[int, int]:
        found = await asyncio.gather(*(self._wire.call("HGET", keys.state, "applied") for keys in self._keys))
        return {p: int(value) for p, value in enumerate(found) if value is not None and not value.startswith(b"reb")}

    async def epoch(self) -> int:
        return int(await self._wire.call("GET", EPOCH) or 0)

    async def tail(self, partition: int, row: str, after: int, limit: int = 100) -> Tail:
        keys = self._keys[partition]
        applied, entries, oldest, newest = await self._scripts.run("tail", [keys.state, keys.tail(row)], [after, limit])
        bodies = [(_number(name), fields[1]) for name, fields in entries if fields[0] == b"b"]
        first = _number(oldest[0][0]) + (oldest[0][1][0] != b"b") if oldest else 0
        standing = -1 if applied.startswith(b"rebuilding") else int(applied)
        return Tail(standing, bodies, first, _number(newest[0][0]) if newest else 0)

    async def latest(self, partition: int, row: str) -> bytes | None:
        newest = await self._wire.call("XREVRANGE", self._keys[partition].tail(row), "+", "-", "COUNT", 1)
        return field(newest[0][1], b"b") if newest else None


def _number(name: bytes) -> int:
    return int(name.split(b"-", 1)[0])


def _entry(partition: int, name: bytes, given: Sequence[bytes]) -> LiveEntry:
    offset, fields = _number(name) - 1, dict(zip(given[::2], given[1::2], strict=True))
    if b"reset" in fields:
        return LiveEntry(partition=partition, offset=offset, row="", seq=0, body=None, reset=True)
    body = fields[b"b"] or None
    return LiveEntry(partition=partition, offset=offset, row=fields[b"r"].decode(), seq=int(fields[b"s"]), body=body)
