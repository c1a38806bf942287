"""One partition with everything around it, and all that can go wrong; the agents' own code runs in the middle.

`World.run` lets events flow while workers are killed, frozen out and replaced and the store loses its memory; then the
weather clears, nobody is restarted any more, and what is there is compared with a pure in-order run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

from agents import step as stepping
from agents.compute import CachedRow, RowCache, Versions, compute, decode, stamp_of
from agents.lane import Lane
from agents.ports import Batch
from agents.window import IdWindow
from agents.wiring import Ports
from delivery.hub import Hub, Subscription
from delivery.session import Session
from delivery.sse import _frames
from models.population import Population
from models.row import Row
from runtime.tasks import cancel_all
from schemas import topics
from schemas.codec import decode_decision, decode_learning, encode_msgpack
from schemas.errors import Rejection
from schemas.interaction import Outgoing
from tests.factories import HEADERS, course, interaction, outgoing
from tests.fakes import Notes
from tests.protocol.parts import (
    SimBooks,
    SimCheckpoints,
    SimLive,
    SimLog,
    SimSink,
    SimStore,
    SimTopic,
    Trouble,
    View,
    Weather,
)

LEARNERS = tuple(f"l{n}" for n in range(5))
COURSE = course()
ROWS = tuple(interaction(1, learner=name).key for name in LEARNERS)


@dataclass(frozen=True)
class Plan:
    """How much happens, and how often what."""

    events: int = 40
    weather: Weather = field(default_factory=Weather)
    checkpoint_seconds: float = 0.4
    kill: float = 0.08
    zombie: float = 0.05
    wipe: float = 0.03
    rollback: float = 0.03
    lost_commit: float = 0.2
    publish: float = 0.08
    duplicate: float = 0.12
    reuse: float = 0.02
    poison: float = 0.03
    pause: tuple[float, ...] = (0.0, 0.0, 0.01, 0.05, 0.3)


class Violation(AssertionError):
    """Something that is promised did not hold."""


class Worker:
    """One worker's lane on the partition, with its own connections."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.checkpoints = SimCheckpoints(world.topic, world.trouble, lambda: world.owner is self)
        self.ports = Ports(world.log, world.store, world.books, world.sink, self.checkpoints, Notes(), 1,
                           world.plan.checkpoint_seconds)  # fmt: skip
        self.lane = Lane(0, self.ports)
        self.tasks = [asyncio.create_task(self.lane.run()), asyncio.create_task(self.feed())]

    async def feed(self) -> None:
        """The group's consumer: from the committed offset, batch after batch."""
        position = self.world.log.commit
        while True:
            await asyncio.sleep(self.world.random.choice((0.001, 0.01, 0.1)))
            records = self.world.log.records[position : position + self.world.random.randint(1, 6)]
            if records and self.lane.backlog < 50:
                position = records[-1].offset + 1
                self.lane.offer(Batch(records, partial(self.ack, records[-1].offset)))

    def ack(self, last: int) -> None:
        """A commit: the group takes it from the owner only, and it may get lost."""
        world = self.world
        if world.owner is self and (world.calm or world.random.random() >= world.plan.lost_commit):
            world.log.commit = max(world.log.commit, last + 1)

    def check(self) -> None:
        """A lane may only end because it was told to."""
        task = self.tasks[0]
        if task.done() and not task.cancelled():
            if task.exception() is not None:
                raise Violation(f"the lane died: {task.exception()!r}") from task.exception()
            raise Violation(f"the lane ended: {self.lane.halted}")

    async def kill(self) -> None:
        """kill -9."""
        await cancel_all(self.tasks)


