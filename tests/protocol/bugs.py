"""Bugs, planted one at a time where a careless hand might make them. The harness must find every one.

A bug changes a world before it runs (`plant`), or the agents' code while it runs (`patch`); `plan` makes the faults that
bring it to light frequent enough, or a schedule brings them about. Each is named after what guarantees are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from agents import lane as lanes
from agents import recover as recovering
from agents.compute import Computed, Decoded, Versions
from agents.lane import Lane
from agents.ports import Advance, Dirty, Look, Saved, StoredRow
from agents.window import IdWindow
from schemas import topics
from schemas.errors import Doubt, Unavailable
from schemas.interaction import LogRecord
from tests.protocol import schedules
from tests.protocol.parts import SimCheckpoints, SimStore, View, Weather
from tests.protocol.world import Plan, Violation, World

QUIET = Plan(events=0, weather=Weather(fail=0.0, late=0.0, slow=0.2), kill=0, zombie=0, wipe=0, rollback=0, lost_commit=0)
ROUGH = Plan(weather=Weather(fail=0.06, late=0.06))
DEADLY = Plan(kill=0.25, zombie=0.05)
HAUNTED = Plan(zombie=0.3, kill=0.02, weather=Weather(fail=0.03, late=0.08, slow=0.6))
FORGETFUL = Plan(wipe=0.12, rollback=0.1, checkpoint_seconds=0.15)


@dataclass(frozen=True)
class Bug:
    """One bug. `where` names what it replaces: (object, attribute, replacement) with None for the world's own parts."""

    name: str
    patches: tuple[tuple[Any, str, Any], ...] = ()
    plan: Plan = field(default_factory=Plan)
    schedule: Callable[[World], Awaitable[None]] | None = None

    def run(self, seed: int) -> None:
        """One seeded run with the bug in it. Raises Violation when it is found."""
        from tests.protocol.clock import run

        plan = self.plan if self.schedule is None else replace(QUIET, checkpoint_seconds=self.plan.checkpoint_seconds)
        world = World(seed, plan)
        with ExitStack() as stack:
            for owner, name, replacement in self.patches:
                stack.enter_context(patch.object(owner, name, replacement))
            run(lambda: world.run(self.schedule))
        world.judge()


def _no_compare(self: SimStore, expected: int, change: Advance, sent: Sequence[int]) -> bool:
    view = self.view
    self.write(change)
    view.live = [entry for entry in view.live if entry[0] <= expected + 1]
    self.tell(change)
    view.outbox[change.last] = change.emitted
    view.applied, view.checksum = str(change.last), change.checksum
    return True


async def _newest_versions(self: Lane, decoded: Sequence[Decoded]) -> dict[Any, Versions]:
    """What is newest when it is computed, in place of what the record's stamp names."""
    found = await _right_versions(self, decoded)
    books: Any = self.ports.books
    newest = books.populations[max(books.populations)]
    return {stamp: Versions(versions.course, newest) for stamp, versions in found.items()}


_right_versions = Lane._versions
_right_look = SimStore.look
_right_advance_script = SimStore.advance_script
_right_recover = recovering.recover


def _rows_of_any_moment(self: SimStore, applied: int, keys: Sequence[str]) -> Sequence[StoredRow]:
    return [self.view.rows.get(key, StoredRow(None, {})) for key in keys]


