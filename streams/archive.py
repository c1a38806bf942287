"""Old ranges of the standalone log in compressed files, so that the store holds what is in use and nothing is thrown away.

    archive/interactions/3/00000000000000002000-00000000000000003999.gz      first and last offset

A file is whole or it is not there: it is written beside its place, brought to disk and renamed, and only then is its range
taken out of the store. A range that was written and not yet taken out is written again, the same bytes.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import zlib
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from pathlib import Path

from msgspec import MsgspecError, msgpack

from runtime.logging import logger
from schemas import topics
from schemas.errors import Halt, Unavailable
from schemas.interaction import LogRecord
from streams.entries import record_of
from streams.keys import PartitionKeys
from streams.wire import Wire

MOVED = (topics.INTERACTIONS, topics.DECISIONS, topics.LEARNING, topics.EVIDENCE, topics.REJECTS)
PIECE = 2_000
SWEEP_SECONDS = 10.0
_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(list[LogRecord]).decode

log = logger(__name__)
Needed = Callable[[str, int], Awaitable[int]]
"""The first offset of a topic and partition that somebody still has to read."""


class Archive:
    """The files under one folder. Blocking; safe to read while another process writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, topic: str, partition: int, records: Sequence[LogRecord]) -> None:
        """Keep a run of records. Returns when they are on disk. Raises OSError when there is no room."""
        place = self._folder / topic / str(partition)
        place.mkdir(parents=True, exist_ok=True)
        kept = place / f"{records[0].offset:020}-{records[-1].offset:020}.gz"
        beside = kept.with_suffix(".new")
        with beside.open("wb") as file:
            file.write(gzip.compress(_encode(records), compresslevel=6, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(kept)
        folder = os.open(place, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def begin(self, topic: str, partition: int) -> int | None:
        """The first offset that was kept; None when nothing was."""
        ranges = self._ranges(topic, partition)
        return ranges[0][0] if ranges else None

    def read(self, topic: str, partition: int, start: int, limit: int) -> list[LogRecord]:
        """Up to `limit` records from offset `start` on, of one file; empty when `start` was not kept.

        Raises Halt when a file is damaged: the log lost data.
        """
        for first, last, path in self._ranges(topic, partition):
            if first <= start <= last:
                return _records(path)[start - first : start - first + limit]
        return []

    def _ranges(self, topic: str, partition: int) -> list[tuple[int, int, Path]]:
        found = []
        for path in sorted((self._folder / topic / str(partition)).glob("*.gz")):
            first, _, last = path.name.removesuffix(".gz").partition("-")
            found.append((int(first), int(last), path))
        return found


@lru_cache(maxsize=1)
def _records(path: Path) -> list[LogRecord]:
    """A file's records; the last one stays at hand, because readers go through a file page by page."""
    try:
        return _decode(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, zlib.error, MsgspecError) as fault:
        raise Halt(f"{path} is damaged: {fault}.", "Restore it from a backup, then start again.") from fault


class Archiver:
    """Moves what is older than the last `kept` records of each topic and partition out of the store. `run` has an owner."""

    def __init__(self, wire: Wire, archive: Archive, partitions: int, kept: int, needed: Needed) -> None:
        self._wire = wire
        self._archive = archive
        self._partitions = partitions
        self._kept = kept
        self._needed = needed

    async def run(self) -> None:
        """For ever. A full disk or a store that does not answer only puts it off: nothing is taken out before it is kept."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except (Unavailable, OSError) as fault:
                log.warning("old records stay in the store for now", reason=str(fault))

    async def sweep(self) -> int:
        """Move all that is to be moved now. Returns how many records were."""
        moved = 0
        for topic in MOVED:
            for partition in range(self._partitions):
                while piece := await self._oldest(topic, partition):
                    await asyncio.to_thread(self._archive.put, topic, partition, piece)
                    stream = PartitionKeys.of(partition).topic(topic)
                    await self._wire.call("XTRIM", stream, "MINID", f"{piece[-1].offset + 2}-0")
                    moved += len(piece)
        return moved

    async def _oldest(self, topic: str, partition: int) -> Sequence[LogRecord]:
        """The oldest PIECE records, if there are so many too many and nobody has to read them any more."""
        stream = PartitionKeys.of(partition).topic(topic)
        if int(await self._wire.call("XLEN", stream)) < self._kept + PIECE:
            return ()
        entries = await self._wire.call("XRANGE", stream, "-", "+", "COUNT", PIECE)
        piece = [record_of(name, fields) for name, fields in entries]
        return piece if piece[-1].offset < await self._needed(topic, partition) else ()