class World:
    """A seeded run. Bugs are planted by changing what hangs here, or the agents' code."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.random = Random(seed)
        self.plan = plan
        self.trouble = Trouble(self.random, replace(plan.weather))
        self.log = SimLog(self.trouble)
        self.store = SimStore(self.trouble)
        self.sink = SimSink(self.trouble)
        self.topic = SimTopic()
        self.books = SimBooks(COURSE)
        self.newest: tuple[int, str] = (0, "")
        self.owner: Worker | None = None
        self.zombies: list[Worker] = []
        self.snapshots: list[View] = []
        self.calm = False
        self.engines = [(0, stepping.ENGINE)]
        self.told: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        self.gaps: dict[str, list[tuple[int, int]]] = defaultdict(list)

    async def run(self, schedule: Callable[[World], Awaitable[None]] | None = None) -> None:
        """Everything until it has settled. `schedule` takes the place of chance. Raises Violation."""
        hub = Hub(SimLive(self.store), 1)
        await hub.start()
        reading = [asyncio.create_task(self._subscriber(row, hub)) for row in ROWS]
        try:
            async with asyncio.timeout(4_000):
                self.owner = Worker(self)
                if schedule is not None:
                    await schedule(self)
                while len(self.log.records) < self.plan.events:
                    await self._step()
                await self._clear_up(reading)
        except TimeoutError:
            raise Violation("the run hangs") from None
        finally:
            for worker in (*self.zombies, *([self.owner] if self.owner else [])):
                await worker.kill()
            await cancel_all(reading)
            await hub.stop()
            stepping.ENGINE = self.engines[0][1]

    # -- what happens -------------------------------------------------------------------------------------------------

    async def _step(self) -> None:
        random, plan = self.random, self.plan
        self._append()
        if random.random() < plan.publish:
            self._publish()
        if random.random() < plan.kill:
            await self._replace_owner(zombie=False)
        elif random.random() < plan.zombie:
            await self._replace_owner(zombie=True)
        if random.random() < plan.wipe:
            self.store.view = View()
        elif random.random() < plan.rollback and self.snapshots:
            self.store.view = random.choice(self.snapshots[-5:]).copy()
        if random.random() < 0.3:
            self.snapshots.append(self.store.view.copy())
        if self.zombies and random.random() < 0.2:
            await self.zombies.pop(0).kill()
        await asyncio.sleep(random.choice(plan.pause))
        if self.owner is not None:
            self.owner.check()

    def _append(self) -> None:
        random, plan, number = self.random, self.plan, len(self.log.records)
        fate = random.random()
        if number and fate < plan.duplicate:
            old = self.log.records[random.randrange(number)]
            self.log.append(Outgoing(topics.INTERACTIONS, 0, old.key, old.value, old.headers))
        elif fate < plan.duplicate + plan.poison and number > 5:
            self.log.append(Outgoing(topics.INTERACTIONS, 0, b"x", b"{", HEADERS))
        else:
            name = number - 1 if fate > 1 - plan.reuse else number
            said = interaction(name, learner=random.choice(LEARNERS), correct=random.random() < 0.6, population=self.newest)
            self.log.append(outgoing(said))

    def _publish(self) -> None:
        number = self.newest[0] + 1
        stamp = (number, f"h{number}")
        empty = Population.empty()
        made = replace(empty, stamp=stamp, weights=(0.1 * number, *empty.weights[1:]))
        asyncio.get_running_loop().call_later(
            self.random.choice((0.0, 0.1)), self.books.populations.__setitem__, stamp, made
        )
        self.newest = stamp

    def append(self, *learners: str) -> None:
        """Answers of these learners, one each."""
        for learner in learners:
            number = len(self.log.records)
            self.log.append(outgoing(interaction(number, learner=learner, correct=number % 3 > 0, population=self.newest)))

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait for something to come about, in virtual time."""
        async with asyncio.timeout(300):
            while not holds():
                await asyncio.sleep(0.01)

    async def applied(self, last: int) -> None:
        """Wait until the view stands at `last` and all of it is acknowledged."""
        await self.until(lambda: self.store.view.applied == str(last) and self.log.commit == last + 1)

    async def replace_owner(self, *, zombie: bool) -> Worker:
        """The partition moves to a new worker; the old one is killed, or does not know."""
        await self._replace_owner(zombie=zombie)
        assert self.owner is not None
        return self.owner

    def release(self) -> None:
        """Another release: what is not in the view yet is computed by a function that gives other bytes."""
        stepping.ENGINE += 1
        self.engines.append((int(self.store.view.applied or -1) + 1, stepping.ENGINE))

    async def _replace_owner(self, *, zombie: bool) -> None:
        old, self.owner = self.owner, None
        if old is not None and zombie:
            self.zombies.append(old)
        elif old is not None:
            await old.kill()
        await asyncio.sleep(self.random.choice((0.0, 0.01, 0.5)))
        self.owner = Worker(self)

    async def _clear_up(self, reading: list[asyncio.Task[None]]) -> None:
        """No more faults and no restart: everything must come right by itself."""
        self.trouble.weather.fail = self.trouble.weather.late = 0.0
        self.calm = True
        for zombie in self.zombies:
            await zombie.kill()
        self.zombies.clear()
        for _ in range(2_000):
            await asyncio.sleep(0.1)
            assert self.owner is not None
            self.owner.check()
            for reader in reading:
                if reader.done():
                    raise Violation(f"a subscriber was cut off: {reader.exception()!r}")
            end = len(self.log.records)
            view = self.store.view
            if view.applied == str(end - 1) and self.log.commit == end and not view.outbox and self._all_told():
                return
        view = self.store.view
        raise Violation(f"never settled: applied {view.applied}, commit {self.log.commit} of {len(self.log.records)}, "
                        f"outbox {len(view.outbox)}, told {self._all_told()}")  # fmt: skip

    def _all_told(self) -> bool:
        """Whether every subscriber heard of its row's last decision, or was told that it missed it."""
        for row, stored in self.store.view.rows.items():
            last = Row.unpack(stored.packed).seq if stored.packed is not None else 0
            heard = max([seq for seq, _ in self.told[row]] + [end for _, end in self.gaps[row]], default=0)
            if heard < last:
                return False
        return True

    async def _subscriber(self, row: str, hub: Hub) -> None:
        subscription, live = Subscription(), SimLive(self.store)
        hub.subscribe([row], subscription)
        session = Session({row: 0})
        async for frame in _frames(session, [], subscription, live, 1, lambda body: None):
            if frame.event == "gap":
                _, first, last = str(frame.data).rsplit(" ", 2)
                self.gaps[row].append((int(first), int(last)))
            elif frame.data is not None:
                body = str(frame.data).encode()
                self.told[row].append((decode_decision(body).seq or 0, body))

    # -- the verdict --------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Compare what is there with a pure run. Raises Violation. To be called when no bug is planted any more."""
        pure = pure_run(self)
        rows = {key: stored.packed for key, stored in self.store.view.rows.items() if stored.packed is not None}
        if rows != pure["rows"]:
            raise Violation("rows are not those of a pure run")
        sent = said_by(self.sink.records)
        if sent != pure["emitted"]:
            raise Violation(f"topics: {len(pure['emitted'] - sent)} missing, {len(sent - pure['emitted'])} phantom")
        bodies: dict[tuple[str, int], bytes] = pure["decisions"]
        for row, tail in self.store.view.tails.items():
            if any(body is not None and bodies.get((row, seq)) != body for seq, body in tail):
                raise Violation("a learner's stream tells another story")
        for row, told in self.told.items():
            seqs = [seq for seq, _ in told]
            if seqs != sorted(set(seqs)):
                raise Violation("a subscriber was told twice, or out of order")
            if any(bodies.get((row, seq)) != body for seq, body in told):
                raise Violation("a subscriber was told another story")
            silent = set(range(1, max(seqs, default=0) + 1)) - set(seqs)
            if silent - {n for first, last in self.gaps[row] for n in range(first, last + 1)}:
                raise Violation("a subscriber has a gap that nobody announced")


