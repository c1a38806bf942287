"""Simulated ports: every call may be slow, fail before or after it acted, or act after its caller gave up.

They follow the scripts and the Kafka adapters step by step: what is one script there is one moment here, what is several
is several. The seed decides everything.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from agents.ports import Advance, Dirty, Look, Saved, StoredRow
from delivery.ports import Tail
from models.population import Population
from schemas.course import Course
from schemas.decision import LiveEntry
from schemas.errors import Doubt, Unavailable
from schemas.interaction import NO_POPULATION, LogRecord, Outgoing

TAIL_KEPT = 16


@dataclass
class Weather:
    """How bad things are. Shares of calls."""

    fail: float = 0.03
    late: float = 0.03
    slow: float = 0.3


class Gate:
    """Holds the next call of one kind, before or after it acted, until it is opened."""

    def __init__(self, *, after: bool = False) -> None:
        self.after = after
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def wait(self) -> None:
        """Stand here."""
        self.reached.set()
        await self.opened.wait()


class Trouble:
    """Makes calls slow, lost or late."""

    def __init__(self, random: Random, weather: Weather) -> None:
        self.random = random
        self.weather = weather
        self.gates: dict[str, Gate] = {}

    async def pause(self) -> None:
        """Let others go first, for nothing or for a while."""
        if self.random.random() < self.weather.slow:
            await asyncio.sleep(self.random.choice((0.001, 0.01, 0.05, 0.3)))
        else:
            await asyncio.sleep(0)

    async def call(self, part: str, act: Callable[[], Any], name: str = "") -> Any:
        """Do something in another process, over a network."""
        gate = self.gates.pop(name, None) if name else None
        if gate is not None and not gate.after:
            await gate.wait()
        await self.pause()
        fate = self.random.random()
        if fate < self.weather.fail:
            if self.random.random() < 0.5:
                act()
            raise Unavailable(part, "connection lost")
        if fate < self.weather.fail + self.weather.late:
            asyncio.get_running_loop().call_later(self.random.choice((0.01, 0.2, 2.0)), _quietly, act)
            raise Unavailable(part, "time-out")
        answer = act()
        if gate is not None and gate.after:
            await gate.wait()
        await self.pause()
        return answer


def _quietly(act: Callable[[], Any]) -> None:
    try:
        act()
    except (Unavailable, Doubt):
        return


class SimLog:
    """EventLog: one partition, no holes. `commit` is what the group has acknowledged."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.records: list[LogRecord] = []
        self.commit = 0

    def append(self, record: Outgoing) -> None:
        """What a gateway does before its 202."""
        self.records.append(LogRecord(len(self.records), record.key, record.value, record.headers))

    async def read(self, partition: int, start: int, limit: int) -> Sequence[LogRecord]:
        found: Sequence[LogRecord] = await self.trouble.call("log", lambda: self.records[start : start + limit])
        return found

    async def end(self, partition: int) -> int:
        return int(await self.trouble.call("log", lambda: len(self.records)))

    async def committed(self, partition: int) -> int:
        return int(await self.trouble.call("log", lambda: self.commit))


@dataclass
class View:
    """One partition's hash slot."""

    applied: str | None = None
    checksum: int = 0
    rows: dict[str, StoredRow] = field(default_factory=dict)
    live: list[tuple[int, str, int, bytes | None, bool]] = field(default_factory=list)
    tails: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=lambda: defaultdict(list))
    outbox: dict[int, Sequence[Outgoing]] = field(default_factory=dict)
    dirty: dict[str, int] = field(default_factory=dict)

    def copy(self) -> View:
        """As a dump of the store has it."""
        tails: dict[str, list[tuple[int, bytes | None]]] = defaultdict(list)
        tails.update({key: list(tail) for key, tail in self.tails.items()})
        return View(
            self.applied, self.checksum, dict(self.rows), list(self.live), tails, dict(self.outbox), dict(self.dirty)
        )

    @property
    def stands(self) -> str:
        """`applied` as scripts compare it."""
        return "-1" if self.applied is None else self.applied


