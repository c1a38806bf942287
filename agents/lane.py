"""One partition's way through: recover, then batch after batch, until it is taken away. No timers on the way.

Life cycle:   made -> recovering <-> working -> stopped      (halted: nothing more is taken; offsets stay held)

    1. take what arrived while the last batch was in flight; drop offsets <= W; the next must be W + 1, else read the
       log for what lies between
    2. read missing rows (only if the view still stands at W), compute, move the view by one compare-and-set
    3. only then send what was emitted, in the background; when sent, acknowledge, in order; the next batch's script takes
       it out of the outbox
Any refusal or unknown outcome is Doubt: drop every cached row and recover. `W` is the last offset in the view.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from agents.compute import CachedRow, Computed, Decoded, RowCache, Versions, compute, decode, stamp_of
from agents.poison import PoisonWatch
from agents.ports import Batch, Checkpoints, DecisionSink, Dirty
from agents.recover import log_lost, recover
from agents.wiring import Ports
from models.row import CorruptRow, Row
from runtime.tasks import cancel_all, retry
from schemas import topics
from schemas.errors import Doubt, Halt, Rejection, RowAhead, SegueError, Unavailable
from schemas.interaction import LogRecord

MAX_BATCH = 128
MAX_SENDS = 16
IDLE_SECONDS = 1.0
LONGEST_STOP_SECONDS = 8.0


class _Waiting(NamedTuple):
    last: int
    ack: Callable[[], None]


class Lane:
    """Drives one partition. `offer` may be called at any time from the loop that runs it."""

    def __init__(self, partition: int, ports: Ports) -> None:
        self.partition = partition
        self.ports = ports
        self.applied = -1
        self.halted: Halt | None = None
        self._records: deque[LogRecord] = deque()
        self._unacked: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._rows = RowCache()
        self._sends: deque[asyncio.Task[None]] = deque()
        self._confirmed = -1
        self._told: list[int] = []
        self._seen = -1
        self._checkpoint: asyncio.Task[None] | None = None
        self._checkpoint_due = 0.0
        self._poison = PoisonWatch(partition)
        self._stopping = False
        self._rebuild = False

    # -- the world's side ---------------------------------------------------------------------------------------------

    def offer(self, batch: Batch) -> None:
        """Take a batch; its `ack` is called once all of it is applied and sent."""
        self._records.extend(batch.records)
        self._seen = max(self._seen, batch.records[-1].offset)
        self._unacked.append(_Waiting(batch.records[-1].offset, batch.ack))
        self._arrived.set()

    @property
    def backlog(self) -> int:
        """Records that wait here; the transport stops fetching for a lane that has plenty."""
        return len(self._records)

    async def run(self) -> None:
        """Work until `stop`, or until the lane halts. Cancelling drops what is in flight, which recovery makes good."""
        try:
            while not self._stopping:
                await self._live_once()
        except Halt as halt:
            self.halted = halt
            if halt.__cause__ is not None:
                traceback.print_exception(halt.__cause__)
            self.ports.watcher.state(self.partition, "halted", str(halt))
        finally:
            await self._drop_tasks()
            if self.halted is None:
                self.ports.watcher.state(self.partition, "left")

    async def stop(self) -> None:
        """Finish the batch in hand, its sends and a last checkpoint; `run` then returns."""
        self._stopping = True
        self._arrived.set()

    # -- recover and work ---------------------------------------------------------------------------------------------

    async def _live_once(self) -> None:
        try:
            await self._recover()
            await self._work()
        except (Doubt, CorruptRow) as doubt:
            self._rebuild = isinstance(doubt, CorruptRow | RowAhead)
            self.ports.watcher.state(self.partition, "doubt", str(doubt))
            await asyncio.sleep(0.05)
        except Unavailable as fault:
            self.ports.watcher.state(self.partition, "waiting", str(fault))
            await asyncio.sleep(0.2)

    async def _recover(self) -> None:
        self.ports.watcher.state(self.partition, "recovering")
        await self._drop_tasks()
        self._rows.clear()
        self._told.clear()
        self._confirmed = await recover(self.ports, self.partition, self, rebuild=self._rebuild)
        self._rebuild = False
        self._acknowledge()
        share = (self.partition + 1) / self.ports.partitions  # lanes take turns: all at once hold up the broker
        self._checkpoint_due = asyncio.get_running_loop().time() + self.ports.checkpoint_seconds * share
        self.ports.watcher.stands(self.partition, self.applied)
        self.ports.watcher.state(self.partition, "working")

    async def _work(self) -> None:
        while not self._stopping:
            await self._wait_for_records()
            records = await self._next_records()
            if records:
                done = await self.advance(records, emit=True)
                self._finish(done)
            self._raise_failed_tasks()
            await self._maybe_checkpoint()
        await self._settle()

    async def _wait_for_records(self) -> None:
        if self._records or self._stopping or self.applied < self._seen:
            return
        self._arrived.clear()
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._arrived.wait()
        except TimeoutError:
            await self._check_idle()
            self._seen = max(self._seen, await self.ports.log.end(self.partition) - 1)

    async def _check_idle(self) -> None:
        """A store that lost its last seconds may stand elsewhere, or hold again what was sent and taken out."""
        self._raise_failed_tasks()
        await self._forget_told()
        look = await self.ports.store.look(self.partition)
        if (-1 if look.applied is None else look.applied) != self.applied or look.rebuilding:
            raise Doubt("the view moved while the lane was idle")
        if look.outbox and not self._sends and not self._told:
            raise Doubt("the outbox holds what nobody sends")

    async def _next_records(self) -> Sequence[LogRecord]:
        """The next run of records, W + 1 and on without holes; what the transport did not bring is read from the log.

        What was handed over twice (a rebalance rewinds to the committed offset) is dropped here.
        """
        while self._records and self._records[0].offset <= self.applied:
            self._records.popleft()
        self._acknowledge()
        wanted = self.applied + 1
        missing = (self._records[0].offset if self._records else self._seen + 1) - wanted
        if missing > 0:
            found = await self.ports.log.read(self.partition, wanted, min(missing, MAX_BATCH))
            if not found or found[0].offset != wanted:
                raise log_lost(self.partition, f"record {wanted} is needed next and is gone")
            return found
        return list(takewhile_contiguous(self._records, wanted, MAX_BATCH))

    async def advance(self, records: Sequence[LogRecord], *, emit: bool) -> Computed:
        """Compute `records` and move the view by one compare-and-set. `emit` False: they were told to everyone before."""
        if (records[0].offset, records[-1].offset) != (self.applied + 1, self.applied + len(records)):
            raise Doubt(f"expected {len(records)} offsets from {self.applied + 1}, got {records[0].offset} and on")
        decoded = decode(records, self.partition, self.ports.partitions)
        await self._read_rows(decoded)
        versions = await self._versions(decoded)
        done = self._compute(decoded, versions)
        if not emit:
            done.change = done.change._replace(emitted=())
        told, self._told = self._told, []
        if not await self.ports.store.advance(self.partition, self.applied, done.change, told):
            raise Doubt("the view refused a write")
        self.applied = done.change.last
        self._rows.shrink()
        newest = next((d.said.stamp.logged_ms for d in reversed(decoded) if not isinstance(d.said, Rejection)), None)
        self.ports.watcher.moved(self.partition, done, newest)
        return done

    def _compute(
        self, decoded: Sequence[Decoded], versions: dict[tuple[str, str, str, tuple[int, str]], Versions]
    ) -> Computed:
        try:
            return compute(self.partition, self.ports.partitions, decoded, self._rows, versions)
        except SegueError:
            raise
        except Exception as bug:
            first, last = decoded[0].record.offset, decoded[-1].record.offset
            raise Halt(
                f"Partition {self.partition}: a bug stopped the step between offsets {first} and {last}: {bug!r}.",
                "Other partitions go on. Report it with the trace above; a release that mends it goes on from here.",
            ) from bug

    async def _read_rows(self, decoded: Sequence[Decoded]) -> None:
        keys = {d.row: None for d in decoded if d.row}
        unread = [key for key in keys if key not in self._rows]
        if not unread:
            return
        stored = await self.ports.store.rows(self.partition, self.applied, unread)
        if stored is None:
            raise Doubt("the view moved before rows were read")
        for key, row in zip(unread, stored, strict=True):
            self._rows.put(key, CachedRow.of(row))

    async def _versions(self, decoded: Sequence[Decoded]) -> dict[tuple[str, str, str, tuple[int, str]], Versions]:
        books, found = self.ports.books, {}
        for stamp in {stamp_of(d.said) for d in decoded if not isinstance(d.said, Rejection)}:
            tenant, name, version, population_stamp = stamp
            while True:
                course = books.course(tenant, name, version)
                population = books.population(tenant, name, population_stamp)
                if course is not None and population is not None:
                    break
                await books.wait(tenant, name, version, population_stamp)
            found[stamp] = Versions(course, population)
        return found

    # -- after the view -----------------------------------------------------------------------------------------------

    def _finish(self, done: Computed) -> None:
        """The view has it: send what was emitted in the background, then acknowledge."""
        self._poison.see(done.fates)
        if self.ports.sink is None or not done.change.emitted:
            before = self._sends[-1] if self._sends else None
            if before is None:
                self._confirm(done.change.last)
            else:
                self._sends.append(asyncio.create_task(self._confirm_after(before, done.change.last)))
            return
        before = self._sends[-1] if self._sends else None
        self._sends.append(asyncio.create_task(self._send(self.ports.sink, before, done)))

    async def _send(self, sink: DecisionSink, before: asyncio.Task[None] | None, done: Computed) -> None:
        records = done.change.emitted
        if before is not None and any(record.topic == topics.EVIDENCE for record in records):
            await before  # a chain stands in its topic in the order of its numbers
        await retry(lambda: sink.send(records))
        if before is not None:
            await before
        self._told.append(done.change.last)
        self._confirm(done.change.last)

    async def _confirm_after(self, before: asyncio.Task[None], last: int) -> None:
        await before
        self._confirm(last)

    async def _forget_told(self) -> None:
        """Take what was sent out of the outbox where no batch does it. A batch that stays is only sent once more."""
        told, self._told = self._told, []
        if told:
            await self.ports.store.sent(self.partition, told)

    def _confirm(self, last: int) -> None:
        self._confirmed = last
        self._acknowledge()

    def _acknowledge(self) -> None:
        while self._unacked and self._unacked[0].last <= self._confirmed:
            self._unacked.popleft().ack()

    def _raise_failed_tasks(self) -> None:
        """Sends and checkpoints retry faults themselves, so what ends one of them is doubt, or a bug that must be seen."""
        while self._sends and self._sends[0].done():
            self._sends.popleft().result()
        if self._checkpoint is not None and self._checkpoint.done():
            task, self._checkpoint = self._checkpoint, None
            task.result()

    async def _settle(self) -> None:
        """Everything sent and acknowledged, and a last checkpoint."""
        for task in list(self._sends):
            await task
        await self._forget_told()
        if self._checkpoint is not None:
            await self._checkpoint
            self._checkpoint = None
        self._checkpoint_due = 0.0
        await self._maybe_checkpoint()
        if self._checkpoint is not None:
            await self._checkpoint

    async def _drop_tasks(self) -> None:
        tasks = [*self._sends, *([self._checkpoint] if self._checkpoint else [])]
        self._sends.clear()
        self._checkpoint = None
        await cancel_all(tasks)

    # -- checkpoint ---------------------------------------------------------------------------------------------------

    async def _maybe_checkpoint(self) -> None:
        """Start a checkpoint when one is due. Its reading stands between two batches; its writing does not hold us up."""
        checkpoints = self.ports.checkpoints
        if len(self._sends) >= MAX_SENDS:
            await self._sends[0]
        loop = asyncio.get_running_loop()
        if checkpoints is None or self._checkpoint is not None or loop.time() < self._checkpoint_due:
            return
        self._checkpoint_due = loop.time() + self.ports.checkpoint_seconds
        dirty = await self.ports.store.dirty(self.partition, self.applied)
        if dirty is None:
            raise Doubt("the view moved before a checkpoint")
        if dirty.rows:
            self._checkpoint = asyncio.create_task(self._save(checkpoints, dirty))

    async def _save(self, checkpoints: Checkpoints, dirty: Dirty) -> None:
        for stored in dirty.rows.values():
            if stored.packed is not None:
                Row.unpack(stored.packed)
        if await checkpoints.save(self.partition, dirty, lambda: self._confirmed >= dirty.applied):
            await self.ports.store.clean(self.partition, dirty.marks)


async def stop_lanes(lanes: Sequence[Lane], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Let lanes finish what they have in hand; after LONGEST_STOP_SECONDS (a part is down) drop it: recovery mends that."""
    for lane in lanes:
        await lane.stop()
    if tasks:
        await asyncio.wait(tasks, timeout=LONGEST_STOP_SECONDS)
    await cancel_all(tasks)


def takewhile_contiguous(records: Iterable[LogRecord], wanted: int, most: int) -> Iterator[LogRecord]:
    """The first records whose offsets are `wanted`, `wanted` + 1 and so on, at most `most` of them."""
    for place, record in enumerate(records):
        if place == most or record.offset != wanted + place:
            return
        yield record