def said_by(records: Iterable[Outgoing]) -> set[tuple[str, bytes, bytes]]:
    """Topic, key and value of what was emitted, lessons one by one: how many share a record is nobody's concern."""
    return {
        (record.topic, record.key, value)
        for record in records
        for value in (
            map(encode_msgpack, decode_learning(record.value)) if record.topic == topics.LEARNING else [record.value]
        )
    }


def pure_run(world: World) -> dict[str, Any]:
    """Rows, decisions and everything emitted, computed in order, each record by the release that was to compute it."""
    decoded = decode(world.log.records, 0, 1)
    rows, versions = RowCache(1 << 30), {}
    for said in (each.said for each in decoded):
        if not isinstance(said, Rejection):
            if said.key not in rows:
                rows.put(said.key, CachedRow(None, IdWindow(0, {})))
            stamp = stamp_of(said)
            versions[stamp] = Versions(COURSE, world.books.populations[stamp[3]])
    found: dict[str, Any] = {"rows": {}, "emitted": set(), "decisions": {}}
    ends = [start for start, _ in world.engines[1:]] + [len(decoded)]
    for (start, engine), end in zip(world.engines, ends, strict=True):
        if start == end:
            continue
        with patch.object(stepping, "ENGINE", engine):
            change = compute(0, 1, decoded[start:end], rows, versions).change
        found["rows"] |= {write.key: write.packed for write in change.rows}
        found["emitted"] |= said_by(change.emitted)
        found["decisions"] |= {(e.row, e.seq): e.body for e in change.live if e.body is not None}
    return found