class SimStore:
    """LearnerStore, and LiveView for gateways. The scripts are methods named `_..._script`: one moment each."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.view = View()

    async def look(self, partition: int) -> Look:
        found: Look = await self.trouble.call("store", self.look_script, "look")
        return found

    def look_script(self) -> Look:
        """look.lua"""
        view = self.view
        whole = view.applied is not None and not view.applied.startswith("rebuilding")
        outbox = sorted(view.outbox.items())
        applied = int(view.applied) if whole and view.applied is not None else None
        return Look(applied, view.checksum, outbox, view.applied is not None and not whole)

    async def rows(self, partition: int, applied: int, keys: Sequence[str]) -> Sequence[StoredRow] | None:
        found: Sequence[StoredRow] | None = await self.trouble.call("store", lambda: self.rows_script(applied, keys), "rows")
        return found

    def rows_script(self, applied: int, keys: Sequence[str]) -> Sequence[StoredRow] | None:
        """rows.lua"""
        if self.view.stands != str(applied):
            return None
        return [self.view.rows.get(key, StoredRow(None, {})) for key in keys]

    async def advance(self, partition: int, expected: int, change: Advance, sent: Sequence[int] = ()) -> bool:
        return bool(await self.trouble.call("store", lambda: self.advance_script(expected, change, sent), "advance"))

    def advance_script(self, expected: int, change: Advance, sent: Sequence[int]) -> bool:
        """advance.lua"""
        view = self.view
        if view.stands != str(expected):
            return False
        self.write(change)
        self.tell(change)
        if change.emitted:
            view.outbox[change.last] = change.emitted
        for last in sent:
            view.outbox.pop(last, None)
        view.applied, view.checksum = str(change.last), change.checksum
        return True

    def write(self, change: Advance) -> None:
        """Rows and their dirty marks."""
        for row in change.rows:
            known = self.view.rows.get(row.key, StoredRow(None, {}))
            self.view.rows[row.key] = StoredRow(row.packed, {**known.chunks, **row.chunks})
            self.view.dirty[row.key] = change.last

    def tell(self, change: Advance) -> None:
        """The live stream and the learners' own."""
        view = self.view
        for entry in change.live:
            number = entry.offset + 1
            assert not view.live or number > view.live[-1][0], "XADD would refuse this"
            view.live.append((number, entry.row, entry.seq, entry.body, False))
            if entry.body is not None:
                view.tails[entry.row].append((entry.seq, entry.body))
                del view.tails[entry.row][:-TAIL_KEPT]

    async def sent(self, partition: int, batches: Sequence[int]) -> None:
        await self.trouble.call("store", lambda: [self.view.outbox.pop(last, None) for last in batches])

    async def replace(self, partition: int, applied: int, checksum: int, rows: Mapping[str, StoredRow],
                      seqs: Mapping[str, int]) -> None:  # fmt: skip
        token, number = f"{self.trouble.random.random()}", 0
        await self.trouble.call("store", lambda: self.begin_script(token))
        listed = list(rows.items())
        for start in range(0, len(listed), 2):
            piece = listed[start : start + 2]
            if not await self.trouble.call("store", partial(self.piece_script, token, number, piece, seqs), "piece"):
                raise Doubt("somebody else rebuilds this partition")
            number += 1
        if not await self.trouble.call("store", lambda: self.finish_script(token, number, applied, checksum), "finish"):
            raise Doubt("somebody else rebuilds this partition")

    def begin_script(self, token: str) -> None:
        """rebuild.lua, begin"""
        self.view = View(applied=f"rebuilding:{token}:0")

    def expects(self, token: str, number: int) -> bool:
        """Whether a piece of a rebuild is the next one."""
        return self.view.applied == f"rebuilding:{token}:{number}"

    def piece_script(self, token: str, number: int, rows: Sequence[tuple[str, StoredRow]], seqs: Mapping[str, int]) -> bool:
        """rebuild.lua, piece"""
        if not self.expects(token, number):
            return False
        for key, row in rows:
            self.view.rows[key] = row
            self.view.tails[key] = [(seqs[key], None)] if seqs.get(key) else []
        self.view.applied = f"rebuilding:{token}:{number + 1}"
        return True

    def finish_script(self, token: str, number: int, applied: int, checksum: int) -> bool:
        """rebuild.lua, finish"""
        if not self.expects(token, number):
            return False
        self.view.applied, self.view.checksum = str(applied), checksum
        if applied >= 0:
            self.view.live.append((applied + 1, "", 0, None, True))
        return True

    async def dirty(self, partition: int, applied: int) -> Dirty | None:
        found: Dirty | None = await self.trouble.call("store", lambda: self.dirty_script(applied), "dirty")
        return found

    def dirty_script(self, applied: int) -> Dirty | None:
        """dirty.lua"""
        view = self.view
        if view.stands != str(applied):
            return None
        return Dirty(applied, {key: view.rows[key] for key in view.dirty}, dict(view.dirty))

    async def clean(self, partition: int, marks: Mapping[str, int]) -> None:
        def act() -> None:
            for key, mark in marks.items():
                if self.view.dirty.get(key, mark + 1) <= mark:
                    del self.view.dirty[key]

        await self.trouble.call("store", act)


