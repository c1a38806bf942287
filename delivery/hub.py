"""Fan-out: one reader of the live streams for the whole gateway, one bounded queue a connection.

Comes in: live entries of all partitions. Goes out: decisions to the subscribers of their row, and to whoever waits for the
decision at an offset. A reset entry, or a view that stands behind what was seen, means that the partition was rebuilt:
then every subscriber's tail on it is read again, once the view has come as far as it was; also where the reader was away so
long that entries were dropped.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable

from delivery.ports import LiveView, Tail
from runtime import metrics
from runtime.logging import logger
from runtime.tasks import cancel_all, retry
from schemas.decision import LiveEntry
from schemas.errors import Unavailable
from schemas.ids import RowId, partition_of

RECENT = 4_096
MAX_QUEUED_BYTES = 256 * 1024
CHECK_SECONDS = 1.0
AWAY_SECONDS = 5.0
"""Who has not read for that long (the store was away, the process stood still) may find that entries were dropped."""

log = logger(__name__)
Decided = tuple[str, int, bytes]
"""Row key, seq, body."""

GONE = b""
"""In place of a body: decisions up to this one were made, but the rebuilt view no longer has them."""


class Subscription:
    """One connection's queue. `None` in it says: cut off, come back with your cursor."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Decided | None] = asyncio.Queue()
        self._bytes = 0
        self.evicted = False

    def push(self, row: str, seq: int, body: bytes) -> None:
        """Hand over a decision; a reader who lets 256 KiB pile up is cut off."""
        if self.evicted:
            return
        self._bytes += len(body)
        if self._bytes > MAX_QUEUED_BYTES:
            self.evict()
            return
        self.queue.put_nowait((row, seq, body))

    def evict(self) -> None:
        """Cut off a reader who does not read; counted once."""
        if not self.evicted:
            metrics.STREAMS_EVICTED.inc()
            self.close()

    def close(self) -> None:
        """End the connection after what is queued."""
        self.evicted = True
        self.queue.put_nowait(None)

    async def next(self) -> Decided | None:
        """The next decision, or None at the end."""
        item = await self.queue.get()
        if item is not None:
            self._bytes -= len(item[2])
        return item


class Hub:
    """Reads the live streams and tells everybody. Owns its tasks: `start` and `stop`."""

    def __init__(self, view: LiveView, partitions: int) -> None:
        self._view = view
        self._partitions = partitions
        self._after: dict[int, int] = {}
        self._subscribers: dict[str, set[Subscription]] = defaultdict(set)
        self._waiting: dict[tuple[int, int], asyncio.Future[LiveEntry]] = {}
        self._recent: OrderedDict[tuple[int, int], LiveEntry] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self.live = asyncio.Event()

    async def start(self) -> None:
        """Begin with what is newest now."""
        self._after = await retry(self._view.newest)
        self._tasks = [asyncio.create_task(self._tail()), asyncio.create_task(self._watch_for_resets())]
        self.live.set()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """What runs for ever; if one of these ends, its owner must."""
        return self._tasks

    async def stop(self) -> None:
        """Stop reading and end every subscription, and those that come later at once."""
        self._stopped = True
        await cancel_all(self._tasks)
        for subscribers in self._subscribers.values():
            for subscription in subscribers:
                subscription.close()

    def subscribe(self, rows: list[str], subscription: Subscription) -> Callable[[], None]:
        """Tell `subscription` of the decisions of `rows` from now on. Returns how to stop that."""
        for row in rows:
            self._subscribers[row].add(subscription)
        metrics.STREAMS_OPEN.inc()
        if self._stopped:
            subscription.close()

        def leave() -> None:
            metrics.STREAMS_OPEN.dec()
            for row in rows:
                self._subscribers[row].discard(subscription)
                if not self._subscribers[row]:
                    del self._subscribers[row]

        return leave

    async def decided_at(self, partition: int, offset: int, seconds: float) -> LiveEntry | None:
        """The live entry of an offset, waited for at most `seconds`; None at the deadline."""
        place = (partition, offset)
        if place in self._recent:
            return self._recent[place]
        future = self._waiting.setdefault(place, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(future), seconds)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(place, None)

    async def _tail(self) -> None:
        loop = asyncio.get_running_loop()
        read_at = loop.time()
        while True:
            try:
                if loop.time() - read_at > AWAY_SECONDS:
                    await self._mind_dropped()
                entries = await self._view.read(self._after, 1.0)
                read_at = loop.time()
            except Unavailable as fault:
                log.warning("live streams unavailable", reason=str(fault))
                await asyncio.sleep(0.2)
                continue
            for entry in entries:
                self._after[entry.partition] = entry.offset + 1
                if entry.reset:
                    await self._read_tails_again(entry.partition)
                else:
                    self._tell(entry)
            await asyncio.sleep(0)  # who was told goes first, then the next read

    async def _mind_dropped(self) -> None:
        """Where entries after those that were read may be held no more, read every subscriber's tail again."""
        for partition, oldest in (await self._view.oldest()).items():
            if oldest > self._after.get(partition, 0) > 0:
                log.warning(
                    "live entries were dropped unread", partition=partition, seen=self._after[partition], oldest=oldest
                )
                self._after[partition] = oldest - 1
                await self._read_tails_again(partition)

    def _tell(self, entry: LiveEntry) -> None:
        place = (entry.partition, entry.offset)
        self._recent[place] = entry
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        waiting = self._waiting.pop(place, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(entry)
        if entry.body is not None:
            for subscription in self._subscribers.get(entry.row, ()):
                subscription.push(entry.row, entry.seq, entry.body)

    async def _watch_for_resets(self) -> None:
        """A live stream that begins anew has smaller numbers than a reader waits for: notice it by `applied`."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            seen = dict(self._after)
            try:
                applied = await self._view.applied()
            except Unavailable:
                continue
            for partition in range(self._partitions):
                stands = applied.get(partition, -1)
                if seen.get(partition, 0) > stands + 1:
                    log.warning("view was rebuilt", partition=partition, seen=seen[partition] - 1, stands=stands)
                    self._after[partition] = 0
                    await self._read_tails_again(partition)

    async def _read_tails_again(self, partition: int) -> None:
        for row in list(self._subscribers):
            owner = RowId.parse(row)
            if partition_of(owner.tenant, owner.learner, self._partitions) != partition:
                continue
            tail = await self._tail_of(partition, row)
            told = [*tail.bodies]
            if tail.newest > (told[-1][0] if told else 0):
                told.append((tail.newest, GONE))
            for seq, body in told:
                for subscription in self._subscribers.get(row, ()):
                    subscription.push(row, seq, body)

    async def _tail_of(self, partition: int, row: str) -> Tail:
        return await retry(lambda: self._view.tail(partition, row, 0))
