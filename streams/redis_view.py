"""The view in Redis or Valkey: rows, live stream, last decisions, outbox, dirty marks; one hash slot a partition.

Everything that writes is one script that checks before it writes. With `direct` (standalone) emitted records go straight
into topic streams of the same store, in the same script, and there is no outbox.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from msgspec import msgpack

from agents.ports import Advance, Dirty, Look, StoredRow
from agents.window import SLOTS
from schemas.errors import Doubt, Halt
from schemas.interaction import Outgoing
from streams.keys import LIVE_KEPT, TAIL_KEPT, WORKERS, PartitionKeys
from streams.wire import Scripts, Wire

PIECE_ROWS = 256
FORGOTTEN_MS = 60_000
_encode = msgpack.Encoder().encode
_decode_emitted = msgpack.Decoder(list[Outgoing]).decode


class RedisView:
    """LearnerStore over one Redis."""

    def __init__(self, wire: Wire, partitions: int, *, direct: bool) -> None:
        self._wire = wire
        self._scripts = Scripts(wire)
        self._keys = [PartitionKeys.of(partition) for partition in range(partitions)]
        self._direct = direct

    async def beat(self, worker: str) -> None:
        """Say that a worker is alive and works, by the store's clock; gateways are ready only while one does."""
        now_ms = await self._wire.now_ms()
        await self._wire.call("ZADD", WORKERS, now_ms, worker)
        await self._wire.call("ZREMRANGEBYSCORE", WORKERS, "-inf", now_ms - FORGOTTEN_MS)

    async def look(self, partition: int) -> Look:
        keys = self._keys[partition]
        (applied, checksum, _), pairs = await self._scripts.run("look", [keys.state, keys.outbox], [])
        if any(b":" in name for name in pairs[::2]):
            raise Halt(
                f"The outbox of partition {partition} was left by an older release, which named its entries otherwise.",
                "Start that release once more and stop it with SIGTERM: it sends what is there. Nothing is lost.",
            )
        outbox = sorted((int(pairs[i]), _decode_emitted(pairs[i + 1])) for i in range(0, len(pairs), 2))
        whole = applied is not None and not applied.startswith(b"rebuilding")
        return Look(int(applied) if whole else None, int(checksum or 0), outbox, applied is not None and not whole)

    async def rows(self, partition: int, applied: int, keys: Sequence[str]) -> Sequence[StoredRow] | None:
        names = self._keys[partition]
        found = await self._scripts.run("rows", [names.state, names.rows, names.ids], [applied, SLOTS, *keys])
        return None if found is None else [StoredRow(packed, _chunks(chunks)) for packed, chunks in found]

    async def packed_rows(self, partition: int) -> dict[str, bytes]:
        """All rows of a partition. Read in pieces, so rows that change meanwhile are from one moment or another."""
        keys, cursor, found = self._keys[partition], b"0", dict[str, bytes]()
        while True:
            cursor, pairs = await self._wire.call("HSCAN", keys.rows, cursor, "COUNT", 1_000)
            found |= {pairs[n].decode(): pairs[n + 1] for n in range(0, len(pairs), 2)}
            if int(cursor) == 0:
                return found

    async def advance(self, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
        keys = self._keys[partition]
        args: list[Any] = [expected, change.last, change.checksum, LIVE_KEPT, TAIL_KEPT, keys.tail_prefix]
        args.append(len(change.rows))
        for row in change.rows:
            args += (row.key, row.packed, len(row.chunks), *chain.from_iterable(row.chunks.items()))
        args.append(len(change.live))
        for entry in change.live:
            args += (entry.offset + 1, entry.row, entry.seq, entry.body or b"")
        args += self._emitted(change)
        args += (len(sent), *sent)
        names = [keys.state, keys.rows, keys.ids, keys.live, keys.outbox, keys.dirty]
        return bool(await self._scripts.run("advance", names, args) == 1)

    def _emitted(self, change: Advance) -> list[Any]:
        if not self._direct:
            return [_encode(change.emitted) if change.emitted else b"", 0]
        args: list[Any] = [b"", len(change.emitted)]
        for out in change.emitted:
            keys = self._keys[out.partition]
            args += (keys.ends, keys.topic(out.topic), out.topic, out.key, out.value, _encode(out.headers))
        return args

    async def sent(self, partition: int, batches: Sequence[int]) -> None:
        if batches:
            await self._scripts.run("forget", [self._keys[partition].outbox], list(batches))

    async def replace(self, partition: int, applied: int, checksum: int, rows: Mapping[str, StoredRow],
                      seqs: Mapping[str, int]) -> None:  # fmt: skip
        keys, token, number = self._keys[partition], secrets.token_hex(8), 0
        names = [keys.state, keys.rows, keys.ids, keys.live, keys.outbox, keys.dirty]
        await self._scripts.run("rebuild", names, ["begin", token, keys.tail_prefix])
        listed = list(rows.items())
        for start in range(0, len(listed), PIECE_ROWS):
            args: list[Any] = ["piece", token, number, keys.tail_prefix]
            for key, row in listed[start : start + PIECE_ROWS]:
                chunks = chain.from_iterable(row.chunks.items())
                args += (key, row.packed or b"", seqs.get(key, 0), len(row.chunks), *chunks)
            if await self._scripts.run("rebuild", names, args) != 1:
                raise Doubt("somebody else rebuilds this partition")
            number += 1
        if await self._scripts.run("rebuild", names, ["finish", token, number, applied, checksum]) != 1:
            raise Doubt("somebody else rebuilds this partition")

    async def dirty(self, partition: int, applied: int) -> Dirty | None:
        keys = self._keys[partition]
        names = [keys.state, keys.rows, keys.ids, keys.dirty]
        marks = await self._scripts.run("dirty", names, [applied, SLOTS])
        if marks is None:
            return None
        changed, rows = marks[::2], dict[str, StoredRow]()
        for start in range(0, len(changed), PIECE_ROWS):
            part = changed[start : start + PIECE_ROWS]
            found = await self._scripts.run("dirty", names, [applied, SLOTS, *part])
            if found is None:
                return None
            for row, (packed, chunks) in zip(part, found, strict=True):
                rows[row.decode()] = StoredRow(packed, _chunks(chunks))
        return Dirty(applied, rows, {row.decode(): int(mark) for row, mark in zip(changed, marks[1::2], strict=True)})

    async def clean(self, partition: int, marks: Mapping[str, int]) -> None:
        listed = list(marks.items())
        for start in range(0, len(listed), PIECE_ROWS):
            part = listed[start : start + PIECE_ROWS]
            await self._scripts.run("clean", [self._keys[partition].dirty], list(chain.from_iterable(part)))


def _chunks(found: Sequence[bytes | None]) -> dict[int, bytes]:
    return {slot: chunk for slot, chunk in enumerate(found) if chunk is not None}
