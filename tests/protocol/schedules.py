"""Schedules for what chance would bring about too seldom: each is harmless without the bug that it brings to light."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agents.ports import Look
from schemas.errors import Unavailable
from tests.protocol.parts import Gate, SimStore, View
from tests.protocol.world import LEARNERS, World


async def stale_rows(world: World) -> None:
    """The store forgets its last second; a worker reads rows from it; its successor catches up; the first one goes on."""
    world.append("l0", "l1", "l0")
    await world.applied(2)
    before = world.store.view.copy()
    world.append("l0", "l0", "l1")
    await world.applied(5)
    old = world.owner
    assert old is not None
    old.lane._rows.clear()
    gate = world.trouble.gates["rows"] = Gate(after=True)
    world.store.view = before.copy()
    world.append("l0")
    await gate.reached.wait()
    successor = await world.replace_owner(zombie=True)
    successor.tasks[1].cancel()
    await world.until(lambda: world.store.view.applied == "5")
    gate.opened.set()
    await asyncio.sleep(0.5)
    successor.tasks[1] = asyncio.create_task(successor.feed())


async def torn_streams(world: World) -> None:
    """A worker dies between the script that moves the view and what it wrote by itself."""
    world.append("l0")
    await world.applied(0)
    gate = world.trouble.gates["advance"] = Gate(after=True)
    world.append("l1")
    await gate.reached.wait()
    await world.replace_owner(zombie=False)
    await world.applied(1)


async def checkpoint_of_what_was_forgotten(world: World) -> None:
    """A checkpoint is due while the store stands a few seconds back; then it is wiped."""
    world.append(*LEARNERS)
    await world.applied(4)
    before = world.store.view.copy()
    await asyncio.sleep(1)
    world.append(*LEARNERS)
    await world.applied(9)
    await world.until(lambda: world.topic.saved.watermark == 9)
    gate = world.trouble.gates["dirty"] = Gate()
    world.append("l0")
    await gate.reached.wait()
    world.store.view = before.copy()
    world.store.view.dirty = dict.fromkeys(before.rows, 4)
    gate.opened.set()
    await asyncio.sleep(0.2)
    world.store.view = View()
    await world.replace_owner(zombie=False)


class _Unreachable(SimStore):
    """A store as a stopped process sees it."""

    async def look(self, partition: int) -> Look:
        await asyncio.sleep(1e6)
        raise Unavailable("store", "frozen")


async def late_checkpoint(world: World) -> None:
    """A checkpoint is held up in a worker that is frozen out; its successor writes newer ones; then it comes through."""
    gate = world.trouble.gates["commit"] = Gate()
    world.append("l0", "l1")
    await gate.reached.wait()
    frozen = world.owner
    assert frozen is not None
    frozen.tasks[1].cancel()
    frozen.lane.ports = replace(frozen.ports, store=_Unreachable(world.trouble))
    await world.replace_owner(zombie=True)
    world.append(*LEARNERS, *LEARNERS)
    await world.until(lambda: world.topic.saved.watermark == 11)
    gate.opened.set()
    await asyncio.sleep(1)
    world.append("l2")
    await world.until(lambda: world.topic.saved.watermark == 12)
    world.store.view = View()
    await world.replace_owner(zombie=False)


async def dirt_of_a_predecessor(world: World) -> None:
    """One worker changes rows and dies; the next changes others and saves; the store is wiped."""
    assert world.owner is not None
    world.owner.lane.ports = replace(world.owner.lane.ports, checkpoint_seconds=1_000.0)
    world.owner.lane._checkpoint_due = 1_000.0
    world.append("l0", "l1")
    await world.applied(1)
    await world.replace_owner(zombie=False)
    world.append("l2", "l3")
    await world.until(lambda: world.topic.saved.watermark == 3)
    world.store.view = View()


async def two_rebuild(world: World) -> None:
    """Two workers rebuild the same partition, one piece of the one between two of the other."""
    world.append(*LEARNERS)
    await world.until(lambda: world.topic.saved.watermark == 4)
    world.store.view = View()
    first = world.trouble.gates["finish"] = Gate()
    await world.replace_owner(zombie=False)
    await first.reached.wait()
    second = world.trouble.gates["piece"] = Gate(after=True)
    await world.replace_owner(zombie=True)
    await second.reached.wait()
    first.opened.set()
    await asyncio.sleep(0.5)
    second.opened.set()


async def moved_between_two_looks(world: World) -> None:
    """A dying worker's script lands while its successor looks at outbox and position; then the store is wiped."""
    world.append("l0")
    await world.applied(0)
    moving = world.trouble.gates["advance"] = Gate()
    world.append("l1", "l2")
    await moving.reached.wait()
    looking = world.trouble.gates["look"] = Gate(after=True)
    old = world.owner
    assert old is not None
    successor = await world.replace_owner(zombie=True)
    successor.tasks[1].cancel()
    await looking.reached.wait()
    moving.opened.set()
    await world.until(lambda: world.store.view.applied != "0")
    await old.kill()
    looking.opened.set()
    await world.until(lambda: str(successor.lane.applied) == world.store.view.applied)
    world.log.commit = successor.lane._confirmed + 1
    world.store.view = View()
    await world.replace_owner(zombie=False)


async def rebuilt_behind_a_gateway(world: World) -> None:
    """The view is wiped and rebuilt before a gateway has read what it told last."""
    world.append(*LEARNERS)
    await world.until(lambda: world.topic.saved.watermark == 4)
    gate = world.trouble.gates["live"] = Gate()
    await gate.reached.wait()
    world.append(*LEARNERS)
    await world.until(lambda: world.topic.saved.watermark == 9)
    world.store.view = View()
    await world.replace_owner(zombie=False)
    await world.until(lambda: world.store.view.applied == "9")
    gate.opened.set()


async def released_after_a_death(world: World) -> None:
    """A worker dies before the view has what it computed; the next one is of another release."""
    world.append("l0")
    await world.applied(0)
    gate = world.trouble.gates["advance"] = Gate()
    world.append("l1")
    await gate.reached.wait()
    assert world.owner is not None
    await world.owner.kill()
    world.release()
    await world.replace_owner(zombie=False)
    await world.applied(1)