async def _streams_outside(self: SimStore, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
    moved = await self.trouble.call(
        "store", lambda: self.advance_script(expected, change._replace(live=()), sent), "advance"
    )
    if moved:
        await self.trouble.call("store", lambda: _quiet_tell(self, change))
    return bool(moved)


def _quiet_tell(store: SimStore, change: Advance) -> None:
    if not store.view.live or (change.live and change.live[0].offset + 1 > store.view.live[-1][0]):
        store.tell(change)


def _no_outbox(self: SimStore, expected: int, change: Advance, sent: Sequence[int]) -> bool:
    return _right_advance_script(self, expected, change._replace(emitted=()), sent)


def _rejects_not_in_outbox(self: SimStore, expected: int, change: Advance, sent: Sequence[int]) -> bool:
    kept = [out for out in change.emitted if out.topic != topics.REJECTS]
    return _right_advance_script(self, expected, change._replace(emitted=kept), sent)


async def _look_twice(self: SimStore, partition: int) -> Look:
    first = await _right_look(self, partition)
    await self.trouble.pause()
    second = await _right_look(self, partition)
    return Look(second.applied, second.checksum, first.outbox, second.rebuilding)


async def _recover_without_outbox(ports: Any, partition: int, mover: Any, *, rebuild: bool) -> int:
    return await _right_recover(replace(ports, sink=None), partition, mover, rebuild=rebuild)


async def _recover_unawaited(ports: Any, partition: int, mover: Any, *, rebuild: bool) -> int:
    class Sink:
        async def send(self, records: Sequence[Any]) -> None:
            _leave_behind(ports.sink.send(records))

    return await _right_recover(replace(ports, sink=Sink()), partition, mover, rebuild=rebuild)


_left: set[asyncio.Task[None]] = set()


def _leave_behind(work: Any) -> None:
    async def quietly() -> None:
        try:
            await work
        except Unavailable:
            return

    task = asyncio.ensure_future(quietly())
    _left.add(task)
    task.add_done_callback(_left.discard)


def _ack_first(self: Lane, done: Computed) -> None:
    _right_finish(self, done)
    self._confirm(done.change.last)


_right_finish = Lane._finish


async def _send_first(self: Lane, records: Sequence[LogRecord], *, emit: bool) -> Computed:
    """Tells the topics what the view may still refuse."""
    right, sink = self.ports.store.advance, self.ports.sink

    async def advance(partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
        if emit and sink is not None:
            await sink.send(change.emitted)
        return await right(partition, expected, change, sent)

    with patch.object(self.ports.store, "advance", advance):
        return await _right_advance(self, records, emit=emit)


_right_advance = Lane.advance


async def _sent_whatever_happened(self: Lane, sink: Any, before: asyncio.Task[None] | None, done: Computed) -> None:
    with suppress(Unavailable):
        await sink.send(done.change.emitted)
    if before is not None:
        await before
    self._told.append(done.change.last)
    self._confirm(done.change.last)


async def _whatever_comes(self: Lane) -> Sequence[LogRecord]:
    """Trusts the transport: no check for what it brought twice or left out."""
    records = [self._records.popleft() for _ in range(min(len(self._records), 5))]
    if records:
        self.applied = records[0].offset - 1
    self._seen = self.applied
    return records


async def _no_catch_up(ports: Any, partition: int, mover: Any, committed: int) -> None:
    """Goes on at the committed offset, whatever the view lacks."""
    if mover.applied < committed - 1 and committed > 0:
        look = await ports.store.look(partition)
        ports.store.view.applied = str(committed - 1) if look.applied is not None else None
        mover.applied = committed - 1


def _always() -> bool:
    return True


async def _overtake(self: SimCheckpoints, partition: int, dirty: Dirty, confirmed: Callable[[], bool]) -> bool:
    await self.trouble.call("kafka", lambda: self.commit(dirty))
    return True


def _dirty_of_any_moment(self: SimStore, applied: int) -> Dirty:
    view = self.view
    return Dirty(applied, {key: view.rows[key] for key in view.dirty if key in view.rows}, dict(view.dirty))


def _unfenced(self: SimCheckpoints, dirty: Dirty) -> None:
    self.topic.saved = Saved(dirty.applied, {**self.topic.saved.rows, **dirty.rows})


async def _own_dirty(self: Lane) -> None:
    """Saves only what this worker changed itself."""
    right = self.ports.store.dirty

    async def dirty(partition: int, applied: int) -> Dirty | None:
        found = await right(partition, applied)
        if found is None:
            return None
        own = {key for key in found.marks if key in self._rows}
        return Dirty(applied, {k: v for k, v in found.rows.items() if k in own}, found.marks)

    with patch.object(self.ports.store, "dirty", dirty):
        await _right_maybe_checkpoint(self)


_right_maybe_checkpoint = Lane._maybe_checkpoint


def _newer_watermark(self: SimCheckpoints, dirty: Dirty) -> None:
    if self.epoch != self.topic.epoch:
        raise Doubt("fenced")
    self.topic.saved = Saved(dirty.applied + 2, {**self.topic.saved.rows, **dirty.rows})


def _no_reset(self: SimStore, token: str, number: int, applied: int, checksum: int) -> bool:
    if not self.expects(token, number):
        return False
    self.view.applied, self.view.checksum = str(applied), checksum
    return True


def _uncounted(self: SimStore, token: str, number: int) -> bool:
    return self.view.stands.startswith("rebuilding")


async def _keep_rows(self: Lane) -> None:
    kept = dict(self._rows._rows)
    await _right_lane_recover(self)
    for key, row in kept.items():
        self._rows.put(key, row)


_right_lane_recover = Lane._recover


def _evicting(self: SimStore, expected: int, change: Advance, sent: Sequence[int]) -> bool:
    if self.view.rows and self.trouble.random.random() < 0.2:
        self.view.rows.pop(self.trouble.random.choice(list(self.view.rows)))
    return _right_advance_script(self, expected, change, sent)


async def _older_checkpoint_wins(ports: Any, partition: int, look: Look, watermark: int, rebuild: bool) -> int:
    """Puts the checkpoint in the view's place as its rows, but leaves `applied` where it was."""
    found = await _right_trusted(ports, partition, look, watermark, rebuild)
    saved = await ports.checkpoints.load(partition)
    if saved.watermark is not None and look.applied == found:
        view: View = ports.store.view
        if view.applied == str(found):
            view.rows = {**view.rows, **saved.rows}
    return found


_right_trusted = recovering._trusted_view


def _finds_nothing(self: IdWindow, name: bytes) -> None:
    return None


BUGS = (
    Bug("no compare-and-set", ((SimStore, "advance_script", _no_compare),), HAUNTED),
    Bug("version taken when computed", ((Lane, "_versions", _newest_versions),), replace(DEADLY, publish=0.3)),
    Bug(
        "rows read without checking applied",
        ((SimStore, "rows_script", _rows_of_any_moment),),
        schedule=schedules.stale_rows,
    ),
    Bug("streams written outside the script", ((SimStore, "advance", _streams_outside),), schedule=schedules.torn_streams),
    Bug("no outbox", ((SimStore, "advance_script", _no_outbox),), DEADLY),
    Bug("rejects not in the outbox", ((SimStore, "advance_script", _rejects_not_in_outbox),), replace(DEADLY, poison=0.15)),
    Bug(
        "outbox and applied read in two calls",
        ((SimStore, "look", _look_twice),),
        schedule=schedules.moved_between_two_looks,
    ),
    Bug("outbox not sent on recovery", ((lanes, "recover", _recover_without_outbox),), DEADLY),
    Bug(
        "outbox sent but not awaited on recovery",
        ((lanes, "recover", _recover_unawaited),),
        replace(DEADLY, weather=Weather(fail=0.15)),
    ),
    Bug("acknowledged before the sends", ((Lane, "_finish", _ack_first),), replace(FORGETFUL, kill=0.2)),
    Bug(
        "sends before the script across a release",
        ((Lane, "advance", _send_first),),
        schedule=schedules.released_after_a_death,
    ),
    Bug("acknowledged on an exception", ((Lane, "_send", _sent_whatever_happened),), ROUGH),
    Bug("batches taken as they come", ((Lane, "_next_records", _whatever_comes),), DEADLY),
    Bug("no replay between view and committed offset", ((recovering, "_catch_up", _no_catch_up),), FORGETFUL),
    Bug("checkpoint that overtakes the sends", ((SimCheckpoints, "save", _overtake),), FORGETFUL),
    Bug(
        "checkpoint of a view it has not checked",
        ((SimStore, "dirty_script", _dirty_of_any_moment),),
        schedule=schedules.checkpoint_of_what_was_forgotten,
    ),
    Bug(
        "checkpoint that is not fenced",
        ((SimCheckpoints, "commit", _unfenced),),
        Plan(checkpoint_seconds=0.1),
        schedules.late_checkpoint,
    ),
    Bug(
        "dirty rows tracked by the worker",
        ((Lane, "_maybe_checkpoint", _own_dirty),),
        schedule=schedules.dirt_of_a_predecessor,
    ),
    Bug("watermark newer than its rows", ((SimCheckpoints, "commit", _newer_watermark),), FORGETFUL),
    Bug(
        "no reset entry after a rebuild",
        ((SimStore, "finish_script", _no_reset),),
        schedule=schedules.rebuilt_behind_a_gateway,
    ),
    Bug("uncounted pieces of a rebuild", ((SimStore, "expects", _uncounted),), schedule=schedules.two_rebuild),
    Bug("cached rows kept over a recovery", ((Lane, "_recover", _keep_rows),), ROUGH),
    Bug(
        "restore that mixes checkpoint and view",
        ((recovering, "_trusted_view", _older_checkpoint_wins),),
        replace(DEADLY, checkpoint_seconds=0.1),
    ),
    Bug("rows evicted", ((SimStore, "advance_script", _evicting),), DEADLY),
    Bug("a duplicate counted as new", ((IdWindow, "find", _finds_nothing),)),
)


def find(bug: Bug, most: int, start: int = 0) -> tuple[int, str] | None:
    """The first seed that brings a bug to light, and how; None after `most` runs."""
    for seed in range(start, start + most):
        try:
            bug.run(seed)
        except Violation as violation:
            return seed, str(violation)
    return None