class SimLive:
    """LiveView over the same store: a gateway's eyes."""

    def __init__(self, store: SimStore) -> None:
        self.store = store

    async def epoch(self) -> int:
        return 0

    async def newest(self) -> dict[int, int]:
        return {0: self.store.view.live[-1][0] if self.store.view.live else 0}

    async def oldest(self) -> dict[int, int]:
        return {0: self.store.view.live[0][0] if self.store.view.live else 0}

    async def workers(self, since_ms: int) -> int:
        return 1

    async def read(self, after: Mapping[int, int], wait_seconds: float) -> Sequence[LiveEntry]:
        await asyncio.sleep(0.02)

        def act() -> list[LiveEntry]:
            return [
                LiveEntry(partition=0, offset=number - 1, row=row, seq=seq, body=body, reset=reset)
                for number, row, seq, body, reset in self.store.view.live
                if number > after[0]
            ]

        found: list[LiveEntry] = await self.store.trouble.call("store", act, "live")
        return found

    async def applied(self) -> dict[int, int]:
        applied = await self.store.trouble.call("store", lambda: self.store.view.applied)
        return {} if applied is None or applied.startswith("rebuilding") else {0: int(applied)}

    async def tail(self, partition: int, row: str, after: int, limit: int = 100) -> Tail:
        def act() -> Tail:
            tail = self.store.view.tails.get(row, [])
            bodies = [(seq, body) for seq, body in tail if body is not None and seq > after]
            oldest = tail[0][0] + (tail[0][1] is None) if tail else 0
            stands = self.store.view.stands
            return Tail(-1 if stands.startswith("reb") else int(stands), bodies, oldest, tail[-1][0] if tail else 0)

        found: Tail = await self.store.trouble.call("store", act)
        return found

    async def latest(self, partition: int, row: str) -> bytes | None:
        tail = self.store.view.tails.get(row)
        return tail[-1][1] if tail else None


class SimSink:
    """DecisionSink: topics, written at least once."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.records: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            await self.trouble.call("kafka", partial(self.records.append, record))


class SimTopic:
    """Topic `learner-state` and who may write it: the last who claimed."""

    def __init__(self) -> None:
        self.saved = Saved(None)
        self.epoch = 0


class SimCheckpoints:
    """Checkpoints of one worker. `owns` says whether the group gives it the partition now."""

    def __init__(self, topic: SimTopic, trouble: Trouble, owns: Callable[[], bool]) -> None:
        self.topic = topic
        self.trouble = trouble
        self.owns = owns
        self.epoch = -1

    async def claim(self, partition: int) -> None:
        await self.trouble.pause()
        if not self.owns():
            raise Unavailable("assignment", "not this worker's any more")
        await self.trouble.call("kafka", self.fence)

    def fence(self) -> None:
        """A transactional producer starts: those before it are fenced."""
        self.topic.epoch += 1
        self.epoch = self.topic.epoch

    async def watermark(self, partition: int) -> int | None:
        found: int | None = await self.trouble.call("kafka", lambda: self.topic.saved.watermark)
        return found

    async def load(self, partition: int) -> Saved:
        found: Saved = await self.trouble.call(
            "kafka", lambda: Saved(self.topic.saved.watermark, dict(self.topic.saved.rows))
        )
        return found

    async def save(self, partition: int, dirty: Dirty, confirmed: Callable[[], bool]) -> bool:
        await self.trouble.pause()
        deadline = asyncio.get_running_loop().time() + 30
        while not confirmed():
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.005)
        await self.trouble.call("kafka", lambda: self.commit(dirty), "commit")
        return True

    def commit(self, dirty: Dirty) -> None:
        """The transaction's end: all of it, or none and the writer is fenced."""
        if self.epoch != self.topic.epoch:
            raise Doubt("fenced")
        self.topic.saved = Saved(dirty.applied, {**self.topic.saved.rows, **dirty.rows})


class SimBooks:
    """Books: every version that was ever published; a worker learns of it a little later than a gateway."""

    def __init__(self, course: Course) -> None:
        self.courses = {course.version: course}
        self.populations: dict[tuple[int, str], Population] = {NO_POPULATION: Population.empty()}

    def course(self, tenant: str, course: str, version: str) -> Course | None:
        return self.courses.get(version)

    def population(self, tenant: str, course: str, stamp: tuple[int, str]) -> Population | None:
        return self.populations.get(stamp)

    async def wait(self, tenant: str, course: str, version: str, stamp: tuple[int, str]) -> None:
        await asyncio.sleep(0.05)
