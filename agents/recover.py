"""How a lane finds out where its partition stands, on assignment and after any doubt.

    1. fence earlier checkpoint writers; only then read: checkpoint's watermark K, committed offset C, and view and outbox in
       one script
    2. a view that is missing, or older than K, is replaced by the checkpoint; its rows are read only then
    3. a view older than C - 1 is moved on by computing the log again; nothing is sent, all of it is out already
    4. what stands in the outbox is sent; only now may offsets up to W be acknowledged
A log that ends before what was applied or committed has lost data: the partition halts and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from zlib import crc32

from agents.ports import Look, Saved
from agents.wiring import Ports
from models.row import Row
from runtime.tasks import retry
from schemas.errors import Halt
from schemas.interaction import LogRecord

PIECE = 128


class Mover(Protocol):
    """Who computes records and moves the view: the lane. `applied` is its W."""

    applied: int

    async def advance(self, records: Sequence[LogRecord], *, emit: bool) -> object: ...


async def recover(ports: Ports, partition: int, mover: Mover, *, rebuild: bool) -> int:
    """Bring the view of a partition up to date. Returns W. `rebuild`: do not trust the view's rows."""
    watermark = -1
    if ports.checkpoints is not None:
        await ports.checkpoints.claim(partition)
        watermark = _number(await ports.checkpoints.watermark(partition))
    committed = await ports.log.committed(partition)
    look = await ports.store.look(partition)
    await _check_log(ports, partition, look, watermark, committed)
    mover.applied = await _trusted_view(ports, partition, look, watermark, rebuild)
    await _catch_up(ports, partition, mover, committed)
    if ports.sink is not None and look.outbox:
        sink = ports.sink
        await retry(lambda: sink.send([record for _, emitted in look.outbox for record in emitted]))
        await retry(lambda: ports.store.sent(partition, [last for last, _ in look.outbox]))
    return mover.applied


async def _check_log(ports: Ports, partition: int, look: Look, watermark: int, committed: int) -> None:
    end = await ports.log.end(partition)
    applied = _number(look.applied)
    furthest = max(committed - 1, applied, watermark)
    if furthest >= end:
        raise log_lost(partition, f"it ends at {end}, but {furthest} was applied")
    if applied >= 0:
        found = await ports.log.read(partition, applied, 1)
        if found and found[0].offset == applied and crc32(found[0].value) != look.checksum:
            raise log_lost(partition, f"record {applied} is not the one that was applied")


async def _trusted_view(ports: Ports, partition: int, look: Look, watermark: int, rebuild: bool) -> int:
    """W of a view that can be built on: the one that is there, or the checkpoint put in its place."""
    if look.applied is not None and look.applied >= watermark and not rebuild:
        return look.applied
    saved = Saved(None)
    if ports.checkpoints is not None and watermark >= 0:
        saved = await ports.checkpoints.load(partition)
    start = _number(saved.watermark)
    if look.applied is None and start == -1 and not look.rebuilding:
        return -1
    checksum = 0
    if start >= 0:
        found = await ports.log.read(partition, start, 1)
        checksum = crc32(found[0].value) if found and found[0].offset == start else 0
    seqs = {key: Row.unpack(row.packed).seq for key, row in saved.rows.items() if row.packed is not None}
    await ports.store.replace(partition, start, checksum, saved.rows, seqs)
    ports.watcher.state(partition, "restored", f"view replaced by the checkpoint at {start}")
    return start


async def _catch_up(ports: Ports, partition: int, mover: Mover, committed: int) -> None:
    while mover.applied < committed - 1:
        wanted = mover.applied + 1
        records = await ports.log.read(partition, wanted, min(PIECE, committed - wanted))
        if not records or records[0].offset != wanted:
            raise log_lost(partition, f"record {wanted} is needed to rebuild the view and is gone")
        await mover.advance(records, emit=False)


def _number(offset: int | None) -> int:
    """An offset to compare: nothing applied or saved stands before the first."""
    return -1 if offset is None else offset


def log_lost(partition: int, what: str) -> Halt:
    """The halt of a partition whose log no longer has what was in it."""
    return Halt(
        f"The log of partition {partition} lost data: {what}.",
        "Restore the log from a replica or a backup; see docs/operations.md, “the log lost data”.",
    )
